//! The first start of `millstream up`: makes what a client needs, over the public REST API.
//!
//! Promises that it can be ended anywhere and run again: each thing is looked for by name before it is made, and the
//! credentials file is written last. Uses nothing that a customer could not use, apart from the cloud API key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use millstream_control_plane::ControlPlane;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::credentials::{AdminLogin, write_private_file};
use crate::failure::{Failure, chain};
use crate::rest_client::{KeyPair, RestClient};

const ORGANIZATION_NAME: &str = "local";
const ENVIRONMENT_NAME: &str = "default";
const CLUSTER_NAME: &str = "local";
const SERVICE_ACCOUNT_NAME: &str = "local-clients";
const SERVICE_ACCOUNT_ROLE: &str = "CloudClusterAdmin";
const API_KEY_NAME: &str = "local";
/// The local agent serves every region; this one is what people know.
const CLOUD: &str = "AWS";
const REGION: &str = "us-east-1";
/// How long the cluster may take to be provisioned.
const PROVISIONING_LIMIT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// What the first start made. Has no `Debug`: it holds a secret.
pub struct FirstObjects {
    pub environment_id: String,
    pub cluster_id: String,
    pub service_account_id: String,
    pub kafka: KeyPair,
}

/// The first key, which alone cannot be made over the REST API. Kept in a file of its own until the credentials file
/// is written: the secret is never shown again.
#[derive(Serialize, Deserialize)]
pub struct CloudKey {
    pub organization_id: String,
    pub key: String,
    pub secret: String,
    /// How the first user logs in. Not in files of releases before there were logins.
    #[serde(default)]
    pub admin: Option<AdminLogin>,
}

fn cloud_key_file(data_dir: &Path) -> PathBuf {
    data_dir.join("first-start.json")
}

/// The key of a first start that was ended early.
pub fn saved_cloud_key(data_dir: &Path) -> Result<Option<CloudKey>, Failure> {
    let path = cloud_key_file(data_dir);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::failed(format!("cannot read {}: {error}", path.display()))),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|_| Failure::failed(format!("{} is damaged", path.display())))
}

/// Makes the organization, its first user and its first cloud API key.
pub async fn make_cloud_key(
    control_plane: &ControlPlane,
    admin_email: &str,
    data_dir: &Path,
) -> Result<CloudKey, Failure> {
    let made = control_plane.bootstrap(ORGANIZATION_NAME, Some(admin_email)).await;
    let made = made.map_err(|error| Failure::failed(format!("cannot make the organization: {}", chain(&error))))?;
    let key = CloudKey {
        organization_id: made.organization_id.to_string(),
        key: made.cloud_api_key.to_string(),
        secret: made.cloud_api_secret.expose().to_string(),
        admin: made
            .login
            .map(|login| AdminLogin { admin_email: login.email, admin_password: login.password.expose().to_string() }),
    };
    let path = cloud_key_file(data_dir);
    let text = serde_json::to_vec(&key).expect("strings are valid JSON");
    let written = write_private_file(&path, &text);
    written.map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))?;
    Ok(key)
}

/// Removes the file of the key, which is in the credentials file by now.
pub fn forget_cloud_key(data_dir: &Path) {
    // If it stays, nothing reads it: the credentials file comes first.
    let _ = fs::remove_file(cloud_key_file(data_dir));
}

/// Makes an environment, a Basic cluster, a service account that administers the cluster, and a Kafka API key.
pub async fn make_first_objects(api: &RestClient) -> Result<FirstObjects, Failure> {
    let environment_id = ensure_environment(api).await?;
    let cluster_id = ensure_cluster(api, &environment_id).await?;
    let service_account_id = ensure_service_account(api).await?;
    let cluster = wait_until_provisioned(api, &environment_id, &cluster_id).await?;
    ensure_role_binding(api, &cluster, &service_account_id).await?;
    let kafka = create_kafka_key(api, &environment_id, &cluster_id, &service_account_id).await?;
    Ok(FirstObjects { environment_id, cluster_id, service_account_id, kafka })
}

async fn ensure_environment(api: &RestClient) -> Result<String, Failure> {
    let path = ["org", "v2", "environments"];
    let existing = api.list(&path, &[]).await?;
    if let Some(id) = id_of_named(&existing, "/display_name", ENVIRONMENT_NAME) {
        return Ok(id);
    }
    id_of(&api.post(&path, &[], &json!({ "display_name": ENVIRONMENT_NAME })).await?)
}

async fn ensure_cluster(api: &RestClient, environment_id: &str) -> Result<String, Failure> {
    let path = ["cmk", "v2", "clusters"];
    let existing = api.list(&path, &[("environment", environment_id)]).await?;
    if let Some(id) = id_of_named(&existing, "/spec/display_name", CLUSTER_NAME) {
        return Ok(id);
    }
    let body = json!({ "spec": {
        "display_name": CLUSTER_NAME,
        "availability": "SINGLE_ZONE",
        "cloud": CLOUD,
        "region": REGION,
        "config": { "kind": "Basic" },
        "environment": { "id": environment_id },
    }});
    id_of(&api.post(&path, &[], &body).await?)
}

async fn ensure_service_account(api: &RestClient) -> Result<String, Failure> {
    let path = ["iam", "v2", "service-accounts"];
    let existing = api.list(&path, &[]).await?;
    if let Some(id) = id_of_named(&existing, "/display_name", SERVICE_ACCOUNT_NAME) {
        return Ok(id);
    }
    let body = json!({
        "display_name": SERVICE_ACCOUNT_NAME,
        "description": "Owns the Kafka API key that `millstream up` made",
    });
    id_of(&api.post(&path, &[], &body).await?)
}

/// Without a role, the service account could do nothing.
async fn ensure_role_binding(api: &RestClient, cluster: &Value, service_account_id: &str) -> Result<(), Failure> {
    let path = ["iam", "v2", "role-bindings"];
    let crn = cluster.pointer("/metadata/resource_name").and_then(Value::as_str);
    let crn = crn.ok_or_else(|| Failure::failed("the service answered with a cluster that has no resource name"))?;
    let principal = format!("User:{service_account_id}");
    let query = [("crn_pattern", crn), ("principal", &principal), ("role_name", SERVICE_ACCOUNT_ROLE)];
    if !api.list(&path, &query).await?.is_empty() {
        return Ok(());
    }
    let body = json!({ "principal": principal, "role_name": SERVICE_ACCOUNT_ROLE, "crn_pattern": crn });
    api.post(&path, &[], &body).await?;
    Ok(())
}

async fn create_kafka_key(
    api: &RestClient,
    environment_id: &str,
    cluster_id: &str,
    service_account_id: &str,
) -> Result<KeyPair, Failure> {
    let body = json!({ "spec": {
        "display_name": API_KEY_NAME,
        "description": "Made by `millstream up`",
        "owner": { "id": service_account_id, "api_version": "iam/v2", "kind": "ServiceAccount" },
        "resource": { "id": cluster_id, "environment": environment_id, "api_version": "cmk/v2", "kind": "Cluster" },
    }});
    let created = api.post(&["iam", "v2", "api-keys"], &[], &body).await?;
    let secret = created.pointer("/spec/secret").and_then(Value::as_str);
    let secret = secret.ok_or_else(|| Failure::failed("the service made an API key without a secret"))?;
    Ok(KeyPair { key: id_of(&created)?, secret: secret.to_string() })
}

async fn wait_until_provisioned(api: &RestClient, environment_id: &str, cluster_id: &str) -> Result<Value, Failure> {
    let began = Instant::now();
    loop {
        let cluster = api.get(&["cmk", "v2", "clusters", cluster_id], &[("environment", environment_id)]).await?;
        match cluster.pointer("/status/phase").and_then(Value::as_str) {
            Some("PROVISIONED") => return Ok(cluster),
            Some("FAILED") => return Err(Failure::failed(format!("provisioning of cluster {cluster_id} failed"))),
            _ if began.elapsed() > PROVISIONING_LIMIT => {
                return Err(Failure::failed(format!("cluster {cluster_id} is not provisioned after 30 s"))
                    .suggest("start again with --log info to see why"));
            }
            _ => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}

fn id_of_named(objects: &[Value], name_at: &str, name: &str) -> Option<String> {
    let found = objects.iter().find(|object| object.pointer(name_at).and_then(Value::as_str) == Some(name));
    found.and_then(|object| id_of(object).ok())
}

fn id_of(object: &Value) -> Result<String, Failure> {
    let id = object.get("id").and_then(Value::as_str);
    id.map(str::to_string).ok_or_else(|| Failure::failed("the service answered with an object that has no id"))
}
