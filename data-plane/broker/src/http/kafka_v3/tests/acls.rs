//! ACLs through the front door.

use millstream_api::fleet::config_event::Change;
use serde_json::{Value, json};

use super::*;

const SEVEN_FILTERS: &str = "/acls?host=%2A&operation=READ&pattern_type=LITERAL&permission=ALLOW\
    &principal=User%3Asa-a&resource_name=orders&resource_type=TOPIC";
const EVERYTHING: &str = "/acls?operation=ANY&pattern_type=ANY&permission=ANY&resource_type=ANY";

/// As the Terraform provider sends it.
fn read_orders() -> Value {
    json!({"resource_type": "TOPIC", "resource_name": "orders", "pattern_type": "LITERAL", "principal": "User:sa-a",
        "host": "*", "operation": "READ", "permission": "ALLOW"})
}

fn with(field: &str, value: Value) -> Value {
    let mut acl = read_orders();
    acl[field] = value;
    acl
}

impl Fixture {
    async fn delete(&self, path: &str) -> (u16, Value) {
        send(self.request(Method::DELETE, path)).await
    }

    /// Names of the resources of the ACLs that these filters mean.
    async fn acls(&self, path: &str) -> Vec<String> {
        let (status, list) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {list}");
        let names = list["data"].as_array().unwrap().iter();
        names.map(|acl| acl["resource_name"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acl_is_created_found_by_seven_filters_and_deleted() {
    let fixture = start().await;
    let response = fixture.request(Method::POST, "/acls").json(&read_orders()).send().await.unwrap();
    assert_eq!(response.status(), 201);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(response.text().await.unwrap(), "");
    // A wildcard, a prefix and a denial around it must not be taken for it.
    for other in [
        with("resource_name", json!("*")),
        with("pattern_type", json!("PREFIXED")),
        with("permission", json!("DENY")),
        with("principal", json!("User:*")),
        with("host", json!("10.0.0.1")),
        with("operation", json!("ALL")),
    ] {
        assert_eq!(fixture.post("/acls", other).await.0, 201);
    }
    let (status, list) = fixture.get(SEVEN_FILTERS).await;
    assert_eq!(status, 200);
    assert_eq!(list["kind"], "KafkaAclList");
    assert!(list["metadata"].get("next").is_none());
    let data = list["data"].as_array().unwrap();
    assert_eq!(data.len(), 1, "{list}");
    let mut expected = read_orders();
    expected["kind"] = json!("KafkaAcl");
    expected["cluster_id"] = json!("lkc-a");
    expected["metadata"] = json!({"self": location});
    assert_eq!(data[0], expected);
    let by_location = send(fixture.client.get(&location).basic_auth(KEY, Some("secret"))).await;
    assert_eq!(by_location.1["data"], list["data"]);

    assert_eq!(fixture.delete(SEVEN_FILTERS).await, (200, json!({"data": [expected]})));
    assert_eq!(fixture.delete(SEVEN_FILTERS).await, (200, json!({"data": []})));
    assert!(fixture.acls(SEVEN_FILTERS).await.is_empty());
    assert_eq!(fixture.acls("/acls").await.len(), 6);
    assert_eq!(fixture.delete(EVERYTHING).await.1["data"].as_array().unwrap().len(), 6);
    assert!(fixture.acls("/acls").await.is_empty());
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn creating_an_acl_again_changes_nothing() {
    let fixture = start().await;
    for _ in 0..2 {
        assert_eq!(fixture.post("/acls", read_orders()).await.0, 201);
        assert_eq!(fixture.post("/acls:batch", json!({"data": [read_orders(), read_orders()]})).await.0, 201);
    }
    assert_eq!(fixture.acls("/acls").await, ["orders"]);
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_of_a_principal_mean_the_same() {
    let fixture = start().await;
    assert_eq!(fixture.post("/acls", with("principal", json!("UserV2:sa-a"))).await.0, 201);
    assert_eq!(fixture.post("/acls", with("principal", json!("User:u-b"))).await.0, 201);
    let (_, list) = fixture.get("/acls?principal=UserV2%3Asa-a").await;
    assert_eq!(list["data"][0]["principal"], "User:sa-a");
    assert_eq!(fixture.acls("/acls?principal=User%3Asa-a").await.len(), 1);
    assert_eq!(fixture.acls("/acls?principal=UserV2%3A%2A").await.len(), 2);
    assert_eq!(fixture.acls("/acls?principal=User%3A%2A").await.len(), 0);
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_mean_what_they_mean_in_kafka() {
    let fixture = start().await;
    let acl = |name: &str, pattern_type: &str| {
        let mut acl = with("resource_name", json!(name));
        acl["pattern_type"] = json!(pattern_type);
        acl
    };
    let all = [acl("*", "LITERAL"), acl("orders", "LITERAL"), acl("ord", "PREFIXED"), acl("pay", "prefixed")];
    assert_eq!(fixture.post("/acls%3Abatch", json!({"data": all})).await.0, 201);
    let matching = fixture.acls("/acls?resource_name=orders&pattern_type=MATCH").await;
    assert_eq!(matching, ["*", "orders", "ord"]);
    assert_eq!(fixture.acls("/acls?pattern_type=prefixed").await, ["ord", "pay"]);
    assert_eq!(fixture.acls("/acls?resource_type=any&resource_name=orders").await, ["orders"]);
    assert_eq!(fixture.acls("/acls?resource_type=DELEGATION_TOKEN").await, [""; 0]);
    assert_eq!(fixture.acls("/acls?principal=User%3Anobody").await, [""; 0]);
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_and_nothing_is_stored() {
    let fixture = start().await;
    for (field, value) in [
        ("resource_type", json!("ANY")),
        ("resource_type", json!("DELEGATION_TOKEN")),
        ("resource_type", json!("BROKER")),
        ("resource_type", json!("CLUSTER")),
        ("resource_name", json!("")),
        ("pattern_type", json!("MATCH")),
        ("pattern_type", json!("")),
        ("principal", json!("User:alice")),
        ("principal", json!("Group:g")),
        ("host", json!("example.org")),
        ("operation", json!("ANY")),
        ("operation", json!("FLY")),
        ("permission", json!("UNKNOWN")),
    ] {
        let answer = fixture.post("/acls", with(field, value.clone())).await;
        assert_eq!(code(&answer), (400, 40002), "{field} {value}");
        let named = if value == "CLUSTER" { "resource_name" } else { field };
        assert!(answer.1["message"].as_str().unwrap().starts_with(named), "{field} {value}: {}", answer.1);
        let batch = json!({"data": [read_orders(), with(field, value)]});
        let answer = fixture.post("/acls:batch", batch).await;
        assert_eq!(code(&answer), (400, 40002));
        assert!(answer.1["message"].as_str().unwrap().starts_with(&format!("data[1].{named}")), "{}", answer.1);
    }
    for field in ["resource_type", "resource_name", "pattern_type", "principal", "host", "operation", "permission"] {
        let mut acl = read_orders();
        acl.as_object_mut().unwrap().remove(field);
        let answer = fixture.post("/acls", acl).await;
        assert_eq!(code(&answer), (400, 400));
        assert!(answer.1["message"].as_str().unwrap().contains(field), "{}", answer.1);
        assert_eq!(code(&fixture.post("/acls", with(field, json!(7))).await), (400, 400));
    }
    assert_eq!(code(&fixture.get("/acls?operation=FLY").await), (400, 40002));
    assert_eq!(code(&fixture.get("/acls?operation=READ&operation=WRITE").await), (400, 400));
    assert!(fixture.acls("/acls").await.is_empty());
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_must_name_what_would_else_mean_everything() {
    let fixture = start().await;
    assert_eq!(fixture.post("/acls", read_orders()).await.0, 201);
    let parameters = ["resource_type=TOPIC", "pattern_type=LITERAL", "operation=READ", "permission=ALLOW"];
    for left_out in 0..parameters.len() {
        let mut kept = parameters.to_vec();
        let missing = kept.remove(left_out).split('=').next().unwrap();
        let answer = fixture.delete(&format!("/acls?{}", kept.join("&"))).await;
        assert_eq!(code(&answer), (400, 40002));
        assert!(answer.1["message"].as_str().unwrap().starts_with(missing), "{}", answer.1);
    }
    assert_eq!(fixture.acls("/acls").await.len(), 1);
    assert_eq!(fixture.delete(&format!("/acls?{}", parameters.join("&"))).await.0, 200);
    assert!(fixture.acls("/acls").await.is_empty());
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sees_and_deletes_only_its_own_acls() {
    let fixture = start().await;
    assert_eq!(fixture.post("/acls", read_orders()).await.0, 201);
    let other = |method, path: &str| {
        let url = format!("{}/kafka/v3/clusters/lkc-b{path}", fixture.base);
        fixture.client.request(method, url).basic_auth(OTHER_KEY, Some("secret"))
    };
    assert_eq!(send(other(Method::GET, "/acls")).await.1["data"], json!([]));
    assert_eq!(send(other(Method::DELETE, EVERYTHING)).await, (200, json!({"data": []})));
    assert_eq!(fixture.acls("/acls").await.len(), 1);
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_has_no_more_acls_than_its_plan_allows() {
    let fixture = start().await;
    let acl = |number: usize| with("resource_name", json!(format!("topic-{number}")));
    let most: Vec<Value> = (0..1_000).map(acl).collect();
    assert_eq!(fixture.post("/acls:batch", json!({"data": most})).await.0, 201);
    let refused = fixture.post("/acls", acl(1_000)).await;
    assert_eq!(code(&refused), (400, 40002));
    assert!(refused.1["message"].as_str().unwrap().contains("1000"), "{}", refused.1);
    // One that exists already is no more than there was.
    assert_eq!(fixture.post("/acls", acl(0)).await.0, 201);
    assert_eq!(fixture.acls("/acls").await.len(), 1_000);
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acls_survive_a_restart() {
    let fixture = start().await;
    assert_eq!(fixture.post("/acls", read_orders()).await.0, 201);
    fixture.broker.shutdown().await;
    let (broker, base) = start_broker(&fixture.dir, None).await;
    let fixture = Fixture { broker, base, ..fixture };
    assert_eq!(fixture.acls(SEVEN_FILTERS).await, ["orders"]);
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_or_change_acls_is_refused() {
    let mut fixture = start().await;
    fixture.revoke().await;
    assert_eq!(code(&fixture.get("/acls").await), (403, 40301));
    assert_eq!(code(&fixture.post("/acls", read_orders()).await), (403, 40301));
    assert_eq!(code(&fixture.post("/acls:batch", json!({"data": [read_orders()]})).await), (403, 40301));
    assert_eq!(code(&fixture.delete(EVERYTHING).await), (403, 40301));
    fixture.apply(3, vec![Change::Upsert(cluster_admin("rb-a", "lkc-a"))]).await;
    assert!(fixture.acls("/acls").await.is_empty());
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acl_for_somebody_who_is_not_of_the_organization_is_refused_by_name() {
    let mut fixture = start().await;
    let stranger = fleet::PrincipalOfOrganization {
        principal: "User:sa-stranger".to_owned(),
        organization_id: "00000000-0000-7000-8000-000000000002".to_owned(),
    };
    let stranger = ConfigItem { item: Some(Item::Principal(stranger)) };
    fixture.apply(2, vec![Change::Upsert(stranger)]).await;
    let mut messages = Vec::new();
    for principal in ["User:sa-stranger", "User:sa-nobody", "User:u-nobody", "User:alice"] {
        let answer = fixture.post("/acls", with("principal", json!(principal))).await;
        assert_eq!(code(&answer), (400, 40002), "{principal}");
        messages.push(answer.1["message"].as_str().unwrap().to_owned());
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "who exists elsewhere is not revealed: {messages:?}");
    assert!(messages[0].starts_with("principal: "), "{messages:?}");
    let batch = json!({"data": [read_orders(), with("principal", json!("User:sa-stranger"))]});
    assert_eq!(code(&fixture.post("/acls:batch", batch).await), (400, 40002));
    assert!(fixture.acls("/acls").await.is_empty());
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acl_waits_for_a_principal_that_the_broker_is_just_told_of() {
    let mut fixture = start().await;
    let request = fixture.request(Method::POST, "/acls").json(&with("principal", json!("User:sa-new")));
    let waiting = tokio::spawn(send(request));
    fixture.apply(2, vec![Change::Upsert(somebody("User:sa-new"))]).await;
    assert_eq!(waiting.await.unwrap().0, 201);
    let gone = Change::Delete(ConfigItemKey { key: Some(Key::Principal("User:sa-new".to_owned())) });
    fixture.apply(3, vec![gone]).await;
    // What there is stays, and can be deleted; more cannot be created.
    assert_eq!(code(&fixture.post("/acls", with("principal", json!("User:sa-new"))).await), (400, 40002));
    assert_eq!(fixture.acls("/acls?principal=User%3Asa-new").await.len(), 1);
    assert_eq!(fixture.delete(EVERYTHING).await.1["data"].as_array().unwrap().len(), 1);
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_takes_back_an_acl_that_denies_it_to_everybody() {
    let fixture = start().await;
    let mut denied = with("permission", json!("DENY"));
    for (field, value) in [("resource_type", "CLUSTER"), ("resource_name", "kafka-cluster"), ("principal", "User:*")] {
        denied[field] = json!(value);
    }
    denied["operation"] = json!("ALL");
    assert_eq!(fixture.post("/acls", denied).await.0, 201);
    assert_eq!(fixture.post("/acls", read_orders()).await.0, 201);
    assert_eq!(fixture.acls("/acls").await, ["orders", "kafka-cluster"]);
    let (status, deleted) =
        fixture.delete("/acls?operation=ALL&pattern_type=LITERAL&permission=DENY&resource_type=CLUSTER").await;
    assert_eq!((status, deleted["data"].as_array().unwrap().len()), (200, 1));
    fixture.broker.shutdown().await;
}
