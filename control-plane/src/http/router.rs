//! Every route of the public listener. The OpenAPI document comes from this list, so it cannot miss one.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, get};
use millstream_api::kafka_rest::PREFIX;
use millstream_api::kafka_rest::endpoints::ENDPOINTS;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiError;
use super::operations::Operations;
use super::{
    api_keys, applied_quotas, audit, client_quotas, cloud_metrics, clusters, delivery, detach, entity_tag,
    environments, health, kafka, openapi, organizations, quota_scopes, rate_limit, request_id, role_bindings,
    service_accounts, sessions, users,
};
use crate::app::App;

/// The operations of the control plane.
fn operations() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(health::get))
        .routes(routes!(organizations::list::handle))
        .routes(routes!(organizations::get::handle))
        .routes(routes!(environments::list::handle, environments::create::handle))
        .routes(routes!(environments::get::handle, environments::update::handle, environments::delete::handle))
        .routes(routes!(service_accounts::list::handle, service_accounts::create::handle))
        .routes(routes!(
            service_accounts::get::handle,
            service_accounts::update::handle,
            service_accounts::delete::handle
        ))
        .routes(routes!(sessions::create::handle))
        .routes(routes!(sessions::delete::handle))
        .routes(routes!(sessions::keys::get))
        .routes(routes!(users::list::handle, users::create::handle))
        .routes(routes!(users::get::handle, users::update::handle, users::delete::handle))
        .routes(routes!(api_keys::list::handle, api_keys::create::handle))
        .routes(routes!(api_keys::get::handle, api_keys::update::handle, api_keys::delete::handle))
        .routes(routes!(role_bindings::list::handle, role_bindings::create::handle))
        .routes(routes!(role_bindings::get::handle, role_bindings::delete::handle))
        .routes(routes!(clusters::list::handle, clusters::create::handle))
        .routes(routes!(clusters::get::handle, clusters::update::handle, clusters::delete::handle))
        .routes(routes!(client_quotas::list::handle, client_quotas::create::handle))
        .routes(routes!(client_quotas::get::handle, client_quotas::update::handle, client_quotas::delete::handle))
        .routes(routes!(applied_quotas::list::handle))
        .routes(routes!(applied_quotas::get::handle))
        .routes(routes!(quota_scopes::list::handle))
        .routes(routes!(quota_scopes::get::handle))
        .routes(routes!(cloud_metrics::export))
        .routes(routes!(audit::list::handle))
        .routes(routes!(audit::get::handle))
}

/// The OpenAPI document: what is answered here, and what brokers answer.
fn document() -> OpenApi {
    let mut document = operations().into_openapi();
    openapi::kafka_rest::add_to(&mut document);
    openapi::finish(document)
}

/// The ids of the operations.
pub fn operation_ids() -> Operations {
    Operations::of(&document())
}

/// The OpenAPI document as text.
pub fn openapi_document() -> String {
    openapi::render(&document())
}

/// What is passed on to brokers: each path of the document, so that requests are known by it, and everything else below
/// the prefix, so that brokers say what they do not have.
fn forwarded() -> axum::Router<Arc<App>> {
    let paths: BTreeSet<&str> = ENDPOINTS.iter().map(|endpoint| endpoint.path).collect();
    let mut router = axum::Router::new().route(&format!("{PREFIX}/{{*path}}"), any(kafka::handle));
    for path in paths {
        router = router.route(path, any(kafka::handle));
        if path.contains(':') {
            router = router.route(&path.replace(':', "%3A"), any(kafka::handle));
        }
    }
    router
}

/// The public listener's router.
pub fn router(app: &Arc<App>) -> axum::Router {
    let document: Arc<str> = openapi_document().into();
    let (operations, _) = operations().split_for_parts();
    operations
        .route("/openapi.json", get(move || async move { openapi::respond(&document) }))
        .merge(forwarded())
        .fallback(|| async { ApiError::unknown_path() })
        .method_not_allowed_fallback(|| async { ApiError::unknown_method() })
        .layer(CatchPanicLayer::custom(|_| axum::response::IntoResponse::into_response(ApiError::internal())))
        .layer(from_fn(entity_tag::layer))
        .layer(from_fn_with_state(Arc::clone(app), audit::layer::layer))
        .layer(from_fn_with_state(Arc::clone(app), detach::layer))
        .layer(from_fn_with_state(Arc::clone(app), delivery::layer))
        .layer(from_fn_with_state(Arc::clone(app), rate_limit::layer))
        .layer(from_fn(request_id::layer))
        .with_state(Arc::clone(app))
}
