//! `GET /v2/metrics/cloud/export?resource.kafka.id=…`: what clusters did in the last minute, as Prometheus text.
//!
//! Answered by the brokers of the clusters, which count. Promises: only clusters that the caller may measure are asked
//! for; the answer is whole, or 503 while a broker is away.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use millstream_api::fleet::ForwardedRequest;
use millstream_api::ids::LogicalClusterId;

use super::caller::Caller;
use super::error::ApiError;
use super::parameters::Parameters;
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::fleet::forwarders::ForwardError;
use crate::store::logical_clusters::{self, LogicalCluster};

/// The path, here and at brokers.
const PATH: &str = "/v2/metrics/cloud/export";
/// The parameter that names a cluster; may be repeated.
const CLUSTER: &str = "resource.kafka.id";
/// Clusters of one request at most.
const MAX_CLUSTERS: usize = 20;
/// Media type of Prometheus' text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Exports the metrics of Kafka clusters for Prometheus. Counters are gauges of the last minute, at most ten seconds old.
#[utoipa::path(get, path = PATH, operation_id = "exportMetricsV2Cloud", tag = "Metrics",
    params(("resource.kafka.id" = String, Query, description = "`lkc-…`; may be repeated, 20 times at most")),
    responses((status = 200, body = String, content_type = "text/plain", description = "Prometheus text")))]
pub async fn export(State(app): State<Arc<App>>, caller: Caller, parameters: Parameters) -> Result<Response, ApiError> {
    let clusters = find_clusters(&app, &caller, parameters.all(CLUSTER)?).await?;
    let mut pages = Vec::with_capacity(clusters.len());
    for cluster in &clusters {
        pages.push(ask(&app, &caller, cluster).await?);
    }
    Ok(([(CONTENT_TYPE, TEXT_FORMAT)], merge(&pages)).into_response())
}

async fn find_clusters(app: &App, caller: &Caller, mut ids: Vec<String>) -> Result<Vec<LogicalCluster>, ApiError> {
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() || ids.len() > MAX_CLUSTERS {
        let detail = format!("{CLUSTER} is required and names 1 to {MAX_CLUSTERS} clusters");
        return Err(ApiError::bad_parameter(CLUSTER, detail));
    }
    let mut transaction = app.database.read_for(&caller.scope).await?;
    let mut clusters = Vec::with_capacity(ids.len());
    for id in ids {
        let id: LogicalClusterId = id.parse().map_err(|_| ApiError::not_found())?;
        let cluster = logical_clusters::get(&mut transaction, &caller.scope, &id).await?;
        let cluster = cluster.ok_or_else(ApiError::not_found)?;
        caller.authorize(Action::ViewMetrics, Target::Cluster(&cluster.environment_id, &cluster.id))?;
        clusters.push(cluster);
    }
    Ok(clusters)
}

/// Asks the brokers of a cluster for its metrics. Whoever calls this has checked that the caller may know them.
pub(super) async fn ask(app: &App, caller: &Caller, cluster: &LogicalCluster) -> Result<String, ApiError> {
    let request = ForwardedRequest {
        logical_cluster_id: cluster.id.to_string(),
        principal: caller.grants.principal.to_string(),
        method: "GET".to_owned(),
        path_and_query: PATH.to_owned(),
        base_url: app.public_url.clone(),
        ..ForwardedRequest::default()
    };
    let away = |error: ForwardError| ApiError::unavailable_because(format!("the metrics of {}: {error}", cluster.id));
    let physical_cluster = cluster.physical_cluster_id.as_ref().ok_or_else(|| away(ForwardError::NoBroker))?;
    let answer = app.forwarders.forward(physical_cluster, request).await.map_err(away)?;
    if answer.status != 200 {
        return Err(away(ForwardError::Lost));
    }
    String::from_utf8(answer.body.into()).map_err(|_| away(ForwardError::Lost))
}

/// One page out of several: a format in which each metric stands once, with the samples of all clusters below it.
fn merge(pages: &[String]) -> String {
    let mut metrics: Vec<(&str, Vec<&str>, Vec<&str>)> = Vec::new();
    for line in pages.iter().flat_map(|page| page.lines()).filter(|line| !line.is_empty()) {
        let (name, is_comment) = match line.strip_prefix("# ") {
            Some(comment) => (comment.split(' ').nth(1).unwrap_or_default(), true),
            None => (line.split(['{', ' ']).next().unwrap_or_default(), false),
        };
        let index = metrics.iter().position(|(known, _, _)| *known == name).unwrap_or_else(|| {
            metrics.push((name, Vec::new(), Vec::new()));
            metrics.len() - 1
        });
        let (_, comments, samples) = &mut metrics[index];
        if !is_comment {
            samples.push(line);
        } else if !comments.contains(&line) {
            comments.push(line);
        }
    }
    let lines = metrics.iter().flat_map(|(_, comments, samples)| comments.iter().chain(samples));
    lines.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::merge;

    #[test]
    fn each_metric_stands_once_with_the_samples_of_all_clusters() {
        let page = |id: &str| {
            format!(
                "# HELP a Bytes.\n# TYPE a gauge\na{{kafka_id=\"{id}\"}} 1\n# HELP b B.\n# TYPE b gauge\nb{{kafka_id=\"{id}\"}} 2\n"
            )
        };
        let merged = merge(&[page("x"), page("y")]);
        let expected = "# HELP a Bytes.\n# TYPE a gauge\na{kafka_id=\"x\"} 1\na{kafka_id=\"y\"} 1\n\
            # HELP b B.\n# TYPE b gauge\nb{kafka_id=\"x\"} 2\nb{kafka_id=\"y\"} 2\n";
        assert_eq!(merged, expected);
        assert_eq!(merge(&[page("x")]), page("x"));
    }
}
