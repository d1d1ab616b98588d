//! How members stay and go: heartbeats, commits, leaving, sessions, restarts.

use super::*;

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
fn session_timeouts_outside_of_the_range_are_refused() {
    for session_timeout_ms in [i32::MIN, -1, 0, 5_999, 1_800_001, i32::MAX] {
        let mut scene = Scene::new();
        let token = scene.join_with(|join| join.session_timeout_ms = session_timeout_ms);
        assert_eq!(scene.join_error(token).1, GroupError::InvalidSessionTimeout);
    }
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
fn the_last_member_to_leave_empties_the_group_in_a_new_generation() {
    let (mut scene, ids, generation_id) = Scene::stable(2);
    assert_eq!(
        scene.leave(&[(&ids[0], None), ("nobody", None), (&ids[1], None)]),
        [None, Some(GroupError::UnknownMemberId), None]
    );
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
