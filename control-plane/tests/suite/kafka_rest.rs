//! kafka/v3 through the control plane.

use millstream_api::fleet::{ForwardedRequest, HttpAnswer};
use serde_json::{Value, json};

use crate::fixture::rest::cloud_key_body;
use crate::fixture::{Answer, Engine, FakeAgent, FakeBroker, Installation, Rest};

/// A provisioned cluster with a broker that answers each request with what it was asked.
struct Setup {
    installation: Installation,
    _agent: FakeAgent,
    broker: FakeBroker,
    cluster: String,
    account: String,
    kafka: Rest,
}

impl Setup {
    async fn start(engine: Engine) -> Self {
        let installation = Installation::start(engine).await;
        let (agent, broker) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        let account = rest.create_service_account("app").await;
        let (key, secret) = rest.create_kafka_key(&account, &cluster).await;
        let kafka = rest.with_key(&key, &secret);
        Self { _agent: agent, broker, cluster, account, kafka, installation }
    }

    async fn start_with_echo(engine: Engine) -> Self {
        let mut setup = Self::start(engine).await;
        setup.broker.take_requests(|request| Some(echo(request))).await;
        setup
    }
}

fn echo(request: ForwardedRequest) -> HttpAnswer {
    let body = json!({
        "cluster": request.logical_cluster_id, "principal": request.principal, "method": request.method,
        "path": request.path_and_query, "content_type": request.content_type, "base_url": request.base_url,
        "body": String::from_utf8_lossy(&request.body),
    });
    HttpAnswer {
        id: request.id,
        status: 201,
        content_type: "application/json; charset=utf-8".into(),
        body: body.to_string().into_bytes().into(),
        location: "https://api.example.org/made".into(),
        retry_after: "7".into(),
    }
}

/// Fails unless the answer is an error in the form of kafka/v3.
#[track_caller]
fn expect_kafka_error(answer: &Answer, status: u16, error_code: u32) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.json()["error_code"], json!(error_code), "{}", answer.text);
    assert!(answer.json()["message"].as_str().is_some_and(|message| !message.is_empty()));
}

on_both_engines! {
    async fn a_request_reaches_the_broker_as_it_came(engine: Engine) {
        let setup = Setup::start_with_echo(engine).await;
        let path = format!("/kafka/v3/clusters/{}/topics/a%20b/configs:alter?x=1&y=%2F", setup.cluster);
        let answer = setup.kafka.post(&path, json!({"data":[]})).await.expect(201);
        assert_eq!(answer.headers["content-type"], "application/json; charset=utf-8");
        assert_eq!(answer.headers["location"], "https://api.example.org/made");
        assert_eq!(answer.headers["retry-after"], "7");
        let seen: Value = answer.json();
        assert_eq!(seen["cluster"], json!(setup.cluster));
        assert_eq!(seen["principal"], json!(format!("User:{}", setup.account)));
        assert_eq!(seen["method"], json!("POST"));
        assert_eq!(seen["path"], json!(path));
        assert_eq!(seen["content_type"], json!("application/json"));
        assert_eq!(seen["base_url"], json!(setup.installation.rest.base()));
        assert_eq!(seen["body"], json!(r#"{"data":[]}"#));
        for method in ["GET", "PUT", "PATCH", "DELETE"] {
            assert_eq!(setup.kafka.send(method, &path, &[], None).await.expect(201).json()["method"], json!(method));
        }
        setup.kafka.get("/kafka/v3/clusters").await.expect(201);
    }

    async fn a_cloud_key_opens_the_clusters_of_its_organization_only(engine: Engine) {
        let setup = Setup::start_with_echo(engine).await;
        let path = format!("/kafka/v3/clusters/{}/topics", setup.cluster);
        let rest = &setup.installation.rest;
        let answer = rest.get(&path).await.expect(201);
        let user = &setup.installation.organization.user_id;
        assert_eq!(answer.json()["principal"], json!(format!("User:{user}")));
        let created = rest.post("/iam/v2/api-keys", cloud_key_body(&setup.account)).await.expect(202);
        let other_key = rest.with_key(&created.text_at("/id"), &created.text_at("/spec/secret"));
        let without_a_role = other_key.get(&path).await;
        expect_kafka_error(&without_a_role, 404, 404);
        let organization = setup.installation.organization.organization_id;
        let crn = format!("crn://confluent.cloud/organization={organization}");
        rest.bind_role(&setup.account, "OrganizationAdmin", &crn).await;
        let answer = other_key.get(&path).await.expect(201);
        assert_eq!(answer.json()["principal"], json!(format!("User:{}", setup.account)));

        let (_, globex) = setup.installation.another_organization().await;
        let foreign = globex.get(&path).await;
        let random = globex.get("/kafka/v3/clusters/lkc-n0body00/topics").await;
        expect_kafka_error(&foreign, 404, 404);
        assert_eq!(foreign.text, random.text);
        for path in ["/kafka/v3/clusters/nonsense/topics", "/kafka/v3/clusters", "/kafka/v3/x"] {
            expect_kafka_error(&rest.get(path).await, 404, 404);
        }
    }

    async fn a_key_of_another_cluster_is_no_key(engine: Engine) {
        let setup = Setup::start_with_echo(engine).await;
        let rest = &setup.installation.rest;
        let environment = rest.create_environment("other").await;
        let other = rest.create_cluster(&environment, "two").await;
        for cluster in [other.as_str(), "lkc-n0body00", "nonsense"] {
            let answer = setup.kafka.get(&format!("/kafka/v3/clusters/{cluster}/topics")).await;
            expect_kafka_error(&answer, 401, 40101);
        }
        let path = format!("/kafka/v3/clusters/{}/topics", setup.cluster);
        let (right, wrong) = (setup.kafka.clone(), rest.with_key("AAAAAAAAAAAAAAAA", "mlst"));
        right.get(&path).await.expect(201);
        for caller in [wrong, rest.anonymous()] {
            let answer = caller.get(&path).await;
            expect_kafka_error(&answer, 401, 40101);
            assert!(answer.headers.contains_key("www-authenticate"));
        }
    }

    async fn a_deleted_key_is_refused_at_once(engine: Engine) {
        let setup = Setup::start_with_echo(engine).await;
        let path = format!("/kafka/v3/clusters/{}/topics", setup.cluster);
        let rest = &setup.installation.rest;
        let (key, secret) = rest.create_kafka_key(&setup.account, &setup.cluster).await;
        rest.with_key(&key, &secret).get(&path).await.expect(201);
        rest.delete(&format!("/iam/v2/api-keys/{key}")).await.expect(204);
        expect_kafka_error(&rest.with_key(&key, &secret).get(&path).await, 401, 40101);
    }

    async fn without_a_broker_the_answer_is_50003(engine: Engine) {
        let mut setup = Setup::start(engine).await;
        let path = format!("/kafka/v3/clusters/{}/topics", setup.cluster);
        let answer = setup.kafka.get(&path).await;
        expect_kafka_error(&answer, 503, 50003);
        assert_eq!(answer.headers["retry-after"], "1");
        setup.broker.take_requests(|request| Some(echo(request))).await;
        setup.kafka.get(&path).await.expect(201);
        setup.broker.hang_up();
        let deadline = tokio::time::Instant::now() + crate::fixture::PATIENCE;
        loop {
            let answer = setup.kafka.get(&path).await;
            if answer.status == 503 {
                break expect_kafka_error(&answer, 503, 50003);
            }
            assert!(tokio::time::Instant::now() < deadline, "the broker is still asked");
        }
    }

    async fn a_broker_that_leaves_ends_the_requests_it_holds(engine: Engine) {
        let mut setup = Setup::start(engine).await;
        let (asked, mut was_asked) = tokio::sync::mpsc::unbounded_channel();
        setup.broker.take_requests(move |_| { let _ = asked.send(()); None }).await;
        let path = format!("/kafka/v3/clusters/{}/topics", setup.cluster);
        let kafka = setup.kafka.clone();
        let waiting = tokio::spawn(async move { kafka.get(&path).await });
        was_asked.recv().await.expect("the broker is asked");
        setup.broker.hang_up();
        expect_kafka_error(&waiting.await.expect("it ends"), 503, 50003);
    }

    async fn many_requests_at_once_get_their_own_answers(engine: Engine) {
        let setup = Setup::start_with_echo(engine).await;
        let requests = (0..100).map(|number| {
            let (kafka, path) = (setup.kafka.clone(), format!("/kafka/v3/clusters/{}/topics/{number}", setup.cluster));
            tokio::spawn(async move {
                let answer = kafka.get(&path).await.expect(201);
                assert_eq!(answer.json()["path"], json!(path));
            })
        });
        for request in requests.collect::<Vec<_>>() {
            request.await.expect("it is answered");
        }
    }

    async fn a_body_that_is_too_large_is_refused(engine: Engine) {
        let setup = Setup::start_with_echo(engine).await;
        let path = format!("/kafka/v3/clusters/{}/topics/a/records", setup.cluster);
        let body = vec![b'x'; millstream_api::fleet::MAX_FORWARDED_BODY_BYTES + 1];
        expect_kafka_error(&setup.kafka.send("POST", &path, &[], Some(body)).await, 413, 413);
        let body = vec![b'x'; 3 * 1024 * 1024];
        setup.kafka.send("POST", &path, &[], Some(body)).await.expect(201);
    }

    async fn a_senseless_answer_of_a_broker_is_not_passed_on(engine: Engine) {
        let mut setup = Setup::start(engine).await;
        let path = format!("/kafka/v3/clusters/{}/topics", setup.cluster);
        setup.broker.take_requests(|request| {
            let number = request.path_and_query.rsplit('=').next().and_then(|text| text.parse().ok()).unwrap_or(0);
            let content_type = if number == 1 { "a\nb" } else { "" };
            let status = if number == 1 { 200 } else { number };
            Some(HttpAnswer { id: request.id, status, content_type: content_type.into(), ..HttpAnswer::default() })
        }).await;
        for status in [0, 1, 100, 99_999] {
            expect_kafka_error(&setup.kafka.get(&format!("{path}?status={status}")).await, 502, 502);
        }
        let empty = setup.kafka.get(&format!("{path}?status=204")).await.expect(204);
        assert!(!empty.headers.contains_key("content-type"));
    }

    async fn a_wrong_method_is_told_the_right_ones(engine: Engine) {
        let mut setup = Setup::start(engine).await;
        setup.broker.take_requests(|request| Some(HttpAnswer { id: request.id, status: 405, ..HttpAnswer::default() })).await;
        let cluster = format!("/kafka/v3/clusters/{}", setup.cluster);
        for (path, allowed) in [("topics", "GET, POST"), ("topics/a/configs:alter", "POST"), ("links", "")] {
            let answer = setup.kafka.send("PUT", &format!("{cluster}/{path}"), &[], None).await.expect(405);
            assert_eq!(answer.headers["allow"], allowed, "{path}");
        }
        let rest = &setup.installation.rest;
        let answer = rest.send("PUT", "/kafka/v3/clusters", &[], None).await;
        expect_kafka_error(&answer, 405, 405);
        assert_eq!(answer.headers["allow"], "GET");
    }

    async fn each_call_is_recorded_by_its_own_name_with_its_error_code(engine: Engine) {
        let mut setup = Setup::start(engine).await;
        setup.broker.take_requests(|request| {
            let refused = request.path_and_query.ends_with("/missing");
            let (status, body) = match refused {
                true => (404, json!({"error_code": 40403, "message": "no such topic"})),
                false => (200, json!({})),
            };
            let body = body.to_string().into_bytes().into();
            Some(HttpAnswer { id: request.id, status, content_type: "application/json".into(), body, ..HttpAnswer::default() })
        }).await;
        let cluster = format!("/kafka/v3/clusters/{}", setup.cluster);
        let rest = &setup.installation.rest;
        for (method, path, operation_id, status, error_code) in [
            ("POST", format!("{cluster}/topics"), "createKafkaTopic", 200, ""),
            ("GET", format!("{cluster}/topics/a"), "getKafkaTopic", 200, ""),
            ("GET", format!("{cluster}/topics/missing"), "getKafkaTopic", 404, "40403"),
            ("GET", format!("{cluster}/topics/-/configs"), "listKafkaAllTopicConfigs", 200, ""),
            ("GET", format!("{cluster}/topics/a/configs"), "listKafkaTopicConfigs", 200, ""),
            ("POST", format!("{cluster}/topics/a/configs:alter"), "updateKafkaTopicConfigBatch", 200, ""),
            ("POST", format!("{cluster}/topics/a/configs%3Aalter"), "updateKafkaTopicConfigBatch", 200, ""),
            ("DELETE", format!("{cluster}/acls"), "deleteKafkaAcls", 200, ""),
            ("GET", "/kafka/v3/clusters/lkc-n0body00/topics".to_owned(), "listKafkaTopics", 404, "404"),
            // What nobody here knows is recorded all the same.
            ("GET", format!("{cluster}/links"), "kafkaV3", 200, ""),
            ("PUT", format!("{cluster}/topics"), "kafkaV3", 200, ""),
        ] {
            let answer = rest.send(method, &path, &[], None).await;
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
            let event = recorded(rest, &answer).await;
            assert_eq!(event["operation_id"], json!(operation_id), "{method} {path}");
            assert_eq!(event["error_code"], json!(error_code), "{method} {path}");
        }
    }
}

/// The event of an answered call, once it is written.
async fn recorded(rest: &Rest, answer: &Answer) -> Value {
    let id = answer.headers["x-request-id"].to_str().expect("text");
    let deadline = tokio::time::Instant::now() + crate::fixture::PATIENCE;
    loop {
        let read = rest.get(&format!("/audit/v1/events/{id}")).await;
        if read.status == 200 {
            return read.json();
        }
        assert!(tokio::time::Instant::now() < deadline, "the call is not recorded: {}", read.text);
        tokio::task::yield_now().await;
    }
}
