//! Static members: coming back, fencing, being removed by name.

use super::*;

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
