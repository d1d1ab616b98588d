//! kafka/v3: Confluent's REST API of one cluster. One file per endpoint.
//!
//! Promises: a caller reaches its own cluster only; the id of another one is answered as an unknown id. What the caller
//! may not do is refused before anything is looked up, and lists leave out what it may not see. Lists
//! leave `next` out on their last page. Handlers translate JSON to the broker's functions and back.

mod acl;
mod alter_topic_configs;
mod cluster;
mod config_value;
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
mod list;
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
use axum::routing::{get, post};
use http::StatusCode;

use super::error::RestError;
use super::json::MAX_BODY_BYTES;
use crate::broker::Broker;

/// Every route of kafka/v3. Trusts the [`Caller`](super::caller::Caller) in the request's extensions.
pub(crate) fn router(broker: Arc<Broker>) -> Router {
    let topics = Router::new()
        .route("/", get(list_topics::handle).post(create_topic::handle))
        .route("/-/configs", get(list_all_topic_configs::handle))
        .route("/{topic}", get(get_topic::handle).delete(delete_topic::handle).patch(update_topic::handle))
        .route("/{topic}/configs", get(list_topic_configs::handle))
        .route("/{topic}/configs:alter", post(alter_topic_configs::handle))
        .route("/{topic}/configs%3Aalter", post(alter_topic_configs::handle))
        .route(
            "/{topic}/configs/{name}",
            get(get_topic_config::handle).put(set_topic_config::handle).delete(reset_topic_config::handle),
        )
        .route("/{topic}/default-configs", get(list_default_topic_configs::handle))
        .route("/{topic}/partitions", get(list_partitions::handle))
        .route("/{topic}/partitions/{partition}", get(get_partition::handle))
        .route("/{topic}/partitions/{partition}/replicas", get(list_replicas::handle))
        .route("/{topic}/partitions/{partition}/replicas/{broker}", get(get_replica::handle))
        .route("/{topic}/records", post(produce_records::handle));
    let consumer_groups = Router::new()
        .route("/", get(list_consumer_groups::handle))
        .route("/{group}", get(get_consumer_group::handle))
        .route("/{group}/consumers", get(list_consumers::handle))
        .route("/{group}/consumers/{consumer}", get(get_consumer::handle))
        .route("/{group}/consumers/{consumer}/assignments", get(list_consumer_assignments::handle))
        .route("/{group}/lag-summary", get(get_lag_summary::handle))
        .route("/{group}/lags", get(list_lags::handle))
        .route("/{group}/lags/{topic}/partitions/{partition}", get(get_lag::handle));
    let clusters = Router::new()
        .route("/", get(list_clusters::handle))
        .route("/{cluster}", get(get_cluster::handle))
        .route("/{cluster}/acls", get(list_acls::handle).post(create_acl::handle).delete(delete_acls::handle))
        .route("/{cluster}/acls:batch", post(create_acls::handle))
        .route("/{cluster}/acls%3Abatch", post(create_acls::handle))
        .nest("/{cluster}/topics", topics)
        .nest("/{cluster}/consumer-groups", consumer_groups);
    let kafka_v3 = Router::new()
        .nest("/clusters", clusters)
        .fallback(|| async { RestError::not_found("HTTP 404 Not Found") })
        .method_not_allowed_fallback(|| async {
            RestError::plain(StatusCode::METHOD_NOT_ALLOWED, "HTTP 405 Method Not Allowed")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(rate::limit))
        .layer(from_fn_with_state(Arc::clone(&broker), scope::enter))
        .with_state(broker);
    Router::new().nest("/kafka/v3", kafka_v3)
}

#[cfg(test)]
mod tests;
