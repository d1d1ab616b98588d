//! One group's state and the moves that keep it consistent: adding, replacing and removing members, choosing a leader
//! and a protocol. When to make which move is decided in `join`, `sync`, `leave`, `rebalance` and `timers`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;

use super::event::{Effects, Event, JoinRefused, JoinedMember, Protocol, Reply, Token};
use super::member::Member;
use crate::groups::config::GroupConfig;
use crate::groups::error::GroupError;
use crate::groups::moment::Moment;
use crate::groups::subscription;

/// Where a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No members; there may be offsets.
    Empty,
    /// Waiting for members to join the next generation.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Everybody has an assignment.
    Stable,
    /// Deleted; answers that are still on their way say so.
    Dead,
}

impl State {
    /// Kafka's name of the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What ends the join phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JoinTimer {
    /// The first rebalance of an empty group waits for more members, again and again while some come.
    Initial { deadline_ms: u64, delay_ms: i32, remaining_ms: i32 },
    /// Members have this long to come back.
    Rebalance { deadline_ms: u64 },
}

impl JoinTimer {
    pub(super) fn deadline_ms(self) -> u64 {
        match self {
            Self::Initial { deadline_ms, .. } | Self::Rebalance { deadline_ms } => deadline_ms,
        }
    }
}

/// The part of a group that outlives a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredGroup {
    /// Rises with every completed rebalance.
    pub generation_id: i32,
    /// `consumer`, `connect` and the like.
    pub protocol_type: Option<String>,
    /// The chosen protocol.
    pub protocol_name: Option<String>,
    /// Who assigns.
    pub leader: Option<String>,
    /// The leader's assignment is in; without it the members wait for one.
    pub is_assigned: bool,
    /// Wall time of the last change of state.
    pub state_since_ms: i64,
    /// Everybody.
    pub members: Vec<StoredMember>,
}

/// The part of a member that outlives a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMember {
    /// Given by the coordinator.
    pub member_id: String,
    /// Names a static member across restarts.
    pub group_instance_id: Option<String>,
    /// The client's own name.
    pub client_id: String,
    /// The address the client comes from.
    pub client_host: String,
    /// How long the member may be silent.
    pub session_timeout_ms: i32,
    /// How long the member needs to come back when the group rebalances.
    pub rebalance_timeout_ms: i32,
    /// In the member's order of preference.
    pub protocols: Vec<Protocol>,
    /// The leader's bytes for this member.
    pub assignment: Bytes,
}

/// One group.
#[derive(Debug, Clone)]
pub struct Group {
    pub(super) state: State,
    pub(super) previous_state: State,
    pub(super) state_since_ms: i64,
    pub(super) generation_id: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol_name: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) members: BTreeMap<String, Member>,
    /// Group instance id to member id.
    pub(super) static_members: BTreeMap<String, String>,
    /// Ids that were given out and not joined with yet, and when they lapse.
    pub(super) pending_members: BTreeMap<String, u64>,
    /// Members of the generation that have not sent their sync.
    pub(super) pending_sync: BTreeSet<String>,
    /// Protocol name to the number of members that offer it.
    protocol_counts: BTreeMap<String, usize>,
    pub(super) awaiting_join: usize,
    member_bytes: usize,
    pub(super) join_timer: Option<JoinTimer>,
    pub(super) sync_deadline_ms: Option<u64>,
    pub(super) new_member_added: bool,
    subscribed_topics: Option<BTreeSet<String>>,
}

impl Group {
    /// A group without members.
    pub fn new(now: Moment) -> Self {
        Self {
            state: State::Empty,
            previous_state: State::Empty,
            state_since_ms: now.wall_ms,
            generation_id: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_members: BTreeMap::new(),
            pending_sync: BTreeSet::new(),
            protocol_counts: BTreeMap::new(),
            awaiting_join: 0,
            member_bytes: 0,
            join_timer: None,
            sync_deadline_ms: None,
            new_member_added: false,
            subscribed_topics: None,
        }
    }

    /// The group as it was written down. Every member has a full session timeout to show itself.
    pub fn restore(stored: StoredGroup, now: Moment) -> Self {
        let mut group = Self::new(now);
        group.generation_id = stored.generation_id;
        group.protocol_type = stored.protocol_type;
        group.state_since_ms = stored.state_since_ms;
        for member in stored.members {
            let session_deadline_ms = now.deadline_after_ms(member.session_timeout_ms);
            group.insert(Member {
                member_id: member.member_id,
                group_instance_id: member.group_instance_id,
                client_id: member.client_id,
                client_host: member.client_host,
                session_timeout_ms: member.session_timeout_ms,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                protocols: member.protocols,
                assignment: member.assignment,
                awaiting_join: None,
                awaiting_sync: None,
                is_new: false,
                session_deadline_ms: Some(session_deadline_ms),
            });
        }
        if group.members.is_empty() {
            return group;
        }
        group.leader = stored.leader.filter(|leader| group.members.contains_key(leader));
        group.elect_any_leader();
        group.protocol_name = stored.protocol_name;
        group.subscribed_topics = group.parse_subscribed_topics();
        group.previous_state = State::PreparingRebalance;
        if stored.is_assigned {
            group.state = State::Stable;
        } else {
            group.state = State::CompletingRebalance;
            group.pending_sync = group.members.keys().cloned().collect();
            group.sync_deadline_ms = Some(now.deadline_after_ms(group.rebalance_timeout_ms()));
        }
        group
    }

    /// What has to be written down so that `restore` brings the group back.
    pub fn to_stored(&self) -> StoredGroup {
        let members = self.members.values().map(|member| StoredMember {
            member_id: member.member_id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session_timeout_ms: member.session_timeout_ms,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            protocols: member.protocols.clone(),
            assignment: member.assignment.clone(),
        });
        StoredGroup {
            generation_id: self.generation_id,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone(),
            is_assigned: self.state == State::Stable,
            state_since_ms: self.state_since_ms,
            members: members.collect(),
        }
    }

    /// Handles one request of a client.
    pub fn step(&mut self, token: Token, event: Event, now: Moment, config: &GroupConfig) -> Effects {
        let mut effects = Effects::default();
        match event {
            Event::Join(join) => self.join(token, join, now, config, &mut effects),
            Event::Sync(sync) => self.sync(token, sync, now, config, &mut effects),
            Event::Heartbeat(heartbeat) => self.heartbeat(token, &heartbeat, now, &mut effects),
            Event::Leave(leavers) => self.leave(token, leavers, now, config, &mut effects),
            Event::Abandon => self.abandon(token, now, &mut effects),
        }
        effects
    }

    /// Ends the group: everybody who waits is told to look for the coordinator again.
    pub fn kill(&mut self) -> Effects {
        let mut effects = Effects::default();
        let error = GroupError::CoordinatorNotAvailable;
        for member in self.members.values_mut() {
            if let Some(token) = member.awaiting_join.take() {
                let refused = JoinRefused { member_id: member.member_id.clone(), error };
                effects.reply(token, Reply::Join(Err(refused)));
            }
            if let Some(token) = member.awaiting_sync.take() {
                effects.reply(token, Reply::Sync(Err(error)));
            }
        }
        *self = Self { state: State::Dead, ..Self::new(Moment { wall_ms: self.state_since_ms, monotonic_ms: 0 }) };
        effects
    }

    /// Where the group stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Wall time of the last change of state.
    pub fn state_since_ms(&self) -> i64 {
        self.state_since_ms
    }

    /// Rises with every completed rebalance.
    pub fn generation_id(&self) -> i32 {
        self.generation_id
    }

    /// `consumer`, `connect` and the like; absent if nobody ever joined.
    pub fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    /// The chosen protocol.
    pub fn protocol_name(&self) -> Option<&str> {
        self.protocol_name.as_deref()
    }

    /// Who assigns.
    pub fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    /// Everybody, in the order of member ids.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// No members and nobody who was given an id.
    pub fn is_unused(&self) -> bool {
        self.state == State::Empty && self.pending_members.is_empty()
    }

    /// Whether a member reads the topic. A consumer group whose subscriptions cannot be read might.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol() && !self.members.is_empty(),
        }
    }

    /// The topics the members read, where that is known.
    pub fn subscribed_topics(&self) -> Option<&BTreeSet<String>> {
        self.subscribed_topics.as_ref()
    }

    /// Whether the members are consumers (and not, say, Connect workers).
    pub fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(subscription::CONSUMER_PROTOCOL_TYPE)
    }

    /// Whether a commit with this identity may be taken.
    pub fn validate_commit(
        &self,
        member_id: &str,
        group_instance_id: Option<&str>,
        generation_id: i32,
    ) -> Result<(), GroupError> {
        if self.state == State::Dead {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        // An administrator, or a consumer that assigns itself: allowed while nobody else owns the offsets.
        if generation_id < 0 && self.state == State::Empty {
            return Ok(());
        }
        if generation_id < 0 && member_id.is_empty() && group_instance_id.is_none() {
            return Err(GroupError::UnknownMemberId);
        }
        self.validate_member(member_id, group_instance_id)?;
        if generation_id != self.generation_id {
            return Err(GroupError::IllegalGeneration);
        }
        if self.state == State::CompletingRebalance {
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    /// A commit shows that the member lives.
    pub fn on_commit(&mut self, member_id: &str, now: Moment) {
        let keeps_session = matches!(self.state, State::Stable | State::PreparingRebalance);
        if keeps_session && self.members.contains_key(member_id) {
            self.extend_session(member_id, now, &mut Effects::default());
        }
    }

    pub(super) fn validate_member(&self, member_id: &str, group_instance_id: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance) = group_instance_id {
            let owner = self.static_members.get(instance).ok_or(GroupError::UnknownMemberId)?;
            if owner != member_id {
                return Err(GroupError::FencedInstanceId);
            }
        }
        if !self.members.contains_key(member_id) {
            return Err(GroupError::UnknownMemberId);
        }
        Ok(())
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    pub(super) fn member_bytes(&self) -> usize {
        self.member_bytes
    }

    pub(super) fn transition_to(&mut self, state: State, now: Moment) {
        self.previous_state = self.state;
        self.state = state;
        self.state_since_ms = now.wall_ms;
    }

    pub(super) fn has_all_members_joined(&self) -> bool {
        self.members.len() == self.awaiting_join && self.pending_members.is_empty()
    }

    /// The longest any member asks for.
    pub(super) fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0)
    }

    /// Whether a member with these protocols can take part: one of them must be known to everybody.
    pub(super) fn supports_protocols(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let same_type = self.protocol_type.as_deref() == Some(protocol_type);
        same_type && protocols.iter().any(|protocol| self.protocol_count(&protocol.name) == self.members.len())
    }

    /// Adds a member; the first one leads and sets the group's protocol type.
    pub(super) fn add(&mut self, member: Member, protocol_type: &str) {
        self.pending_members.remove(&member.member_id);
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.to_owned());
        }
        self.insert(member);
        self.elect_any_leader();
    }

    fn insert(&mut self, member: Member) {
        if let Some(instance) = &member.group_instance_id {
            self.static_members.insert(instance.clone(), member.member_id.clone());
        }
        for protocol in &member.protocols {
            *self.protocol_counts.entry(protocol.name.clone()).or_default() += 1;
        }
        self.awaiting_join += usize::from(member.is_awaiting_join());
        self.member_bytes += member.size_bytes();
        self.members.insert(member.member_id.clone(), member);
    }

    /// Takes a member out of every count. Its waiting requests are the caller's to answer.
    fn take(&mut self, member_id: &str) -> Option<Member> {
        let member = self.members.remove(member_id)?;
        self.awaiting_join -= usize::from(member.is_awaiting_join());
        self.member_bytes -= member.size_bytes();
        for protocol in &member.protocols {
            if let Some(count) = self.protocol_counts.get_mut(&protocol.name) {
                *count -= 1;
                if *count == 0 {
                    self.protocol_counts.remove(&protocol.name);
                }
            }
        }
        Some(member)
    }

    /// Changes a member through `change`, keeping every count right.
    pub(super) fn update(&mut self, member_id: &str, change: impl FnOnce(&mut Member)) {
        if let Some(mut member) = self.take(member_id) {
            change(&mut member);
            self.insert(member);
        }
    }

    /// Removes a member and answers what it waits for with an error: a client that still lives then joins anew.
    pub(super) fn remove(&mut self, member_id: &str, effects: &mut Effects) {
        self.pending_members.remove(member_id);
        self.pending_sync.remove(member_id);
        let Some(member) = self.take(member_id) else { return };
        answer_waiting(&member, String::new(), GroupError::UnknownMemberId, effects);
        if let Some(instance) = &member.group_instance_id {
            self.static_members.remove(instance);
        }
        if self.is_leader(member_id) {
            self.leader = None;
            self.elect_any_leader();
        }
    }

    /// Gives a static member's place to a new member id; the old id is fenced at once.
    pub(super) fn replace_static_member(&mut self, old_id: &str, new_id: &str, effects: &mut Effects) {
        let Some(mut member) = self.take(old_id) else { return };
        answer_waiting(&member, old_id.to_owned(), GroupError::FencedInstanceId, effects);
        member.awaiting_join = None;
        member.awaiting_sync = None;
        member.member_id = new_id.to_owned();
        self.insert(member);
        if self.pending_sync.remove(old_id) {
            self.pending_sync.insert(new_id.to_owned());
        }
        if self.is_leader(old_id) {
            self.leader = Some(new_id.to_owned());
        }
    }

    fn elect_any_leader(&mut self) {
        if self.leader.is_none() {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// Whether the next generation has a leader that has joined it; chooses another one if the old one has not.
    pub(super) fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |id: &String| self.members.get(id).is_some_and(Member::is_awaiting_join);
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        let joined = self.members.values().find(|member| member.is_awaiting_join());
        let Some(joined) = joined else { return false };
        self.leader = Some(joined.member_id.clone());
        true
    }

    /// Starts the next generation with the members that are left.
    pub(super) fn start_next_generation(&mut self, now: Moment) {
        self.generation_id = self.generation_id.checked_add(1).unwrap_or(1);
        self.pending_sync.clear();
        if self.members.is_empty() {
            self.protocol_name = None;
            self.leader = None;
            self.transition_to(State::Empty, now);
        } else {
            self.protocol_name = self.select_protocol();
            self.transition_to(State::CompletingRebalance, now);
        }
        self.subscribed_topics = self.parse_subscribed_topics();
    }

    /// Each member votes for the first of its protocols that everybody knows; most votes win, and among equals
    /// the one the leader prefers.
    pub(super) fn select_protocol(&self) -> Option<String> {
        let known_to_all = self.protocol_counts.iter().filter(|(_, count)| **count == self.members.len());
        let candidates: Vec<&str> = known_to_all.map(|(name, _)| name.as_str()).collect();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for choice in self.members.values().filter_map(|member| member.vote(&candidates)) {
            *votes.entry(choice).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        let winners: Vec<&str> = votes.iter().filter(|(_, count)| **count == most).map(|(name, _)| *name).collect();
        let leader = self.leader.as_ref().and_then(|leader| self.members.get(leader));
        let preferred = leader.and_then(|leader| leader.vote(&winners));
        preferred.or(winners.first().copied()).map(str::to_owned)
    }

    /// Everybody, as the leader needs to see them.
    pub(super) fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol_name = self.protocol_name.as_deref().unwrap_or_default();
        let members = self.members.values().map(|member| JoinedMember {
            member_id: member.member_id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            metadata: member.metadata(protocol_name),
        });
        members.collect()
    }

    pub(super) fn extend_session(&mut self, member_id: &str, now: Moment, effects: &mut Effects) {
        if let Some(member) = self.members.get_mut(member_id) {
            let deadline_ms = now.deadline_after_ms(member.session_timeout_ms);
            member.session_deadline_ms = Some(deadline_ms);
            effects.wake_at(deadline_ms);
        }
    }

    fn protocol_count(&self, name: &str) -> usize {
        self.protocol_counts.get(name).copied().unwrap_or(0)
    }

    fn parse_subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        let mut topics = BTreeSet::new();
        if self.members.is_empty() {
            return Some(topics);
        }
        let protocol_name = self.protocol_name.as_deref()?;
        for member in self.members.values() {
            topics.extend(subscription::topics(&member.metadata(protocol_name))?);
        }
        Some(topics)
    }
}

fn answer_waiting(member: &Member, member_id: String, error: GroupError, effects: &mut Effects) {
    if let Some(token) = member.awaiting_join {
        effects.reply(token, Reply::Join(Err(JoinRefused { member_id, error })));
    }
    if let Some(token) = member.awaiting_sync {
        effects.reply(token, Reply::Sync(Err(error)));
    }
}
