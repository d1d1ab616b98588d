//! JoinGroup: who may come in, with which id, and whether that starts a rebalance.

use bytes::Bytes;

use super::event::{Effects, Join, JoinRefused, Protocol, Reply, Token};
use super::group::{Group, State};
use super::member::{self, Member};
use crate::groups::config::GroupConfig;
use crate::groups::error::GroupError;
use crate::groups::moment::Moment;

/// Protocols one member may offer. Clients offer one to four.
const MAX_PROTOCOLS_PER_MEMBER: usize = 100;

impl Group {
    /// Handles a join; the answer may wait for the rebalance.
    pub(super) fn join(
        &mut self,
        token: Token,
        mut join: Join,
        now: Moment,
        config: &GroupConfig,
        effects: &mut Effects,
    ) {
        keep_first_of_each_name(&mut join.protocols);
        if let Err(error) = validate_join(&join, config) {
            refuse(token, &join.member_id, error, effects);
            return;
        }
        if self.state == State::Dead {
            refuse(token, &join.member_id, GroupError::CoordinatorNotAvailable, effects);
            return;
        }
        if !self.accepts(&join, config) {
            refuse(token, "", GroupError::GroupMaxSizeReached, effects);
            self.stop_waiting_for(&join.member_id, now, effects);
            return;
        }
        if !self.supports_protocols(&join.protocol_type, &join.protocols) {
            refuse(token, &join.member_id, GroupError::InconsistentGroupProtocol, effects);
            return;
        }
        if join.member_id.is_empty() {
            self.join_without_id(token, join, now, config, effects);
        } else if self.pending_members.contains_key(&join.member_id) {
            self.join_with_pending_id(token, join, now, config, effects);
        } else {
            self.rejoin(token, join, now, config, effects);
        }
    }

    /// Whoever is turned away while others rejoin must not be waited for.
    fn stop_waiting_for(&mut self, member_id: &str, now: Moment, effects: &mut Effects) {
        if self.state == State::PreparingRebalance {
            self.remove(member_id, effects);
            self.complete_join_if_ready(now, effects);
        }
    }

    /// Whether the group has room for the member.
    fn accepts(&self, join: &Join, config: &GroupConfig) -> bool {
        let instance = join.group_instance_id.as_deref();
        let known = self.members.get(&join.member_id);
        let replaced = instance.and_then(|instance| self.static_members.get(instance));
        let replaced = known.or_else(|| replaced.and_then(|member_id| self.members.get(member_id)));
        let bytes_without = self.member_bytes() - replaced.map_or(0, Member::size_bytes);
        let bytes_with = bytes_without + member::size_bytes(&join.client_id, instance, &join.protocols);
        if bytes_with > config.max_group_bytes {
            return false;
        }
        let takes_pending_place = join.member_id.is_empty() && join.knows_two_step_join && instance.is_none();
        if takes_pending_place && self.pending_members.len() >= config.max_group_size {
            return false;
        }
        match self.state {
            State::Empty | State::Dead => true,
            // The last to come back are the ones to go if the bound was lowered.
            State::PreparingRebalance => {
                known.is_some_and(Member::is_awaiting_join) || self.awaiting_join < config.max_group_size
            }
            State::CompletingRebalance | State::Stable => {
                replaced.is_some() || self.members.len() < config.max_group_size
            }
        }
    }

    fn join_without_id(&mut self, token: Token, join: Join, now: Moment, config: &GroupConfig, effects: &mut Effects) {
        let member_id = join.new_member_id.clone();
        let is_taken = self.members.contains_key(&member_id) || self.pending_members.contains_key(&member_id);
        if is_taken || member_id.is_empty() {
            refuse(token, "", GroupError::CoordinatorNotAvailable, effects);
            return;
        }
        let replaced = join.group_instance_id.as_ref().and_then(|instance| self.static_members.get(instance));
        if let Some(old_id) = replaced.cloned() {
            self.take_over_static_member(token, &old_id, join, now, config, effects);
        } else if join.group_instance_id.is_none() && join.knows_two_step_join {
            let deadline_ms = now.deadline_after_ms(join.session_timeout_ms);
            self.pending_members.insert(member_id.clone(), deadline_ms);
            effects.wake_at(deadline_ms);
            refuse(token, &member_id, GroupError::MemberIdRequired, effects);
        } else {
            self.add_and_rebalance(token, member_id, join, now, config, effects);
        }
    }

    fn join_with_pending_id(
        &mut self,
        token: Token,
        join: Join,
        now: Moment,
        config: &GroupConfig,
        effects: &mut Effects,
    ) {
        // Ids are only ever pending for members without an instance id.
        if join.group_instance_id.is_some() {
            refuse(token, &join.member_id, GroupError::UnknownMemberId, effects);
            return;
        }
        let member_id = join.member_id.clone();
        self.add_and_rebalance(token, member_id, join, now, config, effects);
    }

    fn rejoin(&mut self, token: Token, join: Join, now: Moment, config: &GroupConfig, effects: &mut Effects) {
        if let Err(error) = self.validate_member(&join.member_id, join.group_instance_id.as_deref()) {
            refuse(token, &join.member_id, error, effects);
            return;
        }
        let is_unchanged = self.members.get(&join.member_id).is_some_and(|member| member.protocols == join.protocols);
        let needs_rebalance = match self.state {
            State::PreparingRebalance => true,
            State::CompletingRebalance => !is_unchanged,
            // The leader may know of a change that its own subscription does not show, such as new partitions.
            State::Stable => !is_unchanged || self.is_leader(&join.member_id),
            State::Empty | State::Dead => {
                refuse(token, &join.member_id, GroupError::UnknownMemberId, effects);
                return;
            }
        };
        if needs_rebalance {
            let member_id = join.member_id.clone();
            self.await_join(&member_id, token, join, effects);
            self.rebalance_or_complete_join(now, config, effects);
        } else {
            // Probably the first answer got lost: repeat it.
            self.extend_session(&join.member_id, now, effects);
            effects.reply(token, Reply::Join(Ok(self.current_generation(&join.member_id))));
        }
    }

    fn add_and_rebalance(
        &mut self,
        token: Token,
        member_id: String,
        join: Join,
        now: Moment,
        config: &GroupConfig,
        effects: &mut Effects,
    ) {
        let is_during_initial_rebalance =
            self.state == State::PreparingRebalance && self.previous_state == State::Empty;
        if is_during_initial_rebalance {
            self.new_member_added = true;
        }
        let deadline_ms = now.deadline_after_ms(config.new_member_join_timeout_ms);
        effects.wake_at(deadline_ms);
        let member = Member {
            member_id,
            group_instance_id: join.group_instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout_ms: join.session_timeout_ms,
            rebalance_timeout_ms: join.rebalance_timeout_ms.max(0),
            protocols: join.protocols,
            assignment: Bytes::new(),
            awaiting_join: Some(token),
            awaiting_sync: None,
            is_new: true,
            session_deadline_ms: Some(deadline_ms),
        };
        self.add(member, &join.protocol_type);
        self.rebalance_or_complete_join(now, config, effects);
    }

    /// A static member came back without its id: it takes its old place, and whoever still holds it is fenced.
    fn take_over_static_member(
        &mut self,
        token: Token,
        old_id: &str,
        join: Join,
        now: Moment,
        config: &GroupConfig,
        effects: &mut Effects,
    ) {
        let member_id = join.new_member_id.clone();
        let knows_skip_assignment = join.knows_skip_assignment;
        let old_leader = self.leader.clone().unwrap_or_default();
        self.replace_static_member(old_id, &member_id, effects);
        self.await_join(&member_id, token, join, effects);
        self.extend_session(&member_id, now, effects);

        match self.state {
            State::Stable if self.select_protocol() == self.protocol_name => {
                // Same protocol, same place: the generation goes on as it is.
                self.update(&member_id, |member| member.awaiting_join = None);
                let mut answer = self.current_generation(&member_id);
                if knows_skip_assignment {
                    answer.skip_assignment = self.is_leader(&member_id);
                } else {
                    // A client that cannot skip the assignment must not think that it leads.
                    answer.leader = old_leader;
                    answer.members = Vec::new();
                }
                effects.persist = true;
                effects.reply(token, Reply::Join(Ok(answer)));
            }
            // The leader may have seen the old id already; what it assigns would never reach the new one.
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(now, config, effects),
            State::Empty | State::PreparingRebalance | State::Dead => self.complete_join_if_ready(now, effects),
        }
    }

    /// Lets a member wait for the next generation with what it offers now.
    fn await_join(&mut self, member_id: &str, token: Token, join: Join, effects: &mut Effects) {
        let mut earlier = None;
        self.update(member_id, |member| {
            earlier = member.awaiting_join.replace(token);
            member.protocols = join.protocols;
            member.session_timeout_ms = join.session_timeout_ms;
            member.rebalance_timeout_ms = join.rebalance_timeout_ms.max(0);
            member.client_id = join.client_id;
            member.client_host = join.client_host;
        });
        if let Some(earlier) = earlier {
            // The client gave up on this request; only the newest one is answered with a generation.
            refuse(earlier, member_id, GroupError::RebalanceInProgress, effects);
        }
    }
}

fn validate_join(join: &Join, config: &GroupConfig) -> Result<(), GroupError> {
    let allowed = config.min_session_timeout_ms..=config.max_session_timeout_ms;
    if !allowed.contains(&join.session_timeout_ms) {
        return Err(GroupError::InvalidSessionTimeout);
    }
    if join.protocols.len() > MAX_PROTOCOLS_PER_MEMBER {
        return Err(GroupError::InconsistentGroupProtocol);
    }
    Ok(())
}

fn keep_first_of_each_name(protocols: &mut Vec<Protocol>) {
    let mut seen = std::collections::BTreeSet::new();
    protocols.retain(|protocol| seen.insert(protocol.name.clone()));
}

fn refuse(token: Token, member_id: &str, error: GroupError, effects: &mut Effects) {
    effects.reply(token, Reply::Join(Err(JoinRefused { member_id: member_id.to_owned(), error })));
}
