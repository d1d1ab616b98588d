//! Bodies, paths and methods that are wrong.

mod generated;

use serde_json::json;

use crate::fixture::rest::{cloud_key_body, cluster_body};
use crate::fixture::{Engine, Installation};

on_both_engines! {
    async fn a_bad_body_is_refused_and_the_field_is_pointed_at(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let account = rest.create_service_account("app").await;
        let deep = format!(r#"{{"display_name":{}"#, "[".repeat(100_000));
        let large = format!(r#"{{"display_name":"{}"}}"#, "x".repeat(300_000));
        let text: &[(&str, &str, &str)] = &[
            ("POST /org/v2/environments", "", ""),
            ("POST /org/v2/environments", "{", ""),
            ("POST /org/v2/environments", "null", ""),
            ("POST /org/v2/environments", "[]", ""),
            ("POST /org/v2/environments", r#"["staging2"]"#, ""),
            ("POST /org/v2/environments", r#""x""#, ""),
            ("POST /org/v2/environments", "{} {}", "/display_name"),
            ("POST /org/v2/environments", "{}", "/display_name"),
            ("POST /org/v2/environments", r#"{"display_name":null}"#, "/display_name"),
            ("POST /org/v2/environments", r#"{"display_name":7}"#, "/display_name"),
            ("POST /org/v2/environments", r#"{"display_name":{}}"#, "/display_name"),
            ("POST /org/v2/environments", r#"{"display_name":""}"#, "/display_name"),
            ("POST /org/v2/environments", r#"{"display_name":"  "}"#, "/display_name"),
            ("POST /org/v2/environments", r#"{"display_name":"a\u0000b"}"#, "/display_name"),
            ("POST /org/v2/environments", r#"{"display_name":"\ud800"}"#, "/display_name"),
            ("POST /org/v2/environments", &deep, ""),
            ("POST /org/v2/environments", &large, ""),
            ("POST /iam/v2/service-accounts", r#"{"display_name":"a","description":["x"]}"#, "/description"),
            ("POST /iam/v2/service-accounts", r#"{"display_name":"a","description":"\u0000"}"#, "/description"),
            ("POST /iam/v2/api-keys", "{}", "/spec"),
            ("POST /iam/v2/api-keys", r#"{"spec":{}}"#, "/spec/owner"),
            ("POST /iam/v2/api-keys", r#"{"spec":{"owner":{}}}"#, "/spec/owner/id"),
            ("POST /iam/v2/api-keys", r#"{"spec":{"owner":{"id":1}}}"#, "/spec/owner/id"),
            ("POST /iam/v2/api-keys", r#"{"spec":[{"id":"sa-a"}]}"#, "/spec"),
            ("POST /cmk/v2/clusters", r#"{"spec":{"display_name":"a"}}"#, "/spec/availability"),
        ];
        for (operation, body, pointer) in text {
            let (method, path) = operation.split_once(' ').expect("two words");
            let answer = rest.send(method, path, &[], Some(body.as_bytes().to_vec())).await;
            let shown: String = body.chars().take(60).collect();
            assert_eq!(answer.status, 400, "{operation} {shown}: {}", answer.text);
            assert_eq!(answer.expect_error(400), *pointer, "{operation} {shown}");
        }
        let not_utf8 = rest.send("POST", "/org/v2/environments", &[], Some(b"{\"display_name\":\"\xff\"}".to_vec())).await;
        not_utf8.expect_error(400);

        for (field, value) in [
            ("availability", json!("SOME_ZONES")), ("cloud", json!("MOON")), ("region", json!("us east")),
            ("region", json!("")), ("config", json!({"kind":"Huge"})), ("display_name", json!("x".repeat(65))),
            ("environment", json!({})), ("config", json!({})), ("region", json!(1)),
        ] {
            let mut body = cluster_body(&environment, "one");
            body["spec"][field] = value.clone();
            let pointer = rest.post("/cmk/v2/clusters", body).await.expect_error(400);
            assert!(pointer.starts_with(&format!("/spec/{field}")), "{field} {value}: {pointer}");
        }
        let mut body = cloud_key_body(&account);
        body["spec"]["description"] = json!("x".repeat(1_025));
        assert_eq!(rest.post("/iam/v2/api-keys", body).await.expect_error(400), "/spec/description");
        let mut body = cloud_key_body(&account);
        body["spec"]["resource"] = json!({"id":"lsrc-abc","kind":"SchemaRegistry"});
        assert_eq!(rest.post("/iam/v2/api-keys", body).await.expect_error(422), "/spec/resource/kind");
    }

    async fn unknown_ids_in_bodies_are_pointed_at(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        for environment in ["env-unknown", "nonsense", "", "lkc-abc"] {
            let answer = rest.post_cluster(environment, "one").await;
            assert_eq!(answer.expect_error(404), "/spec/environment/id");
        }
        for owner in ["sa-unknown", "u-unknown", "nonsense", ""] {
            let answer = rest.post("/iam/v2/api-keys", cloud_key_body(owner)).await;
            assert_eq!(answer.expect_error(404), "/spec/owner/id");
        }
    }

    async fn unknown_paths_and_methods_have_the_error_form(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        for path in ["/", "/org/v2", "/org/v3/environments", "/iam/v2/identity-providers", "/org/v2/environments/", "/kafka"] {
            rest.get(path).await.expect_error(404);
        }
        rest.send("PUT", "/org/v2/environments", &[], None).await.expect_error(405);
        for id in ["env-", "env-UPPER", "%00", "..", "env-a%2Fb", "%ff", &"x".repeat(5_000)] {
            rest.get(&format!("/org/v2/environments/{id}")).await.expect_error(404);
        }
        let health = rest.anonymous().get("/health").await.expect(200);
        assert_eq!(health.text_at("/status"), "ok");
    }
}
