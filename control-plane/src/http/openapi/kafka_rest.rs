//! kafka/v3 in the OpenAPI document, made from the table that brokers route by.

use millstream_api::kafka_rest::PREFIX;
use millstream_api::kafka_rest::endpoint::{Answer, Endpoint, Method, Shape};
use millstream_api::kafka_rest::endpoints::ENDPOINTS;
use millstream_api::rest::errors::KafkaErrorBody;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{Components, ObjectBuilder, Type};
use utoipa::openapi::{Content, HttpMethod, OpenApi, Ref, Required, Response, ResponseBuilder};
use utoipa::{PartialSchema as _, ToSchema as _};

const TAG: &str = "Kafka";
const JSON: &str = "application/json";
/// Parameters of paths that are numbers.
const NUMBERS: &[&str] = &["partition_id", "broker_id"];

/// Errors of every operation: status, and what it means.
const ERRORS: &[(&str, &str)] = &[
    ("400", "The request cannot be understood, or the cluster refuses what it asks for"),
    ("401", "Missing or wrong credentials"),
    ("403", "Neither a role nor an ACL allows it"),
    ("404", "The cluster, topic, partition or group does not exist for the caller"),
    ("408", "The request took too long"),
    ("413", "The body is too large"),
    ("414", "Path and query are too long"),
    ("429", "Too many requests: Retry-After says when to come back"),
    ("500", "The cluster failed: try again"),
    ("502", "The broker's answer makes no sense"),
    ("503", "No broker of the cluster is there at the moment"),
    ("504", "The broker did not answer in time"),
];
/// Further errors of operations that take a body.
const BODY_ERRORS: &[(&str, &str)] = &[("415", "The body is not JSON"), ("422", "The body is missing")];

/// Whether brokers answer a path.
pub fn is_forwarded(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with('/'))
}

/// Adds every operation and its schemas.
pub fn add_to(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    components.schemas.insert(KafkaErrorBody::name().into_owned(), KafkaErrorBody::schema());
    for endpoint in ENDPOINTS {
        add_schemas(components, endpoint);
        document.paths.add_path_operation(endpoint.path, vec![to_method(endpoint.method)], describe(endpoint));
    }
}

fn add_schemas(components: &mut Components, endpoint: &Endpoint) {
    let answers = endpoint.answers.iter().filter_map(|answer| answer.body);
    for (name, schema) in endpoint.body.into_iter().chain(answers).flat_map(|shape| shape.schemas()) {
        components.schemas.entry(name).or_insert(schema);
    }
}

fn to_method(method: Method) -> HttpMethod {
    match method {
        Method::Get => HttpMethod::Get,
        Method::Post => HttpMethod::Post,
        Method::Put => HttpMethod::Put,
        Method::Patch => HttpMethod::Patch,
        Method::Delete => HttpMethod::Delete,
    }
}

fn describe(endpoint: &Endpoint) -> Operation {
    let mut operation = OperationBuilder::new()
        .tag(TAG)
        .summary(Some(endpoint.summary))
        .operation_id(Some(endpoint.operation_id))
        .parameters(Some(path_parameters(endpoint.path).chain(query_parameters(endpoint))))
        .request_body(endpoint.body.map(request_body));
    for answer in endpoint.answers {
        operation = operation.response(answer.status.to_string(), success(answer));
    }
    let body_errors = if endpoint.body.is_some() { BODY_ERRORS } else { &[] };
    for (status, description) in ERRORS.iter().chain(body_errors) {
        operation = operation.response(*status, error(description));
    }
    operation.build()
}

fn path_parameters(path: &str) -> impl Iterator<Item = Parameter> {
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.split('}').next());
    names.map(|name| {
        let schema_type = if NUMBERS.contains(&name) { Type::Integer } else { Type::String };
        let schema = ObjectBuilder::new().schema_type(schema_type);
        ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).schema(Some(schema)).build()
    })
}

fn query_parameters(endpoint: &Endpoint) -> impl Iterator<Item = Parameter> {
    endpoint.query.iter().map(|parameter| {
        ParameterBuilder::new()
            .name(parameter.name)
            .parameter_in(ParameterIn::Query)
            .required(if parameter.required { Required::True } else { Required::False })
            .description(Some(parameter.description))
            .schema(Some(String::schema()))
            .build()
    })
}

fn request_body(shape: Shape) -> RequestBody {
    RequestBodyBuilder::new().required(Some(Required::True)).content(JSON, content(&shape.name())).build()
}

fn success(answer: &Answer) -> Response {
    let response = ResponseBuilder::new().description(answer.description);
    match answer.body {
        Some(shape) => response.content(JSON, content(&shape.name())).build(),
        None => response.build(),
    }
}

fn error(description: &str) -> Response {
    ResponseBuilder::new().description(description).content(JSON, content(&KafkaErrorBody::name())).build()
}

fn content(schema: &str) -> Content {
    Content::new(Some(Ref::from_schema_name(schema)))
}
