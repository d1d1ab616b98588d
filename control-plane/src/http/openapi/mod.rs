//! `GET /openapi.json`: the document that the router itself wrote.

pub mod kafka_rest;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi as _;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, ResponseBuilder};

use millstream_api::rest::errors::ErrorBody;

/// Errors of every operation: status, and what it means.
const EVERY_ERROR: &[(&str, &str)] = &[
    ("400", "The request cannot be understood, or a field is unacceptable: the error names it"),
    ("401", "Missing or wrong credentials"),
    ("403", "No role of the caller allows it"),
    ("404", "The object does not exist for the caller"),
    ("429", "Too many requests: Retry-After says when to come back"),
    ("500", "The service failed; nothing was stored"),
    ("503", "The service is not available at the moment; nothing was stored"),
];
/// Further errors of reads.
const READ_ERRORS: &[(&str, &str)] = &[];
/// Further errors of operations that make an object.
const CREATE_ERRORS: &[(&str, &str)] = &[
    ("402", "A service quota is used up: the error names it, its limit and the usage"),
    ("409", "Something of the same name exists, or the present state does not allow it"),
    ("415", "The body is not JSON"),
    ("422", "Each field is acceptable, but the whole is not possible or not offered"),
];
/// Further errors of operations that change or delete an object.
const CHANGE_ERRORS: &[(&str, &str)] = &[
    ("402", "A service quota is used up: the error names it, its limit and the usage"),
    ("409", "Something of the same name exists, or the present state does not allow it"),
    ("412", "The object is not the one that If-Match names"),
    ("415", "The body is not JSON"),
    ("422", "Each field is acceptable, but the whole is not possible or not offered"),
];

/// What the document says apart from its operations.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Millstream",
        description = "Organizations, environments, Kafka clusters, service accounts and API keys. \
            Paths below /kafka/v3 are answered by the brokers of the cluster, and take its Kafka API keys, too.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ErrorBody))
)]
pub struct Document;

/// The part of the document that no operation says.
pub fn base() -> OpenApi {
    Document::openapi()
}

/// Adds what is the same for every operation: how to authenticate, and how errors look.
pub fn finish(mut document: OpenApi) -> OpenApi {
    let basic = SecurityScheme::Http(Http::new(HttpAuthScheme::Basic));
    document.components.get_or_insert_default().security_schemes.insert("cloud-api-key".into(), RefOr::T(basic));
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    document.components.get_or_insert_default().security_schemes.insert("session".into(), RefOr::T(bearer));
    let schemes = ["cloud-api-key", "session"];
    document.security = Some(schemes.map(|scheme| SecurityRequirement::new(scheme, Vec::<String>::new())).into());
    let own = document.paths.paths.iter_mut().filter(|(path, _)| !kafka_rest::is_forwarded(path));
    for (_, item) in own {
        add_errors(&mut item.get, READ_ERRORS);
        add_errors(&mut item.post, CREATE_ERRORS);
        add_errors(&mut item.patch, CHANGE_ERRORS);
        add_errors(&mut item.put, CHANGE_ERRORS);
        add_errors(&mut item.delete, CHANGE_ERRORS);
    }
    document
}

fn add_errors(operation: &mut Option<Operation>, errors: &[(&str, &str)]) {
    let Some(operation) = operation else { return };
    for (status, description) in EVERY_ERROR.iter().chain(errors) {
        let body = Content::new(Some(Ref::from_schema_name("ErrorBody")));
        let error = ResponseBuilder::new().description(*description).content("application/json", body).build();
        operation.responses.responses.entry((*status).into()).or_insert(RefOr::T(error));
    }
}

/// The document as it is served and committed.
pub fn render(document: &OpenApi) -> String {
    let mut text = document.to_pretty_json().expect("a document of plain data serializes");
    text.push('\n');
    text
}

/// Answers with the document.
pub fn respond(text: &str) -> Response {
    ([(CONTENT_TYPE, "application/json")], text.to_owned()).into_response()
}
