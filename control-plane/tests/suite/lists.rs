//! Pages of lists.

use serde_json::{Value, json};

use crate::fixture::{Answer, Engine, Installation};

fn names(page: &Answer) -> Vec<String> {
    let data = page.json()["data"].as_array().expect("a list").clone();
    data.iter().map(|item| item["display_name"].as_str().expect("a name").to_owned()).collect()
}

fn link(page: &Answer, name: &str) -> Option<String> {
    page.json()["metadata"].get(name).map(|link| link.as_str().expect("a URL").to_owned())
}

on_both_engines! {
    async fn a_list_is_walked_forwards_and_backwards(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let expected: Vec<String> = (0..7).map(|number| format!("environment {number}")).collect();
        for name in &expected {
            rest.create_environment(name).await;
        }
        let mut page = rest.get("/org/v2/environments?page_size=3").await.expect(200);
        assert_eq!(page.json()["kind"], json!("EnvironmentList"));
        assert_eq!(page.json()["api_version"], json!("org/v2"));
        assert_eq!(page.json()["metadata"]["total_size"], json!(7));
        assert_eq!(link(&page, "prev"), None);
        let first = link(&page, "first").expect("always there");
        let mut forwards = names(&page);
        while let Some(next) = link(&page, "next") {
            assert!(next.starts_with(rest.base()) && next.contains("page_token="), "{next}");
            page = rest.get(&next).await.expect(200);
            forwards.extend(names(&page));
        }
        assert_eq!(forwards, expected);

        let last = rest.get(&link(&page, "last").expect("always there")).await.expect(200);
        assert_eq!(names(&last), expected[6..]);
        assert_eq!(link(&last, "next"), None);
        let mut page = last;
        let mut backwards = vec![names(&page)];
        while let Some(previous) = link(&page, "prev") {
            page = rest.get(&previous).await.expect(200);
            backwards.insert(0, names(&page));
        }
        assert_eq!(backwards.concat(), expected);
        assert_eq!(names(&rest.get(&first).await.expect(200)), expected[..3]);
    }

    async fn a_page_does_not_shift_when_rows_before_it_go(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let mut ids = Vec::new();
        for number in 0..6 {
            ids.push(rest.create_environment(&format!("environment {number}")).await);
        }
        let page = rest.get("/org/v2/environments?page_size=2").await.expect(200);
        rest.delete(&format!("/org/v2/environments/{}", ids[0])).await.expect(204);
        rest.delete(&format!("/org/v2/environments/{}", ids[1])).await.expect(204);
        let next = rest.get(&link(&page, "next").expect("more")).await.expect(200);
        assert_eq!(names(&next), ["environment 2", "environment 3"]);
    }

    async fn an_empty_list_and_a_full_page_have_no_next(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        for count in 0..3 {
            let page = rest.get("/org/v2/environments?page_size=2").await.expect(200);
            assert_eq!(names(&page).len(), count);
            assert_eq!(link(&page, "next"), None);
            rest.get(&link(&page, "last").expect("always there")).await.expect(200);
            rest.create_environment(&format!("environment {count}")).await;
        }
        let page = rest.get("/org/v2/environments?page_size=2").await.expect(200);
        assert!(link(&page, "next").is_some());
    }

    async fn ten_objects_are_on_a_page_unless_asked_otherwise(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        for number in 0..11 {
            rest.create_service_account(&format!("account {number}")).await;
        }
        let page = rest.get("/iam/v2/service-accounts").await.expect(200);
        assert_eq!(names(&page).len(), 10);
        assert_eq!(page.json()["metadata"]["total_size"], Value::from(11));
    }

    async fn bad_page_parameters_are_refused_by_name(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        for list in ["/org/v2/environments", "/org/v2/organizations", "/iam/v2/service-accounts", "/iam/v2/api-keys"] {
            for size in ["0", "101", "-1", "x", "99999999999999999999"] {
                assert_eq!(rest.get(&format!("{list}?page_size={size}")).await.expect_error(400), "page_size");
            }
            for token in ["x", "%00", &"A".repeat(256), "YToxOmVudg%3D%3D"] {
                assert_eq!(rest.get(&format!("{list}?page_token={token}")).await.expect_error(400), "page_token");
            }
        }
        let names: String = (0..101).map(|number| format!("&display_name={number}")).collect();
        let answer = rest.get(&format!("/iam/v2/service-accounts?page_size=1{names}")).await;
        assert_eq!(answer.expect_error(400), "display_name");
        let answer = rest.get("/iam/v2/service-accounts?display_name=%00").await;
        assert_eq!(answer.expect_error(400), "display_name");
        rest.get("/iam/v2/service-accounts?something_new=1").await.expect(200);
        rest.get("/iam/v2/service-accounts?display_name=%ff").await;
    }
}
