//! How assignments reach the members.

use super::*;

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
