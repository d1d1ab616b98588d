//! The records a shard writes down, and their bytes; `FORMAT.md` draws them.
//!
//! Every key and value begins with its version. Decoding never panics, never allocates by an unchecked length, and
//! refuses what a newer release wrote instead of skipping it.

use bytes::Bytes;
use millstream_api::ids::LogicalClusterId;
use thiserror::Error;
use uuid::Uuid;

use super::classic::event::Protocol;
use super::classic::group::{StoredGroup, StoredMember};
use super::offsets::CommittedOffset;

const KEY_VERSION: u8 = 0;
const VALUE_VERSION: u8 = 0;
const KIND_GROUP: u8 = 1;
const KIND_OFFSET: u8 = 2;
const NO_EXPIRY: i64 = -1;
/// Bytes of the smallest member and of the smallest protocol; they bound how many a value can hold.
const MIN_MEMBER_BYTES: usize = 29;
const MIN_PROTOCOL_BYTES: usize = 8;

/// What a record is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// A group's membership.
    Group {
        /// Whose group it is.
        tenant: LogicalClusterId,
        /// The group.
        group_id: String,
    },
    /// A committed offset.
    Offset {
        /// Whose group it is.
        tenant: LogicalClusterId,
        /// The group.
        group_id: String,
        /// The topic as clients name it.
        topic: String,
        /// The partition.
        partition: i32,
    },
}

/// What has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// The group as it is now.
    Group(StoredGroup),
    /// The offset as it is now.
    Offset(CommittedOffset),
    /// It is gone.
    Removed,
}

/// A key with its value, as bytes. No value means that the key is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedRecord {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Option<Vec<u8>>,
}

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The bytes end too early, or a length is larger than what is there.
    #[error("the group record is cut short")]
    CutShort,
    /// There are bytes after the end.
    #[error("the group record has {count} bytes too many")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// Another version than this release writes.
    #[error("the group record has version {version}; a newer release wrote it, start that one")]
    UnknownVersion {
        /// What it says.
        version: u8,
    },
    /// Another kind than this release writes.
    #[error("the group record is of unknown kind {kind}; a newer release wrote it, start that one")]
    UnknownKind {
        /// What it says.
        kind: u8,
    },
    /// Not UTF-8, not a tenant, or a flag that is neither 0 nor 1.
    #[error("the {field} of the group record is not valid")]
    InvalidField {
        /// Which field.
        field: &'static str,
    },
}

impl EncodedRecord {
    /// The record of a group's membership.
    pub fn group(tenant: &LogicalClusterId, group_id: &str, group: &StoredGroup) -> Self {
        let mut value = vec![VALUE_VERSION];
        put_i32(&mut value, group.generation_id);
        value.push(u8::from(group.is_assigned));
        put_i64(&mut value, group.state_since_ms);
        put_optional(&mut value, group.protocol_type.as_deref());
        put_optional(&mut value, group.protocol_name.as_deref());
        put_optional(&mut value, group.leader.as_deref());
        put_length(&mut value, group.members.len());
        for member in &group.members {
            put_bytes(&mut value, member.member_id.as_bytes());
            put_optional(&mut value, member.group_instance_id.as_deref());
            put_bytes(&mut value, member.client_id.as_bytes());
            put_bytes(&mut value, member.client_host.as_bytes());
            put_i32(&mut value, member.session_timeout_ms);
            put_i32(&mut value, member.rebalance_timeout_ms);
            put_bytes(&mut value, &member.assignment);
            put_length(&mut value, member.protocols.len());
            for protocol in &member.protocols {
                put_bytes(&mut value, protocol.name.as_bytes());
                put_bytes(&mut value, &protocol.metadata);
            }
        }
        Self { key: group_key(tenant, group_id), value: Some(value) }
    }

    /// The record that says a group is gone.
    pub fn no_group(tenant: &LogicalClusterId, group_id: &str) -> Self {
        Self { key: group_key(tenant, group_id), value: None }
    }

    /// The record of a committed offset.
    pub fn offset(
        tenant: &LogicalClusterId,
        group_id: &str,
        topic: &str,
        partition: i32,
        committed: &CommittedOffset,
    ) -> Self {
        let mut value = vec![VALUE_VERSION];
        put_i64(&mut value, committed.offset);
        put_i32(&mut value, committed.leader_epoch);
        put_i64(&mut value, committed.committed_at_ms);
        put_i64(&mut value, committed.expires_at_ms.unwrap_or(NO_EXPIRY));
        value.extend_from_slice(committed.topic_id.as_bytes());
        put_bytes(&mut value, committed.metadata.as_bytes());
        Self { key: offset_key(tenant, group_id, topic, partition), value: Some(value) }
    }

    /// The record that says an offset is gone.
    pub fn no_offset(tenant: &LogicalClusterId, group_id: &str, topic: &str, partition: i32) -> Self {
        Self { key: offset_key(tenant, group_id, topic, partition), value: None }
    }

    /// Bytes of key and value.
    pub fn size_bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// Reads a record back.
pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<(Key, Value), RecordError> {
    let key = decode_key(key)?;
    let Some(value) = value else { return Ok((key, Value::Removed)) };
    let mut input = Input(value);
    let version = input.u8()?;
    if version != VALUE_VERSION {
        return Err(RecordError::UnknownVersion { version });
    }
    let value = match key {
        Key::Group { .. } => Value::Group(decode_group(&mut input)?),
        Key::Offset { .. } => Value::Offset(decode_offset(&mut input)?),
    };
    input.end()?;
    Ok((key, value))
}

fn decode_key(bytes: &[u8]) -> Result<Key, RecordError> {
    let mut input = Input(bytes);
    let version = input.u8()?;
    if version != KEY_VERSION {
        return Err(RecordError::UnknownVersion { version });
    }
    let kind = input.u8()?;
    let tenant = input.string("tenant")?;
    let tenant = tenant.parse().map_err(|_| RecordError::InvalidField { field: "tenant" })?;
    let group_id = input.string("group id")?;
    let key = match kind {
        KIND_GROUP => Key::Group { tenant, group_id },
        KIND_OFFSET => Key::Offset { tenant, group_id, topic: input.string("topic")?, partition: input.i32()? },
        _ => return Err(RecordError::UnknownKind { kind }),
    };
    input.end()?;
    Ok(key)
}

fn decode_group(input: &mut Input<'_>) -> Result<StoredGroup, RecordError> {
    let generation_id = input.i32()?;
    let is_assigned = input.flag("assigned flag")?;
    let state_since_ms = input.i64()?;
    let protocol_type = input.optional("protocol type")?;
    let protocol_name = input.optional("protocol name")?;
    let leader = input.optional("leader")?;
    let member_count = input.count(MIN_MEMBER_BYTES)?;
    let mut members = Vec::with_capacity(member_count);
    for _ in 0..member_count {
        members.push(decode_member(input)?);
    }
    Ok(StoredGroup { generation_id, protocol_type, protocol_name, leader, is_assigned, state_since_ms, members })
}

fn decode_member(input: &mut Input<'_>) -> Result<StoredMember, RecordError> {
    let member_id = input.string("member id")?;
    let group_instance_id = input.optional("group instance id")?;
    let client_id = input.string("client id")?;
    let client_host = input.string("client host")?;
    let session_timeout_ms = input.i32()?;
    let rebalance_timeout_ms = input.i32()?;
    let assignment = Bytes::copy_from_slice(input.bytes()?);
    let protocol_count = input.count(MIN_PROTOCOL_BYTES)?;
    let mut protocols = Vec::with_capacity(protocol_count);
    for _ in 0..protocol_count {
        let name = input.string("protocol")?;
        protocols.push(Protocol { name, metadata: Bytes::copy_from_slice(input.bytes()?) });
    }
    Ok(StoredMember {
        member_id,
        group_instance_id,
        client_id,
        client_host,
        session_timeout_ms,
        rebalance_timeout_ms,
        protocols,
        assignment,
    })
}

fn decode_offset(input: &mut Input<'_>) -> Result<CommittedOffset, RecordError> {
    let offset = input.i64()?;
    let leader_epoch = input.i32()?;
    let committed_at_ms = input.i64()?;
    let expires_at_ms = Some(input.i64()?).filter(|at| *at != NO_EXPIRY);
    let topic_id = Uuid::from_bytes(input.array()?);
    let metadata = input.string("metadata")?;
    Ok(CommittedOffset { offset, leader_epoch, metadata, committed_at_ms, expires_at_ms, topic_id })
}

fn group_key(tenant: &LogicalClusterId, group_id: &str) -> Vec<u8> {
    let mut key = vec![KEY_VERSION, KIND_GROUP];
    put_bytes(&mut key, tenant.as_str().as_bytes());
    put_bytes(&mut key, group_id.as_bytes());
    key
}

fn offset_key(tenant: &LogicalClusterId, group_id: &str, topic: &str, partition: i32) -> Vec<u8> {
    let mut key = vec![KEY_VERSION, KIND_OFFSET];
    put_bytes(&mut key, tenant.as_str().as_bytes());
    put_bytes(&mut key, group_id.as_bytes());
    put_bytes(&mut key, topic.as_bytes());
    put_i32(&mut key, partition);
    key
}

fn put_i32(output: &mut Vec<u8>, number: i32) {
    output.extend_from_slice(&number.to_be_bytes());
}

fn put_i64(output: &mut Vec<u8>, number: i64) {
    output.extend_from_slice(&number.to_be_bytes());
}

fn put_length(output: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("names, counts and blobs are bounded far below four billion");
    output.extend_from_slice(&length.to_be_bytes());
}

fn put_bytes(output: &mut Vec<u8>, bytes: &[u8]) {
    put_length(output, bytes.len());
    output.extend_from_slice(bytes);
}

fn put_optional(output: &mut Vec<u8>, text: Option<&str>) {
    output.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put_bytes(output, text.as_bytes());
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(RecordError::CutShort)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        self.take(N)?.try_into().map_err(|_| RecordError::CutShort)
    }

    fn u8(&mut self) -> Result<u8, RecordError> {
        Ok(self.array::<1>()?[0])
    }

    fn i32(&mut self) -> Result<i32, RecordError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    fn i64(&mut self) -> Result<i64, RecordError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    fn length(&mut self) -> Result<usize, RecordError> {
        usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| RecordError::CutShort)
    }

    /// A number of elements that the rest of the bytes can hold.
    fn count(&mut self, min_element_bytes: usize) -> Result<usize, RecordError> {
        let count = self.length()?;
        if count > self.0.len() / min_element_bytes {
            return Err(RecordError::CutShort);
        }
        Ok(count)
    }

    fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let length = self.length()?;
        self.take(length)
    }

    fn string(&mut self, field: &'static str) -> Result<String, RecordError> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| RecordError::InvalidField { field })?;
        Ok(text.to_owned())
    }

    fn flag(&mut self, field: &'static str) -> Result<bool, RecordError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(RecordError::InvalidField { field }),
        }
    }

    fn optional(&mut self, field: &'static str) -> Result<Option<String>, RecordError> {
        if self.flag(field)? { self.string(field).map(Some) } else { Ok(None) }
    }

    fn end(&self) -> Result<(), RecordError> {
        match self.0.len() {
            0 => Ok(()),
            count => Err(RecordError::TrailingBytes { count }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> LogicalClusterId {
        "lkc-abc".parse().expect("a tenant")
    }

    fn group() -> StoredGroup {
        let protocol = |name: &str| Protocol { name: name.into(), metadata: Bytes::from_static(b"\x00\xff") };
        let member = |id: &str, instance: Option<&str>| StoredMember {
            member_id: id.into(),
            group_instance_id: instance.map(str::to_owned),
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            session_timeout_ms: 45_000,
            rebalance_timeout_ms: 300_000,
            protocols: vec![protocol("range"), protocol("sticky")],
            assignment: Bytes::from_static(b"assigned"),
        };
        StoredGroup {
            generation_id: 7,
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            leader: Some("a".into()),
            is_assigned: true,
            state_since_ms: 1_700_000_000_000,
            members: vec![member("a", None), member("b", Some("instance"))],
        }
    }

    fn offset() -> CommittedOffset {
        CommittedOffset {
            offset: i64::MAX,
            leader_epoch: -1,
            metadata: "é".into(),
            committed_at_ms: 1,
            expires_at_ms: None,
            topic_id: Uuid::from_u128(5),
        }
    }

    fn check(record: EncodedRecord, expected: (Key, Value)) {
        let decoded = decode(&record.key, record.value.as_deref());
        assert_eq!(decoded, Ok(expected));
        // Whatever is missing at the end, it is an error and not a panic.
        for end in 0..record.key.len() {
            assert!(decode(&record.key[..end], record.value.as_deref()).is_err());
        }
        let value = record.value.unwrap_or_default();
        for end in 0..value.len() {
            assert!(decode(&record.key, Some(&value[..end])).is_err());
        }
        for position in 0..value.len() {
            let mut broken = value.clone();
            broken[position] = 0xff;
            let _ = decode(&record.key, Some(&broken));
        }
    }

    #[test]
    fn every_record_reads_back_as_it_was_written() {
        let group_key = Key::Group { tenant: tenant(), group_id: "g".into() };
        check(EncodedRecord::group(&tenant(), "g", &group()), (group_key.clone(), Value::Group(group())));
        let empty = StoredGroup { members: vec![], leader: None, protocol_name: None, is_assigned: false, ..group() };
        check(EncodedRecord::group(&tenant(), "g", &empty), (group_key.clone(), Value::Group(empty)));
        check(EncodedRecord::no_group(&tenant(), "g"), (group_key, Value::Removed));
        let offset_key = Key::Offset { tenant: tenant(), group_id: "g".into(), topic: "t".into(), partition: 3 };
        check(EncodedRecord::offset(&tenant(), "g", "t", 3, &offset()), (offset_key.clone(), Value::Offset(offset())));
        let lapses = CommittedOffset { expires_at_ms: Some(9), ..offset() };
        check(EncodedRecord::offset(&tenant(), "g", "t", 3, &lapses), (offset_key.clone(), Value::Offset(lapses)));
        check(EncodedRecord::no_offset(&tenant(), "g", "t", 3), (offset_key, Value::Removed));
    }

    #[test]
    fn records_of_a_newer_release_are_refused() {
        let record = EncodedRecord::no_group(&tenant(), "g");
        let mut key = record.key.clone();
        key[0] = 1;
        assert_eq!(decode(&key, None), Err(RecordError::UnknownVersion { version: 1 }));
        let mut key = record.key.clone();
        key[1] = 9;
        assert_eq!(decode(&key, None), Err(RecordError::UnknownKind { kind: 9 }));
        assert_eq!(decode(&record.key, Some(&[4])), Err(RecordError::UnknownVersion { version: 4 }));
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused_before_memory_is_taken() {
        let empty = StoredGroup { members: vec![], ..group() };
        let record = EncodedRecord::group(&tenant(), "g", &empty);
        let mut value = record.value.expect("a value");
        let at = value.len() - 4;
        value[at..].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(decode(&record.key, Some(&value)), Err(RecordError::CutShort));
    }

    #[test]
    fn whatever_the_bytes_are_reading_them_ends_in_a_record_or_an_error() {
        bolero::check!().with_iterations(20_000).for_each(|bytes: &[u8]| {
            let middle = bytes.len() / 3;
            let _ = decode(bytes, None);
            let _ = decode(&bytes[..middle], Some(&bytes[middle..]));
            for key in [group_key(&tenant(), "g"), offset_key(&tenant(), "g", "t", 0)] {
                let value = [&[VALUE_VERSION], bytes].concat();
                let _ = decode(&key, Some(&value));
            }
        });
    }
}
