//! `millstream api-key …`: keys of a cluster or of the cloud API.
//!
//! A secret is printed once, in the answer to `create`, because the service never shows it again.

use serde_json::{Value, json};

use super::{Context, delete};
use crate::command_line::ApiKeyVerb;
use crate::failure::Failure;
use crate::output::{Column, column};

const COLUMNS: &[Column] = &[
    column("Key", "/id"),
    column("Name", "/spec/display_name"),
    column("Description", "/spec/description"),
    column("Owner", "/spec/owner/id"),
    column("Resource", "/spec/resource/id"),
    column("Created", "/metadata/created_at"),
];
const CREATED_COLUMNS: &[Column] = &[
    column("API key", "/id"),
    column("API secret", "/spec/secret"),
    column("Owner", "/spec/owner/id"),
    column("Resource", "/spec/resource/id"),
];
const PATH: &[&str] = &["iam", "v2", "api-keys"];
const LIST_SUGGESTION: &str = "`millstream api-key list` shows the keys";
/// What stands for the cloud API in `--resource`.
const CLOUD_RESOURCE: &str = "cloud";

/// Runs one verb.
pub async fn run(context: &Context, verb: ApiKeyVerb) -> Result<(), Failure> {
    let api = context.login.cloud_api()?;
    let output = &context.output;
    match verb {
        ApiKeyVerb::Create { resource, service_account, name, description } => {
            let resource = resource_reference(context, &resource)?;
            let body = creation(resource, &service_account, name, description);
            let created = api.post(PATH, &[], &body).await?;
            output.object(CREATED_COLUMNS, &created)?;
            output.say("The secret is shown only this once: keep it now")
        }
        ApiKeyVerb::List { resource, service_account } => {
            let mut query = Vec::new();
            if let Some(resource) = &resource {
                query.push(("spec.resource", resource.as_str()));
            }
            if let Some(owner) = &service_account {
                query.push(("spec.owner", owner.as_str()));
            }
            output.list(COLUMNS, &api.list(PATH, &query).await?, "There are no such API keys")
        }
        ApiKeyVerb::Describe { id } => {
            let found =
                api.get(&one(&id), &[]).await.map_err(|error| Failure::from(error).when_not_found(LIST_SUGGESTION))?;
            output.object(COLUMNS, &found)
        }
        ApiKeyVerb::Update { id, name, description } => {
            let mut spec = serde_json::Map::new();
            if let Some(name) = name {
                spec.insert("display_name".into(), name.into());
            }
            if let Some(description) = description {
                spec.insert("description".into(), description.into());
            }
            let updated = api.patch(&one(&id), &[], &json!({ "spec": spec })).await;
            output.object(COLUMNS, &updated.map_err(|error| Failure::from(error).when_not_found(LIST_SUGGESTION))?)
        }
        ApiKeyVerb::Delete(args) => {
            delete::delete_each(output, "API key", &args, async |id| {
                let deleted = api.delete(&one(id), &[]).await;
                deleted.map_err(|error| Failure::from(error).when_not_found(LIST_SUGGESTION))
            })
            .await
        }
    }
}

/// The `spec.resource` of a new key; `None` for a cloud key.
fn resource_reference(context: &Context, resource: &str) -> Result<Option<Value>, Failure> {
    if resource == CLOUD_RESOURCE {
        return Ok(None);
    }
    if !resource.starts_with("lkc-") {
        return Err(Failure::usage(format!("{resource:?} is not a resource that API keys can be for"))
            .suggest("give a cluster id, lkc-…, or `cloud`"));
    }
    let environment = context.login.environment()?;
    Ok(Some(json!({ "id": resource, "environment": environment, "api_version": "cmk/v2", "kind": "Cluster" })))
}

fn creation(resource: Option<Value>, owner: &str, name: Option<String>, description: Option<String>) -> Value {
    let kind = if owner.starts_with("u-") { "User" } else { "ServiceAccount" };
    let mut spec = json!({ "owner": { "id": owner, "api_version": "iam/v2", "kind": kind } });
    if let Some(resource) = resource {
        spec["resource"] = resource;
    }
    if let Some(name) = name {
        spec["display_name"] = name.into();
    }
    if let Some(description) = description {
        spec["description"] = description.into();
    }
    json!({ "spec": spec })
}

fn one(id: &str) -> [&str; 4] {
    ["iam", "v2", "api-keys", id]
}
