//! An image as records, and as bytes.
//!
//! The law: applying the records of an image to an empty image gives that image. A snapshot is its records in frames,
//! behind a header with the offset they stand for:
//!
//! ```text
//! 0   8 bytes  "MSMETA\0\x01": the last byte is the version
//! 8   u64      offset of the image, big-endian
//! 16  u32      number of frames
//! 20  u32      CRC-32C of bytes 0 to 20
//! 24           per frame: u32 length, frame (it has its own checksum)
//! ```

use millstream_api::ids::LogicalClusterId;

use crate::acl::AclFilter;
use crate::image::{ApplyError, BrokerRegistration, ConfigValues, MetadataImage, TopicImage};
use crate::records::{self, BrokerId, ConfigResource, DecodeError, MetadataRecord};

/// The newest snapshot version this release reads, and the one it writes.
pub const SNAPSHOT_VERSION: u8 = 1;
/// Records per frame of a snapshot: keeps a frame small enough to check before much is allocated.
const RECORDS_PER_FRAME: usize = 4_096;
const MAGIC: &[u8; 7] = b"MSMETA\0";
const HEADER_BYTES: usize = 24;

/// Why bytes are not a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Not a snapshot at all.
    #[error("not a metadata snapshot")]
    NotASnapshot,
    /// Written by a newer release.
    #[error("metadata snapshot has version {version}, this release reads up to {SNAPSHOT_VERSION}")]
    NewerVersion {
        /// The version found.
        version: u8,
    },
    /// The header's checksum differs, or the snapshot is cut short or too long.
    #[error("metadata snapshot is damaged")]
    Damaged,
    /// A frame does not decode.
    #[error("metadata snapshot holds a bad frame")]
    Frame(#[source] DecodeError),
    /// Its records contradict each other.
    #[error("metadata snapshot contradicts itself")]
    Apply(#[source] ApplyError),
}

/// The records that make this image out of an empty one.
pub fn records(image: &MetadataImage) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    for broker in image.brokers() {
        records.push(broker_record(broker));
    }
    add_configs(&mut records, &ConfigResource::AllBrokers, image.all_broker_configs());
    for (broker_id, configs) in image.broker_config_map().iter() {
        add_configs(&mut records, &ConfigResource::Broker { broker_id: *broker_id }, configs);
    }
    for (tenant_id, tenant) in image.tenants() {
        add_configs(&mut records, &ConfigResource::Tenant { tenant: tenant_id.clone() }, tenant.configs());
        for acl in tenant.acls().matching(&AclFilter::everything()) {
            records.push(MetadataRecord::AddAcl { tenant: tenant_id.clone(), acl });
        }
        for topic in tenant.topics() {
            add_topic(&mut records, tenant_id, topic);
        }
    }
    if let Some(taken) = image.producer_ids() {
        let (broker_id, next_producer_id): (BrokerId, i64) = (taken.broker_id, taken.next_producer_id);
        records.push(MetadataRecord::ProducerIds { broker_id, next_producer_id });
    }
    records
}

/// The image as bytes.
pub fn encode(image: &MetadataImage) -> Vec<u8> {
    let records = records(image);
    let frames = records.chunks(RECORDS_PER_FRAME);
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.push(SNAPSHOT_VERSION);
    bytes.extend_from_slice(&image.offset().to_be_bytes());
    bytes.extend_from_slice(&(frames.len() as u32).to_be_bytes());
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    for frame in frames {
        let frame = records::encode_frame(frame);
        bytes.extend_from_slice(&(frame.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&frame);
    }
    bytes
}

/// The image that these bytes hold.
pub fn decode(bytes: &[u8]) -> Result<MetadataImage, SnapshotError> {
    let Some((header, mut rest)) = bytes.split_at_checked(HEADER_BYTES) else {
        return Err(SnapshotError::NotASnapshot);
    };
    if !header.starts_with(MAGIC) {
        return Err(SnapshotError::NotASnapshot);
    }
    if header[7] != SNAPSHOT_VERSION {
        return Err(SnapshotError::NewerVersion { version: header[7] });
    }
    if crc32c::crc32c(&header[..20]) != be_u32(&header[20..]) {
        return Err(SnapshotError::Damaged);
    }
    let offset = (u64::from(be_u32(&header[8..])) << 32) | u64::from(be_u32(&header[12..]));
    let mut image = MetadataImage::default();
    for _ in 0..be_u32(&header[16..]) {
        let (length, after_length) = rest.split_at_checked(4).ok_or(SnapshotError::Damaged)?;
        let length = be_u32(length) as usize;
        let (frame, after_frame) = after_length.split_at_checked(length).ok_or(SnapshotError::Damaged)?;
        let records = records::decode_frame(frame).map_err(SnapshotError::Frame)?;
        image.apply_all(&records).map_err(SnapshotError::Apply)?;
        rest = after_frame;
    }
    if !rest.is_empty() || image.offset() > offset {
        return Err(SnapshotError::Damaged);
    }
    Ok(image.with_offset(offset))
}

fn be_u32(bytes: &[u8]) -> u32 {
    bytes[..4].iter().fold(0, |value, byte| (value << 8) | u32::from(*byte))
}

fn broker_record(broker: &BrokerRegistration) -> MetadataRecord {
    MetadataRecord::RegisterBroker {
        broker_id: broker.id,
        incarnation_id: broker.incarnation_id,
        broker_epoch: broker.epoch,
        rack: broker.rack.clone(),
        endpoints: broker.endpoints.clone(),
        fenced: broker.fenced,
    }
}

fn add_configs(records: &mut Vec<MetadataRecord>, resource: &ConfigResource, configs: &ConfigValues) {
    for (name, value) in configs {
        records.push(MetadataRecord::Config {
            resource: resource.clone(),
            name: name.clone(),
            value: Some(value.clone()),
        });
    }
}

fn add_topic(records: &mut Vec<MetadataRecord>, tenant: &LogicalClusterId, topic: &TopicImage) {
    let topic_id = topic.id;
    records.push(MetadataRecord::Topic { tenant: tenant.clone(), topic_id, name: topic.name.clone() });
    for (partition, image) in (0..).zip(&topic.partitions) {
        records.push(MetadataRecord::Partition {
            tenant: tenant.clone(),
            topic_id,
            partition,
            replicas: image.replicas.clone(),
            in_sync_replicas: image.in_sync_replicas.clone(),
            leader: image.leader,
            leader_epoch: image.leader_epoch,
            partition_epoch: image.partition_epoch,
        });
    }
    add_configs(records, &ConfigResource::Topic { tenant: tenant.clone(), topic_id }, &topic.configs);
}
