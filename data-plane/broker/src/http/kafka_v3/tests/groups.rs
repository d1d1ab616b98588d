//! Consumer groups through the front door.

use bytes::Bytes;
use serde_json::json;
use uuid::Uuid;

use super::{Fixture, code, start};
use crate::groups::classic::event::{Join, Protocol, Sync};
use crate::groups::offsets::CommittedOffset;
use crate::groups::shard::{Commit, NewOffset};

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_groups_has_an_empty_list_and_an_unknown_group_is_not_found() {
    let fixture = start().await;
    let (status, groups) = fixture.get("/consumer-groups").await;
    assert_eq!((status, &groups["data"], &groups["kind"]), (200, &json!([]), &json!("KafkaConsumerGroupList")));
    for path in
        ["", "/consumers", "/consumers/c", "/consumers/c/assignments", "/lags", "/lag-summary", "/lags/t/partitions/0"]
    {
        let answer = fixture.get(&format!("/consumer-groups/g%2F1{path}")).await;
        assert_eq!(code(&answer), (404, 404), "{path}");
    }
    fixture.broker.shutdown().await;
}

/// What a consumer's assignor writes: partition 1 of the topic `t`.
const ASSIGNMENT: &[u8] = b"\x00\x01\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x01\x00\x00\x00\x01\xff\xff\xff\xff";

/// A group of one member that reads partition 1 of `t`.
pub(super) async fn join_group(fixture: &Fixture, group_id: &str) -> String {
    let (groups, tenant) = (&fixture.broker.broker.groups, "lkc-a".parse().unwrap());
    let join = Join {
        client_id: "the-client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        member_id: String::new(),
        group_instance_id: Some("the-instance".to_owned()),
        new_member_id: "the-client-1".to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![Protocol { name: "range".to_owned(), metadata: Bytes::from_static(b"") }],
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        knows_two_step_join: false,
        knows_skip_assignment: true,
    };
    let joined = groups.join(&tenant, group_id, join).await.unwrap();
    let sync = Sync {
        member_id: joined.member_id.clone(),
        group_instance_id: Some("the-instance".to_owned()),
        generation_id: joined.generation_id,
        protocol_type: None,
        protocol_name: None,
        assignments: vec![(joined.member_id.clone(), Bytes::from_static(ASSIGNMENT))],
    };
    groups.sync(&tenant, group_id, sync).await.unwrap();
    joined.member_id
}

/// Commits an offset of `t` for a group.
pub(super) fn commit(fixture: &Fixture, group_id: &str, partition: i32, offset: i64, topic_id: Uuid) {
    let committed = CommittedOffset {
        offset,
        leader_epoch: -1,
        metadata: String::new(),
        committed_at_ms: crate::clock::now_ms(),
        expires_at_ms: None,
        topic_id,
    };
    let offsets = vec![NewOffset { topic: "t".to_owned(), partition, committed }];
    let commit = Commit { member_id: String::new(), group_instance_id: None, generation_id: -1, offsets };
    fixture.broker.broker.groups.commit(&"lkc-a".parse().unwrap(), group_id, &commit).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_its_consumers_and_their_lags_are_shown() {
    let fixture = start().await;
    assert_eq!(fixture.post("/topics", json!({ "topic_name": "t", "partitions_count": 2 })).await.0, 201);
    for partition in [0, 1, 1, 1] {
        assert_eq!(fixture.post("/topics/t/records", json!({ "partition_id": partition })).await.0, 200);
    }
    commit(&fixture, "g/1", 0, 1, Uuid::nil());
    commit(&fixture, "g/1", 1, 1, Uuid::nil());
    let member = join_group(&fixture, "g/1").await;
    let base = format!("{}/kafka/v3/clusters/lkc-a/consumer-groups/g%2F1", fixture.base);

    let (_, groups) = fixture.get("/consumer-groups").await;
    let (status, group) = fixture.get("/consumer-groups/g%2F1").await;
    assert_eq!((status, &groups["data"]), (200, &json!([group])));
    assert_eq!((&group["state"], &group["partition_assignor"]), (&json!("STABLE"), &json!("range")));
    assert_eq!((&group["is_simple"], &group["metadata"]["self"]), (&json!(false), &json!(base)));
    let (_, consumers) = fixture.get("/consumer-groups/g%2F1/consumers").await;
    let (_, consumer) = fixture.get(&format!("/consumer-groups/g%2F1/consumers/{member}")).await;
    assert_eq!(consumers["data"], json!([consumer]));
    assert_eq!((&consumer["client_id"], &consumer["instance_id"]), (&json!("the-client"), &json!("the-instance")));
    let (_, assignments) = fixture.get(&format!("/consumer-groups/g%2F1/consumers/{member}/assignments")).await;
    assert_eq!(
        (&assignments["data"][0]["topic_name"], &assignments["data"][0]["partition_id"]),
        (&json!("t"), &json!(1))
    );

    let (_, lags) = fixture.get("/consumer-groups/g%2F1/lags").await;
    let numbers: Vec<_> = lags["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lag| {
            (
                lag["partition_id"].clone(),
                lag["current_offset"].clone(),
                lag["log_end_offset"].clone(),
                lag["lag"].clone(),
                lag["consumer_id"].clone(),
            )
        })
        .collect();
    let expected = |partition, current, end, lag, consumer: &str| {
        (json!(partition), json!(current), json!(end), json!(lag), json!(consumer))
    };
    assert_eq!(numbers, [expected(0, 1, 1, 0, ""), expected(1, 1, 3, 2, &member)]);
    let (_, lag) = fixture.get("/consumer-groups/g%2F1/lags/t/partitions/1").await;
    assert_eq!(lag, lags["data"][1]);
    assert_eq!(code(&fixture.get("/consumer-groups/g%2F1/lags/t/partitions/9").await), (404, 40403));
    let (_, summary) = fixture.get("/consumer-groups/g%2F1/lag-summary").await;
    assert_eq!(
        (&summary["max_lag"], &summary["total_lag"], &summary["max_lag_partition_id"]),
        (&json!(2), &json!(2), &json!(1))
    );
    assert_eq!((&summary["max_lag_consumer_id"], &summary["max_lag_topic_name"]), (&json!(member), &json!("t")));
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_of_a_topic_that_was_made_anew_have_no_lag() {
    let fixture = start().await;
    assert_eq!(fixture.post("/topics", json!({ "topic_name": "t", "partitions_count": 2 })).await.0, 201);
    commit(&fixture, "g", 0, 5, Uuid::from_u128(1));
    let (status, lags) = fixture.get("/consumer-groups/g/lags").await;
    assert_eq!((status, &lags["data"]), (200, &json!([])));
    let (status, summary) = fixture.get("/consumer-groups/g/lag-summary").await;
    assert_eq!((status, &summary["total_lag"]), (200, &json!(0)));
    fixture.broker.shutdown().await;
}
