//! `GET /kafka/v3/clusters/{cluster}/consumer-groups/{group}/lag-summary`: the largest lag and the sum of all.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use millstream_api::kafka_rest::lag::{Lag, LagSummary};

use super::lag;
use super::scope::Scope;
use crate::broker::Broker;
use crate::http::error::RestError;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    Path((_, group_id)): Path<(String, String)>,
) -> Result<Json<LagSummary>, RestError> {
    let lags = lag::of_group(&broker, &scope, &group_id)?;
    Ok(Json(summarize(&scope, group_id, &lags)))
}

fn summarize(scope: &Scope, group_id: String, lags: &[Lag]) -> LagSummary {
    let links = &scope.links;
    // The first of the largest, so that equal lags give a steady answer.
    let largest = lags.iter().rev().max_by_key(|lag| lag.lag);
    let consumer = largest.filter(|lag| !lag.consumer_id.is_empty());
    LagSummary {
        kind: "KafkaConsumerGroupLagSummary",
        metadata: links.metadata(
            &["consumer-groups", &group_id, "lag-summary"],
            &[("consumer-group", &group_id), ("lag-summary", "")],
        ),
        cluster_id: scope.tenant.to_string(),
        max_lag_consumer_id: largest.map(|lag| lag.consumer_id.clone()).unwrap_or_default(),
        max_lag_instance_id: largest.and_then(|lag| lag.instance_id.clone()),
        max_lag_client_id: largest.map(|lag| lag.client_id.clone()).unwrap_or_default(),
        max_lag_topic_name: largest.map(|lag| lag.topic_name.clone()).unwrap_or_default(),
        max_lag_partition_id: largest.map_or(0, |lag| lag.partition_id),
        max_lag: largest.map_or(0, |lag| lag.lag),
        total_lag: lags.iter().fold(0, |total: i64, lag| total.saturating_add(lag.lag)),
        max_lag_consumer: consumer
            .map(|lag| links.related(&["consumer-groups", &group_id, "consumers", &lag.consumer_id])),
        max_lag_partition: largest
            .map(|lag| links.related(&["topics", &lag.topic_name, "partitions", &lag.partition_id.to_string()])),
        consumer_group_id: group_id,
    }
}
