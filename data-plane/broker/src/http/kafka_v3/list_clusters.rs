//! `GET /kafka/v3/clusters`: the caller's one cluster.

use axum::Json;

use super::cluster::Cluster;
use super::list::List;
use super::scope::Scope;

pub(super) async fn handle(scope: Scope) -> Json<List<Cluster>> {
    Json(List::new("KafkaClusterList", scope.links.clusters(), vec![Cluster::of(&scope)]))
}
