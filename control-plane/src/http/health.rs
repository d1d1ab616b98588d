//! `GET /health`: whether this replica can reach its database.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use crate::app::App;

/// The answer of a healthy replica.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    pub status: &'static str,
}

/// Whether this replica can reach its database.
#[utoipa::path(get, path = "/health", operation_id = "getHealth", tag = "Health", security(()),
    responses((status = 200, body = Health)))]
pub async fn get(State(app): State<Arc<App>>) -> Result<Json<Health>, ApiError> {
    // Beginning a transaction takes a connection, which is what is asked about.
    app.database.read().await?;
    Ok(Json(Health { status: "ok" }))
}
