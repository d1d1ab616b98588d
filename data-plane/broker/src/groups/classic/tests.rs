//! One sentence for each transition and each refusal of the classic protocol.

mod join;
mod limits;
mod presence;
mod static_members;
mod sync;

use bytes::Bytes;

use super::event::{Event, Heartbeat, Join, Joined, Leaver, Protocol, Reply, Sync, Token};
use super::group::{Group, State};
use crate::groups::config::GroupConfig;
use crate::groups::error::GroupError;
use crate::groups::moment::Moment;

const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;

struct Scene {
    group: Group,
    config: GroupConfig,
    now_ms: u64,
    next: u64,
    replies: std::collections::BTreeMap<Token, Reply>,
    persisted: usize,
}

impl Scene {
    fn new() -> Self {
        let config = GroupConfig { initial_rebalance_delay_ms: 3_000, ..GroupConfig::default() };
        let now = Moment { wall_ms: 0, monotonic_ms: 0 };
        Self { group: Group::new(now), config, now_ms: 0, next: 0, replies: Default::default(), persisted: 0 }
    }

    fn now(&self) -> Moment {
        Moment { wall_ms: self.now_ms as i64, monotonic_ms: self.now_ms }
    }

    fn step(&mut self, event: Event) -> Token {
        self.next += 1;
        let token = Token(self.next);
        let effects = self.group.step(token, event, self.now(), &self.config);
        self.take(effects);
        token
    }

    fn take(&mut self, effects: super::event::Effects) {
        self.persisted += usize::from(effects.persist);
        for (token, reply) in effects.replies {
            assert!(self.replies.insert(token, reply).is_none(), "{token:?} was answered twice");
        }
    }

    fn advance(&mut self, by_ms: u64) {
        let end = self.now_ms + by_ms;
        while let Some(deadline) = self.group.next_deadline_ms().filter(|deadline| *deadline <= end) {
            self.now_ms = deadline.max(self.now_ms);
            let effects = self.group.on_time(self.now(), &self.config);
            self.take(effects);
        }
        self.now_ms = end;
    }

    fn join_with(&mut self, change: impl FnOnce(&mut Join)) -> Token {
        let mut join = Join {
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            member_id: String::new(),
            group_instance_id: None,
            new_member_id: format!("client-{}", self.next + 1),
            protocol_type: "consumer".into(),
            protocols: vec![protocol("range", b"subscription")],
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            knows_two_step_join: false,
            knows_skip_assignment: true,
        };
        change(&mut join);
        self.step(Event::Join(join))
    }

    /// Joins with an id that the coordinator gives at once.
    fn join(&mut self) -> Token {
        self.join_with(|_| {})
    }

    fn rejoin(&mut self, member_id: &str) -> Token {
        self.join_with(|join| join.member_id = member_id.into())
    }

    fn join_static(&mut self, instance: &str) -> Token {
        self.join_with(|join| {
            join.group_instance_id = Some(instance.into());
            join.new_member_id = format!("{instance}-{}", join.new_member_id);
        })
    }

    fn sync(&mut self, member_id: &str, generation_id: i32, assignments: &[(&str, &str)]) -> Token {
        let assignments = assignments.iter().map(|(id, blob)| ((*id).to_owned(), Bytes::from(blob.to_string())));
        self.step(Event::Sync(Sync {
            member_id: member_id.into(),
            group_instance_id: None,
            generation_id,
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: assignments.collect(),
        }))
    }

    fn heartbeat(&mut self, member_id: &str, generation_id: i32) -> Result<(), GroupError> {
        self.heartbeat_as(member_id, None, generation_id)
    }

    fn heartbeat_as(&mut self, id: &str, instance: Option<&str>, generation_id: i32) -> Result<(), GroupError> {
        let token = self.step(Event::Heartbeat(Heartbeat {
            member_id: id.into(),
            group_instance_id: instance.map(str::to_owned),
            generation_id,
        }));
        match self.replies.remove(&token) {
            Some(Reply::Heartbeat(result)) => result,
            other => panic!("no answer to the heartbeat but {other:?}"),
        }
    }

    fn leave(&mut self, leavers: &[(&str, Option<&str>)]) -> Vec<Option<GroupError>> {
        let leavers = leavers
            .iter()
            .map(|(id, instance)| Leaver { member_id: (*id).into(), group_instance_id: instance.map(str::to_owned) });
        let token = self.step(Event::Leave(leavers.collect()));
        match self.replies.remove(&token) {
            Some(Reply::Leave(Ok(left))) => left.into_iter().map(|left| left.error).collect(),
            other => panic!("no answer to the leave but {other:?}"),
        }
    }

    fn joined(&mut self, token: Token) -> Joined {
        match self.replies.remove(&token) {
            Some(Reply::Join(Ok(joined))) => joined,
            other => panic!("no generation but {other:?}"),
        }
    }

    fn join_error(&mut self, token: Token) -> (String, GroupError) {
        match self.replies.remove(&token) {
            Some(Reply::Join(Err(refused))) => (refused.member_id, refused.error),
            other => panic!("no refusal but {other:?}"),
        }
    }

    fn synced(&mut self, token: Token) -> Result<String, GroupError> {
        match self.replies.remove(&token) {
            Some(Reply::Sync(result)) => {
                result.map(|synced| String::from_utf8(synced.assignment.to_vec()).expect("the test's text"))
            }
            other => panic!("no answer to the sync but {other:?}"),
        }
    }

    fn waits(&self, token: Token) -> bool {
        !self.replies.contains_key(&token)
    }

    /// A stable group of `count` dynamic members; the first one leads.
    fn stable(count: usize) -> (Self, Vec<String>, i32) {
        let mut scene = Self::new();
        let tokens: Vec<Token> = (0..count).map(|_| scene.join()).collect();
        scene.settle(tokens)
    }

    fn stable_static(instances: &[&str]) -> (Self, Vec<String>, i32) {
        let mut scene = Self::new();
        let tokens: Vec<Token> = instances.iter().map(|instance| scene.join_static(instance)).collect();
        scene.settle(tokens)
    }

    fn settle(mut self, tokens: Vec<Token>) -> (Self, Vec<String>, i32) {
        self.advance(6_000);
        let joined: Vec<Joined> = tokens.into_iter().map(|token| self.joined(token)).collect();
        let generation_id = joined[0].generation_id;
        let ids: Vec<String> = joined.into_iter().map(|joined| joined.member_id).collect();
        let blobs: Vec<(String, String)> = ids.iter().map(|id| (id.clone(), format!("for {id}"))).collect();
        let blobs: Vec<(&str, &str)> = blobs.iter().map(|(id, blob)| (id.as_str(), blob.as_str())).collect();
        let leader = self.group.leader().expect("a group with members has a leader").to_owned();
        let first = self.sync(&leader, generation_id, &blobs);
        assert_eq!(self.synced(first), Ok(format!("for {leader}")));
        for id in ids.iter().filter(|id| **id != leader) {
            let token = self.sync(id, generation_id, &[]);
            assert_eq!(self.synced(token), Ok(format!("for {id}")));
        }
        assert_eq!(self.group.state(), State::Stable);
        (self, ids, generation_id)
    }
}

fn protocol(name: &str, metadata: &'static [u8]) -> Protocol {
    Protocol { name: name.into(), metadata: Bytes::from_static(metadata) }
}
