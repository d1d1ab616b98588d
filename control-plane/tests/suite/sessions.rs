//! Logging in: what a session may do, and how it ends.

use millstream_control_plane::BootstrapError;
use serde_json::json;
use tokio::task::JoinSet;

use crate::fixture::rest::PASSWORD;
use crate::fixture::{Engine, Installation};

const EMAIL: &str = "ann@example.com";

on_both_engines! {
    async fn a_session_acts_with_the_roles_of_its_user(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let (user, _) = rest.create_user(EMAIL, PASSWORD).await;
        let answer = rest.log_in("Ann@example.com", PASSWORD).await.expect(201);
        assert_eq!(answer.text_at("/token_type"), "Bearer");
        let session = rest.with_token(&answer.text_at("/token"));
        assert_eq!(session.get(&format!("/iam/v2/users/{user}")).await.expect(200).text_at("/email"), EMAIL);
        session.post("/org/v2/environments", json!({"display_name":"x"})).await.expect_error(403);
        let organization = installation.organization.organization_id;
        let crn = format!("crn://confluent.cloud/organization={organization}");
        rest.bind_role(&user, "OrganizationAdmin", &crn).await;
        session.post("/org/v2/environments", json!({"display_name":"x"})).await.expect(201);
    }

    async fn the_first_user_logs_in_and_administers_the_organization(engine: Engine) {
        let installation = Installation::start(engine).await;
        let made = installation.control_plane().bootstrap("Initech", Some("Root@Localhost")).await.expect("made");
        let login = made.login.expect("a login");
        let rest = &installation.rest;
        rest.log_in("root@localhost", "not the password").await.expect_error(401);
        let answer = rest.log_in("root@localhost", login.password.expose()).await.expect(201);
        assert_eq!(answer.text_at("/user_id"), made.user_id.to_string());
        assert_eq!(answer.text_at("/organization_id"), made.organization_id.to_string());
        let session = rest.with_token(&answer.text_at("/token"));
        session.post("/org/v2/environments", json!({"display_name":"x"})).await.expect(201);
        let user = session.get(&format!("/iam/v2/users/{}", made.user_id)).await.expect(200);
        assert_eq!(user.text_at("/email"), login.email);

        let refused = installation.control_plane().bootstrap("Initrode", Some("nobody")).await;
        assert!(matches!(refused, Err(BootstrapError::User(_))), "{refused:?}");
    }

    async fn a_session_ends_with_a_logout_and_with_another_password(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let (user, _) = rest.create_user(EMAIL, PASSWORD).await;
        let first = rest.log_in(EMAIL, PASSWORD).await.expect(201);
        let second = rest.log_in(EMAIL, PASSWORD).await.expect(201);
        let sessions = [first.clone(), second].map(|answer| rest.with_token(&answer.text_at("/token")));
        sessions[0].delete(&format!("/iam/v2/sessions/{}", first.text_at("/id"))).await.expect(204);
        let over = sessions[0].get("/org/v2/organizations").await;
        over.expect_error(401);
        assert!(over.text.contains("invalid API key"), "{}", over.text);
        sessions[1].get("/org/v2/organizations").await.expect(200);

        let path = format!("/iam/v2/users/{user}");
        sessions[1].patch(&path, json!({"password":"another long password"})).await.expect(200);
        sessions[1].get("/org/v2/organizations").await.expect_error(401);
        rest.log_in(EMAIL, PASSWORD).await.expect_error(401);
        rest.log_in(EMAIL, "another long password").await.expect(201);
    }

    async fn an_unknown_address_is_refused_like_a_wrong_password(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        rest.create_user(EMAIL, PASSWORD).await;
        rest.post("/iam/v2/users", json!({"email":"nopassword@example.com"})).await.expect(201);
        let mut details = Vec::new();
        for email in [EMAIL, "unknown@example.com", "nopassword@example.com"] {
            let answer = rest.log_in(email, "not the password").await;
            answer.expect_error(401);
            details.push(answer.text_at("/errors/0/detail"));
        }
        details.dedup();
        assert_eq!(details.len(), 1, "{details:?}");
    }

    async fn a_password_cannot_be_tried_by_the_thousand(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        rest.create_user(EMAIL, PASSWORD).await;
        let mut attempts = JoinSet::new();
        for number in 0..100 {
            let rest = rest.clone();
            attempts.spawn(async move { rest.log_in(EMAIL, &format!("guess number {number}")).await });
        }
        let answers = attempts.join_all().await;
        let checked = answers.iter().filter(|answer| answer.status == 401).count();
        let refused = answers.iter().filter(|answer| answer.status == 429);
        assert!(refused.clone().all(|answer| answer.headers.contains_key("retry-after")));
        assert_eq!(checked + refused.count(), 100);
        assert!(checked <= 20, "{checked} guesses were checked");
    }

    async fn odd_tokens_are_refused(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        rest.create_user(EMAIL, PASSWORD).await;
        let token = rest.log_in(EMAIL, PASSWORD).await.expect(201).text_at("/token");
        let unsigned = format!("{}.", &token[..token.rfind('.').expect("three parts")]);
        for odd in ["", "x", "a.b.c", &unsigned, &token.to_uppercase(), &"A".repeat(900)] {
            rest.with_token(odd).get("/org/v2/organizations").await.expect_error(401);
        }
        let keys = rest.anonymous().get("/.well-known/jwks.json").await.expect(200).json();
        assert_eq!(keys["keys"].as_array().expect("keys").len(), 3);
        assert!(keys["keys"][0].get("d").is_none(), "a private key");
    }
}
