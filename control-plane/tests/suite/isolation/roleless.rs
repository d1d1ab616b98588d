//! The wall inside of an organization: a service account without a role does nothing with the organization's objects,
//! by any operation.
//!
//! The operations come from the OpenAPI document, as in the test between organizations.

use serde_json::{Value, json};

use super::{cases, make_objects};
use crate::fixture::{Engine, Installation};

/// What everybody in an organization may do: see the organization itself.
const FOR_EVERYBODY: &[&str] = &["get /org/v2/organizations/{id}"];

on_both_engines! {
    async fn without_a_role_no_operation_does_anything_to_any_object(engine: Engine) {
        let installation = Installation::start(engine).await;
        let admin = &installation.rest;
        let own = make_objects(&installation, admin, &installation.organization).await;
        let nobody = admin.create_service_account("nobody").await;
        let nobody = admin.create_cloud_key(&nobody).await;
        let document: Value = serde_json::from_str(&millstream_control_plane::openapi_document()).expect("JSON");
        let cases = cases(&own, &own);
        let mut requests = 0;
        for (path, item) in document["paths"].as_object().expect("paths") {
            for method in item.as_object().expect("operations").keys() {
                let operation = format!("{method} {path}");
                let row = cases.get(operation.as_str()).unwrap_or_else(|| panic!("{operation} has no row"));
                for case in row.iter().filter(|_| !FOR_EVERYBODY.contains(&operation.as_str())) {
                    let body = case.body.as_ref().map(|body| body.to_string().into_bytes());
                    let answer = nobody.send(&method.to_uppercase(), &case.path, &[], body).await;
                    requests += 1;
                    match answer.status {
                        200 => assert_eq!(answer.json()["data"], json!([]), "{operation} {}", case.path),
                        status => assert!([401, 403, 404].contains(&status), "{operation}: {}", answer.text),
                    }
                }
            }
        }
        assert!(requests >= 40, "only {requests} requests");
        for (path, body) in [
            ("/org/v2/environments", json!({"display_name":"x"})),
            ("/iam/v2/service-accounts", json!({"display_name":"x","description":""})),
            ("/iam/v2/users", json!({"email":"x@example.com"})),
        ] {
            nobody.post(path, body).await.expect_error(403);
        }
        for path in ["/org/v2/environments", "/iam/v2/users"] {
            assert_eq!(nobody.get(path).await.expect(200).json()["data"], json!([]), "{path}");
        }
    }
}
