//! Quotas through the front doors: HTTP, the forward stream, and connections that speak Kafka.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt;
use millstream_api::fleet::config_event::Change;
use millstream_api::fleet::config_item_key::Key;
use millstream_api::fleet::{ClientQuota, ConfigItemKey};
use millstream_api::plan::Limits;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::front_door::client::{KafkaClient, METADATA, produce_to_t};
use crate::metering;
use crate::network::connection;
use crate::quotas::tenant::TenantQuota;
use crate::session::Client;

const PRODUCE: i16 = 0;
const CREATE_TOPICS: i16 = 19;
const SASL_AUTHENTICATION_FAILED: i16 = 58;
const THROTTLING_QUOTA_EXCEEDED: i16 = 89;
/// Requests of another connection that are answered while one is not.
const MEANWHILE: usize = 20;
/// More than anybody may use in an hour.
const HUGE: u64 = u64::MAX / 2;

/// A connection over memory instead of a socket.
fn connect(fixture: &Fixture) -> KafkaClient<DuplexStream> {
    let broker = Arc::clone(&fixture.broker.broker);
    let (ours, theirs) = tokio::io::duplex(1024 * 1024);
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    let admission = broker.connections.admit().unwrap();
    let client = Client { peer, listener: Arc::clone(&broker.settings.listeners[0]) };
    tokio::spawn(connection::serve(broker, theirs, client, admission, CancellationToken::new()));
    KafkaClient(ours)
}

async fn log_in(fixture: &Fixture) -> KafkaClient<DuplexStream> {
    KafkaClient::log_in(connect(fixture).0, KEY).await
}

/// Whether nothing has come although another connection was answered many times.
async fn is_silent(client: &mut KafkaClient<DuplexStream>, other: &mut KafkaClient<DuplexStream>) -> bool {
    for _ in 0..MEANWHILE {
        other.metadata().await;
    }
    client.0.read_u8().now_or_never().is_none()
}

fn client_quota(ingress_byte_rate: u64) -> Change {
    let quota = ClientQuota {
        id: "cq-a".to_owned(),
        logical_cluster_id: "lkc-a".to_owned(),
        principals: vec!["User:sa-a".to_owned()],
        ingress_byte_rate,
        egress_byte_rate: 1_000_000,
    };
    Change::Upsert(ConfigItem { item: Some(Item::ClientQuota(quota)) })
}

fn quota(fixture: &Fixture) -> Arc<TenantQuota> {
    fixture.broker.broker.quotas.tenant(&"lkc-a".parse().unwrap())
}

fn set_limits(fixture: &Fixture, change: impl FnOnce(Limits) -> Limits) {
    let quota = quota(fixture);
    let client_quotas = fixture.broker.broker.tenants.client_quotas(&"lkc-a".parse().unwrap());
    quota.set_limits(change(quota.limits()), client_quotas);
}

async fn retry_after(request: RequestBuilder) -> (u16, Option<u64>) {
    let response = request.send().await.unwrap();
    let header = response.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error_code"], status, "{body}");
    (status, header)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_owes_bytes_is_answered_and_then_not_read_until_its_quota_is_lifted() {
    let mut fixture = start().await;
    assert_eq!(fixture.post("/topics", json!({ "topic_name": "t" })).await.0, 201);
    fixture.apply(2, vec![client_quota(1)]).await;
    let mut spender = log_in(&fixture).await;
    let mut heir = log_in(&fixture).await;
    let mut other = log_in(&fixture).await;
    let answer = spender.call(PRODUCE, 7, &produce_to_t(1)).await;
    let throttle_time_ms = i32::from_be_bytes(*answer.last_chunk().unwrap());
    assert!(throttle_time_ms > 500_000, "{throttle_time_ms} ms for a thousand bytes at one a second");
    spender.send(METADATA, 3, &[0; 4]).await;
    assert!(is_silent(&mut spender, &mut other).await, "a connection was read before it had paid");
    heir.send(PRODUCE, 7, &produce_to_t(1)).await;
    assert!(is_silent(&mut heir, &mut other).await, "a new connection does not inherit the debt of its principal");
    let delete = Change::Delete(ConfigItemKey { key: Some(Key::ClientQuotaId("cq-a".to_owned())) });
    fixture.apply(3, vec![delete]).await;
    spender.receive().await;
    let answer = heir.receive().await;
    assert_eq!(i32::from_be_bytes(*answer.last_chunk().unwrap()), 0, "without a quota nothing is owed");
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_the_rate_are_answered_with_the_time_to_wait() {
    let fixture = start().await;
    let mut kafka = log_in(&fixture).await;
    assert_eq!(kafka.metadata().await[..4], [0; 4]);
    let quota = quota(&fixture);
    quota.requests.spend(quota.clock.now(), 3_600 * quota.limits().requests_per_second);
    let answer = kafka.metadata().await;
    let throttle_time_ms = i32::from_be_bytes(*answer.first_chunk().unwrap());
    assert!(throttle_time_ms > 3_000_000, "{throttle_time_ms}");
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_too_many_is_told_why_and_a_closed_one_makes_room() {
    let fixture = start().await;
    let first = log_in(&fixture).await;
    set_limits(&fixture, |limits| Limits { connections: 1, ..limits });
    let answer = connect(&fixture).authenticate(KEY).await;
    assert_eq!(answer[..2], SASL_AUTHENTICATION_FAILED.to_be_bytes());
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(text.contains("as many connections as its type and size allow: 1"), "{text}");
    assert_eq!(quota(&fixture).refused_connections(), 1);
    drop(first);
    // Its task notices a moment later.
    while connect(&fixture).authenticate(KEY).await[..2] != [0, 0] {}
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_over_http_are_told_when_to_come_again() {
    let fixture = start().await;
    assert_eq!(fixture.post("/topics", json!({ "topic_name": "t" })).await.0, 201);
    let records = || fixture.request(Method::POST, "/topics/t/records").json(&json!({}));
    assert_eq!(records().send().await.unwrap().status(), 200);
    let quota = quota(&fixture);
    let now = quota.clock.now();
    quota.rest_admin.spend(now, 100 * quota.limits().rest_admin_requests_per_second);
    let (status, wait) = retry_after(fixture.request(Method::GET, "/topics")).await;
    assert_eq!(status, 429);
    assert!(wait.is_some_and(|seconds| (80..=100).contains(&seconds)), "{wait:?}");
    assert_eq!(records().send().await.unwrap().status(), 200, "records have a rate of their own");
    quota.ingress.spend(now, 100 * quota.limits().ingress_bytes_per_second);
    let (status, wait) = retry_after(records()).await;
    assert_eq!((status, wait.is_some()), (429, true));
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_change_too_often_are_refused_until_later() {
    let fixture = start().await;
    assert_eq!(fixture.post("/topics", json!({ "topic_name": "t" })).await.0, 201);
    let quota = quota(&fixture);
    quota.partition_changes.charge(quota.clock.now(), quota.limits().partition_changes_per_5_minutes).unwrap().keep();
    let create = fixture.request(Method::POST, "/topics").json(&json!({ "topic_name": "u" }));
    let (status, wait) = retry_after(create).await;
    assert_eq!((status, wait.is_some()), (429, true));
    let (status, _) = retry_after(fixture.request(Method::DELETE, "/topics/t")).await;
    assert_eq!(status, 429);
    assert_eq!(fixture.get("/topics/t").await.0, 200, "a refused deletion deletes nothing");
    let mut kafka = log_in(&fixture).await;
    let create_u = b"\0\0\0\x01\0\x01u\0\0\0\x01\xff\xff\0\0\0\0\0\0\0\0\0\0\x75\x30\0";
    let answer = kafka.call(CREATE_TOPICS, 2, create_u).await;
    assert!(i32::from_be_bytes(*answer.first_chunk().unwrap()) > 0, "no throttle time in {answer:?}");
    assert_eq!(answer[4 + 4 + 3..][..2], THROTTLING_QUOTA_EXCEEDED.to_be_bytes());
    kafka.metadata().await;
    assert_eq!(fixture.get("/topics/u").await.0, 404);
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_cluster_takes_no_more_records_until_its_limit_is_raised() {
    let fixture = start().await;
    assert_eq!(fixture.post("/topics", json!({ "topic_name": "t" })).await.0, 201);
    let mut kafka = log_in(&fixture).await;
    set_limits(&fixture, |limits| Limits { storage_bytes: Some(0), ..limits });
    let (status, error) = fixture.post("/topics/t/records", json!({})).await;
    assert_eq!((status, &error["error_code"]), (400, &json!(40002)));
    assert!(error["message"].as_str().unwrap().contains("stores as much as its type allows"), "{error}");
    let answer = kafka.call(PRODUCE, 7, &produce_to_t(1)).await;
    assert!(String::from_utf8_lossy(&answer).contains('t'));
    let code = &answer[4 + 3 + 4 + 4..][..2];
    assert_eq!(code, 44_i16.to_be_bytes(), "POLICY_VIOLATION");
    set_limits(&fixture, |limits| Limits { storage_bytes: Some(HUGE), ..limits });
    let answer = kafka.call(PRODUCE, 7, &produce_to_t(1)).await;
    assert_eq!(answer[4 + 3 + 4 + 4..][..2], [0, 0]);
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_minute_of_a_cluster_is_exported_over_the_forward_stream() {
    let mut fixture = start().await;
    assert_eq!(fixture.post("/topics", json!({ "topic_name": "t" })).await.0, 201);
    let mut kafka = log_in(&fixture).await;
    kafka.call(PRODUCE, 7, &produce_to_t(1)).await;
    metering::measure(&fixture.broker.broker);
    let mut stream = fixture.forwards.recv().await.unwrap();
    let mut export = async |tenant: &str| {
        let request = ForwardedRequest {
            id: 1,
            logical_cluster_id: tenant.to_owned(),
            principal: "User:sa-a".to_owned(),
            method: "GET".to_owned(),
            path_and_query: format!("/v2/metrics/cloud/export?resource.kafka.id={tenant}"),
            ..ForwardedRequest::default()
        };
        stream.outgoing.send(Ok(request)).await.unwrap();
        loop {
            let message = stream.incoming.message().await.unwrap().unwrap();
            if let Some(forwarded_response::Response::Answer(answer)) = message.response {
                assert_eq!(answer.status, 200);
                return String::from_utf8(answer.body.to_vec()).unwrap();
            }
        }
    };
    let page = export("lkc-a").await;
    for line in [
        "confluent_kafka_server_received_records{kafka_id=\"lkc-a\"} 1",
        "confluent_kafka_server_partition_count{kafka_id=\"lkc-a\"} 6",
        "confluent_kafka_server_active_connection_count{kafka_id=\"lkc-a\"} 1",
        "# TYPE confluent_kafka_server_received_bytes gauge",
    ] {
        assert!(page.lines().any(|other| other == line), "{line} is missing in:\n{page}");
    }
    let page = export("lkc-b").await;
    assert!(page.contains("confluent_kafka_server_received_records{kafka_id=\"lkc-b\"} 0"), "{page}");
    assert!(!page.contains("lkc-a"));
    fixture.broker.shutdown().await;
}
