//! kafka/v3 through the front door: a whole broker, its listener, and a control plane that the test plays.

mod acls;
mod authorization;
mod endpoints;
mod groups;
mod probes;
mod quotas;

use std::net::TcpListener;
use std::time::Duration;

use aws_lc_rs::hmac;
use millstream_api::fleet::broker_update::Update as FromBroker;
use millstream_api::fleet::config_event::Change;
use millstream_api::fleet::config_item::Item;
use millstream_api::fleet::config_item_key::Key;
use millstream_api::fleet::config_update::Update as ToBroker;
use millstream_api::fleet::{
    self, ConfigEvent, ConfigItem, ConfigItemKey, ConfigUpdate, Delta, ForwardedRequest, SnapshotBegin, SnapshotEnd,
    SnapshotItems, forwarded_response,
};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::config::{BrokerConfig, FleetEndpoint};
use crate::fleet::test_control_plane::{self, Accepted, ForwardStreams};
use crate::front_door::listener;
use crate::start::{self, RunningBroker};

const KEY: &str = "AAAAAAAAAAAAAAAA";
const OTHER_KEY: &str = "BBBBBBBBBBBBBBBB";
const PEPPER: [u8; 32] = [3; 32];

struct Fixture {
    broker: RunningBroker,
    base: String,
    client: Client,
    forwards: ForwardStreams,
    config: Accepted<fleet::BrokerUpdate, ConfigUpdate>,
    dir: TempDir,
}

fn key(id: &str, cluster: &str) -> ConfigItem {
    let pepper = hmac::Key::new(hmac::HMAC_SHA256, &PEPPER);
    let secret_hmac = hmac::sign(&pepper, format!("{id}:secret").as_bytes()).as_ref().to_vec().into();
    let key = fleet::ApiKey {
        id: id.to_owned(),
        logical_cluster_id: cluster.to_owned(),
        principal: "User:sa-a".to_owned(),
        secret_hmac,
    };
    ConfigItem { item: Some(Item::ApiKey(key)) }
}

fn cluster(id: &str) -> ConfigItem {
    let cluster = fleet::LogicalCluster {
        id: id.to_owned(),
        organization_id: "00000000-0000-7000-8000-000000000001".to_owned(),
        environment_id: "env-a".to_owned(),
        kind: "Basic".to_owned(),
        units: 0,
    };
    ConfigItem { item: Some(Item::LogicalCluster(cluster)) }
}

/// The right to do everything in this cluster, for the owner of the keys.
fn cluster_admin(id: &str, cluster: &str) -> ConfigItem {
    let organization_id = "00000000-0000-7000-8000-000000000001".to_owned();
    let crn_pattern =
        format!("crn://confluent.cloud/organization={organization_id}/environment=env-a/cloud-cluster={cluster}");
    let binding = fleet::RoleBinding {
        id: id.to_owned(),
        organization_id,
        principal: "User:sa-a".to_owned(),
        role_name: "CloudClusterAdmin".to_owned(),
        crn_pattern,
    };
    ConfigItem { item: Some(Item::RoleBinding(binding)) }
}

/// Somebody in the organization of the clusters.
fn somebody(principal: &str) -> ConfigItem {
    let organization_id = "00000000-0000-7000-8000-000000000001".to_owned();
    let principal = fleet::PrincipalOfOrganization { principal: principal.to_owned(), organization_id };
    ConfigItem { item: Some(Item::Principal(principal)) }
}

/// A broker over this directory.
async fn start_broker(dir: &TempDir, fleet: Option<FleetEndpoint>) -> (RunningBroker, String) {
    let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let http_listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", http_listener.local_addr().unwrap());
    let config = BrokerConfig {
        physical_cluster_id: "pkc-a".parse().unwrap(),
        broker_id: 0,
        data_dir: dir.path().join("data"),
        listeners: vec![listener(TcpListener::bind("127.0.0.1:0").unwrap(), None)],
        http_listener,
        open_metrics: false,
        fleet,
        object_store: None,
        default_partitions: 6,
        auto_create_topics: true,
        initial_rebalance_delay_ms: 0,
    };
    (start::start(config).await.unwrap(), base)
}

/// A broker with the clusters lkc-a and lkc-b, each with a key.
async fn start() -> Fixture {
    let dir = TempDir::new().unwrap();
    let (endpoint, mut configs, forwards) = test_control_plane::start().await;
    let (broker, base) = start_broker(&dir, Some(endpoint)).await;
    let mut stream = configs.recv().await.unwrap();
    let clusters = [cluster("lkc-a"), cluster("lkc-b")];
    let rights = [cluster_admin("rb-a", "lkc-a"), cluster_admin("rb-b", "lkc-b")];
    let keys = [key(KEY, "lkc-a"), key(OTHER_KEY, "lkc-b")];
    let principals = [somebody("User:sa-a"), somebody("User:u-b")];
    let items: Vec<ConfigItem> = [clusters, rights, keys, principals].concat();
    let end = SnapshotEnd { items: items.len() as u64 };
    let begin = SnapshotBegin { epoch: 1, revision: 1, pepper: PEPPER.to_vec().into() };
    for update in
        [ToBroker::SnapshotBegin(begin), ToBroker::SnapshotItems(SnapshotItems { items }), ToBroker::SnapshotEnd(end)]
    {
        stream.outgoing.send(Ok(ConfigUpdate { update: Some(update) })).await.unwrap();
    }
    while !matches!(stream.incoming.message().await.unwrap().unwrap().update, Some(FromBroker::Ack(_))) {}
    Fixture { broker, base, client: Client::new(), forwards, config: stream, dir }
}

impl Fixture {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/kafka/v3/clusters/lkc-a{path}", self.base);
        self.client.request(method, url).basic_auth(KEY, Some("secret"))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        send(self.request(Method::GET, path)).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        send(self.request(Method::POST, path).json(&body)).await
    }

    /// Posts text as it is, and reads all JSON values of the answer.
    async fn post_text(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, Vec<Value>) {
        let request = self.request(Method::POST, path).header("content-type", "application/json").body(body);
        let response = request.send().await.unwrap();
        let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
        (status, serde_json::Deserializer::from_str(&text).into_iter().map(Result::unwrap).collect())
    }

    /// Applies changes of a revision that follows the last one.
    async fn apply(&mut self, revision: u64, changes: Vec<Change>) {
        let events = changes.into_iter().map(|change| ConfigEvent { revision, change: Some(change) }).collect();
        let delta = Delta { epoch: 1, from_revision: revision - 1, to_revision: revision, events };
        self.config.outgoing.send(Ok(ConfigUpdate { update: Some(ToBroker::Delta(delta)) })).await.unwrap();
        while !matches!(self.config.incoming.message().await.unwrap().unwrap().update, Some(FromBroker::Ack(_))) {}
    }

    /// Takes the rights in the first cluster away.
    async fn revoke(&mut self) {
        let key = Some(Key::RoleBindingId("rb-a".to_owned()));
        self.apply(2, vec![Change::Delete(ConfigItemKey { key })]).await;
    }
}

async fn send(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let (status, text) = (response.status().as_u16(), response.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

/// Error code and status of an answer.
fn code((status, body): &(u16, Value)) -> (u16, u64) {
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    (*status, body["error_code"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_created_read_configured_grown_and_deleted() {
    let fixture = start().await;
    let request = json!({ "topic_name": "orders", "partitions_count": 3, "configs": [{ "name": "retention.ms", "value": "86400000" }] });
    let (status, created) = fixture.post("/topics", request).await;
    assert_eq!((status, &created["topic_name"], &created["partitions_count"]), (201, &json!("orders"), &json!(3)));
    let base = &fixture.base;
    assert_eq!(created["metadata"]["self"], format!("{base}/kafka/v3/clusters/lkc-a/topics/orders"));
    assert_eq!(created["metadata"]["resource_name"], "crn:///kafka=lkc-a/topic=orders");
    let (status, topic) = fixture.get("/topics/orders").await;
    assert_eq!((status, &topic), (200, &created));

    let (_, configs) = fixture.get("/topics/orders/configs").await;
    let set = |configs: &Value| -> Vec<(String, String)> {
        let data = configs["data"].as_array().unwrap().iter();
        let set = data.filter(|config| config["source"] == "DYNAMIC_TOPIC_CONFIG");
        set.map(|config| (config["name"].as_str().unwrap().to_owned(), config["value"].as_str().unwrap().to_owned()))
            .collect()
    };
    assert_eq!(set(&configs), [("retention.ms".to_owned(), "86400000".to_owned())]);
    let change = json!({ "data": [
        { "name": "retention.ms", "value": 3600000 },
        { "name": "message.timestamp.type", "value": "LogAppendTime", "operation": "SET" },
    ]});
    assert_eq!(fixture.post("/topics/orders/configs:alter", change).await.0, 204);
    let (_, config) = fixture.get("/topics/orders/configs/retention.ms").await;
    assert_eq!((&config["value"], &config["is_default"]), (&json!("3600000"), &json!(false)));
    assert_eq!(
        config["synonyms"][0],
        json!({ "name": "retention.ms", "value": "3600000", "source": "DYNAMIC_TOPIC_CONFIG" })
    );
    let reset = json!({ "data": [{ "name": "message.timestamp.type", "operation": "DELETE" }] });
    assert_eq!(fixture.post("/topics/orders/configs:alter", reset).await.0, 204);
    let put = fixture.request(Method::PUT, "/topics/orders/configs/segment.ms").json(&json!({ "value": "700000" }));
    assert_eq!(send(put).await.0, 204);
    assert_eq!(send(fixture.request(Method::DELETE, "/topics/orders/configs/retention.ms")).await.0, 204);
    let (_, configs) = fixture.get("/topics/orders/configs").await;
    assert_eq!(set(&configs), [("segment.ms".to_owned(), "700000".to_owned())]);
    let (_, all) = fixture.get("/topics/-/configs").await;
    assert_eq!(set(&all), set(&configs));
    let (_, defaults) = fixture.get("/topics/anything/default-configs").await;
    assert_eq!(set(&defaults), []);

    let patch = fixture.request(Method::PATCH, "/topics/orders").json(&json!({ "partitions_count": 5 }));
    let (status, grown) = send(patch).await;
    assert_eq!((status, &grown["partitions_count"]), (200, &json!(5)));
    let (_, partitions) = fixture.get("/topics/orders/partitions").await;
    assert_eq!(partitions["data"].as_array().unwrap().len(), 5);
    let (_, partition) = fixture.get("/topics/orders/partitions/4").await;
    assert_eq!(
        partition["leader"]["related"],
        format!("{base}/kafka/v3/clusters/lkc-a/topics/orders/partitions/4/replicas/0")
    );
    let (_, replica) = fixture.get("/topics/orders/partitions/4/replicas/0").await;
    assert_eq!((&replica["is_leader"], &replica["is_in_sync"]), (&json!(true), &json!(true)));
    let (_, topics) = fixture.get("/topics").await;
    assert_eq!(topics["data"].as_array().unwrap().len(), 1);
    assert!(topics["metadata"].get("next").is_none());

    assert_eq!(send(fixture.request(Method::DELETE, "/topics/orders")).await.0, 204);
    assert_eq!(code(&fixture.get("/topics/orders").await), (404, 40403));
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_topic_requests_carry_confluents_codes() {
    let fixture = start().await;
    assert_eq!(fixture.post("/topics", json!({ "topic_name": "t", "partitions_count": 2 })).await.0, 201);
    let validated = fixture.post("/topics", json!({ "topic_name": "u", "validate_only": true })).await;
    assert_eq!((validated.0, &validated.1["partitions_count"]), (200, &json!(6)));
    assert_eq!(code(&fixture.get("/topics/u").await), (404, 40403));
    for refused in [
        json!({ "topic_name": "t" }),
        json!({ "topic_name": "a/b" }),
        json!({ "topic_name": "" }),
        json!({ "topic_name": "v", "partitions_count": 0 }),
        json!({ "topic_name": "v", "replication_factor": 7 }),
        json!({ "topic_name": "v", "configs": [{ "name": "no.such.config", "value": "1" }] }),
        json!({ "topic_name": "v", "configs": [{ "name": "retention.ms", "value": "soon" }] }),
        json!({ "topic_name": "v", "configs": [{ "name": "retention.ms", "value": "1" }, { "name": "retention.ms", "value": "2" }] }),
        json!({ "topic_name": "v", "partitions_count": 2_000_000_000 }),
    ] {
        assert_eq!(code(&fixture.post("/topics", refused.clone()).await), (400, 40002), "{refused}");
    }
    for malformed in [
        json!({}),
        json!([]),
        json!("t"),
        json!({ "topic_name": 5 }),
        json!({ "topic_name": "v", "partitions_count": "many" }),
        json!({ "topic_name": "v", "partitions_count": 3_000_000_000_u64 }),
        json!({ "topic_name": "v", "configs": {} }),
    ] {
        assert_eq!(code(&fixture.post("/topics", malformed.clone()).await), (400, 400), "{malformed}");
    }
    let shrink = fixture.request(Method::PATCH, "/topics/t").json(&json!({ "partitions_count": 1 }));
    assert_eq!(code(&send(shrink).await), (400, 40002));
    let grow = fixture.request(Method::PATCH, "/topics/nothing").json(&json!({ "partitions_count": 9 }));
    assert_eq!(code(&send(grow).await), (404, 40403));
    assert_eq!(code(&send(fixture.request(Method::DELETE, "/topics/nothing")).await), (404, 40403));
    assert_eq!(code(&fixture.get("/topics/t/partitions/2").await), (404, 40403));
    assert_eq!(code(&fixture.get("/topics/t/configs/nothing").await), (404, 404));
    let unknown = json!({ "data": [{ "name": "no.such.config", "value": "1" }] });
    assert_eq!(code(&fixture.post("/topics/t/configs:alter", unknown).await), (404, 404));
    let invalid = json!({ "data": [{ "name": "retention.ms", "value": "soon" }] });
    assert_eq!(code(&fixture.post("/topics/t/configs:alter", invalid).await), (400, 40002));
    let odd = json!({ "data": [{ "name": "retention.ms", "operation": "APPEND" }] });
    assert_eq!(code(&fixture.post("/topics/t/configs:alter", odd).await), (400, 400));
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_get_an_error_and_never_more() {
    let fixture = start().await;
    let deep = "[".repeat(100_000);
    let nested = format!("{{\"topic_name\":\"t\",\"x\":{deep}");
    for (body, expected) in [
        ("", 422),
        (" \n", 422),
        ("{", 400),
        ("\u{0}", 400),
        ("nonsense", 400),
        (deep.as_str(), 400),
        (nested.as_str(), 400),
    ] {
        let (status, answer) = fixture.post_text("/topics", body.to_owned()).await;
        assert_eq!((status, &answer[0]["error_code"]), (expected, &json!(expected)), "{:.20}", body);
    }
    let xml = fixture.request(Method::POST, "/topics").header("content-type", "text/xml").body("<a/>");
    assert_eq!(code(&send(xml).await), (415, 415));
    assert_eq!(code(&send(fixture.request(Method::PUT, "/topics")).await), (405, 405));
    assert_eq!(code(&fixture.get("/nothing/here").await), (404, 404));
    // The last one: its connection is closed with the rest of the body unread.
    let (status, answer) = fixture.post_text("/topics", vec![b' '; 13 * 1024 * 1024]).await;
    assert_eq!((status, &answer[0]["error_code"]), (413, &json!(413)));
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_key_of_the_cluster_is_let_in() {
    let fixture = start().await;
    let topics = format!("{}/kafka/v3/clusters/lkc-a/topics", fixture.base);
    assert_eq!(code(&send(fixture.client.get(&topics)).await), (401, 40101));
    for (key, secret) in [(KEY, "wrong"), ("CCCCCCCCCCCCCCCC", "secret"), ("", "")] {
        assert_eq!(code(&send(fixture.client.get(&topics).basic_auth(key, Some(secret))).await), (401, 40101));
    }
    let of_another = fixture.client.get(&topics).basic_auth(OTHER_KEY, Some("secret"));
    let unknown = fixture.client.get(format!("{}/kafka/v3/clusters/lkc-zzz/topics", fixture.base));
    let (of_another, unknown) = (send(of_another).await, send(unknown.basic_auth(KEY, Some("secret"))).await);
    assert_eq!((code(&of_another), code(&unknown)), ((404, 404), (404, 404)));
    let clusters = fixture.client.get(format!("{}/kafka/v3/clusters", fixture.base)).basic_auth(KEY, Some("secret"));
    let (status, clusters) = send(clusters).await;
    assert_eq!((status, &clusters["data"][0]["cluster_id"]), (200, &json!("lkc-a")));
    assert_eq!(clusters["data"].as_array().unwrap().len(), 1);
    let (status, own) = fixture.get("").await;
    assert_eq!((status, &own), (200, &clusters["data"][0]));
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_stored_and_each_has_its_report() {
    let fixture = start().await;
    assert_eq!(fixture.post("/topics", json!({ "topic_name": "t", "partitions_count": 2 })).await.0, 201);
    let record = json!({ "partition_id": 1, "key": { "type": "STRING", "data": "k" },
        "value": { "type": "JSON", "data": { "a": 1 } }, "timestamp": "2021-02-05T19:14:42Z",
        "headers": [{ "name": "h", "value": "AQ==" }] });
    let (status, report) = fixture.post("/topics/t/records", record).await;
    assert_eq!(status, 200);
    let expected = json!({ "error_code": 200, "cluster_id": "lkc-a", "topic_name": "t", "partition_id": 1, "offset": 0,
        "timestamp": "2021-02-05T19:14:42.000Z", "key": { "type": "STRING", "size": 1 }, "value": { "type": "JSON", "size": 7 } });
    assert_eq!(report, expected);

    let several = r#"{"partition_id":1,"value":{"type":"STRING","data":"x"}} {"partition_id":7,"value":{"type":"STRING","data":"x"}}
        {"value":{"type":"WHAT","data":"x"}}{"partition_id":1,"value":{"type":"BINARY","data":"AQI="}} nonsense {"partition_id":1}"#;
    let (status, reports) = fixture.post_text("/topics/t/records", several).await;
    let codes: Vec<_> = reports.iter().map(|report| report["error_code"].as_u64().unwrap()).collect();
    assert_eq!((status, codes), (200, vec![200, 40403, 400, 200, 400]));
    assert_eq!((&reports[0]["offset"], &reports[3]["offset"]), (&json!(1), &json!(2)));

    // The same key goes where Java's producer puts it: murmur2("21") is odd when positive.
    let keyed = json!({ "key": { "type": "STRING", "data": "21" } });
    let places: Vec<_> =
        [fixture.post("/topics/t/records", keyed.clone()).await, fixture.post("/topics/t/records", keyed).await]
            .into_iter()
            .map(|(_, report)| report["partition_id"].clone())
            .collect();
    assert_eq!(places, [json!((-973_932_308_i32 & 0x7fff_ffff) % 2), json!((-973_932_308_i32 & 0x7fff_ffff) % 2)]);

    let too_large = json!({ "value": { "type": "STRING", "data": "x".repeat(3 * 1024 * 1024) } });
    assert_eq!(code(&fixture.post("/topics/t/records", too_large).await), (413, 413));
    assert_eq!(code(&fixture.post("/topics/nothing/records", json!({})).await), (404, 40403));
    assert_eq!(code(&fixture.post("/topics/t/records", json!([{}])).await), (400, 400));
    let (status, answer) = fixture.post_text("/topics/t/records", "").await;
    assert_eq!((status, &answer[0]["error_code"]), (422, &json!(422)));
    let many = "{\"partition_id\":0}".repeat(10_001);
    let (_, reports) = fixture.post_text("/topics/t/records", many).await;
    assert_eq!((reports.len(), &reports[10_000]["error_code"]), (10_001, &json!(413)));

    let metrics = fixture.client.get(format!("{}/metrics", fixture.base)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("millstream_received_records_total{logical_cluster=\"lkc-a\"} 10005"), "{metrics}");
    assert!(metrics.contains("millstream_partitions{logical_cluster=\"lkc-a\"} 2"), "{metrics}");
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_request_is_answered_with_links_to_the_callers_host() {
    let mut fixture = start().await;
    let mut stream = fixture.forwards.recv().await.unwrap();
    let request = |id: u64, tenant: &str, method: &str, path: &str, body: &'static str| ForwardedRequest {
        id,
        logical_cluster_id: tenant.to_owned(),
        principal: "User:sa-a".to_owned(),
        method: method.to_owned(),
        path_and_query: path.to_owned(),
        content_type: "application/json".to_owned(),
        body: body.into(),
        base_url: "https://api.example.org".to_owned(),
    };
    let mut ask = async |request| -> (u32, Value) {
        stream.outgoing.send(Ok(request)).await.unwrap();
        loop {
            match stream.incoming.message().await.unwrap().unwrap().response {
                Some(forwarded_response::Response::Answer(answer)) => {
                    return (answer.status, serde_json::from_slice(&answer.body).unwrap());
                }
                _ => continue,
            }
        }
    };
    let topics = "/kafka/v3/clusters/lkc-b/topics";
    let (status, topic) = ask(request(1, "lkc-b", "POST", topics, r#"{"topic_name":"t"}"#)).await;
    assert_eq!((status, &topic["partitions_count"]), (201, &json!(6)));
    assert_eq!(topic["metadata"]["self"], format!("https://api.example.org{topics}/t"));
    let (status, list) = ask(request(2, "lkc-b", "GET", topics, "")).await;
    assert_eq!((status, list["data"].as_array().unwrap().len()), (200, 1));
    let (status, error) = ask(request(3, "lkc-b", "GET", "/kafka/v3/clusters/lkc-a/topics", "")).await;
    assert_eq!((status, &error["error_code"]), (404, &json!(404)));
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_cluster_loses_its_topics_and_its_key_and_others_keep_theirs() {
    let fixture = start().await;
    assert_eq!(fixture.post("/topics", json!({ "topic_name": "t" })).await.0, 201);
    let in_b = format!("{}/kafka/v3/clusters/lkc-b/topics", fixture.base);
    let create = fixture.client.post(&in_b).basic_auth(OTHER_KEY, Some("secret")).json(&json!({ "topic_name": "t" }));
    assert_eq!(send(create).await.0, 201);
    let key = Some(fleet::config_item_key::Key::LogicalClusterId("lkc-b".to_owned()));
    let change = Some(fleet::config_event::Change::Delete(fleet::ConfigItemKey { key }));
    let events = vec![fleet::ConfigEvent { revision: 2, change }];
    let delta = ToBroker::Delta(fleet::Delta { epoch: 1, from_revision: 1, to_revision: 2, events });
    fixture.config.outgoing.send(Ok(ConfigUpdate { update: Some(delta) })).await.unwrap();
    let broker = &fixture.broker.broker;
    let tenant = "lkc-b".parse().unwrap();
    let mut images = broker.metadata.subscribe();
    let gone = images.wait_for(|image| image.tenant(&tenant).is_none());
    tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap().unwrap();
    assert_eq!(send(fixture.client.get(&in_b).basic_auth(OTHER_KEY, Some("secret"))).await.0, 401);
    assert_eq!(fixture.get("/topics/t").await.0, 200);
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_restarts_and_authenticates_without_a_control_plane() {
    let fixture = start().await;
    assert_eq!(fixture.post("/topics", json!({ "topic_name": "t" })).await.0, 201);
    fixture.broker.shutdown().await;
    let nobody = FleetEndpoint::plain("http://127.0.0.1:1", "x");
    let (broker, base) = start_broker(&fixture.dir, Some(nobody)).await;
    let fixture = Fixture { broker, base, ..fixture };
    let (status, topics) = fixture.get("/topics").await;
    assert_eq!((status, topics["data"].as_array().unwrap().len()), (200, 1));
    let (status, ready) = send(fixture.client.get(format!("{}/ready", fixture.base))).await;
    assert_eq!((status, &ready["ready"], &ready["control_plane"]), (200, &json!(true), &json!(false)));
    fixture.broker.shutdown().await;
}
