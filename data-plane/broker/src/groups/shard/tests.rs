//! What survives, what is refused and what is forgotten, with a journal in memory.

use std::path::Path;

use bytes::Bytes;
use millstream_api::ids::LogicalClusterId;
use tempfile::TempDir;
use uuid::Uuid;

use super::{Commit, NewOffset, Shard};
use crate::groups::classic::event::{Event, Heartbeat, Join, Joined, Leaver, Protocol, Reply, Sync, Token};
use crate::groups::classic::group::State;
use crate::groups::config::GroupConfig;
use crate::groups::error::GroupError;
use crate::groups::journal::memory::MemoryJournal;
use crate::groups::moment::Moment;
use crate::groups::offsets::CommittedOffset;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

struct Scene {
    directory: TempDir,
    journal: MemoryJournal,
    config: GroupConfig,
    shard: Shard,
    now_ms: u64,
    next: u64,
}

fn tenant(name: &str) -> LogicalClusterId {
    format!("lkc-{name}").parse().expect("a tenant")
}

fn load(directory: &Path, journal: &MemoryJournal, config: &GroupConfig, now_ms: u64) -> Shard {
    let now = Moment { wall_ms: now_ms as i64, monotonic_ms: now_ms };
    Shard::load(directory, Box::new(journal.clone()), config.clone(), now).expect("the shard loads")
}

impl Scene {
    fn new() -> Self {
        Self::with(GroupConfig { initial_rebalance_delay_ms: 0, shards: 1, ..GroupConfig::default() })
    }

    fn with(config: GroupConfig) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let journal = MemoryJournal::default();
        let shard = load(directory.path(), &journal, &config, 0);
        Self { directory, journal, config, shard, now_ms: 0, next: 0 }
    }

    fn now(&self) -> Moment {
        Moment { wall_ms: self.now_ms as i64, monotonic_ms: self.now_ms }
    }

    fn restart(&mut self) {
        self.shard = load(self.directory.path(), &self.journal, &self.config, self.now_ms);
    }

    fn snapshot(&mut self) {
        let pending = self.shard.prepare_snapshot().expect("a cut point");
        pending.write().expect("the snapshot is written");
        self.shard.on_snapshot_written(&pending).expect("the journal is cut");
    }

    fn step(&mut self, tenant: &LogicalClusterId, group_id: &str, event: Event) -> Vec<(Token, Reply)> {
        self.next += 1;
        self.shard.step(tenant, group_id, Token(self.next), event, self.now())
    }

    fn advance(&mut self, by_ms: u64) -> Vec<(Token, Reply)> {
        self.now_ms += by_ms;
        self.shard.on_time(self.now())
    }

    fn join(&self, protocol_type: &str, topics: &[&str]) -> Event {
        let mut metadata = vec![0, 1];
        metadata.extend_from_slice(&(topics.len() as u32).to_be_bytes());
        for topic in topics {
            metadata.extend_from_slice(&(topic.len() as u16).to_be_bytes());
            metadata.extend_from_slice(topic.as_bytes());
        }
        Event::Join(Join {
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            member_id: String::new(),
            group_instance_id: None,
            new_member_id: format!("member-{}", self.next),
            protocol_type: protocol_type.into(),
            protocols: vec![Protocol { name: "range".into(), metadata: metadata.into() }],
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 60_000,
            knows_two_step_join: false,
            knows_skip_assignment: true,
        })
    }

    fn joined(replies: Vec<(Token, Reply)>) -> Joined {
        match replies.into_iter().next() {
            Some((_, Reply::Join(Ok(joined)))) => joined,
            other => panic!("no generation but {other:?}"),
        }
    }

    /// A stable group of one member, whose assignment is its group's name.
    fn stable(&mut self, tenant: &LogicalClusterId, group_id: &str, topics: &[&str]) -> Joined {
        let join = self.join("consumer", topics);
        self.step(tenant, group_id, join);
        let joined = Self::joined(self.advance(0));
        let assignments = vec![(joined.member_id.clone(), Bytes::from(group_id.to_owned()))];
        let synced = self.sync(tenant, group_id, &joined, assignments);
        assert!(matches!(synced, Reply::Sync(Ok(_))), "{synced:?}");
        joined
    }

    fn sync(
        &mut self,
        tenant: &LogicalClusterId,
        group_id: &str,
        joined: &Joined,
        assignments: Vec<(String, Bytes)>,
    ) -> Reply {
        let sync = Sync {
            member_id: joined.member_id.clone(),
            group_instance_id: None,
            generation_id: joined.generation_id,
            protocol_type: None,
            protocol_name: None,
            assignments,
        };
        self.step(tenant, group_id, Event::Sync(sync)).pop().expect("an answer").1
    }

    fn heartbeat(&mut self, tenant: &LogicalClusterId, group_id: &str, joined: &Joined) -> Reply {
        let heartbeat = Heartbeat {
            member_id: joined.member_id.clone(),
            group_instance_id: None,
            generation_id: joined.generation_id,
        };
        self.step(tenant, group_id, Event::Heartbeat(heartbeat)).pop().expect("an answer").1
    }

    fn leave(&mut self, tenant: &LogicalClusterId, group_id: &str, joined: &Joined) {
        let leaver = Leaver { member_id: joined.member_id.clone(), group_instance_id: None };
        self.step(tenant, group_id, Event::Leave(vec![leaver]));
    }

    fn commit(&mut self, tenant: &LogicalClusterId, group: &str, topic: &str, offset: i64) -> Result<(), GroupError> {
        self.commit_as(tenant, group, "", -1, &[(topic, 0, offset)])
    }

    fn commit_as(
        &mut self,
        tenant: &LogicalClusterId,
        group_id: &str,
        member_id: &str,
        generation_id: i32,
        offsets: &[(&str, i32, i64)],
    ) -> Result<(), GroupError> {
        let now = self.now();
        let offsets = offsets.iter().map(|(topic, partition, offset)| NewOffset {
            topic: (*topic).into(),
            partition: *partition,
            committed: CommittedOffset {
                offset: *offset,
                leader_epoch: 3,
                metadata: "note".into(),
                committed_at_ms: now.wall_ms,
                expires_at_ms: None,
                topic_id: Uuid::nil(),
            },
        });
        let commit =
            Commit { member_id: member_id.into(), group_instance_id: None, generation_id, offsets: offsets.collect() };
        self.shard.commit(tenant, group_id, &commit, now)
    }

    fn committed(&self, tenant: &LogicalClusterId, group_id: &str, topic: &str) -> Option<i64> {
        Some(self.shard.offsets(tenant, group_id)?.get(topic, 0)?.offset)
    }

    fn groups(&self, tenant: &LogicalClusterId) -> Vec<(String, State)> {
        self.shard.list(tenant).into_iter().map(|listing| (listing.group_id, listing.state)).collect()
    }
}

#[test]
fn committed_offsets_survive_a_restart() {
    let (mut scene, a) = (Scene::new(), tenant("a"));
    assert_eq!(scene.commit(&a, "g", "t", 5), Ok(()));
    assert_eq!(scene.commit(&a, "g", "t", 7), Ok(()));
    scene.restart();
    assert_eq!(scene.committed(&a, "g", "t"), Some(7));
    let offsets = scene.shard.offsets(&a, "g").expect("the group");
    let committed = offsets.get("t", 0).expect("the offset");
    assert_eq!((committed.leader_epoch, committed.metadata.as_str()), (3, "note"));
}

#[test]
fn equal_names_of_two_tenants_do_not_meet() {
    let (mut scene, a, b) = (Scene::new(), tenant("a"), tenant("b"));
    assert_eq!(scene.commit(&a, "g", "t", 5), Ok(()));
    assert_eq!(scene.committed(&b, "g", "t"), None);
    assert_eq!(scene.groups(&b), []);
    let joined = scene.stable(&b, "g", &["t"]);
    assert!(matches!(scene.heartbeat(&a, "g", &joined), Reply::Heartbeat(Err(GroupError::UnknownMemberId))));
    assert_eq!(scene.shard.delete_group(&a, "g", scene.now()), Ok(()));
    assert_eq!(scene.groups(&b), [("g".into(), State::Stable)]);
}

#[test]
fn members_go_on_with_their_generation_after_a_restart() {
    let (mut scene, a) = (Scene::new(), tenant("a"));
    let joined = scene.stable(&a, "g", &["t"]);
    scene.restart();
    assert!(matches!(scene.heartbeat(&a, "g", &joined), Reply::Heartbeat(Ok(()))));
    assert_eq!(scene.commit_as(&a, "g", &joined.member_id, joined.generation_id, &[("t", 0, 9)]), Ok(()));
    match scene.sync(&a, "g", &joined, vec![]) {
        Reply::Sync(Ok(synced)) => assert_eq!(synced.assignment, Bytes::from_static(b"g")),
        other => panic!("no assignment but {other:?}"),
    }
    scene.advance(10_000);
    assert_eq!(scene.groups(&a), [("g".into(), State::Empty)]);
}

#[test]
fn a_generation_is_never_given_out_twice_even_if_the_assignment_is_lost() {
    let (mut scene, a) = (Scene::new(), tenant("a"));
    let join = scene.join("consumer", &["t"]);
    scene.step(&a, "g", join);
    let joined = Scene::joined(scene.advance(0));
    scene.restart();
    scene.leave(&a, "g", &joined);
    let join = scene.join("consumer", &["t"]);
    scene.step(&a, "g", join);
    assert!(Scene::joined(scene.advance(0)).generation_id > joined.generation_id);
}

#[test]
fn a_snapshot_takes_the_place_of_the_journal_before_it() {
    let (mut scene, a) = (Scene::new(), tenant("a"));
    let joined = scene.stable(&a, "g", &["t"]);
    for offset in 0..100 {
        assert_eq!(scene.commit(&a, "other", "t", offset), Ok(()));
    }
    scene.snapshot();
    assert_eq!(scene.journal.len(), 0);
    assert_eq!(scene.commit(&a, "other", "t", 100), Ok(()));
    scene.restart();
    assert_eq!(scene.committed(&a, "other", "t"), Some(100));
    assert!(matches!(scene.heartbeat(&a, "g", &joined), Reply::Heartbeat(Ok(()))));
}

#[test]
fn a_snapshot_whose_journal_was_not_cut_yet_is_no_problem() {
    let (mut scene, a) = (Scene::new(), tenant("a"));
    assert_eq!(scene.commit(&a, "g", "t", 1), Ok(()));
    scene.shard.prepare_snapshot().expect("a cut point").write().expect("written");
    assert_eq!(scene.commit(&a, "g", "t", 2), Ok(()));
    scene.restart();
    assert_eq!(scene.committed(&a, "g", "t"), Some(2));
}

#[test]
fn a_journal_that_lost_its_end_does_not_hide_what_is_written_later() {
    let (mut scene, a) = (Scene::new(), tenant("a"));
    for offset in 0..10 {
        assert_eq!(scene.commit(&a, "g", "t", offset), Ok(()));
    }
    scene.snapshot();
    scene.journal.lose_from(4);
    scene.restart();
    assert_eq!(scene.committed(&a, "g", "t"), Some(9));
    assert_eq!(scene.commit(&a, "g", "t", 10), Ok(()));
    scene.restart();
    assert_eq!(scene.committed(&a, "g", "t"), Some(10));
}

#[test]
fn snapshots_are_wanted_after_enough_records_or_bytes_and_growth() {
    let config = GroupConfig { snapshot_after_records: 10, shards: 1, ..GroupConfig::default() };
    let (mut scene, a) = (Scene::with(config), tenant("a"));
    for offset in 0..9 {
        assert_eq!(scene.commit(&a, "g", "t", offset), Ok(()));
    }
    assert!(!scene.shard.needs_snapshot());
    assert_eq!(scene.commit(&a, "g", "t", 9), Ok(()));
    assert!(scene.shard.needs_snapshot());
    scene.snapshot();
    assert!(!scene.shard.needs_snapshot());

    let many: Vec<(String, i32, i64)> = (0..1_000).map(|partition| ("t".to_owned(), partition, 1)).collect();
    let many: Vec<(&str, i32, i64)> =
        many.iter().map(|(topic, partition, offset)| (topic.as_str(), *partition, *offset)).collect();
    assert_eq!(scene.commit_as(&a, "g", "", -1, &many), Ok(()));
    scene.snapshot();
    for offset in 0..10 {
        assert_eq!(scene.commit(&a, "g", "t", offset), Ok(()));
    }
    assert!(!scene.shard.needs_snapshot(), "ten records are little beside a thousand");
}

#[test]
fn a_commit_that_cannot_be_written_is_not_visible() {
    let (mut scene, a) = (Scene::new(), tenant("a"));
    assert_eq!(scene.commit(&a, "g", "t", 1), Ok(()));
    scene.journal.set_broken(true);
    assert_eq!(scene.commit(&a, "g", "t", 2), Err(GroupError::CoordinatorNotAvailable));
    assert_eq!(scene.committed(&a, "g", "t"), Some(1));
    scene.journal.set_broken(false);
    assert_eq!(scene.commit(&a, "g", "t", 3), Ok(()));
}

#[test]
fn an_assignment_that_cannot_be_written_is_withheld_until_it_can() {
    let (mut scene, a) = (Scene::new(), tenant("a"));
    let join = scene.join("consumer", &["t"]);
    scene.step(&a, "g", join);
    let joined = Scene::joined(scene.advance(0));
    scene.journal.set_broken(true);
    let assignments = vec![(joined.member_id.clone(), Bytes::from_static(b"mine"))];
    let withheld = scene.sync(&a, "g", &joined, assignments);
    assert!(matches!(withheld, Reply::Sync(Err(GroupError::CoordinatorNotAvailable))));
    let withheld = scene.sync(&a, "g", &joined, vec![]);
    assert!(matches!(withheld, Reply::Sync(Err(GroupError::CoordinatorNotAvailable))));
    scene.journal.set_broken(false);
    assert!(matches!(scene.sync(&a, "g", &joined, vec![]), Reply::Sync(Ok(_))));
    scene.restart();
    match scene.sync(&a, "g", &joined, vec![]) {
        Reply::Sync(Ok(synced)) => assert_eq!(synced.assignment, Bytes::from_static(b"mine")),
        other => panic!("no assignment but {other:?}"),
    }
}

#[test]
fn only_a_new_member_or_a_commit_without_one_makes_a_group() {
    let (mut scene, a) = (Scene::new(), tenant("a"));
    let stranger = Joined {
        member_id: "member".into(),
        generation_id: 1,
        protocol_type: None,
        protocol_name: None,
        leader: String::new(),
        skip_assignment: false,
        members: vec![],
    };
    assert!(matches!(scene.heartbeat(&a, "g", &stranger), Reply::Heartbeat(Err(GroupError::UnknownMemberId))));
    assert!(matches!(scene.sync(&a, "g", &stranger, vec![]), Reply::Sync(Err(GroupError::UnknownMemberId))));
    let error = scene.commit_as(&a, "g", "member", 1, &[("t", 0, 1)]);
    assert_eq!(error, Err(GroupError::IllegalGeneration));
    let Event::Join(mut join) = scene.join("consumer", &[]) else { panic!("a join") };
    join.session_timeout_ms = 1;
    scene.step(&a, "g", Event::Join(join));
    assert_eq!(scene.groups(&a), []);
    assert_eq!(scene.commit(&a, "g", "t", 1), Ok(()));
    assert_eq!(scene.groups(&a), [("g".into(), State::Empty)]);
}

#[test]
fn groups_and_offsets_of_one_tenant_are_bounded() {
    let config =
        GroupConfig { max_groups_per_tenant: 2, max_offsets_per_group: 2, shards: 1, ..GroupConfig::default() };
    let (mut scene, a) = (Scene::with(config), tenant("a"));
    assert_eq!(scene.commit(&a, "g1", "t", 1), Ok(()));
    assert_eq!(scene.commit(&a, "g2", "t", 1), Ok(()));
    assert_eq!(scene.commit(&a, "g3", "t", 1), Err(GroupError::PolicyViolation));
    let join = scene.join("consumer", &[]);
    let replies = scene.step(&a, "g3", join);
    assert!(matches!(&replies[0].1, Reply::Join(Err(refused)) if refused.error == GroupError::PolicyViolation));
    assert_eq!(scene.commit(&tenant("b"), "g3", "t", 1), Ok(()));
    assert_eq!(scene.commit_as(&a, "g1", "", -1, &[("t", 0, 2), ("t", 1, 2)]), Ok(()));
    assert_eq!(scene.commit_as(&a, "g1", "", -1, &[("t", 2, 2)]), Err(GroupError::PolicyViolation));
    assert_eq!(scene.commit_as(&a, "g1", "", -1, &[("t", 1, 3)]), Ok(()));
}

#[test]
fn offsets_expire_seven_days_after_the_last_member_left() {
    let (mut scene, a) = (Scene::new(), tenant("a"));
    let joined = scene.stable(&a, "g", &["t"]);
    assert_eq!(scene.commit_as(&a, "g", &joined.member_id, joined.generation_id, &[("t", 0, 5)]), Ok(()));
    scene.now_ms = 30 * DAY_MS;
    scene.shard.expire_offsets(scene.now());
    assert_eq!(scene.committed(&a, "g", "t"), Some(5), "a member reads the topic");
    scene.leave(&a, "g", &joined);
    scene.now_ms += 7 * DAY_MS - 1;
    scene.restart();
    scene.shard.expire_offsets(scene.now());
    assert_eq!(scene.committed(&a, "g", "t"), Some(5));
    scene.now_ms += 1;
    scene.shard.expire_offsets(scene.now());
    assert_eq!(scene.groups(&a), [], "nothing is left of the group");
    scene.restart();
    assert_eq!(scene.groups(&a), []);
}

#[test]
fn offsets_of_a_group_that_nobody_joined_expire_after_their_commit() {
    let (mut scene, a) = (Scene::new(), tenant("a"));
    assert_eq!(scene.commit(&a, "g", "t", 5), Ok(()));
    scene.now_ms = 6 * DAY_MS;
    assert_eq!(scene.commit(&a, "g", "u", 5), Ok(()));
    scene.now_ms = 7 * DAY_MS;
    scene.shard.expire_offsets(scene.now());
    assert_eq!((scene.committed(&a, "g", "t"), scene.committed(&a, "g", "u")), (None, Some(5)));
}

#[test]
fn a_stable_group_loses_the_offsets_of_topics_it_no_longer_reads() {
    let (mut scene, a) = (Scene::new(), tenant("a"));
    let joined = scene.stable(&a, "g", &["t"]);
    let both = [("t", 0, 5), ("u", 0, 5)];
    assert_eq!(scene.commit_as(&a, "g", &joined.member_id, joined.generation_id, &both), Ok(()));
    scene.now_ms = 8 * DAY_MS;
    scene.shard.expire_offsets(scene.now());
    assert_eq!((scene.committed(&a, "g", "t"), scene.committed(&a, "g", "u")), (Some(5), None));
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let (mut scene, a, b) = (Scene::new(), tenant("a"), tenant("b"));
    for (owner, topic) in [(&a, "t"), (&a, "u"), (&b, "t")] {
        assert_eq!(scene.commit(owner, "g", topic, 5), Ok(()));
    }
    assert_eq!(scene.shard.on_topic_deleted(&a, "t", scene.now()), Ok(()));
    scene.restart();
    assert_eq!(scene.committed(&a, "g", "t"), None);
    assert_eq!(scene.committed(&a, "g", "u"), Some(5));
    assert_eq!(scene.committed(&b, "g", "t"), Some(5));
}

#[test]
fn a_group_is_deleted_only_when_it_has_no_members() {
    let (mut scene, a) = (Scene::new(), tenant("a"));
    assert_eq!(scene.shard.delete_group(&a, "g", scene.now()), Err(GroupError::GroupIdNotFound));
    let joined = scene.stable(&a, "g", &["t"]);
    assert_eq!(scene.commit_as(&a, "g", &joined.member_id, joined.generation_id, &[("t", 0, 5)]), Ok(()));
    assert_eq!(scene.shard.delete_group(&a, "g", scene.now()), Err(GroupError::NonEmptyGroup));
    scene.leave(&a, "g", &joined);
    assert_eq!(scene.shard.delete_group(&a, "g", scene.now()), Ok(()));
    assert_eq!(scene.groups(&a), []);
    scene.restart();
    assert_eq!(scene.groups(&a), []);
    assert_eq!(scene.shard.next_deadline_ms(), None);
}

#[test]
fn offsets_of_topics_that_members_read_are_not_deleted() {
    let (mut scene, a) = (Scene::new(), tenant("a"));
    let places = [("t".to_owned(), 0), ("u".to_owned(), 0), ("u".to_owned(), 9)];
    assert_eq!(scene.shard.delete_offsets(&a, "g", &places, scene.now()), Err(GroupError::GroupIdNotFound));
    let joined = scene.stable(&a, "g", &["t"]);
    let both = [("t", 0, 5), ("u", 0, 5)];
    assert_eq!(scene.commit_as(&a, "g", &joined.member_id, joined.generation_id, &both), Ok(()));
    let outcomes = scene.shard.delete_offsets(&a, "g", &places, scene.now());
    assert_eq!(outcomes, Ok(vec![Err(GroupError::GroupSubscribedToTopic), Ok(()), Ok(())]));
    scene.restart();
    assert_eq!((scene.committed(&a, "g", "t"), scene.committed(&a, "g", "u")), (Some(5), None));
    scene.leave(&a, "g", &joined);
    assert_eq!(scene.shard.delete_offsets(&a, "g", &places[..1], scene.now()), Ok(vec![Ok(())]));
    assert_eq!(scene.committed(&a, "g", "t"), None);
}

#[test]
fn offsets_of_an_active_group_that_is_not_of_consumers_are_not_deleted() {
    let (mut scene, a) = (Scene::new(), tenant("a"));
    let join = scene.join("connect", &[]);
    scene.step(&a, "g", join);
    let outcome = scene.shard.delete_offsets(&a, "g", &[("t".to_owned(), 0)], scene.now());
    assert_eq!(outcome, Err(GroupError::NonEmptyGroup));
}

#[test]
fn a_deleted_tenant_leaves_nothing_and_its_members_are_told() {
    let (mut scene, a, b) = (Scene::new(), tenant("a"), tenant("b"));
    assert_eq!(scene.commit(&a, "g", "t", 5), Ok(()));
    assert_eq!(scene.commit(&b, "g", "t", 5), Ok(()));
    let join = scene.join("consumer", &[]);
    scene.step(&a, "other", join);
    let replies = scene.shard.on_tenant_deleted(&a, scene.now()).expect("written");
    assert!(matches!(&replies[..], [(_, Reply::Join(Err(_)))]), "{replies:?}");
    assert_eq!(scene.groups(&a), []);
    scene.restart();
    assert_eq!(scene.groups(&a), []);
    assert_eq!(scene.committed(&b, "g", "t"), Some(5));
}

#[test]
fn descriptions_show_subscriptions_and_assignments_of_stable_groups_only() {
    let (mut scene, a) = (Scene::new(), tenant("a"));
    let joined = scene.stable(&a, "g", &["t"]);
    let description = scene.shard.describe(&a, "g").expect("the group");
    assert_eq!((description.state, description.protocol_name.as_deref()), (State::Stable, Some("range")));
    assert_eq!(description.leader.as_ref(), Some(&joined.member_id));
    assert_eq!(description.members[0].assignment, Bytes::from_static(b"g"));
    assert!(!description.members[0].metadata.is_empty());
    let join = scene.join("consumer", &["t"]);
    scene.step(&a, "g", join);
    let description = scene.shard.describe(&a, "g").expect("the group");
    assert_eq!((description.state, description.protocol_name), (State::PreparingRebalance, None));
    assert!(description.members[0].metadata.is_empty());
    assert_eq!(scene.shard.describe(&a, "nothing"), None);
}

#[test]
fn everybody_who_waits_is_answered_when_the_shard_closes_and_nothing_is_lost() {
    let (mut scene, a) = (Scene::new(), tenant("a"));
    let joined = scene.stable(&a, "g", &["t"]);
    let join = scene.join("consumer", &["t"]);
    scene.step(&a, "g", join);
    assert_eq!(scene.shard.close().len(), 1);
    scene.restart();
    assert!(matches!(scene.heartbeat(&a, "g", &joined), Reply::Heartbeat(Ok(()))));
}
