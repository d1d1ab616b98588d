//! Users: made by an administrator, changed by themselves, and gone with all they have.

use serde_json::json;

use crate::fixture::rest::{PASSWORD, kafka_key_body};
use crate::fixture::{Engine, Installation};

const PATH: &str = "/iam/v2/users";

on_both_engines! {
    async fn a_user_is_made_read_listed_changed_and_deleted(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let body = json!({"email":"Ann@Example.com","full_name":"Ann","password":PASSWORD});
        let made = rest.post(PATH, body).await.expect(201);
        let id = made.text_at("/id");
        assert_eq!((made.text_at("/kind"), made.text_at("/email")), ("User".into(), "ann@example.com".into()));
        assert!(!made.text.contains(PASSWORD) && !made.text.contains("argon2"), "{}", made.text);
        assert_eq!(made.headers["location"], made.text_at("/metadata/self"));
        assert_eq!(rest.get(&format!("{PATH}/{id}")).await.expect(200).json(), made.json());
        let list = rest.get(PATH).await.expect(200).json();
        assert_eq!(list["data"].as_array().expect("a list").len(), 2, "with the first user");
        let changed = rest.patch(&format!("{PATH}/{id}"), json!({"full_name":"Ann B."})).await.expect(200);
        assert_eq!(changed.text_at("/full_name"), "Ann B.");
        rest.delete(&format!("{PATH}/{id}")).await.expect(204);
        rest.get(&format!("{PATH}/{id}")).await.expect_error(404);
    }

    async fn what_makes_no_sense_is_refused_and_names_its_field(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        rest.post(PATH, json!({"email":"ann@example.com"})).await.expect(201);
        for (body, status, field) in [
            (json!({"email":"ann"}), 400, "/email"),
            (json!({}), 400, "/email"),
            (json!({"email":"bob@example.com","password":"short"}), 400, "/password"),
            (json!({"email":"bob@example.com","password":7}), 400, "/password"),
            (json!({"email":"bob@example.com","full_name":"a\u{0}b"}), 400, "/full_name"),
            (json!({"email":"ANN@example.com"}), 409, "/email"),
        ] {
            assert_eq!(rest.post(PATH, body).await.expect_error(status), field);
        }
        let (_, globex) = installation.another_organization().await;
        globex.post(PATH, json!({"email":"ann@example.com"})).await.expect(201);
    }

    async fn a_deleted_user_leaves_no_key_no_role_and_no_session(engine: Engine) {
        let installation = Installation::start(engine).await;
        let (_agent, broker) = installation.fleet().await;
        let rest = &installation.rest;
        let environment = rest.create_environment("staging").await;
        let cluster = rest.create_cluster(&environment, "one").await;
        rest.wait_provisioned(&environment, &cluster).await;
        let (user, _) = rest.create_user("ann@example.com", PASSWORD).await;
        let session = rest.with_token(&rest.log_in("ann@example.com", PASSWORD).await.expect(201).text_at("/token"));
        let organization = installation.organization.organization_id;
        let crn = format!("crn://confluent.cloud/organization={organization}");
        let binding = rest.bind_role(&user, "MetricsViewer", &crn).await;
        let mut body = kafka_key_body(&user, &cluster);
        body["spec"]["owner"]["kind"] = json!("User");
        let key = session.post("/iam/v2/api-keys", body).await.expect(202);
        let (key, secret) = (key.text_at("/id"), key.text_at("/spec/secret"));
        assert!(broker.image().authenticates(&key, &secret));

        rest.delete(&format!("{PATH}/{user}")).await.expect(204);
        let image = broker.image();
        assert!(!image.authenticates(&key, &secret) && !image.role_bindings.contains_key(&binding));
        session.get("/org/v2/organizations").await.expect_error(401);
        rest.log_in("ann@example.com", PASSWORD).await.expect_error(401);
    }
}
