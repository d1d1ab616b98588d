//! The requests to the API server, in the shapes that the operator needs. Decides nothing.

use http::Request;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::serde::de::DeserializeOwned;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy};
use kube::core::{ApiResource, NamespaceResourceScope, Status};
use kube::{Client, Resource};
use serde_json::{Value, json};

use crate::controller::kinds::Kind;
use crate::controller::names::FIELD_MANAGER;
use crate::controller::served::Served;

/// Objects of one kind and cluster at most; a list is never longer.
const LIST_LIMIT: u32 = 500;

/// One namespace of the API server.
#[derive(Clone)]
pub struct Kubernetes {
    client: Client,
    namespace: String,
}

impl Kubernetes {
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned() }
    }

    /// Objects of a type that is known here.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn of(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, resource)
    }

    pub async fn list<K>(&self, selector: &str) -> kube::Result<Vec<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let parameters = ListParams { label_selector: Some(selector.to_owned()), ..ListParams::default() };
        Ok(self.api::<K>().list(&parameters.limit(LIST_LIMIT)).await?.items)
    }

    pub async fn list_kind(&self, resource: &ApiResource, selector: &str) -> kube::Result<Vec<DynamicObject>> {
        let parameters = ListParams::default().labels(selector).limit(LIST_LIMIT);
        Ok(self.of(resource).list(&parameters).await?.items)
    }

    pub async fn get_kind(&self, resource: &ApiResource, name: &str) -> kube::Result<Option<DynamicObject>> {
        self.of(resource).get_opt(name).await
    }

    /// Every pod of the namespace, whosoever.
    pub async fn all_pods(&self) -> kube::Result<Vec<Pod>> {
        let mut pods = Vec::new();
        let mut parameters = ListParams::default().limit(LIST_LIMIT);
        loop {
            let page = self.api::<Pod>().list(&parameters).await?;
            pods.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(pods),
            }
        }
    }

    /// Sets the fields that `object` has and gives up those that were set before and are not in it.
    pub async fn apply(&self, resource: &ApiResource, object: &DynamicObject) -> kube::Result<()> {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        self.of(resource).patch(name, &parameters, &Patch::Apply(object)).await.map(drop)
    }

    /// Deletes exactly the object that was seen.
    pub async fn delete_kind(&self, resource: &ApiResource, object: &DynamicObject) -> kube::Result<()> {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let parameters = exactly(object.metadata.uid.clone(), DeleteParams::background());
        ignore_absence(self.of(resource).delete(name, &parameters).await.map(drop))
    }

    /// Deletes a StatefulSet and leaves its pods running.
    pub async fn delete_and_orphan(&self, object: &DynamicObject) -> kube::Result<()> {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let orphan = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
        let parameters = exactly(object.metadata.uid.clone(), orphan);
        ignore_absence(
            self.of(&Served::built_in().resource(Kind::StatefulSet)).delete(name, &parameters).await.map(drop),
        )
    }

    /// Deletes exactly the object that was seen.
    pub async fn delete<K>(&self, object: &K) -> kube::Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let name = object.meta().name.as_deref().unwrap_or_default();
        let parameters = exactly(object.meta().uid.clone(), DeleteParams::background());
        ignore_absence(self.api::<K>().delete(name, &parameters).await.map(drop))
    }

    /// Changes a few fields.
    pub async fn merge<K>(&self, name: &str, change: &Value) -> kube::Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.api::<K>().patch(name, &parameters, &Patch::Merge(change)).await.map(drop)
    }

    /// Asks for the eviction of exactly the pod that was seen. False if a disruption budget does not allow it now.
    ///
    /// Not by the client's own `evict`: that one writes `delete_options`, which the API server does not read.
    pub async fn evict(&self, pod: &str, uid: &str) -> kube::Result<bool> {
        let body = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": pod, "namespace": self.namespace },
            "deleteOptions": { "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": uid } },
        });
        let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", self.namespace);
        let request = Request::post(path).header(http::header::CONTENT_TYPE, "application/json");
        let request = request.body(body.to_string().into_bytes()).map_err(kube::Error::HttpError)?;
        match self.client.request::<Status>(request).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 429 => Ok(false),
            // Another pod has its name by now, or none: the one that was seen is gone.
            Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// What the API server has of the kinds that come with somebody else's resource definitions.
    pub async fn served(&self) -> kube::Result<Served> {
        let mut served = Served::built_in();
        for kind in Kind::ALL.iter().copied().filter(|kind| !kind.is_built_in()) {
            for api_version in kind.api_versions() {
                if self.serves(kind, api_version).await? {
                    served = served.with(kind, api_version);
                    break;
                }
            }
        }
        Ok(served)
    }

    async fn serves(&self, kind: Kind, api_version: &str) -> kube::Result<bool> {
        match self.client.list_api_group_resources(api_version).await {
            Ok(list) => Ok(list.resources.iter().any(|served| served.name == kind.plural())),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Objects that belong to no namespace. None if the operator may not read them.
    pub async fn list_cluster_wide<K>(&self) -> kube::Result<Option<Vec<K>>>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        match Api::<K>::all(self.client.clone()).list(&ListParams::default().limit(LIST_LIMIT)).await {
            Ok(list) => Ok(Some(list.items)),
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What the API server said, without the shape of the client's error.
pub fn words_of(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        error => error.to_string(),
    }
}

fn exactly(uid: Option<String>, parameters: DeleteParams) -> DeleteParams {
    DeleteParams { preconditions: Some(Preconditions { uid, resource_version: None }), ..parameters }
}

/// What is to be deleted and is not there is deleted; so is what has another identity by now.
fn ignore_absence(result: kube::Result<()>) -> kube::Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
        result => result,
    }
}
