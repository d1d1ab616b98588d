//! Who may do what over kafka/v3.

use uuid::Uuid;

use super::groups::commit;
use super::*;

/// Every request that names a topic or a group, about `NAME`.
fn requests() -> Vec<(Method, &'static str, Option<Value>)> {
    let alter = json!({ "data": [{ "name": "retention.ms", "value": "1000" }] });
    vec![
        (Method::GET, "/topics/NAME", None),
        (Method::PATCH, "/topics/NAME", Some(json!({ "partitions_count": 9 }))),
        (Method::GET, "/topics/NAME/configs", None),
        (Method::GET, "/topics/NAME/configs/retention.ms", None),
        (Method::PUT, "/topics/NAME/configs/retention.ms", Some(json!({ "value": "1000" }))),
        (Method::DELETE, "/topics/NAME/configs/retention.ms", None),
        (Method::POST, "/topics/NAME/configs:alter", Some(alter)),
        (Method::GET, "/topics/NAME/partitions", None),
        (Method::GET, "/topics/NAME/partitions/0", None),
        (Method::GET, "/topics/NAME/partitions/0/replicas", None),
        (Method::GET, "/topics/NAME/partitions/0/replicas/0", None),
        (Method::POST, "/topics/NAME/records", Some(json!({ "value": { "type": "JSON", "data": 1 } }))),
        (Method::POST, "/topics", Some(json!({ "topic_name": "NAME" }))),
        (Method::GET, "/consumer-groups/NAME", None),
        (Method::GET, "/consumer-groups/NAME/consumers", None),
        (Method::GET, "/consumer-groups/NAME/consumers/m", None),
        (Method::GET, "/consumer-groups/NAME/consumers/m/assignments", None),
        (Method::GET, "/consumer-groups/NAME/lags", None),
        (Method::GET, "/consumer-groups/NAME/lags/t/partitions/0", None),
        (Method::GET, "/consumer-groups/NAME/lag-summary", None),
        (Method::DELETE, "/topics/NAME", None),
    ]
}

impl Fixture {
    async fn ask(&self, method: &Method, path: &str, body: Option<&Value>, name: &str) -> (u16, Value) {
        let request = self.request(method.clone(), &path.replace("NAME", name));
        send(match body {
            Some(body) => {
                let body = body.to_string().replace("NAME", name);
                request.header("content-type", "application/json").body(body)
            }
            None => request,
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_rights_everything_is_refused_alike_and_lists_are_empty() {
    let mut fixture = start().await;
    assert_eq!(fixture.post("/topics", json!({ "topic_name": "t", "partitions_count": 2 })).await.0, 201);
    commit(&fixture, "t", 0, 0, Uuid::nil());
    for (method, path, body) in requests() {
        let (status, answer) = fixture.ask(&method, path, body.as_ref(), "t").await;
        assert_ne!(status, 403, "{method} {path} as an administrator: {answer}");
        // Some of them end what the next one asks for.
        fixture.post("/topics", json!({ "topic_name": "t", "partitions_count": 2 })).await;
    }
    fixture.revoke().await;
    for (method, path, body) in requests() {
        let existing = fixture.ask(&method, path, body.as_ref(), "t").await;
        assert_eq!(code(&existing), (403, 40301), "{method} {path}");
        assert_eq!(existing, fixture.ask(&method, path, body.as_ref(), "x").await, "{method} {path}");
    }
    for list in ["/topics", "/topics/-/configs", "/consumer-groups"] {
        let (status, answer) = fixture.get(list).await;
        assert_eq!((status, &answer["data"]), (200, &json!([])), "{list}");
    }
    fixture.broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acl_lets_a_caller_see_what_it_is_about_and_nothing_else() {
    let mut fixture = start().await;
    for topic in ["orders", "orders-2", "payments"] {
        assert_eq!(fixture.post("/topics", json!({ "topic_name": topic })).await.0, 201);
    }
    let acl = json!({"resource_type": "TOPIC", "resource_name": "orders", "pattern_type": "PREFIXED", "principal": "User:*",
        "host": "*", "operation": "READ", "permission": "ALLOW"});
    assert_eq!(fixture.post("/acls", acl).await.0, 201);
    fixture.revoke().await;
    let (_, topics) = fixture.get("/topics").await;
    let names: Vec<_> = topics["data"].as_array().unwrap().iter().map(|topic| &topic["topic_name"]).collect();
    assert_eq!(names, ["orders", "orders-2"]);
    assert_eq!(fixture.get("/topics/orders").await.0, 200);
    assert_eq!(code(&fixture.get("/topics/orders/configs").await), (403, 40301));
    assert_eq!(code(&fixture.post("/topics/orders/records", json!({})).await), (403, 40301));
    fixture.broker.shutdown().await;
}
