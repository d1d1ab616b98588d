//! Deadlines: sessions, ids that nobody joined with, the end of the join and of the sync phase.

use super::event::Effects;
use super::group::{Group, JoinTimer, State};
use crate::groups::config::GroupConfig;
use crate::groups::moment::Moment;

impl Group {
    /// The next instant at which `on_time` has something to do.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let sessions = self.members.values().filter_map(|member| member.session_deadline_ms);
        let pending = self.pending_members.values().copied();
        let join = self.join_timer.map(JoinTimer::deadline_ms);
        sessions.chain(pending).chain(join).chain(self.sync_deadline_ms).min()
    }

    /// Does everything that is due. May be called too early or too often.
    pub fn on_time(&mut self, now: Moment, config: &GroupConfig) -> Effects {
        let mut effects = Effects::default();
        self.expire_sessions(now, config, &mut effects);
        self.expire_pending_members(now, &mut effects);
        self.expire_join(now, config, &mut effects);
        self.expire_sync(now, config, &mut effects);
        effects.wake_at_ms = self.next_deadline_ms();
        effects
    }

    fn expire_sessions(&mut self, now: Moment, config: &GroupConfig, effects: &mut Effects) {
        let is_due = |deadline_ms: Option<u64>| deadline_ms.is_some_and(|deadline| deadline <= now.monotonic_ms);
        let due = self.members.values().filter(|member| is_due(member.session_deadline_ms));
        let due: Vec<String> = due.map(|member| member.member_id.clone()).collect();
        let mut somebody_died = false;
        for member_id in due {
            let Some(member) = self.members.get_mut(&member_id) else { continue };
            if member.has_satisfied_heartbeat() {
                // Its session starts again when the waiting request is answered.
                member.session_deadline_ms = None;
            } else {
                self.remove(&member_id, effects);
                somebody_died = true;
            }
        }
        if !somebody_died {
            return;
        }
        match self.state {
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(now, config, effects),
            State::PreparingRebalance if self.has_all_members_joined() => self.complete_join(now, effects),
            State::PreparingRebalance | State::Empty | State::Dead => {}
        }
    }

    fn expire_pending_members(&mut self, now: Moment, effects: &mut Effects) {
        let before = self.pending_members.len();
        self.pending_members.retain(|_, deadline_ms| *deadline_ms > now.monotonic_ms);
        let somebody_lapsed = self.pending_members.len() < before;
        if somebody_lapsed && self.state == State::PreparingRebalance && self.has_all_members_joined() {
            self.complete_join(now, effects);
        }
    }

    fn expire_join(&mut self, now: Moment, config: &GroupConfig, effects: &mut Effects) {
        let Some(timer) = self.join_timer else { return };
        if timer.deadline_ms() > now.monotonic_ms {
            return;
        }
        self.join_timer = None;
        match timer {
            JoinTimer::Initial { delay_ms, remaining_ms, .. } => {
                self.extend_or_complete_initial_join(delay_ms, remaining_ms, now, config, effects);
            }
            JoinTimer::Rebalance { .. } => self.complete_join(now, effects),
        }
    }

    /// Members that joined and never asked for their assignment, the leader above all, must not hold up the others.
    fn expire_sync(&mut self, now: Moment, config: &GroupConfig, effects: &mut Effects) {
        let is_due = self.sync_deadline_ms.is_some_and(|deadline| deadline <= now.monotonic_ms);
        if !is_due {
            return;
        }
        self.sync_deadline_ms = None;
        let silent = std::mem::take(&mut self.pending_sync);
        for member_id in &silent {
            self.remove(member_id, effects);
        }
        let in_generation = matches!(self.state, State::Stable | State::CompletingRebalance);
        if in_generation && !silent.is_empty() {
            self.prepare_rebalance(now, config, effects);
        }
    }
}
