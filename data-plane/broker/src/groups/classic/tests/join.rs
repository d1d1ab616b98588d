//! How members come in and when the group rebalances.

use super::*;

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
