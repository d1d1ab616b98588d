//! kafka/v3: Confluent's REST API of one cluster. One file per endpoint of the table that `api/` has of them.
//!
//! Promises: a caller reaches its own cluster only; the id of another one is answered as an unknown id. What the caller
//! may not do is refused before anything is looked up, and lists leave out what it may not see. Lists
//! leave `next` out on their last page. Handlers translate JSON to the broker's functions and back.

mod acl;
mod alter_topic_configs;
mod cluster;
mod consumer;
mod consumer_group;
mod create_acl;
mod create_acls;
mod create_topic;
mod delete_acls;
mod delete_topic;
mod get_cluster;
mod get_consumer;
mod get_consumer_group;
mod get_lag;
mod get_lag_summary;
mod get_partition;
mod get_replica;
mod get_topic;
mod get_topic_config;
mod lag;
mod links;
mod list_acls;
mod list_all_topic_configs;
mod list_clusters;
mod list_consumer_assignments;
mod list_consumer_groups;
mod list_consumers;
mod list_default_topic_configs;
mod list_lags;
mod list_partitions;
mod list_replicas;
mod list_topic_configs;
mod list_topics;
mod partition;
mod partitioner;
mod produce_records;
mod rate;
mod record;
mod replica;
mod reset_topic_config;
mod scope;
mod set_topic_config;
mod topic;
mod topic_config;
mod update_topic;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::StatusCode;
use millstream_api::kafka_rest::PREFIX;
use millstream_api::kafka_rest::endpoint::{Endpoint, Method, Operation};
use millstream_api::kafka_rest::endpoints::ENDPOINTS;

use super::error::RestError;
use super::json::MAX_BODY_BYTES;
use crate::broker::Broker;

/// Every route of kafka/v3. Trusts the [`Caller`](super::caller::Caller) in the request's extensions.
pub(crate) fn router(broker: Arc<Broker>) -> Router {
    let mut operations = Router::new();
    for endpoint in ENDPOINTS {
        let path = endpoint.path.trim_start_matches(PREFIX);
        operations = operations.route(path, handler(endpoint));
        if path.contains(':') {
            // Some clients encode the colon, which need not be.
            operations = operations.route(&path.replace(':', "%3A"), handler(endpoint));
        }
    }
    let kafka_v3 = operations
        .fallback(|| async { RestError::not_found("HTTP 404 Not Found") })
        .method_not_allowed_fallback(|| async {
            RestError::plain(StatusCode::METHOD_NOT_ALLOWED, "HTTP 405 Method Not Allowed")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(rate::limit))
        .layer(from_fn_with_state(Arc::clone(&broker), scope::enter))
        .with_state(broker);
    Router::new().nest(PREFIX, kafka_v3)
}

fn handler(endpoint: &Endpoint) -> MethodRouter<Arc<Broker>> {
    let method = match endpoint.method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Put => MethodFilter::PUT,
        Method::Patch => MethodFilter::PATCH,
        Method::Delete => MethodFilter::DELETE,
    };
    match endpoint.operation {
        Operation::AlterTopicConfigs => on(method, alter_topic_configs::handle),
        Operation::CreateAcl => on(method, create_acl::handle),
        Operation::CreateAcls => on(method, create_acls::handle),
        Operation::CreateTopic => on(method, create_topic::handle),
        Operation::DeleteAcls => on(method, delete_acls::handle),
        Operation::DeleteTopic => on(method, delete_topic::handle),
        Operation::GetCluster => on(method, get_cluster::handle),
        Operation::GetConsumer => on(method, get_consumer::handle),
        Operation::GetConsumerGroup => on(method, get_consumer_group::handle),
        Operation::GetLag => on(method, get_lag::handle),
        Operation::GetLagSummary => on(method, get_lag_summary::handle),
        Operation::GetPartition => on(method, get_partition::handle),
        Operation::GetReplica => on(method, get_replica::handle),
        Operation::GetTopic => on(method, get_topic::handle),
        Operation::GetTopicConfig => on(method, get_topic_config::handle),
        Operation::ListAcls => on(method, list_acls::handle),
        Operation::ListAllTopicConfigs => on(method, list_all_topic_configs::handle),
        Operation::ListClusters => on(method, list_clusters::handle),
        Operation::ListConsumerAssignments => on(method, list_consumer_assignments::handle),
        Operation::ListConsumerGroups => on(method, list_consumer_groups::handle),
        Operation::ListConsumers => on(method, list_consumers::handle),
        Operation::ListDefaultTopicConfigs => on(method, list_default_topic_configs::handle),
        Operation::ListLags => on(method, list_lags::handle),
        Operation::ListPartitions => on(method, list_partitions::handle),
        Operation::ListReplicas => on(method, list_replicas::handle),
        Operation::ListTopicConfigs => on(method, list_topic_configs::handle),
        Operation::ListTopics => on(method, list_topics::handle),
        Operation::ProduceRecords => on(method, produce_records::handle),
        Operation::ResetTopicConfig => on(method, reset_topic_config::handle),
        Operation::SetTopicConfig => on(method, set_topic_config::handle),
        Operation::UpdateTopic => on(method, update_topic::handle),
    }
}

#[cfg(test)]
mod tests;
