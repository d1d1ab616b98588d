//! `GET /kafka/v3/clusters`: the caller's one cluster.

use axum::Json;
use millstream_api::kafka_rest::cluster::Cluster;
use millstream_api::kafka_rest::envelope::List;

use super::cluster;
use super::scope::Scope;

pub(super) async fn handle(scope: Scope) -> Json<List<Cluster>> {
    Json(List::new("KafkaClusterList", scope.links.clusters(), vec![cluster::of(&scope)]))
}
