//! One sentence for each transition and each refusal of the classic protocol.

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
        let leavers = leavers.iter().map(|(id, instance)| Leaver {
            member_id: (*id).into(),
            group_instance_id: instance.map(str::to_owned),
        });
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

#[test]
fn the_first_rebalance_waits_for_more_members() {
    let mut scene = Scene::new();
    let first = scene.join();
    assert_eq!(scene.group.state(), State::PreparingRebalance);
    scene.advance(2_000);
    let second = scene.join();
    scene.advance(2_999);
    assert!(scene.waits(first) && scene.waits(second));
    scene.advance(1_001);
    let leader = scene.joined(first);
    assert_eq!(leader.members.len(), 2);
    assert_eq!(leader.leader, leader.member_id);
    let follower = scene.joined(second);
    assert_eq!((follower.generation_id, follower.leader, follower.members), (1, leader.member_id, vec![]));
    assert_eq!(scene.group.state(), State::CompletingRebalance);
}

#[test]
fn the_first_rebalance_ends_at_the_rebalance_timeout_even_if_members_keep_coming() {
    let mut scene = Scene::new();
    let first = scene.join_with(|join| join.rebalance_timeout_ms = 7_000);
    for _ in 0..6 {
        scene.advance(1_000);
        scene.join_with(|join| join.rebalance_timeout_ms = 7_000);
    }
    assert!(scene.waits(first));
    scene.advance(1_000);
    assert_eq!(scene.joined(first).members.len(), 7);
}

#[test]
fn without_a_delay_the_first_rebalance_is_due_at_once() {
    let mut scene = Scene::new();
    scene.config.initial_rebalance_delay_ms = 0;
    let token = scene.join();
    assert_eq!(scene.group.next_deadline_ms(), Some(0));
    scene.advance(0);
    assert_eq!(scene.joined(token).generation_id, 1);
}

#[test]
fn a_member_without_an_id_is_given_one_to_come_back_with() {
    let mut scene = Scene::new();
    let token = scene.join_with(|join| join.knows_two_step_join = true);
    let (member_id, error) = scene.join_error(token);
    assert_eq!((member_id.as_str(), error), ("client-1", GroupError::MemberIdRequired));
    assert_eq!(scene.group.state(), State::Empty);
    let token = scene.join_with(|join| {
        join.member_id = member_id.clone();
        join.knows_two_step_join = true;
    });
    scene.advance(3_000);
    assert_eq!(scene.joined(token).member_id, member_id);
}

#[test]
fn an_id_that_nobody_joins_with_lapses_after_the_session_timeout() {
    let mut scene = Scene::new();
    let token = scene.join_with(|join| join.knows_two_step_join = true);
    let (member_id, _) = scene.join_error(token);
    assert!(!scene.group.is_unused());
    scene.advance(SESSION_MS as u64);
    assert!(scene.group.is_unused());
    let token = scene.rejoin(&member_id);
    assert_eq!(scene.join_error(token), (member_id, GroupError::UnknownMemberId));
}

#[test]
fn a_rebalance_waits_for_ids_that_were_given_out() {
    let (mut scene, ids, _) = Scene::stable(1);
    let pending = scene.join_with(|join| join.knows_two_step_join = true);
    let (pending_id, _) = scene.join_error(pending);
    let leader = scene.rejoin(&ids[0]);
    assert!(scene.waits(leader));
    let pending = scene.rejoin(&pending_id);
    assert_eq!(scene.joined(leader).members.len(), 2);
    assert_eq!(scene.joined(pending).member_id, pending_id);
}

#[test]
fn a_pending_id_cannot_be_joined_with_as_a_static_member() {
    let mut scene = Scene::new();
    let token = scene.join_with(|join| join.knows_two_step_join = true);
    let (member_id, _) = scene.join_error(token);
    let token = scene.join_with(|join| {
        join.member_id = member_id.clone();
        join.group_instance_id = Some("instance".into());
    });
    assert_eq!(scene.join_error(token).1, GroupError::UnknownMemberId);
}

#[test]
fn session_timeouts_outside_of_the_range_are_refused() {
    for session_timeout_ms in [i32::MIN, -1, 0, 5_999, 1_800_001, i32::MAX] {
        let mut scene = Scene::new();
        let token = scene.join_with(|join| join.session_timeout_ms = session_timeout_ms);
        assert_eq!(scene.join_error(token).1, GroupError::InvalidSessionTimeout);
    }
}

#[test]
fn an_unknown_member_id_is_refused() {
    let (mut scene, _, _) = Scene::stable(1);
    let token = scene.rejoin("nobody");
    assert_eq!(scene.join_error(token), ("nobody".into(), GroupError::UnknownMemberId));
}

#[test]
fn members_need_a_protocol_type_and_a_protocol() {
    let mut scene = Scene::new();
    let token = scene.join_with(|join| join.protocols.clear());
    assert_eq!(scene.join_error(token).1, GroupError::InconsistentGroupProtocol);
    let token = scene.join_with(|join| join.protocol_type.clear());
    assert_eq!(scene.join_error(token).1, GroupError::InconsistentGroupProtocol);
    let token = scene.join_with(|join| {
        join.protocols = (0..101).map(|number| protocol(&number.to_string(), b"")).collect();
    });
    assert_eq!(scene.join_error(token).1, GroupError::InconsistentGroupProtocol);
}

#[test]
fn members_that_share_no_protocol_or_type_are_refused() {
    let (mut scene, _, _) = Scene::stable(1);
    let token = scene.join_with(|join| join.protocols = vec![protocol("sticky", b"")]);
    assert_eq!(scene.join_error(token).1, GroupError::InconsistentGroupProtocol);
    let token = scene.join_with(|join| join.protocol_type = "connect".into());
    assert_eq!(scene.join_error(token).1, GroupError::InconsistentGroupProtocol);
}

#[test]
fn the_protocol_most_members_prefer_wins_among_those_all_know() {
    let mut scene = Scene::new();
    let offers: [&[&str]; 3] = [&["a", "b", "c"], &["c", "b"], &["d", "b", "c"]];
    let tokens = offers.map(|names| {
        scene.join_with(|join| join.protocols = names.iter().map(|name| protocol(name, b"bytes")).collect())
    });
    scene.advance(6_000);
    let answers = tokens.map(|token| scene.joined(token));
    assert!(answers.iter().all(|answer| answer.protocol_name.as_deref() == Some("b")));
    assert_eq!(answers[0].members[0].metadata, Bytes::from_static(b"bytes"));
}

#[test]
fn an_emptied_group_may_change_its_protocol_type() {
    let (mut scene, ids, _) = Scene::stable(1);
    assert_eq!(scene.leave(&[(&ids[0], None)]), [None]);
    let token = scene.join_with(|join| join.protocol_type = "connect".into());
    scene.advance(3_000);
    let joined = scene.joined(token);
    assert_eq!((joined.protocol_type.as_deref(), joined.generation_id), (Some("connect"), 3));
}

#[test]
fn each_member_gets_the_bytes_the_leader_named_for_it() {
    let mut scene = Scene::new();
    let tokens = [scene.join(), scene.join(), scene.join()];
    scene.advance(6_000);
    let [leader, second, third] = tokens.map(|token| scene.joined(token));
    let waiting = scene.sync(&second.member_id, 1, &[]);
    assert!(scene.waits(waiting));
    let blobs = [(leader.member_id.as_str(), "one"), (&second.member_id, "two"), ("stranger", "x")];
    let led = scene.sync(&leader.member_id, 1, &blobs);
    assert_eq!(scene.synced(led), Ok("one".into()));
    assert_eq!(scene.synced(waiting), Ok("two".into()));
    let late = scene.sync(&third.member_id, 1, &[]);
    assert_eq!(scene.synced(late), Ok(String::new()), "the leader gave it nothing");
}

#[test]
fn a_followers_assignments_do_not_count() {
    let mut scene = Scene::new();
    let tokens = [scene.join(), scene.join()];
    scene.advance(6_000);
    let [_, follower] = tokens.map(|token| scene.joined(token));
    let token = scene.sync(&follower.member_id, 1, &[(&follower.member_id, "mine")]);
    assert!(scene.waits(token));
    assert_eq!(scene.group.state(), State::CompletingRebalance);
}

#[test]
fn syncs_of_another_generation_member_or_protocol_are_refused() {
    let (mut scene, ids, generation_id) = Scene::stable(1);
    let token = scene.sync(&ids[0], generation_id + 1, &[]);
    assert_eq!(scene.synced(token), Err(GroupError::IllegalGeneration));
    let token = scene.sync("nobody", generation_id, &[]);
    assert_eq!(scene.synced(token), Err(GroupError::UnknownMemberId));
    for (protocol_type, protocol_name) in [(Some("connect"), None), (None, Some("sticky"))] {
        let token = scene.step(Event::Sync(Sync {
            member_id: ids[0].clone(),
            group_instance_id: None,
            generation_id,
            protocol_type: protocol_type.map(str::to_owned),
            protocol_name: protocol_name.map(str::to_owned),
            assignments: Vec::new(),
        }));
        assert_eq!(scene.synced(token), Err(GroupError::InconsistentGroupProtocol));
    }
}

#[test]
fn a_sync_that_waits_is_sent_back_when_the_group_rebalances() {
    let mut scene = Scene::new();
    let tokens = [scene.join(), scene.join()];
    scene.advance(6_000);
    let [_, follower] = tokens.map(|token| scene.joined(token));
    let waiting = scene.sync(&follower.member_id, 1, &[]);
    scene.join();
    assert_eq!(scene.synced(waiting), Err(GroupError::RebalanceInProgress));
    let token = scene.sync(&follower.member_id, 1, &[]);
    assert_eq!(scene.synced(token), Err(GroupError::RebalanceInProgress));
}

#[test]
fn a_leader_that_never_assigns_is_removed_at_the_rebalance_timeout() {
    let mut scene = Scene::new();
    let tokens = [scene.join(), scene.join()];
    scene.advance(3_000 * 2);
    let [leader, follower] = tokens.map(|token| scene.joined(token));
    let waiting = scene.sync(&follower.member_id, 1, &[]);
    for _ in 0..11 {
        scene.advance(5_000);
        assert_eq!(scene.heartbeat(&leader.member_id, 1), Ok(()));
    }
    scene.advance(5_000);
    assert_eq!(scene.synced(waiting), Err(GroupError::RebalanceInProgress));
    assert_eq!(scene.heartbeat(&leader.member_id, 1), Err(GroupError::UnknownMemberId));
    let token = scene.rejoin(&follower.member_id);
    assert_eq!(scene.joined(token).leader, follower.member_id);
}

#[test]
fn an_assignment_larger_than_the_group_may_be_is_refused() {
    let mut scene = Scene::new();
    scene.config.max_group_bytes = 1_000;
    let token = scene.join();
    scene.advance(3_000);
    let leader = scene.joined(token).member_id;
    let token = scene.sync(&leader, 1, &[(&leader, &"x".repeat(1_001))]);
    assert_eq!(scene.synced(token), Err(GroupError::AssignmentTooLarge));
    assert_eq!(scene.group.state(), State::PreparingRebalance);
}

#[test]
fn heartbeats_keep_a_member_and_silence_removes_it() {
    let (mut scene, ids, generation_id) = Scene::stable(2);
    for _ in 0..10 {
        scene.advance(6_000);
        for id in &ids {
            assert_eq!(scene.heartbeat(id, generation_id), Ok(()));
        }
    }
    scene.advance(6_000);
    assert_eq!(scene.heartbeat(&ids[0], generation_id), Ok(()));
    scene.advance(4_000);
    assert_eq!(scene.heartbeat(&ids[0], generation_id), Err(GroupError::RebalanceInProgress));
    assert_eq!(scene.heartbeat(&ids[1], generation_id), Err(GroupError::UnknownMemberId));
    let token = scene.rejoin(&ids[0]);
    let joined = scene.joined(token);
    assert_eq!((joined.generation_id, joined.members.len()), (generation_id + 1, 1));
}

#[test]
fn heartbeats_of_strangers_and_of_other_generations_are_refused() {
    let (mut scene, ids, generation_id) = Scene::stable(1);
    assert_eq!(scene.heartbeat("nobody", generation_id), Err(GroupError::UnknownMemberId));
    assert_eq!(scene.heartbeat(&ids[0], generation_id - 1), Err(GroupError::IllegalGeneration));
    assert_eq!(scene.heartbeat_as(&ids[0], Some("instance"), generation_id), Err(GroupError::UnknownMemberId));
    assert_eq!(scene.heartbeat(&ids[0], generation_id), Ok(()));
}

#[test]
fn a_new_member_makes_the_others_join_again() {
    let (mut scene, ids, generation_id) = Scene::stable(1);
    let newcomer = scene.join();
    assert_eq!(scene.heartbeat(&ids[0], generation_id), Err(GroupError::RebalanceInProgress));
    let old = scene.rejoin(&ids[0]);
    assert_eq!(scene.joined(old).generation_id, generation_id + 1);
    assert_eq!(scene.joined(newcomer).generation_id, generation_id + 1);
}

#[test]
fn dynamic_members_that_do_not_come_back_are_removed() {
    let (mut scene, ids, generation_id) = Scene::stable(2);
    let newcomer = scene.join();
    for _ in 0..20 {
        scene.advance(3_000);
        for id in &ids {
            let _ = scene.heartbeat(id, generation_id);
        }
    }
    let joined = scene.joined(newcomer);
    assert_eq!((joined.leader, joined.members.len()), (joined.member_id, 1));
    assert_eq!(scene.heartbeat(&ids[0], generation_id), Err(GroupError::UnknownMemberId));
}

#[test]
fn an_unchanged_follower_that_joins_again_gets_the_current_generation() {
    let (mut scene, ids, generation_id) = Scene::stable(2);
    let follower = ids.iter().find(|id| Some(id.as_str()) != scene.group.leader()).expect("two members").clone();
    let token = scene.rejoin(&follower);
    let joined = scene.joined(token);
    assert_eq!((joined.generation_id, joined.members.len()), (generation_id, 0));
    assert_eq!(scene.group.state(), State::Stable);
}

#[test]
fn a_changed_subscription_or_a_leader_that_joins_again_starts_a_rebalance() {
    let (mut scene, ids, _) = Scene::stable(2);
    let leader = scene.group.leader().expect("a leader").to_owned();
    scene.rejoin(&leader);
    assert_eq!(scene.group.state(), State::PreparingRebalance);

    let (mut scene, _, _) = Scene::stable(2);
    let follower = ids.iter().find(|id| Some(id.as_str()) != scene.group.leader()).expect("two members").clone();
    scene.join_with(|join| {
        join.member_id = follower;
        join.protocols = vec![protocol("range", b"other")];
    });
    assert_eq!(scene.group.state(), State::PreparingRebalance);
}

#[test]
fn a_join_whose_answer_was_lost_is_answered_again() {
    let mut scene = Scene::new();
    let token = scene.join();
    scene.advance(3_000);
    let first = scene.joined(token);
    let token = scene.rejoin(&first.member_id);
    assert_eq!(scene.joined(token), first);
    assert_eq!(scene.group.state(), State::CompletingRebalance);
}

#[test]
fn a_second_join_of_a_waiting_member_takes_the_place_of_the_first() {
    let (mut scene, ids, _) = Scene::stable(2);
    let first = scene.rejoin(&ids[0]);
    let second = scene.join_with(|join| {
        join.member_id = ids[0].clone();
        join.protocols = vec![protocol("range", b"newer")];
    });
    assert!(scene.waits(second) || scene.waits(first));
    let error = scene.join_error(first);
    assert_eq!(error, (ids[0].clone(), GroupError::RebalanceInProgress));
    scene.rejoin(&ids[1]);
    scene.joined(second);
}

#[test]
fn the_last_member_to_leave_empties_the_group_in_a_new_generation() {
    let (mut scene, ids, generation_id) = Scene::stable(2);
    assert_eq!(scene.leave(&[(&ids[0], None), ("nobody", None), (&ids[1], None)]), [
        None,
        Some(GroupError::UnknownMemberId),
        None
    ]);
    assert_eq!((scene.group.state(), scene.group.generation_id()), (State::Empty, generation_id + 1));
    assert_eq!(scene.group.next_deadline_ms(), None);
    assert_eq!(scene.heartbeat(&ids[0], generation_id), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_member_that_leaves_while_its_join_waits_is_answered() {
    let (mut scene, ids, _) = Scene::stable(2);
    let waiting = scene.rejoin(&ids[0]);
    scene.join();
    assert!(scene.waits(waiting));
    assert_eq!(scene.leave(&[(&ids[0], None)]), [None]);
    assert_eq!(scene.join_error(waiting), (String::new(), GroupError::UnknownMemberId));
}

#[test]
fn a_pending_id_can_leave() {
    let mut scene = Scene::new();
    let token = scene.join_with(|join| join.knows_two_step_join = true);
    let (member_id, _) = scene.join_error(token);
    assert_eq!(scene.leave(&[(&member_id, None)]), [None]);
    assert!(scene.group.is_unused());
}

#[test]
fn a_static_member_comes_back_without_a_rebalance_and_fences_its_old_self() {
    let (mut scene, ids, generation_id) = Scene::stable_static(&["a", "b"]);
    let follower = ids.iter().find(|id| Some(id.as_str()) != scene.group.leader()).expect("two members").clone();
    let instance = &follower[..1];
    let persisted = scene.persisted;
    let token = scene.join_static(instance);
    let joined = scene.joined(token);
    assert_eq!((joined.generation_id, scene.group.state()), (generation_id, State::Stable));
    assert_ne!(joined.member_id, follower);
    assert_eq!(scene.persisted, persisted + 1);
    let token = scene.sync(&joined.member_id, generation_id, &[]);
    assert_eq!(scene.synced(token), Ok(format!("for {follower}")));
    let fenced = scene.heartbeat_as(&follower, Some(instance), generation_id);
    assert_eq!(fenced, Err(GroupError::FencedInstanceId));
    assert_eq!(scene.heartbeat_as(&joined.member_id, Some(instance), generation_id), Ok(()));
}

#[test]
fn a_static_leader_that_comes_back_is_told_to_skip_the_assignment() {
    let (mut scene, ids, _) = Scene::stable_static(&["a", "b"]);
    let instance = scene.group.leader().expect("a leader")[..1].to_owned();
    let token = scene.join_static(&instance);
    let joined = scene.joined(token);
    assert!(joined.skip_assignment && joined.leader == joined.member_id && joined.members.len() == 2);

    let (mut scene, _, _) = Scene::stable_static(&["a", "b"]);
    let old_leader = scene.group.leader().expect("a leader").to_owned();
    let token = scene.join_with(|join| {
        join.group_instance_id = Some(instance.clone());
        join.knows_skip_assignment = false;
    });
    let joined = scene.joined(token);
    assert!(!joined.skip_assignment && joined.members.is_empty());
    assert_eq!(joined.leader, old_leader, "an old client must not believe that it leads");
    assert!(ids.contains(&old_leader));
}

#[test]
fn a_static_member_that_comes_back_while_the_leader_assigns_starts_a_rebalance() {
    let mut scene = Scene::new();
    let tokens = [scene.join_static("a"), scene.join_static("b")];
    scene.advance(6_000);
    let [_, follower] = tokens.map(|token| scene.joined(token));
    let waiting = scene.sync(&follower.member_id, 1, &[]);
    let token = scene.join_static(&follower.member_id[..1]);
    assert_eq!(scene.synced(waiting), Err(GroupError::FencedInstanceId));
    assert!(scene.waits(token));
    assert_eq!(scene.group.state(), State::PreparingRebalance);
}

#[test]
fn a_static_member_that_comes_back_during_a_rebalance_fences_the_waiting_one() {
    let (mut scene, ids, _) = Scene::stable_static(&["a", "b"]);
    let a = ids.iter().find(|id| id.starts_with('a')).expect("a").clone();
    scene.join_static("c");
    let waiting = scene.join_with(|join| {
        join.member_id = a.clone();
        join.group_instance_id = Some("a".into());
    });
    let token = scene.join_static("a");
    assert_eq!(scene.join_error(waiting), (a, GroupError::FencedInstanceId));
    assert!(scene.waits(token));
}

#[test]
fn a_static_member_with_other_protocols_starts_a_rebalance() {
    let mut scene = Scene::new();
    let both = || vec![protocol("range", b""), protocol("sticky", b"")];
    let token = scene.join_with(|join| {
        join.group_instance_id = Some("a".into());
        join.protocols = both();
    });
    scene.advance(3_000);
    let joined = scene.joined(token);
    scene.sync(&joined.member_id, 1, &[]);
    assert_eq!(scene.group.state(), State::Stable);
    let token = scene.join_with(|join| {
        join.group_instance_id = Some("a".into());
        join.protocols = vec![protocol("sticky", b""), protocol("range", b"")];
    });
    let joined = scene.joined(token);
    assert_eq!((joined.generation_id, joined.protocol_name.as_deref()), (2, Some("sticky")));
}

#[test]
fn a_static_member_is_kept_through_a_rebalance_it_misses_until_its_session_ends() {
    let (mut scene, ids, generation_id) = Scene::stable_static(&["a", "b"]);
    let leader = scene.group.leader().expect("a leader").to_owned();
    let token = scene.join_with(|join| {
        join.member_id = leader.clone();
        join.group_instance_id = Some(leader[..1].into());
        join.rebalance_timeout_ms = 8_000;
    });
    assert_eq!(ids.len(), 2);
    scene.advance(10_000);
    let joined = scene.joined(token);
    assert_eq!(joined.generation_id, generation_id + 1);
    assert_eq!(joined.members.len(), 1, "its session of 10 s is over");
}

#[test]
fn an_administrator_removes_a_static_member_by_its_instance_id() {
    let (mut scene, _, _) = Scene::stable_static(&["a", "b"]);
    let outcome = scene.leave(&[("", Some("a")), ("", Some("z")), ("", None), ("wrong", Some("b"))]);
    let unknown = Some(GroupError::UnknownMemberId);
    assert_eq!(outcome, [None, unknown, unknown, Some(GroupError::FencedInstanceId)]);
    assert_eq!(scene.group.state(), State::PreparingRebalance);
}

#[test]
fn a_full_group_takes_nobody_else_but_lets_members_back() {
    let (mut scene, ids, _) = Scene::stable(2);
    scene.config.max_group_size = 2;
    let token = scene.join();
    assert_eq!(scene.join_error(token), (String::new(), GroupError::GroupMaxSizeReached));
    assert_eq!(scene.group.state(), State::Stable);
    let tokens = [scene.rejoin(&ids[0]), scene.rejoin(&ids[1])];
    for token in tokens {
        scene.joined(token);
    }
}

#[test]
fn ids_that_wait_to_be_used_are_bounded_too() {
    let mut scene = Scene::new();
    scene.config.max_group_size = 2;
    for expected in [GroupError::MemberIdRequired, GroupError::MemberIdRequired, GroupError::GroupMaxSizeReached] {
        let token = scene.join_with(|join| join.knows_two_step_join = true);
        assert_eq!(scene.join_error(token).1, expected);
    }
}

#[test]
fn subscriptions_larger_than_the_group_may_be_are_refused() {
    let mut scene = Scene::new();
    scene.config.max_group_bytes = 100;
    let large = Bytes::from(vec![0; 101]);
    let token = scene.join_with(|join| join.protocols = vec![Protocol { name: "range".into(), metadata: large }]);
    assert_eq!(scene.join_error(token).1, GroupError::GroupMaxSizeReached);
    assert!(scene.group.is_unused());
}

#[test]
fn a_new_member_that_waits_too_long_for_its_first_join_is_told_to_start_anew() {
    let (mut scene, ids, generation_id) = Scene::stable(1);
    let newcomer = scene.join_with(|join| join.rebalance_timeout_ms = 600_000);
    for _ in 0..100 {
        scene.advance(3_000);
        let _ = scene.heartbeat(&ids[0], generation_id);
    }
    assert_eq!(scene.join_error(newcomer), (String::new(), GroupError::UnknownMemberId));
}

#[test]
fn a_rebalance_does_not_count_on_a_member_whose_connection_is_gone() {
    let (mut scene, ids, generation_id) = Scene::stable(2);
    let gone = scene.rejoin(&ids[0]);
    let effects = scene.group.step(gone, Event::Abandon, scene.now(), &scene.config);
    scene.take(effects);
    let other = scene.rejoin(&ids[1]);
    assert!(scene.waits(other));
    scene.advance(SESSION_MS as u64);
    let joined = scene.joined(other);
    assert_eq!((joined.generation_id, joined.members.len()), (generation_id + 1, 1));
}

#[test]
fn a_member_whose_connection_is_gone_has_a_session_again() {
    let (mut scene, ids, generation_id) = Scene::stable(2);
    let waiting = scene.rejoin(&ids[0]);
    scene.join();
    for _ in 0..5 {
        scene.advance(5_000);
        let _ = scene.heartbeat(&ids[1], generation_id);
    }
    let effects = scene.group.step(waiting, Event::Abandon, scene.now(), &scene.config);
    scene.take(effects);
    assert!(scene.group.members().any(|member| member.member_id == ids[0]), "the wait itself kept it alive");
    scene.advance(SESSION_MS as u64);
    assert_eq!(scene.heartbeat(&ids[0], generation_id), Err(GroupError::UnknownMemberId));
}

#[test]
fn commits_are_taken_from_members_of_the_generation_only() {
    let (mut scene, ids, generation_id) = Scene::stable(1);
    let id = ids[0].as_str();
    let check = |scene: &Scene, id: &str, instance, generation_id, expected: Result<(), GroupError>| {
        assert_eq!(scene.group.validate_commit(id, instance, generation_id), expected);
    };
    check(&scene, id, None, generation_id, Ok(()));
    check(&scene, id, None, generation_id - 1, Err(GroupError::IllegalGeneration));
    check(&scene, "nobody", None, generation_id, Err(GroupError::UnknownMemberId));
    check(&scene, "", None, -1, Err(GroupError::UnknownMemberId));
    check(&scene, id, Some("instance"), generation_id, Err(GroupError::UnknownMemberId));
    scene.rejoin(id);
    assert_eq!(scene.group.state(), State::CompletingRebalance);
    check(&scene, id, None, generation_id + 1, Err(GroupError::RebalanceInProgress));
    scene.leave(&[(id, None)]);
    check(&scene, "", None, -1, Ok(()));
    check(&scene, id, None, generation_id, Err(GroupError::UnknownMemberId));
}

#[test]
fn a_commit_extends_the_session_as_a_heartbeat_does() {
    let (mut scene, ids, generation_id) = Scene::stable(1);
    for _ in 0..5 {
        scene.advance(9_000);
        let now = scene.now();
        scene.group.on_commit(&ids[0], now);
    }
    assert_eq!(scene.heartbeat(&ids[0], generation_id), Ok(()));
}

#[test]
fn a_stable_group_goes_on_with_its_generation_after_a_restart() {
    let (mut scene, ids, generation_id) = Scene::stable_static(&["a", "b"]);
    scene.group = Group::restore(scene.group.to_stored(), scene.now());
    assert_eq!(scene.group.state(), State::Stable);
    for id in &ids {
        assert_eq!(scene.heartbeat_as(id, Some(&id[..1]), generation_id), Ok(()));
        let token = scene.sync(id, generation_id, &[]);
        assert_eq!(scene.synced(token), Ok(format!("for {id}")));
    }
    scene.advance(SESSION_MS as u64);
    assert_eq!(scene.group.state(), State::Empty);
}

#[test]
fn a_group_restarted_before_the_assignment_takes_it_afterwards() {
    let mut scene = Scene::new();
    let tokens = [scene.join(), scene.join()];
    scene.advance(6_000);
    let [leader, follower] = tokens.map(|token| scene.joined(token));
    scene.group = Group::restore(scene.group.to_stored(), scene.now());
    assert_eq!(scene.group.state(), State::CompletingRebalance);
    let waiting = scene.sync(&follower.member_id, 1, &[]);
    scene.sync(&leader.member_id, 1, &[(&follower.member_id, "two")]);
    assert_eq!(scene.synced(waiting), Ok("two".into()));
}

#[test]
fn everybody_who_waits_is_answered_when_the_group_ends() {
    let (mut scene, ids, _) = Scene::stable(2);
    let waiting = scene.rejoin(&ids[0]);
    let effects = scene.group.kill();
    scene.take(effects);
    assert_eq!(scene.join_error(waiting).1, GroupError::CoordinatorNotAvailable);
    let token = scene.join();
    assert_eq!(scene.join_error(token).1, GroupError::CoordinatorNotAvailable);
    assert_eq!(scene.heartbeat(&ids[0], 1), Err(GroupError::CoordinatorNotAvailable));
}
