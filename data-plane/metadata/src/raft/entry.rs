//! One entry of the raft log, and its bytes.
//!
//! ```text
//! 0   u8   version, 1
//! 1   u8   kind: 0 blank, 1 batch of records, 2 membership
//! 2   u64  term of the leader, big-endian
//! 10  u64  voter id of the leader
//! 18  ...  batch: u64 base offset, frame of records; membership: JSON
//! end u32  CRC-32C of everything before it
//! ```
//!
//! The membership is openraft's own type, so its form is openraft's JSON: rare, small, and bounded.

use std::sync::Arc;

use openraft::{CommittedLeaderId, Entry, EntryPayload, LogId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::raft::{TypeConfig, VoterId};
use crate::records::{self, DecodeError, MAX_FRAME_BYTES, MetadataRecord};

/// The most bytes of one entry.
pub(crate) const MAX_ENTRY_BYTES: usize = MAX_FRAME_BYTES + 64;
/// The most bytes of a membership.
const MAX_MEMBERSHIP_BYTES: usize = 64 * 1024;
const ENTRY_VERSION: u8 = 1;
const HEADER_BYTES: usize = 18;
const CHECKSUM_BYTES: usize = 4;
const KIND_BLANK: u8 = 0;
const KIND_BATCH: u8 = 1;
const KIND_MEMBERSHIP: u8 = 2;

/// Records that take effect together, and the offset of the image they were decided on. Applied to any other image
/// they would not mean what was decided, so there they do nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) base_offset: u64,
    pub(crate) records: Arc<[MetadataRecord]>,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Applied {
    /// It holds: the image is at this offset now.
    At(u64),
    /// It was decided on an image that was not current any more, and did nothing.
    Superseded,
}

/// Why bytes are not an entry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EntryError {
    #[error("log entry is cut short or too long")]
    Length,
    #[error("log entry has version {version}, this release reads up to {ENTRY_VERSION}")]
    UnknownVersion { version: u8 },
    #[error("log entry has unknown kind {kind}")]
    UnknownKind { kind: u8 },
    #[error("log entry has a wrong checksum")]
    Checksum,
    #[error("log entry holds bad records")]
    Records(#[source] DecodeError),
    #[error("log entry holds a bad membership")]
    Membership(#[source] serde_json::Error),
}

pub(crate) fn encode(entry: &Entry<TypeConfig>) -> Result<Vec<u8>, EntryError> {
    let mut bytes = vec![ENTRY_VERSION, KIND_BLANK];
    bytes.extend_from_slice(&entry.log_id.leader_id.term.to_be_bytes());
    bytes.extend_from_slice(&entry.log_id.leader_id.node_id.to_be_bytes());
    match &entry.payload {
        EntryPayload::Blank => {}
        EntryPayload::Normal(batch) => {
            bytes[1] = KIND_BATCH;
            encode_batch(batch, &mut bytes);
        }
        EntryPayload::Membership(membership) => {
            bytes[1] = KIND_MEMBERSHIP;
            serde_json::to_writer(&mut bytes, membership).map_err(EntryError::Membership)?;
        }
    }
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    Ok(bytes)
}

pub(crate) fn decode(index: u64, bytes: &[u8]) -> Result<Entry<TypeConfig>, EntryError> {
    if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES || bytes.len() > MAX_ENTRY_BYTES {
        return Err(EntryError::Length);
    }
    let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
    if bytes[0] != ENTRY_VERSION {
        return Err(EntryError::UnknownVersion { version: bytes[0] });
    }
    if crc32c::crc32c(content).to_be_bytes() != checksum {
        return Err(EntryError::Checksum);
    }
    let (header, body) = content.split_at(HEADER_BYTES);
    let leader_id = CommittedLeaderId::<VoterId> { term: be_u64(&header[2..]), node_id: be_u64(&header[10..]) };
    let payload = match header[1] {
        KIND_BLANK if body.is_empty() => EntryPayload::Blank,
        KIND_BLANK => return Err(EntryError::Length),
        KIND_BATCH => EntryPayload::Normal(decode_batch(body)?),
        KIND_MEMBERSHIP if body.len() > MAX_MEMBERSHIP_BYTES => return Err(EntryError::Length),
        KIND_MEMBERSHIP => EntryPayload::Membership(serde_json::from_slice(body).map_err(EntryError::Membership)?),
        kind => return Err(EntryError::UnknownKind { kind }),
    };
    Ok(Entry { log_id: LogId::new(leader_id, index), payload })
}

fn encode_batch(batch: &Batch, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&batch.base_offset.to_be_bytes());
    bytes.extend_from_slice(&records::encode_frame(&batch.records));
}

fn decode_batch(bytes: &[u8]) -> Result<Batch, EntryError> {
    let Some((base_offset, frame)) = bytes.split_at_checked(8) else {
        return Err(EntryError::Length);
    };
    let records = records::decode_frame(frame).map_err(EntryError::Records)?;
    Ok(Batch { base_offset: be_u64(base_offset), records: records.into() })
}

fn be_u64(bytes: &[u8]) -> u64 {
    bytes[..8].iter().fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

// openraft asks for serde on what it replicates. Entries travel in the form above, so this form is only ever met by
// a caller that serializes openraft's own structures.
impl Serialize for Batch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        encode_batch(self, &mut bytes);
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        decode_batch(&bytes).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use openraft::Membership;

    use super::*;

    fn entry(payload: EntryPayload<TypeConfig>) -> Entry<TypeConfig> {
        Entry { log_id: LogId::new(CommittedLeaderId::new(7, 3), 42), payload }
    }

    fn entries() -> Vec<Entry<TypeConfig>> {
        let record = MetadataRecord::ProducerIds { broker_id: 1, next_producer_id: 1_000 };
        let batch = Batch { base_offset: 9, records: [record].into() };
        let voters = vec![BTreeSet::from([1u64, 2, 3])];
        vec![
            entry(EntryPayload::Blank),
            entry(EntryPayload::Normal(batch)),
            entry(EntryPayload::Membership(Membership::new(voters, None))),
        ]
    }

    #[test]
    fn an_entry_decodes_to_what_was_encoded() {
        for entry in entries() {
            assert_eq!(decode(42, &encode(&entry).unwrap()).unwrap(), entry);
        }
    }

    #[test]
    fn an_entry_with_any_byte_changed_or_missing_is_refused() {
        for entry in entries() {
            let bytes = encode(&entry).unwrap();
            for position in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[position] ^= 0x40;
                assert!(decode(42, &changed).is_err(), "byte {position} changed");
                assert!(decode(42, &bytes[..position]).is_err(), "cut at {position}");
            }
        }
    }

    #[test]
    fn decoding_any_bytes_ends_without_a_panic() {
        bolero::check!().with_type::<Vec<u8>>().for_each(|bytes| {
            let _ = decode(42, bytes);
            // With a right version and checksum, so that what is behind them is reached.
            let mut sealed = vec![ENTRY_VERSION];
            sealed.extend_from_slice(bytes);
            let checksum = crc32c::crc32c(&sealed);
            sealed.extend_from_slice(&checksum.to_be_bytes());
            let _ = decode(42, &sealed);
        });
    }
}
