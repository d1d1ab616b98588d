//! The agent's requests to the API server. Decides nothing.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use super::desired::MANAGED_BY;
use crate::crd::KafkaCluster;

/// Who sets the fields of a resource that the agent sets.
const FIELD_MANAGER: &str = "millstream-agent";
/// Resources in one page of a list.
const PAGE: u32 = 500;

/// What the agent keeps in one namespace.
pub struct Resources {
    clusters: Api<KafkaCluster>,
    secrets: Api<Secret>,
}

impl Resources {
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { clusters: Api::namespaced(client.clone(), namespace), secrets: Api::namespaced(client, namespace) }
    }

    pub async fn get(&self, name: &str) -> kube::Result<Option<KafkaCluster>> {
        self.clusters.get_opt(name).await
    }

    /// Everything that the agent made.
    pub async fn list(&self) -> kube::Result<Vec<KafkaCluster>> {
        let mut found = Vec::new();
        let mut parameters = ListParams::default().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1)).limit(PAGE);
        loop {
            let page = self.clusters.list(&parameters).await?;
            found.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(found),
            }
        }
    }

    /// Makes the resource what it should be, and its Secret before it.
    pub async fn apply(&self, token: &Secret, cluster: &Value) -> kube::Result<()> {
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        self.secrets.patch(&token.name_any(), &parameters, &Patch::Apply(token)).await?;
        let name = cluster["metadata"]["name"].as_str().unwrap_or_default();
        self.clusters.patch(name, &parameters, &Patch::Apply(cluster)).await?;
        Ok(())
    }

    /// Asks for the deletion of the resource that was seen, with its volumes.
    pub async fn delete(&self, cluster: &KafkaCluster) -> kube::Result<()> {
        let name = cluster.name_any();
        let with_volumes = Patch::Merge(json!({ "spec": { "deletionPolicy": "Delete" } }));
        let manager = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.clusters.patch(&name, &manager, &with_volumes).await?;
        let only_this = Preconditions { uid: cluster.metadata.uid.clone(), resource_version: None };
        let parameters = DeleteParams { preconditions: Some(only_this), ..DeleteParams::background() };
        self.clusters.delete(&name, &parameters).await.map(drop)
    }

    /// Deletes a Secret; one that is not there is deleted.
    pub async fn delete_secret(&self, name: &str) -> kube::Result<()> {
        match self.secrets.delete(name, &DeleteParams::background()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            deleted => deleted.map(drop),
        }
    }
}

/// Whether the API server has understood and refuses: the same again would be refused again.
pub fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 400 | 403 | 404 | 413 | 422))
}
