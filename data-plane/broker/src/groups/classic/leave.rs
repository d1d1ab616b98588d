//! LeaveGroup, and clients that go without a word.

use super::event::{Effects, Leaver, Left, Reply, Token};
use super::group::{Group, State};
use crate::groups::config::GroupConfig;
use crate::groups::error::GroupError;
use crate::groups::moment::Moment;

impl Group {
    /// Takes the named members out; each has its own outcome.
    pub(super) fn leave(
        &mut self,
        token: Token,
        leavers: Vec<Leaver>,
        now: Moment,
        config: &GroupConfig,
        effects: &mut Effects,
    ) {
        if self.state == State::Dead {
            effects.reply(token, Reply::Leave(Err(GroupError::CoordinatorNotAvailable)));
            return;
        }
        let mut outcomes = Vec::with_capacity(leavers.len());
        for leaver in leavers {
            let error = self.leave_one(&leaver, effects).err();
            outcomes.push(Left { leaver, error });
        }
        let somebody_left = outcomes.iter().any(|outcome| outcome.error.is_none());
        effects.reply(token, Reply::Leave(Ok(outcomes)));
        if !somebody_left {
            return;
        }
        match self.state {
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(now, config, effects),
            State::PreparingRebalance => self.complete_join_if_ready(now, effects),
            State::Empty | State::Dead => {}
        }
    }

    fn leave_one(&mut self, leaver: &Leaver, effects: &mut Effects) -> Result<(), GroupError> {
        let instance = leaver.group_instance_id.as_deref();
        let member_id = if leaver.member_id.is_empty() {
            let owner = instance.and_then(|instance| self.static_members.get(instance));
            owner.cloned().ok_or(GroupError::UnknownMemberId)?
        } else {
            leaver.member_id.clone()
        };
        if !self.pending_members.contains_key(&member_id) {
            self.validate_member(&member_id, instance)?;
        }
        self.remove(&member_id, effects);
        Ok(())
    }

    /// The connection of a waiting request is gone. The member stays for as long as its session lasts, but a
    /// rebalance does not count it as present any more.
    pub(super) fn abandon(&mut self, token: Token, now: Moment, effects: &mut Effects) {
        let waits = |member: &&super::member::Member| {
            member.awaiting_join == Some(token) || member.awaiting_sync == Some(token)
        };
        let Some(member_id) = self.members.values().find(waits).map(|member| member.member_id.clone()) else { return };
        self.update(&member_id, |member| {
            if member.awaiting_join == Some(token) {
                member.awaiting_join = None;
            } else {
                member.awaiting_sync = None;
            }
        });
        self.extend_session(&member_id, now, effects);
    }
}
