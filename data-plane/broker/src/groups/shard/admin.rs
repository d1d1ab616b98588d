//! What administrators ask of a shard: list, describe, delete.

use bytes::Bytes;
use millstream_api::ids::LogicalClusterId;

use super::{MAX_RECORDS_PER_APPEND, Shard};
use crate::groups::classic::event::{Reply, Token};
use crate::groups::classic::group::State;
use crate::groups::error::GroupError;
use crate::groups::moment::Moment;
use crate::groups::record::EncodedRecord;

/// One group of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The group.
    pub group_id: String,
    /// `consumer`, `connect` and the like; absent if nobody ever joined.
    pub protocol_type: Option<String>,
    /// Where it stands.
    pub state: State,
}

/// A group in detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Where it stands.
    pub state: State,
    /// Rises with every completed rebalance.
    pub generation_id: i32,
    /// `consumer`, `connect` and the like; absent if nobody ever joined.
    pub protocol_type: Option<String>,
    /// The chosen protocol; known while the group is stable.
    pub protocol_name: Option<String>,
    /// Who assigns.
    pub leader: Option<String>,
    /// Everybody, in the order of member ids.
    pub members: Vec<MemberDescription>,
}

/// A member in detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDescription {
    /// Given by the coordinator.
    pub member_id: String,
    /// Names a static member across restarts.
    pub group_instance_id: Option<String>,
    /// The client's own name.
    pub client_id: String,
    /// The address the client comes from.
    pub client_host: String,
    /// The member's subscription; empty unless the group is stable.
    pub metadata: Bytes,
    /// The member's assignment; empty unless the group is stable.
    pub assignment: Bytes,
}

impl Shard {
    /// The groups of a tenant, in order.
    pub fn list(&self, tenant: &LogicalClusterId) -> Vec<Listing> {
        let groups = self.tenants.get(tenant).into_iter().flatten().map(|(group_id, entry)| Listing {
            group_id: group_id.clone(),
            protocol_type: entry.group.protocol_type().map(str::to_owned),
            state: entry.group.state(),
        });
        groups.collect()
    }

    /// A group in detail, if there is such a group.
    pub fn describe(&self, tenant: &LogicalClusterId, group_id: &str) -> Option<Description> {
        let group = &self.entry(tenant, group_id)?.group;
        let is_stable = group.state() == State::Stable;
        let protocol_name = group.protocol_name().filter(|_| is_stable);
        let members = group.members().map(|member| MemberDescription {
            member_id: member.member_id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: protocol_name.map(|name| member.metadata(name)).unwrap_or_default(),
            assignment: if is_stable { member.assignment.clone() } else { Bytes::new() },
        });
        Some(Description {
            state: group.state(),
            generation_id: group.generation_id(),
            protocol_type: group.protocol_type().map(str::to_owned),
            protocol_name: protocol_name.map(str::to_owned),
            leader: group.leader().map(str::to_owned),
            members: members.collect(),
        })
    }

    /// Removes a group that has no members, with its offsets.
    pub fn delete_group(&mut self, tenant: &LogicalClusterId, group_id: &str, now: Moment) -> Result<(), GroupError> {
        let entry = self.entry(tenant, group_id).ok_or(GroupError::GroupIdNotFound)?;
        if entry.group.state() != State::Empty {
            return Err(GroupError::NonEmptyGroup);
        }
        let records = self.tombstones(tenant, group_id);
        self.append(&records, now)?;
        self.forget(tenant, group_id);
        Ok(())
    }

    /// Removes everything a tenant has, whatever its members are doing.
    pub fn on_tenant_deleted(
        &mut self,
        tenant: &LogicalClusterId,
        now: Moment,
    ) -> Result<Vec<(Token, Reply)>, GroupError> {
        let group_ids: Vec<String> = self.tenants.get(tenant).into_iter().flatten().map(|(id, _)| id.clone()).collect();
        let mut replies = Vec::new();
        for group_id in group_ids {
            // The group last: a crash in between leaves a group to delete again.
            for chunk in self.tombstones(tenant, &group_id).chunks(MAX_RECORDS_PER_APPEND) {
                self.append(chunk, now)?;
            }
            if let Some(mut entry) = self.forget(tenant, &group_id) {
                replies.extend(entry.group.kill().replies);
            }
        }
        Ok(replies)
    }

    fn tombstones(&self, tenant: &LogicalClusterId, group_id: &str) -> Vec<EncodedRecord> {
        let offsets = self.offsets(tenant, group_id).into_iter().flat_map(|offsets| offsets.iter());
        let mut records: Vec<EncodedRecord> =
            offsets.map(|(topic, partition, _)| EncodedRecord::no_offset(tenant, group_id, topic, partition)).collect();
        records.push(EncodedRecord::no_group(tenant, group_id));
        records
    }
}
