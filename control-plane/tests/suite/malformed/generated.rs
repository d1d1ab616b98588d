//! Wrong requests made from the OpenAPI document, for every operation that the control plane answers: each is refused
//! with a 4xx that names what is wrong, stores nothing and says nothing of the inside of the service.
//!
//! A new operation, property or parameter is covered without a new line here. Bodies of kafka/v3 are parsed by brokers.

use serde_json::{Map, Value, json};

use crate::fixture::document::{Operation, document, operations, resolve};
use crate::fixture::{Answer, Engine, Installation, Rest};
use crate::isolation::{Ids, make_objects, object_id};

/// Words that are only found inside of the service.
const INSIDE: &[&str] =
    &["sqlx", "SELECT", "INSERT", "panicked", "postgres", "sqlite", ".rs", "stack backtrace", "mlst"];
/// More than any body may have.
const TOO_LARGE: usize = 300_000;
/// Deeper than any body may be.
const TOO_DEEP: usize = 1_000;

/// A place in a body.
#[derive(Debug)]
struct Property<'a> {
    pointer: String,
    schema: &'a Value,
    is_required: bool,
}

/// A wrong body and the place that the refusal must name.
struct Wrong {
    body: Vec<u8>,
    /// None if it may be anywhere.
    pointer: Option<String>,
    what: String,
}

/// A value that has the JSON types of a schema.
fn sample(document: &Value, schema: &Value) -> Value {
    let schema = resolve(document, schema);
    if let Some(alternatives) = schema["oneOf"].as_array() {
        let value = alternatives.iter().find(|alternative| alternative["type"] != "null");
        return sample(document, value.expect("something but null"));
    }
    if let Some(properties) = schema["properties"].as_object() {
        let fields = properties.iter().map(|(name, property)| (name.clone(), sample(document, property)));
        return Value::Object(fields.collect());
    }
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    match types(schema).first().map(String::as_str) {
        Some("string") => json!("x"),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(false),
        Some("array") => json!([sample(document, &schema["items"])]),
        Some("object") => json!({}),
        other => panic!("what is a value of type {other:?}?"),
    }
}

/// The JSON types that a schema allows; the first one is not null.
fn types(schema: &Value) -> Vec<String> {
    let listed = match &schema["type"] {
        Value::Array(names) => names.clone(),
        name => vec![name.clone()],
    };
    let mut names: Vec<String> = listed.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    names.sort_by_key(|name| name == "null");
    names
}

fn is_nullable(document: &Value, schema: &Value) -> bool {
    let schema = resolve(document, schema);
    let alternatives = schema["oneOf"].as_array().into_iter().flatten();
    types(schema).iter().any(|name| name == "null") || alternatives.into_iter().any(|one| is_nullable(document, one))
}

/// The schema without what says that null is a value, too.
fn not_null<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let schema = resolve(document, schema);
    let mut alternatives = schema["oneOf"].as_array().into_iter().flatten();
    alternatives.find(|alternative| alternative["type"] != "null").map_or(schema, |one| not_null(document, one))
}

/// Every property of a schema, at every depth.
fn collect<'a>(document: &'a Value, schema: &'a Value, pointer: &str, properties: &mut Vec<Property<'a>>) {
    let schema = not_null(document, schema);
    if schema["items"].is_object() {
        return collect(document, &schema["items"], &format!("{pointer}/0"), properties);
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let pointer = format!("{pointer}/{name}");
        let mut required = schema["required"].as_array().into_iter().flatten();
        let is_required = required.any(|required| required == name);
        properties.push(Property { pointer: pointer.clone(), schema: property, is_required });
        collect(document, property, &pointer, properties);
    }
}

/// The bodies that are wrong in one property each.
fn wrong_properties(document: &Value, schema: &Value) -> Vec<Wrong> {
    let right = sample(document, schema);
    let mut properties = Vec::new();
    collect(document, schema, "", &mut properties);
    let mut wrongs = Vec::new();
    for Property { pointer, schema, is_required } in properties {
        let mut replace = |value: Value, what: &str| {
            let mut body = right.clone();
            *body.pointer_mut(&pointer).expect("the sample has each property") = value;
            wrongs.push(Wrong {
                body: body.to_string().into_bytes(),
                pointer: Some(pointer.clone()),
                what: what.to_owned(),
            });
        };
        let value = not_null(document, schema);
        let allowed = types(value);
        for (name, other) in [
            ("string", json!("x")),
            ("integer", json!(-7)),
            ("number", json!(0.5)),
            ("boolean", json!(true)),
            ("array", json!([[]])),
            ("object", json!({"x": {}})),
        ] {
            let is_number = name == "integer" && allowed.iter().any(|name| name == "number");
            if !allowed.iter().any(|allowed| allowed == name) && !is_number {
                replace(other, &format!("{name} instead of {allowed:?}"));
            }
        }
        if !is_nullable(document, schema) && is_required {
            replace(Value::Null, "null");
        }
        if value["enum"].is_array() {
            replace(json!("NO_SUCH_VALUE"), "a value that is not listed");
        }
        if is_required {
            let mut body = right.clone();
            let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
            body.pointer_mut(parent).and_then(Value::as_object_mut).map(|fields: &mut Map<_, _>| fields.remove(name));
            wrongs.push(Wrong {
                body: body.to_string().into_bytes(),
                pointer: Some(pointer),
                what: "nothing".to_owned(),
            });
        }
    }
    wrongs
}

/// The bodies that are wrong as a whole.
fn wrong_bodies(document: &Value, schema: &Value) -> Vec<Wrong> {
    let right = sample(document, schema).to_string();
    let inner = right.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).expect("an object").to_owned();
    let fields = sample(document, schema);
    let first = fields.as_object().and_then(|fields| fields.keys().next()).expect("a property").clone();
    let of_text =
        |what: &str, body: String| Wrong { body: body.into_bytes(), pointer: Some(String::new()), what: what.into() };
    let mut wrongs = vec![
        of_text("nothing", String::new()),
        of_text("null", "null".into()),
        of_text("a list", format!("[{right}]")),
        of_text("a text", "\"x\"".into()),
        Wrong { pointer: None, ..of_text("half of it", right[..right.len() / 2].to_owned()) },
        of_text("too deep", format!(r#"{{"unknown":{}{},{inner}}}"#, "[".repeat(TOO_DEEP), "]".repeat(TOO_DEEP))),
        of_text("too large", format!(r#"{{"unknown":"{}",{inner}}}"#, "x".repeat(TOO_LARGE))),
        of_text("trailing bytes", format!("{right} x")),
        of_text("a second object", format!("{right}{right}")),
    ];
    let mut not_utf8 = right.clone().into_bytes();
    not_utf8.splice(1..1, b"\"unknown\":\"\xff\",".iter().copied());
    wrongs.push(Wrong { body: not_utf8, ..of_text("invalid UTF-8", String::new()) });
    let twice = format!("{{{inner},\"{first}\":{}}}", fields[&first]);
    wrongs.push(Wrong { pointer: Some(format!("/{first}")), ..of_text("a property twice", twice) });
    wrongs
}

/// Fails unless this is a refusal that says nothing of the inside.
#[track_caller]
fn expect_refusal(answer: &Answer, what: &str) {
    assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text);
    for word in INSIDE {
        assert!(!answer.text.contains(word), "{what} shows {word}: {}", answer.text);
    }
}

/// The path of an operation on an object that exists.
fn path_of(operation: &Operation, ids: &Ids) -> String {
    operation.path_with(|_| object_id(&operation.path, ids).unwrap_or_else(|| "unknown".to_owned()))
}

async fn send(rest: &Rest, operation: &Operation, path: &str, body: &[u8]) -> Answer {
    rest.send(&operation.method.to_uppercase(), path, &[], Some(body.to_vec())).await
}

/// Operations that the control plane answers itself.
fn own_operations() -> impl Iterator<Item = Operation> {
    operations().into_iter().filter(|operation| !operation.is_forwarded())
}

on_both_engines! {
    async fn every_wrong_body_of_every_operation_is_refused_at_the_place_that_is_wrong(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let ids = make_objects(&installation, rest, &installation.organization).await;
        let before = installation.count_rows().await;
        let document = document();
        let (mut requests, mut elsewhere) = (0, Vec::new());
        for operation in own_operations() {
            let schema = &operation.description["requestBody"]["content"]["application/json"]["schema"];
            if schema.is_null() {
                continue;
            }
            let schema = resolve(&document, schema);
            let path = path_of(&operation, &ids);
            for wrong in wrong_properties(&document, schema).into_iter().chain(wrong_bodies(&document, schema)) {
                let what = format!("{}: {} at {:?}", operation.name(), wrong.what, wrong.pointer);
                let answer = send(rest, &operation, &path, &wrong.body).await;
                requests += 1;
                expect_refusal(&answer, &what);
                let pointer = answer.expect_error(answer.status);
                if answer.status != 400 || wrong.pointer.is_some_and(|expected| expected != pointer) {
                    elsewhere.push(format!("{what}: {}", answer.text));
                }
            }
            let right = sample(&document, schema).to_string().into_bytes();
            for media_type in ["text/plain", "application/xml", "application/x-www-form-urlencoded", "nonsense"] {
                let headers = [("content-type", media_type)];
                let answer = rest.send(&operation.method.to_uppercase(), &path, &headers, Some(right.clone())).await;
                expect_refusal(&answer, media_type);
                answer.expect_error(415);
            }
        }
        assert!(elsewhere.is_empty(), "refused in another way:\n{}", elsewhere.join("\n"));
        assert!(requests > 500, "only {requests} requests");
        assert_eq!(installation.count_rows().await, before, "something was stored");
    }

    async fn every_wrong_parameter_of_every_operation_is_refused_by_its_name(engine: Engine) {
        let installation = Installation::start(engine).await;
        let rest = &installation.rest;
        let ids = make_objects(&installation, rest, &installation.organization).await;
        let before = installation.count_rows().await;
        let mut requests = 0;
        let long = "x".repeat(2_000);
        for operation in own_operations() {
            let path = path_of(&operation, &ids);
            let parameters: Vec<&Value> = operation.description["parameters"].as_array().into_iter().flatten().collect();
            for parameter in &parameters {
                let name = parameter["name"].as_str().expect("a name");
                let values = match (parameter["in"].as_str(), name) {
                    (Some("query"), "page_size") => vec!["0", "-1", "1.5", "x", "1001", "99999999999999999999", "%00"],
                    (Some("query"), "page_token") => vec!["x", "%00", "bm9uc2Vuc2U", &long],
                    (Some("query"), _) => vec!["%00", &long],
                    _ => continue,
                };
                for value in values {
                    let what = format!("{} with {name}={value:.20}", operation.name());
                    let answer = send(rest, &operation, &format!("{path}?{name}={value}"), b"{}").await;
                    requests += 1;
                    expect_refusal(&answer, &what);
                    assert_eq!(answer.expect_error(400), name, "{what}: {}", answer.text);
                }
            }
            if operation.path.contains('{') {
                for value in ["%00", "%ff", "..%2f..", "' OR 1=1 --", &long] {
                    let answer = send(rest, &operation, &operation.path_with(|_| value.to_owned()), b"{}").await;
                    requests += 1;
                    expect_refusal(&answer, &operation.name());
                }
            }
        }
        assert!(requests > 100, "only {requests} requests");
        assert_eq!(installation.count_rows().await, before, "something was stored");
    }
}
