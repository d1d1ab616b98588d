//! The coordinator with a real log on disk and real time: what waits, what is abandoned, what survives.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::groups::classic::event::Protocol;
use crate::groups::classic::group::State;
use crate::groups::shard::NewOffset;

/// Longer than anything here takes; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

fn tenant() -> LogicalClusterId {
    "lkc-abc".parse().expect("a tenant")
}

fn config() -> GroupConfig {
    GroupConfig { initial_rebalance_delay_ms: 0, min_session_timeout_ms: 1, shards: 2, ..GroupConfig::default() }
}

async fn start(directory: &Path) -> Arc<GroupCoordinator> {
    GroupCoordinator::start(directory, config()).await.expect("the coordinator starts")
}

fn join(member_id: &str) -> Join {
    Join {
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        member_id: member_id.into(),
        group_instance_id: None,
        new_member_id: format!("client-{}", Uuid::new_v4()),
        protocol_type: "consumer".into(),
        protocols: vec![Protocol { name: "range".into(), metadata: Bytes::from_static(b"anything") }],
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        knows_two_step_join: false,
        knows_skip_assignment: true,
    }
}

fn sync(joined: &Joined, assignment: &'static [u8]) -> Sync {
    let is_leader = joined.leader == joined.member_id;
    let everybody = joined.members.iter().map(|member| (member.member_id.clone(), Bytes::from_static(assignment)));
    Sync {
        member_id: joined.member_id.clone(),
        group_instance_id: None,
        generation_id: joined.generation_id,
        protocol_type: None,
        protocol_name: None,
        assignments: if is_leader { everybody.collect() } else { Vec::new() },
    }
}

fn heartbeat(joined: &Joined) -> Heartbeat {
    Heartbeat { member_id: joined.member_id.clone(), group_instance_id: None, generation_id: joined.generation_id }
}

fn commit(topic: &str, partition: i32, offset: i64) -> Commit {
    let committed = CommittedOffset {
        offset,
        leader_epoch: -1,
        metadata: String::new(),
        committed_at_ms: 1,
        expires_at_ms: None,
        topic_id: Uuid::nil(),
    };
    let committed = CommittedOffset { committed_at_ms: crate::clock::now_ms(), ..committed };
    Commit {
        member_id: String::new(),
        group_instance_id: None,
        generation_id: -1,
        offsets: vec![NewOffset { topic: topic.into(), partition, committed }],
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it ends in time")
}

async fn until(mut condition: impl FnMut() -> bool) {
    within(async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn offset(groups: &GroupCoordinator, group_id: &str, topic: &str) -> Option<i64> {
    groups
        .with_offsets(&tenant(), group_id, |offsets| offsets.get(topic, 0).map(|committed| committed.offset))
        .expect("the coordinator runs")
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_join_sync_and_rebalance_when_one_leaves() {
    let directory = directory();
    let groups = start(directory.path()).await;
    let tenant = tenant();
    let first = within(groups.join(&tenant, "g", join(""))).await.expect("joined");
    let second = {
        let (groups, tenant) = (Arc::clone(&groups), tenant.clone());
        tokio::spawn(async move { groups.join(&tenant, "g", join("")).await })
    };
    until(|| groups.describe(&tenant, "g").expect("runs").is_some_and(|group| group.members.len() == 2)).await;
    assert_eq!(within(groups.heartbeat(&tenant, "g", heartbeat(&first))).await, Err(GroupError::RebalanceInProgress));
    let first = within(groups.join(&tenant, "g", join(&first.member_id))).await.expect("joined");
    let second = within(second).await.expect("ran").expect("joined");
    assert_eq!(first.generation_id, second.generation_id);

    let (leader, follower) = if first.members.is_empty() { (second, first) } else { (first, second) };
    let waiting = groups.sync(&tenant, "g", sync(&follower, b""));
    let led = groups.sync(&tenant, "g", sync(&leader, b"yours"));
    let (waited, led) = within(async { tokio::join!(waiting, led) }).await;
    assert_eq!(waited.expect("synced").assignment, Bytes::from_static(b"yours"));
    assert_eq!(led.expect("synced").assignment, Bytes::from_static(b"yours"));

    let leaver = Leaver { member_id: leader.member_id.clone(), group_instance_id: None };
    within(groups.leave(&tenant, "g", vec![leaver])).await.expect("left");
    let alone = within(groups.join(&tenant, "g", join(&follower.member_id))).await.expect("joined");
    assert_eq!((alone.leader, alone.members.len()), (alone.member_id, 1));
    groups.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_request_leaves_nothing_behind() {
    let directory = directory();
    let groups = start(directory.path()).await;
    let tenant = tenant();
    let first = within(groups.join(&tenant, "g", join(""))).await.expect("joined");
    let waiting = {
        let (groups, tenant) = (Arc::clone(&groups), tenant.clone());
        let impatient = Join { session_timeout_ms: 1, ..join("") };
        tokio::spawn(async move { groups.join(&tenant, "g", impatient).await })
    };
    let waits = || groups.slots.iter().map(|slot| slot.waiting()).sum::<usize>();
    until(|| waits() == 1).await;
    waiting.abort();
    until(|| waits() == 0).await;
    // The member itself goes with its session, so the first one is not held up.
    let again = within(groups.join(&tenant, "g", join(&first.member_id))).await.expect("joined");
    assert_eq!(again.members.len(), 1);
    groups.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_member_is_removed_when_its_session_ends() {
    let directory = directory();
    let groups = start(directory.path()).await;
    let tenant = tenant();
    let joined = within(groups.join(&tenant, "g", Join { session_timeout_ms: 20, ..join("") })).await.expect("joined");
    within(groups.sync(&tenant, "g", sync(&joined, b"yours"))).await.expect("synced");
    until(|| groups.describe(&tenant, "g").expect("runs").is_some_and(|group| group.state == State::Empty)).await;
    let refused = within(groups.heartbeat(&tenant, "g", heartbeat(&joined))).await;
    assert_eq!(refused, Err(GroupError::UnknownMemberId));
    groups.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_and_offsets_survive_a_crash_and_a_stop() {
    let directory = directory();
    let groups = start(directory.path()).await;
    let tenant = tenant();
    let joined = within(groups.join(&tenant, "g", join(""))).await.expect("joined");
    within(groups.sync(&tenant, "g", sync(&joined, b"yours"))).await.expect("synced");
    assert_eq!(groups.commit(&tenant, "other", &commit("t", 0, 5)), Ok(()));
    // A crash: nothing is closed.
    drop(groups);
    let groups = start(directory.path()).await;
    assert_eq!(within(groups.heartbeat(&tenant, "g", heartbeat(&joined))).await, Ok(()));
    assert_eq!(offset(&groups, "other", "t"), Some(5));
    groups.shutdown().await;
    let groups = start(directory.path()).await;
    assert_eq!(within(groups.heartbeat(&tenant, "g", heartbeat(&joined))).await, Ok(()));
    assert_eq!(offset(&groups, "other", "t"), Some(5));
    groups.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_stays_short_however_much_is_committed() {
    let directory = directory();
    let config = GroupConfig { snapshot_after_records: 100, shards: 1, ..config() };
    let groups = GroupCoordinator::start(directory.path(), config.clone()).await.expect("starts");
    for number in 0..5_000 {
        assert_eq!(groups.commit(&tenant(), "g", &commit("t", number % 3, i64::from(number))), Ok(()));
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let log_bytes = || -> u64 {
        let files = fs::read_dir(directory.path().join("0/log")).expect("the log is there");
        files.filter_map(|file| file.ok()?.metadata().ok()).map(|file| file.len()).sum()
    };
    // Five thousand commits take half a megabyte.
    until(|| directory.path().join("0/snapshot").exists() && log_bytes() < 100_000).await;
    drop(groups);
    let groups = GroupCoordinator::start(directory.path(), config).await.expect("starts");
    let committed = groups.committed_offsets(&tenant(), "g").expect("runs").expect("the group");
    let committed: Vec<i64> = committed.into_iter().map(|(_, _, committed)| committed.offset).collect();
    assert_eq!(committed, [4_998, 4_999, 4_997]);
    groups.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_stop_everything_is_refused_and_nobody_waits() {
    let directory = directory();
    let groups = start(directory.path()).await;
    let tenant = tenant();
    within(groups.join(&tenant, "g", join(""))).await.expect("joined");
    let waiting = {
        let (groups, tenant) = (Arc::clone(&groups), tenant.clone());
        tokio::spawn(async move { groups.join(&tenant, "g", join("")).await })
    };
    until(|| groups.slots.iter().any(|slot| slot.waiting() == 1)).await;
    groups.shutdown().await;
    let refused = within(waiting).await.expect("ran").expect_err("refused");
    assert_eq!(refused.error, GroupError::CoordinatorNotAvailable);
    assert_eq!(groups.commit(&tenant, "g", &commit("t", 0, 1)), Err(GroupError::CoordinatorNotAvailable));
    assert_eq!(groups.list(&tenant), Err(GroupError::CoordinatorNotAvailable));
    let refused = within(groups.join(&tenant, "g", join(""))).await.expect_err("refused");
    assert_eq!(refused.error, GroupError::CoordinatorNotAvailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_listed_in_order_over_all_shards_and_deleted_with_their_tenant() {
    let directory = directory();
    let groups = start(directory.path()).await;
    for group_id in ["c", "a", "d", "b"] {
        assert_eq!(groups.commit(&tenant(), group_id, &commit("t", 0, 1)), Ok(()));
    }
    let ids = || groups.list(&tenant()).expect("runs").into_iter().map(|group| group.group_id).collect::<Vec<_>>();
    assert_eq!(ids(), ["a", "b", "c", "d"]);
    groups.on_topic_deleted(&tenant(), "t").await;
    assert_eq!(offset(&groups, "a", "t"), None);
    assert_eq!(groups.commit(&tenant(), "a", &commit("t", 0, 1)), Ok(()));
    assert_eq!(groups.delete_group(&tenant(), "a"), Ok(()));
    groups.on_tenant_deleted(&tenant()).await;
    assert!(ids().is_empty());
    groups.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_shards_is_refused() {
    let directory = directory();
    start(directory.path()).await.shutdown().await;
    let refused = GroupCoordinator::start(directory.path(), GroupConfig { shards: 3, ..config() }).await;
    let message = refused.err().expect("refused").to_string();
    assert!(message.contains("\"1 2\"") && message.contains("\"1 3\""), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_stops_the_start() {
    let directory = directory();
    start(directory.path()).await.shutdown().await;
    fs::write(directory.path().join("0/snapshot"), b"nonsense").expect("written");
    assert!(matches!(GroupCoordinator::start(directory.path(), config()).await, Err(StartError::Load { .. })));
}
