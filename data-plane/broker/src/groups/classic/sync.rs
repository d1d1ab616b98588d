//! SyncGroup and Heartbeat: how assignments reach the members, and how the members stay.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::event::{Effects, Heartbeat, Reply, Sync, Synced, Token};
use super::group::{Group, State};
use crate::groups::config::GroupConfig;
use crate::groups::error::GroupError;
use crate::groups::moment::Moment;

impl Group {
    /// Handles a sync; a follower's answer waits for the leader.
    pub(super) fn sync(&mut self, token: Token, sync: Sync, now: Moment, config: &GroupConfig, effects: &mut Effects) {
        if let Err(error) = self.validate_sync(&sync) {
            effects.reply(token, Reply::Sync(Err(error)));
            return;
        }
        match self.state {
            State::PreparingRebalance => {
                effects.reply(token, Reply::Sync(Err(GroupError::RebalanceInProgress)));
            }
            State::CompletingRebalance => {
                self.await_sync(&sync.member_id, token, effects);
                if self.is_leader(&sync.member_id) {
                    self.assign(sync.assignments, now, config, effects);
                }
            }
            State::Stable => {
                self.remove_pending_sync(&sync.member_id);
                self.extend_session(&sync.member_id, now, effects);
                effects.reply(token, Reply::Sync(self.assignment_of(&sync.member_id)));
            }
            State::Empty | State::Dead => {
                effects.reply(token, Reply::Sync(Err(GroupError::UnknownMemberId)));
            }
        }
    }

    /// Handles a heartbeat. During a rebalance its answer is the only sign the member gets.
    pub(super) fn heartbeat(&mut self, token: Token, heartbeat: &Heartbeat, now: Moment, effects: &mut Effects) {
        let result = self.validate_heartbeat(heartbeat);
        if matches!(result, Ok(()) | Err(GroupError::RebalanceInProgress)) {
            self.extend_session(&heartbeat.member_id, now, effects);
        }
        effects.reply(token, Reply::Heartbeat(result));
    }

    fn validate_heartbeat(&self, heartbeat: &Heartbeat) -> Result<(), GroupError> {
        if self.state == State::Dead {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        self.validate_member(&heartbeat.member_id, heartbeat.group_instance_id.as_deref())?;
        if heartbeat.generation_id != self.generation_id {
            return Err(GroupError::IllegalGeneration);
        }
        match self.state {
            State::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
            State::Empty | State::Dead => Err(GroupError::UnknownMemberId),
        }
    }

    fn validate_sync(&self, sync: &Sync) -> Result<(), GroupError> {
        if self.state == State::Dead {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        self.validate_member(&sync.member_id, sync.group_instance_id.as_deref())?;
        if sync.generation_id != self.generation_id {
            return Err(GroupError::IllegalGeneration);
        }
        let differs = |said: &Option<String>, is: &Option<String>| said.is_some() && said != is;
        if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol_name, &self.protocol_name) {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn await_sync(&mut self, member_id: &str, token: Token, effects: &mut Effects) {
        self.remove_pending_sync(member_id);
        let Some(member) = self.members.get_mut(member_id) else { return };
        if let Some(earlier) = member.awaiting_sync.replace(token) {
            effects.reply(earlier, Reply::Sync(Err(GroupError::RebalanceInProgress)));
        }
    }

    /// The leader has spoken: everybody gets its part, members it forgot get nothing.
    fn assign(&mut self, assignments: Vec<(String, Bytes)>, now: Moment, config: &GroupConfig, effects: &mut Effects) {
        let mut assignments: BTreeMap<String, Bytes> = assignments.into_iter().collect();
        assignments.retain(|member_id, _| self.members.contains_key(member_id));
        let assigned_bytes: usize = assignments.values().map(Bytes::len).sum();
        if self.member_bytes() + assigned_bytes > config.max_group_bytes {
            self.refuse_syncs(GroupError::AssignmentTooLarge, now, effects);
            self.prepare_rebalance(now, config, effects);
            return;
        }
        let member_ids: Vec<String> = self.members.keys().cloned().collect();
        for member_id in &member_ids {
            let assignment = assignments.remove(member_id).unwrap_or_default();
            self.update(member_id, |member| member.assignment = assignment);
        }
        self.transition_to(State::Stable, now);
        effects.persist = true;
        for member_id in member_ids {
            let token = self.members.get_mut(&member_id).and_then(|member| member.awaiting_sync.take());
            if let Some(token) = token {
                effects.reply(token, Reply::Sync(self.assignment_of(&member_id)));
                // The session may have ended unnoticed while the request waited.
                self.extend_session(&member_id, now, effects);
            }
        }
    }

    fn assignment_of(&self, member_id: &str) -> Result<Synced, GroupError> {
        let member = self.members.get(member_id).ok_or(GroupError::UnknownMemberId)?;
        Ok(Synced {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: member.assignment.clone(),
        })
    }

    fn remove_pending_sync(&mut self, member_id: &str) {
        self.pending_sync.remove(member_id);
        if self.pending_sync.is_empty() {
            self.sync_deadline_ms = None;
        }
    }
}
