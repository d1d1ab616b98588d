//! The OpenAPI document: committed, served, and the same.

use std::path::Path;

use crate::fixture::document::is_forwarded;
use crate::fixture::{Engine, Installation};

#[test]
fn the_committed_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let generated = millstream_control_plane::openapi_document();
    if std::env::var("UPDATE_GENERATED").as_deref() == Ok("1") {
        std::fs::write(&path, &generated).expect("it is written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "openapi.json is not current: run this test with UPDATE_GENERATED=1 and commit it");
}

#[test]
fn the_document_says_what_clients_need() {
    let document: serde_json::Value =
        serde_json::from_str(&millstream_control_plane::openapi_document()).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no id"));
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            // Every status is named: a client generator makes nothing of "default".
            assert!(operation["responses"].get("default").is_none(), "{id} does not name its errors");
            let mut errors = vec!["400", "401", "403", "404", "429", "500", "503"];
            let form = if is_forwarded(path) {
                errors.extend(["408", "413", "414", "502", "504"]);
                "#/components/schemas/KafkaErrorBody"
            } else {
                errors.extend(["402", "409", "422"].iter().filter(|_| method != "get"));
                "#/components/schemas/ErrorBody"
            };
            for status in errors {
                let schema = &operation["responses"][status]["content"]["application/json"]["schema"]["$ref"];
                assert_eq!(schema, form, "{id} does not say how {status} looks");
            }
            let summary = operation["summary"].as_str().or(operation["description"].as_str());
            assert!(summary.is_some(), "{id} is not described");
        }
    }
    let text = document.to_string();
    for reference in text.split(r##""$ref":"#/components/schemas/"##).skip(1) {
        let name = reference.split('"').next().expect("a name");
        assert!(document["components"]["schemas"].get(name).is_some(), "no schema {name}");
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let installation = Installation::start(Engine::Sqlite).await;
    let served = installation.rest.anonymous().get("/openapi.json").await.expect(200);
    assert_eq!(served.text, millstream_control_plane::openapi_document());
}
