//! `GET /kafka/v3/clusters/{cluster}`

use axum::Json;

use super::cluster::Cluster;
use super::scope::Scope;

pub(super) async fn handle(scope: Scope) -> Json<Cluster> {
    Json(Cluster::of(&scope))
}
