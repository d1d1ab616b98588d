//! What is refused: wrong values, strangers, too many, too much.

use super::*;

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
