//! From the first reason to rebalance to the next generation.

use super::event::{Effects, Joined, Reply};
use super::group::{Group, JoinTimer, State};
use crate::groups::config::GroupConfig;
use crate::groups::error::GroupError;
use crate::groups::moment::Moment;

/// The shortest wait before a rebalance that nobody came back for is tried again. Members that ask for no time
/// at all would otherwise keep the coordinator busy until their sessions end.
const MIN_POSTPONED_REBALANCE_MS: i32 = 1_000;

impl Group {
    /// Something changed that the next generation must reflect.
    pub(super) fn rebalance_or_complete_join(&mut self, now: Moment, config: &GroupConfig, effects: &mut Effects) {
        let can_rebalance = matches!(self.state, State::Empty | State::Stable | State::CompletingRebalance);
        if can_rebalance {
            self.prepare_rebalance(now, config, effects);
        } else {
            self.complete_join_if_ready(now, effects);
        }
    }

    /// Starts the join phase of the next generation.
    pub(super) fn prepare_rebalance(&mut self, now: Moment, config: &GroupConfig, effects: &mut Effects) {
        if self.state == State::CompletingRebalance {
            self.refuse_syncs(GroupError::RebalanceInProgress, now, effects);
        }
        self.pending_sync.clear();
        self.sync_deadline_ms = None;

        let is_initial = self.state == State::Empty;
        self.transition_to(State::PreparingRebalance, now);
        if is_initial {
            let delay_ms = config.initial_rebalance_delay_ms.max(0);
            let remaining_ms = self.rebalance_timeout_ms().saturating_sub(delay_ms).max(0);
            self.new_member_added = false;
            self.start_join_timer(
                JoinTimer::Initial { deadline_ms: now.deadline_after_ms(delay_ms), delay_ms, remaining_ms },
                effects,
            );
        } else if self.has_all_members_joined() {
            self.complete_join(now, effects);
        } else {
            let deadline_ms = now.deadline_after_ms(self.rebalance_timeout_ms());
            self.start_join_timer(JoinTimer::Rebalance { deadline_ms }, effects);
        }
    }

    /// Ends the join phase if nobody is missing. The first rebalance of a group waits for its timer instead.
    pub(super) fn complete_join_if_ready(&mut self, now: Moment, effects: &mut Effects) {
        let is_ready = self.state == State::PreparingRebalance
            && self.previous_state != State::Empty
            && self.has_all_members_joined();
        if is_ready {
            self.complete_join(now, effects);
        }
    }

    /// The timer of the first rebalance fired: wait on if members keep coming and there is time left.
    pub(super) fn extend_or_complete_initial_join(
        &mut self,
        delay_ms: i32,
        remaining_ms: i32,
        now: Moment,
        config: &GroupConfig,
        effects: &mut Effects,
    ) {
        if !self.new_member_added || remaining_ms == 0 {
            self.complete_join(now, effects);
            return;
        }
        self.new_member_added = false;
        let next_delay_ms = config.initial_rebalance_delay_ms.clamp(0, remaining_ms);
        self.start_join_timer(
            JoinTimer::Initial {
                deadline_ms: now.deadline_after_ms(next_delay_ms),
                delay_ms: next_delay_ms,
                remaining_ms: remaining_ms.saturating_sub(delay_ms).max(0),
            },
            effects,
        );
    }

    /// Ends the join phase: dynamic members that did not come are out, the others learn the next generation.
    pub(super) fn complete_join(&mut self, now: Moment, effects: &mut Effects) {
        self.join_timer = None;
        let is_missing =
            |member: &&super::member::Member| !member.is_awaiting_join() && member.group_instance_id.is_none();
        let missing: Vec<String> =
            self.members.values().filter(is_missing).map(|member| member.member_id.clone()).collect();
        for member_id in missing {
            self.remove(&member_id, effects);
        }

        if !self.members.is_empty() && !self.elect_joined_leader() {
            // Only silent static members are left: wait until they come or their sessions end.
            let wait_ms = self.rebalance_timeout_ms().max(MIN_POSTPONED_REBALANCE_MS);
            self.start_join_timer(JoinTimer::Rebalance { deadline_ms: now.deadline_after_ms(wait_ms) }, effects);
            return;
        }

        self.start_next_generation(now);
        // Write the generation down before anybody learns it: it must never be given out twice.
        effects.persist = true;
        if self.state != State::Empty {
            self.answer_joins(now, effects);
        }
    }

    fn answer_joins(&mut self, now: Moment, effects: &mut Effects) {
        let member_ids: Vec<String> = self.members.keys().cloned().collect();
        for member_id in member_ids {
            let answer = self.current_generation(&member_id);
            let Some(member) = self.members.get_mut(&member_id) else { continue };
            member.is_new = false;
            // What the old generation was assigned says nothing about this one.
            let mut token = None;
            self.update(&member_id, |member| {
                member.assignment = bytes::Bytes::new();
                token = member.awaiting_join.take();
            });
            if let Some(token) = token {
                effects.reply(token, Reply::Join(Ok(answer)));
            }
            self.extend_session(&member_id, now, effects);
            self.pending_sync.insert(member_id);
        }
        let sync_deadline_ms = now.deadline_after_ms(self.rebalance_timeout_ms());
        self.sync_deadline_ms = Some(sync_deadline_ms);
        effects.wake_at(sync_deadline_ms);
    }

    /// The generation as one member is told about it: the leader sees everybody.
    pub(super) fn current_generation(&self, member_id: &str) -> Joined {
        Joined {
            member_id: member_id.to_owned(),
            generation_id: self.generation_id,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            members: if self.is_leader(member_id) { self.joined_members() } else { Vec::new() },
        }
    }

    /// Answers every waiting sync with an error and forgets what was assigned.
    pub(super) fn refuse_syncs(&mut self, error: GroupError, now: Moment, effects: &mut Effects) {
        let waiting: Vec<String> = self
            .members
            .values()
            .filter(|member| member.awaiting_sync.is_some())
            .map(|member| member.member_id.clone())
            .collect();
        for member_id in waiting {
            if let Some(token) = self.members.get_mut(&member_id).and_then(|member| member.awaiting_sync.take()) {
                effects.reply(token, Reply::Sync(Err(error)));
                // The session may have ended unnoticed while the request waited.
                self.extend_session(&member_id, now, effects);
            }
        }
    }

    fn start_join_timer(&mut self, timer: JoinTimer, effects: &mut Effects) {
        effects.wake_at(timer.deadline_ms());
        self.join_timer = Some(timer);
    }
}
