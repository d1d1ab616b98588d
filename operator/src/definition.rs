//! The definition of the resource KafkaCluster: without it there is nothing to watch and nothing to write.

use std::time::Duration;

use kube::{Client, CustomResourceExt as _, Resource as _};
use tracing::{info, warn};

use crate::crd::KafkaCluster;
use crate::kubernetes::words_of;
use crate::metrics::Metrics;

/// How often the API server is asked for it while it is missing.
const PERIOD: Duration = Duration::from_secs(2);

/// What is wrong, and what to do about it.
pub const MISSING: &str = "this Kubernetes does not know the resource KafkaCluster: install the chart millstream-crds, or \
    run `millstream operator crd | kubectl apply --server-side -f -`";

/// Waits until the API server has it. Whatever keeps it from that is said once, not at every look.
pub async fn wait(client: &Client, metrics: &Metrics) {
    let mut said = String::new();
    loop {
        let trouble = match is_served(client).await {
            Ok(true) => break,
            Ok(false) => MISSING.to_owned(),
            Err(error) => format!("cannot ask for the definition of KafkaCluster: {}", words_of(&error)),
        };
        metrics.set_definition_missing(trouble == MISSING);
        if said != trouble {
            warn!("{trouble}");
            said = trouble;
        }
        tokio::time::sleep(PERIOD).await;
    }
    metrics.set_definition_missing(false);
    if !said.is_empty() {
        info!("the resource KafkaCluster is there");
    }
}

async fn is_served(client: &Client) -> kube::Result<bool> {
    let resource = KafkaCluster::api_resource();
    match client.list_api_group_resources(&KafkaCluster::api_version(&())).await {
        Ok(list) => Ok(list.resources.iter().any(|served| served.name == resource.plural)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::ApiServer;

    #[tokio::test(start_paused = true)]
    async fn a_missing_definition_is_waited_for_and_shown() {
        let server = ApiServer::default();
        let (client, metrics) = (server.client(), Metrics::default());
        let early = tokio::time::timeout(10 * PERIOD, wait(&client, &metrics)).await;
        assert!(early.is_err() && metrics.is_definition_missing());
        server.state().groups.insert("millstream.dev/v1alpha1".to_owned(), vec!["kafkaclusters"]);
        wait(&client, &metrics).await;
        assert!(!metrics.is_definition_missing());
    }
}
