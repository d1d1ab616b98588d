//! How many partitions a cluster has: its brokers know.

use crate::app::App;
use crate::http::caller::Caller;
use crate::http::cloud_metrics;
use crate::http::error::ApiError;
use crate::store::logical_clusters::LogicalCluster as Row;

/// The metric that says it. Brokers count it at the moment they are asked, as they do for their own limit.
const METRIC: &str = "confluent_kafka_server_partition_count";

/// Asks the brokers. 503 while none of them answers.
pub async fn count(app: &App, caller: &Caller, cluster: &Row) -> Result<u64, ApiError> {
    let page = cloud_metrics::ask(app, caller, cluster).await?;
    find(&page).ok_or_else(ApiError::internal)
}

fn find(page: &str) -> Option<u64> {
    let samples = page.lines().filter_map(|line| line.strip_prefix(METRIC)?.strip_prefix('{'));
    samples.into_iter().find_map(|sample| sample.rsplit_once("} ")?.1.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn the_sample_is_found_among_others() {
        let name = "confluent_kafka_server_partition_count";
        let page = format!("# TYPE {name} gauge\n{name}s{{a=\"b\"}} 1\n{name}{{kafka_id=\"lkc-a\"}} 4501\nother 2\n");
        assert_eq!(find(&page), Some(4_501));
        assert_eq!(find("other 2\n"), None);
    }
}
