//! The records of the metadata log, and their bytes.
//!
//! A frame holds one or more records that take effect together:
//!
//! ```text
//! 0   u8      version of the frame, 1
//! 1   u32     CRC-32C of everything after it, big-endian
//! 5   varint  number of records
//!     each    u8 kind, u8 version of the kind, varint length, body
//! ```
//!
//! Every kind carries its own version, so one kind can grow without touching the others. A kind or version this
//! release does not know is an error, never skipped: an image that ignores records is not the image of its log.
//! Decoding is exact: what decodes encodes to the same bytes.

use millstream_api::ids::LogicalClusterId;
use uuid::Uuid;

use crate::acl::Acl;
use crate::codec::{FieldReader, FieldWriter};
use crate::topic_name::TopicName;

/// The number of a broker within its physical cluster. Never negative.
pub type BrokerId = i32;

/// The newest frame version this release reads, and the one it writes.
pub const FRAME_VERSION: u8 = 1;
/// The most records in one frame: two proposals of the largest size.
pub const MAX_FRAME_RECORDS: usize = 2 * MAX_PROPOSAL_RECORDS;
/// The most records that take effect together: a broker that holds every partition there can be may change sides.
pub const MAX_PROPOSAL_RECORDS: usize = 131_072;
/// The most bytes in one frame.
pub const MAX_FRAME_BYTES: usize = 64 * 1024 * 1024;
/// The most replicas of one partition.
pub const MAX_REPLICAS: usize = 128;
/// The most endpoints that one broker registers.
pub const MAX_ENDPOINTS: usize = 16;

const FRAME_HEADER_BYTES: usize = 5;

/// Why bytes are not records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside of a field.
    #[error("metadata record is cut short")]
    Truncated,
    /// The checksum differs.
    #[error("metadata frame has checksum {actual:#010x} but says {stated:#010x}")]
    Checksum {
        /// What the frame says.
        stated: u32,
        /// What its bytes give.
        actual: u32,
    },
    /// Written by a newer release.
    #[error("metadata frame has version {version}, this release reads up to {FRAME_VERSION}")]
    UnknownFrameVersion {
        /// The version found.
        version: u8,
    },
    /// A kind of record this release does not know.
    #[error("metadata record has unknown kind {kind} version {version}")]
    UnknownRecord {
        /// The kind found.
        kind: u8,
        /// The version found.
        version: u8,
    },
    /// A length above its bound.
    #[error("{field} has length {length}, at most {limit} is allowed")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// The length found.
        length: u64,
        /// Its bound.
        limit: usize,
    },
    /// A value that the field cannot have.
    #[error("{field} is not valid")]
    Invalid {
        /// Which field.
        field: &'static str,
    },
    /// More bytes than the record needs.
    #[error("metadata record has {count} bytes too many")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
}

/// What a config belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigResource {
    /// One topic of a tenant.
    Topic {
        /// The tenant.
        tenant: LogicalClusterId,
        /// The topic.
        topic_id: Uuid,
    },
    /// A whole logical cluster, such as its default number of partitions.
    Tenant {
        /// The tenant.
        tenant: LogicalClusterId,
    },
    /// One broker.
    Broker {
        /// The broker.
        broker_id: BrokerId,
    },
    /// All brokers that do not say otherwise.
    AllBrokers,
}

/// One address under which a broker can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The name of the listener, such as `EXTERNAL`.
    pub listener: String,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// One change of the metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataRecord {
    /// A topic begins to exist, without partitions.
    Topic {
        /// The tenant that owns it.
        tenant: LogicalClusterId,
        /// Its id, never used twice.
        topic_id: Uuid,
        /// Its name, unique within the tenant.
        name: TopicName,
    },
    /// A topic ends, with its partitions and configs.
    RemoveTopic {
        /// The tenant that owns it.
        tenant: LogicalClusterId,
        /// Which topic.
        topic_id: Uuid,
    },
    /// The next partition of a topic begins to exist.
    Partition {
        /// The tenant that owns the topic.
        tenant: LogicalClusterId,
        /// Which topic.
        topic_id: Uuid,
        /// Its number: exactly the count of partitions before it.
        partition: i32,
        /// Where its copies live, the preferred leader first.
        replicas: Vec<BrokerId>,
        /// The replicas that are in sync.
        in_sync_replicas: Vec<BrokerId>,
        /// The leader, if any is alive.
        leader: Option<BrokerId>,
        /// Counts leaders.
        leader_epoch: i32,
        /// Counts changes.
        partition_epoch: i32,
    },
    /// A partition changes. What is `None` stays. A new leader adds one to the leader epoch; each record adds one to
    /// the partition epoch.
    PartitionChange {
        /// The tenant that owns the topic.
        tenant: LogicalClusterId,
        /// Which topic.
        topic_id: Uuid,
        /// Which partition.
        partition: i32,
        /// `Some(None)`: there is no leader now.
        leader: Option<Option<BrokerId>>,
        /// The new in-sync replicas.
        in_sync_replicas: Option<Vec<BrokerId>>,
        /// The new replicas.
        replicas: Option<Vec<BrokerId>>,
    },
    /// A config is set, or with `None` removed.
    Config {
        /// What it belongs to.
        resource: ConfigResource,
        /// Its name.
        name: String,
        /// Its value.
        value: Option<String>,
    },
    /// A broker registers, replacing what it registered before.
    RegisterBroker {
        /// Which broker.
        broker_id: BrokerId,
        /// Tells one run of the process from the next.
        incarnation_id: Uuid,
        /// Grows with each registration.
        broker_epoch: i64,
        /// Its failure domain.
        rack: Option<String>,
        /// Where it can be reached.
        endpoints: Vec<Endpoint>,
        /// A fenced broker leads nothing and is not shown to clients.
        fenced: bool,
    },
    /// A broker is fenced or unfenced.
    FenceBroker {
        /// Which broker.
        broker_id: BrokerId,
        /// The registration it is about.
        broker_epoch: i64,
        /// Fenced or not.
        fenced: bool,
    },
    /// A broker leaves for good.
    UnregisterBroker {
        /// Which broker.
        broker_id: BrokerId,
        /// The registration it is about.
        broker_epoch: i64,
    },
    /// A broker took the producer ids below `next_producer_id`.
    ProducerIds {
        /// Which broker.
        broker_id: BrokerId,
        /// The first id that is still free.
        next_producer_id: i64,
    },
    /// An ACL begins to hold.
    AddAcl {
        /// The tenant whose resource it is about.
        tenant: LogicalClusterId,
        /// The ACL.
        acl: Acl,
    },
    /// An ACL ends.
    RemoveAcl {
        /// The tenant whose resource it is about.
        tenant: LogicalClusterId,
        /// The ACL.
        acl: Acl,
    },
}

mod kind {
    pub(super) const TOPIC: u8 = 1;
    pub(super) const REMOVE_TOPIC: u8 = 2;
    pub(super) const PARTITION: u8 = 3;
    pub(super) const PARTITION_CHANGE: u8 = 4;
    pub(super) const CONFIG: u8 = 5;
    pub(super) const REGISTER_BROKER: u8 = 6;
    pub(super) const FENCE_BROKER: u8 = 7;
    pub(super) const UNREGISTER_BROKER: u8 = 8;
    pub(super) const PRODUCER_IDS: u8 = 9;
    pub(super) const ADD_ACL: u8 = 10;
    pub(super) const REMOVE_ACL: u8 = 11;
}

mod resource_kind {
    pub(super) const TOPIC: u8 = 1;
    pub(super) const TENANT: u8 = 2;
    pub(super) const BROKER: u8 = 3;
    pub(super) const ALL_BROKERS: u8 = 4;
}

/// The version of every kind: none has changed yet.
const RECORD_VERSION: u8 = 1;

/// Encodes records that take effect together. The caller keeps within [`MAX_FRAME_RECORDS`].
pub fn encode_frame(records: &[MetadataRecord]) -> Vec<u8> {
    let mut frame = vec![FRAME_VERSION, 0, 0, 0, 0];
    FieldWriter::new(&mut frame).length(records.len());
    let mut body = Vec::new();
    for record in records {
        body.clear();
        let kind = encode_body(record, &mut FieldWriter::new(&mut body));
        let mut writer = FieldWriter::new(&mut frame);
        writer.byte(kind);
        writer.byte(RECORD_VERSION);
        writer.length(body.len());
        frame.extend_from_slice(&body);
    }
    let checksum = crc32c::crc32c(&frame[FRAME_HEADER_BYTES..]);
    frame[1..FRAME_HEADER_BYTES].copy_from_slice(&checksum.to_be_bytes());
    frame
}

/// Decodes a whole frame.
pub fn decode_frame(frame: &[u8]) -> Result<Vec<MetadataRecord>, DecodeError> {
    if frame.len() > MAX_FRAME_BYTES {
        return Err(DecodeError::TooLong { field: "frame", length: frame.len() as u64, limit: MAX_FRAME_BYTES });
    }
    let mut reader = FieldReader::new(frame);
    let version = reader.byte()?;
    if version != FRAME_VERSION {
        return Err(DecodeError::UnknownFrameVersion { version });
    }
    let mut stated = [0u8; 4];
    stated.copy_from_slice(reader.take(4)?);
    let stated = u32::from_be_bytes(stated);
    let actual = crc32c::crc32c(&frame[FRAME_HEADER_BYTES..]);
    if stated != actual {
        return Err(DecodeError::Checksum { stated, actual });
    }
    decode_records(reader)
}

fn decode_records(mut reader: FieldReader<'_>) -> Result<Vec<MetadataRecord>, DecodeError> {
    // The list grows as records decode: a count is a claim, and one byte per record is all that was checked.
    let count = reader.count("records", MAX_FRAME_RECORDS)?;
    let mut records = Vec::new();
    for _ in 0..count {
        let kind = reader.byte()?;
        let version = reader.byte()?;
        if version != RECORD_VERSION {
            return Err(DecodeError::UnknownRecord { kind, version });
        }
        let length = reader.count("record", MAX_FRAME_BYTES)?;
        let mut body = FieldReader::new(reader.take(length)?);
        records.push(decode_body(kind, &mut body)?);
        body.finish()?;
    }
    reader.finish()?;
    Ok(records)
}

fn encode_body(record: &MetadataRecord, writer: &mut FieldWriter<'_>) -> u8 {
    match record {
        MetadataRecord::Topic { tenant, topic_id, name } => {
            writer.text(tenant.as_str());
            writer.uuid(*topic_id);
            writer.text(name.as_str());
            kind::TOPIC
        }
        MetadataRecord::RemoveTopic { tenant, topic_id } => {
            writer.text(tenant.as_str());
            writer.uuid(*topic_id);
            kind::REMOVE_TOPIC
        }
        MetadataRecord::Partition {
            tenant,
            topic_id,
            partition,
            replicas,
            in_sync_replicas,
            leader,
            leader_epoch,
            partition_epoch,
        } => {
            writer.text(tenant.as_str());
            writer.uuid(*topic_id);
            writer.signed(i64::from(*partition));
            writer.broker_ids(replicas);
            writer.broker_ids(in_sync_replicas);
            encode_leader(*leader, writer);
            writer.signed(i64::from(*leader_epoch));
            writer.signed(i64::from(*partition_epoch));
            kind::PARTITION
        }
        MetadataRecord::PartitionChange { tenant, topic_id, partition, leader, in_sync_replicas, replicas } => {
            writer.text(tenant.as_str());
            writer.uuid(*topic_id);
            writer.signed(i64::from(*partition));
            writer.boolean(leader.is_some());
            if let Some(leader) = leader {
                encode_leader(*leader, writer);
            }
            encode_optional_brokers(in_sync_replicas.as_deref(), writer);
            encode_optional_brokers(replicas.as_deref(), writer);
            kind::PARTITION_CHANGE
        }
        MetadataRecord::Config { resource, name, value } => {
            encode_resource(resource, writer);
            writer.text(name);
            writer.optional_text(value.as_deref());
            kind::CONFIG
        }
        MetadataRecord::RegisterBroker { broker_id, incarnation_id, broker_epoch, rack, endpoints, fenced } => {
            writer.signed(i64::from(*broker_id));
            writer.uuid(*incarnation_id);
            writer.signed(*broker_epoch);
            writer.optional_text(rack.as_deref());
            writer.length(endpoints.len());
            for endpoint in endpoints {
                writer.text(&endpoint.listener);
                writer.text(&endpoint.host);
                writer.unsigned(u64::from(endpoint.port));
            }
            writer.boolean(*fenced);
            kind::REGISTER_BROKER
        }
        MetadataRecord::FenceBroker { broker_id, broker_epoch, fenced } => {
            writer.signed(i64::from(*broker_id));
            writer.signed(*broker_epoch);
            writer.boolean(*fenced);
            kind::FENCE_BROKER
        }
        MetadataRecord::UnregisterBroker { broker_id, broker_epoch } => {
            writer.signed(i64::from(*broker_id));
            writer.signed(*broker_epoch);
            kind::UNREGISTER_BROKER
        }
        MetadataRecord::ProducerIds { broker_id, next_producer_id } => {
            writer.signed(i64::from(*broker_id));
            writer.signed(*next_producer_id);
            kind::PRODUCER_IDS
        }
        MetadataRecord::AddAcl { tenant, acl } => {
            writer.text(tenant.as_str());
            acl.encode(writer);
            kind::ADD_ACL
        }
        MetadataRecord::RemoveAcl { tenant, acl } => {
            writer.text(tenant.as_str());
            acl.encode(writer);
            kind::REMOVE_ACL
        }
    }
}

fn decode_body(kind: u8, reader: &mut FieldReader<'_>) -> Result<MetadataRecord, DecodeError> {
    match kind {
        kind::TOPIC => Ok(MetadataRecord::Topic {
            tenant: reader.parsed("tenant")?,
            topic_id: reader.uuid()?,
            name: reader.parsed("topic name")?,
        }),
        kind::REMOVE_TOPIC => {
            Ok(MetadataRecord::RemoveTopic { tenant: reader.parsed("tenant")?, topic_id: reader.uuid()? })
        }
        kind::PARTITION => Ok(MetadataRecord::Partition {
            tenant: reader.parsed("tenant")?,
            topic_id: reader.uuid()?,
            partition: reader.int32("partition")?,
            replicas: reader.broker_ids("replicas", MAX_REPLICAS)?,
            in_sync_replicas: reader.broker_ids("in-sync replicas", MAX_REPLICAS)?,
            leader: decode_leader(reader)?,
            leader_epoch: reader.int32("leader epoch")?,
            partition_epoch: reader.int32("partition epoch")?,
        }),
        kind::PARTITION_CHANGE => Ok(MetadataRecord::PartitionChange {
            tenant: reader.parsed("tenant")?,
            topic_id: reader.uuid()?,
            partition: reader.int32("partition")?,
            leader: if reader.boolean("leader")? { Some(decode_leader(reader)?) } else { None },
            in_sync_replicas: decode_optional_brokers("in-sync replicas", reader)?,
            replicas: decode_optional_brokers("replicas", reader)?,
        }),
        kind::CONFIG => Ok(MetadataRecord::Config {
            resource: decode_resource(reader)?,
            name: reader.text("config name")?.to_owned(),
            value: reader.optional_text("config value")?.map(str::to_owned),
        }),
        kind::REGISTER_BROKER => Ok(MetadataRecord::RegisterBroker {
            broker_id: reader.int32("broker id")?,
            incarnation_id: reader.uuid()?,
            broker_epoch: reader.signed("broker epoch")?,
            rack: reader.optional_text("rack")?.map(str::to_owned),
            endpoints: decode_endpoints(reader)?,
            fenced: reader.boolean("fenced")?,
        }),
        kind::FENCE_BROKER => Ok(MetadataRecord::FenceBroker {
            broker_id: reader.int32("broker id")?,
            broker_epoch: reader.signed("broker epoch")?,
            fenced: reader.boolean("fenced")?,
        }),
        kind::UNREGISTER_BROKER => Ok(MetadataRecord::UnregisterBroker {
            broker_id: reader.int32("broker id")?,
            broker_epoch: reader.signed("broker epoch")?,
        }),
        kind::PRODUCER_IDS => Ok(MetadataRecord::ProducerIds {
            broker_id: reader.int32("broker id")?,
            next_producer_id: reader.signed("next producer id")?,
        }),
        kind::ADD_ACL => Ok(MetadataRecord::AddAcl { tenant: reader.parsed("tenant")?, acl: Acl::decode(reader)? }),
        kind::REMOVE_ACL => {
            Ok(MetadataRecord::RemoveAcl { tenant: reader.parsed("tenant")?, acl: Acl::decode(reader)? })
        }
        _ => Err(DecodeError::UnknownRecord { kind, version: RECORD_VERSION }),
    }
}

fn encode_leader(leader: Option<BrokerId>, writer: &mut FieldWriter<'_>) {
    writer.boolean(leader.is_some());
    if let Some(broker_id) = leader {
        writer.signed(i64::from(broker_id));
    }
}

fn decode_leader(reader: &mut FieldReader<'_>) -> Result<Option<BrokerId>, DecodeError> {
    if reader.boolean("leader")? { Ok(Some(reader.int32("leader")?)) } else { Ok(None) }
}

fn encode_optional_brokers(brokers: Option<&[BrokerId]>, writer: &mut FieldWriter<'_>) {
    writer.boolean(brokers.is_some());
    if let Some(brokers) = brokers {
        writer.broker_ids(brokers);
    }
}

fn decode_optional_brokers(
    field: &'static str,
    reader: &mut FieldReader<'_>,
) -> Result<Option<Vec<BrokerId>>, DecodeError> {
    if reader.boolean(field)? { Ok(Some(reader.broker_ids(field, MAX_REPLICAS)?)) } else { Ok(None) }
}

fn encode_resource(resource: &ConfigResource, writer: &mut FieldWriter<'_>) {
    match resource {
        ConfigResource::Topic { tenant, topic_id } => {
            writer.byte(resource_kind::TOPIC);
            writer.text(tenant.as_str());
            writer.uuid(*topic_id);
        }
        ConfigResource::Tenant { tenant } => {
            writer.byte(resource_kind::TENANT);
            writer.text(tenant.as_str());
        }
        ConfigResource::Broker { broker_id } => {
            writer.byte(resource_kind::BROKER);
            writer.signed(i64::from(*broker_id));
        }
        ConfigResource::AllBrokers => writer.byte(resource_kind::ALL_BROKERS),
    }
}

fn decode_resource(reader: &mut FieldReader<'_>) -> Result<ConfigResource, DecodeError> {
    match reader.byte()? {
        resource_kind::TOPIC => {
            Ok(ConfigResource::Topic { tenant: reader.parsed("tenant")?, topic_id: reader.uuid()? })
        }
        resource_kind::TENANT => Ok(ConfigResource::Tenant { tenant: reader.parsed("tenant")? }),
        resource_kind::BROKER => Ok(ConfigResource::Broker { broker_id: reader.int32("broker id")? }),
        resource_kind::ALL_BROKERS => Ok(ConfigResource::AllBrokers),
        _ => Err(DecodeError::Invalid { field: "config resource" }),
    }
}

fn decode_endpoints(reader: &mut FieldReader<'_>) -> Result<Vec<Endpoint>, DecodeError> {
    let count = reader.count("endpoints", MAX_ENDPOINTS)?;
    let mut endpoints = Vec::with_capacity(count);
    for _ in 0..count {
        let listener = reader.text("listener")?.to_owned();
        let host = reader.text("host")?.to_owned();
        let port = reader.unsigned("port")?;
        let port = u16::try_from(port).map_err(|_| DecodeError::Invalid { field: "port" })?;
        endpoints.push(Endpoint { listener, host, port });
    }
    Ok(endpoints)
}
