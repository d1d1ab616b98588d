//! `GET /openapi.json`: the document that the router itself wrote.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi as _;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, ResponseBuilder};

use millstream_api::rest::errors::ErrorBody;

/// What the document says apart from its operations.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Millstream",
        description = "Organizations, environments, Kafka clusters, service accounts and API keys. \
            Paths below /kafka/v3 are answered by the brokers of the cluster.",
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
    for item in document.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.post, &mut item.patch, &mut item.put, &mut item.delete].into_iter().flatten();
        for operation in operations {
            let body = Content::new(Some(Ref::from_schema_name("ErrorBody")));
            let error = ResponseBuilder::new().description("An error").content("application/json", body).build();
            operation.responses.responses.insert("default".into(), RefOr::T(error));
        }
    }
    document
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
