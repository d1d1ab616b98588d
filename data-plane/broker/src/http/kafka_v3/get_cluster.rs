//! `GET /kafka/v3/clusters/{cluster}`

use axum::Json;
use millstream_api::kafka_rest::cluster::Cluster;

use super::cluster;
use super::scope::Scope;

pub(super) async fn handle(scope: Scope) -> Json<Cluster> {
    Json(cluster::of(&scope))
}
