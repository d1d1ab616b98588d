//! A member of a consumer group as JSON, and what it is assigned.

use millstream_api::kafka_rest::consumer_group::Consumer;
use millstream_protocol::messages::consumer_protocol_assignment::ConsumerProtocolAssignment;
use millstream_protocol::reader::Reader;

use super::scope::Scope;
use crate::groups::shard::{Description, MemberDescription};
use crate::http::error::RestError;

/// The member as it is answered.
pub(super) fn of(scope: &Scope, group_id: &str, member: &MemberDescription) -> Consumer {
    let consumer_id = member.member_id.as_str();
    let path = ["consumer-groups", group_id, "consumers", consumer_id];
    Consumer {
        kind: "KafkaConsumer",
        metadata: scope.links.metadata(&path, &[("consumer-group", group_id), ("consumer", consumer_id)]),
        cluster_id: scope.tenant.to_string(),
        consumer_group_id: group_id.to_owned(),
        consumer_id: consumer_id.to_owned(),
        instance_id: member.group_instance_id.clone(),
        client_id: member.client_id.clone(),
        assignments: scope.links.related(&["consumer-groups", group_id, "consumers", consumer_id, "assignments"]),
    }
}

/// The member of this id.
pub(super) fn find<'a>(group: &'a Description, consumer_id: &str) -> Result<&'a MemberDescription, RestError> {
    let member = group.members.iter().find(|member| member.member_id == consumer_id);
    member.ok_or_else(|| RestError::not_found("This consumer group has no such consumer."))
}

/// The partitions in a member's assignment. The bytes are the client's own business: what cannot be read is none.
pub(super) fn assigned_partitions(assignment: &[u8]) -> Vec<(String, i32)> {
    let Some((version, body)) = assignment.split_first_chunk() else {
        return Vec::new();
    };
    // Later versions begin with the fields of the earlier ones.
    let version = i16::from_be_bytes(*version).min(ConsumerProtocolAssignment::MAX_VERSION);
    let Ok(assignment) = ConsumerProtocolAssignment::decode(&mut Reader::new(body), version) else {
        return Vec::new();
    };
    let topics = assignment.assigned_partitions.iter();
    topics.flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic.to_string(), *partition))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_and_anything_else_is_none() {
        let bytes =
            b"\x00\x01\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x05\xff\xff\xff\xff";
        assert_eq!(assigned_partitions(bytes), [("t".to_owned(), 0), ("t".to_owned(), 5)]);
        for other in
            [&b""[..], b"\x00", b"\x00\x00", b"\x00\x00\x7f\xff\xff\xff", b"\xff\xff\x00\x00", b"garbage that is long"]
        {
            assert_eq!(assigned_partitions(other), [], "{other:?}");
        }
    }
}
