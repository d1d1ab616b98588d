//! `millstream cluster …`: clusters of an environment.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::{Context, delete};
use crate::command_line::{ClusterKind, ClusterVerb};
use crate::failure::Failure;
use crate::output::{Column, column};
use crate::rest_client::RestClient;

const COLUMNS: &[Column] = &[
    column("ID", "/id"),
    column("Name", "/spec/display_name"),
    column("Type", "/spec/config/kind"),
    column("Cloud", "/spec/cloud"),
    column("Region", "/spec/region"),
    column("Availability", "/spec/availability"),
    column("Status", "/status/phase"),
];
const DETAIL_COLUMNS: &[Column] = &[
    column("ID", "/id"),
    column("Name", "/spec/display_name"),
    column("Type", "/spec/config/kind"),
    column("Cloud", "/spec/cloud"),
    column("Region", "/spec/region"),
    column("Availability", "/spec/availability"),
    column("Environment", "/spec/environment/id"),
    column("Bootstrap server", "/spec/kafka_bootstrap_endpoint"),
    column("REST endpoint", "/spec/http_endpoint"),
    column("CKU", "/status/cku"),
    column("Status", "/status/phase"),
    column("Created", "/metadata/created_at"),
];
const PATH: &[&str] = &["cmk", "v2", "clusters"];
const LIST_SUGGESTION: &str = "`millstream cluster list` shows the clusters of the environment";
/// How long `create` waits for the cluster.
const WAIT_LIMIT: Duration = Duration::from_secs(15 * 60);
const FIRST_POLL: Duration = Duration::from_millis(50);
const SLOWEST_POLL: Duration = Duration::from_secs(5);

/// Runs one verb.
pub async fn run(context: &Context, verb: ClusterVerb) -> Result<(), Failure> {
    let api = context.login.cloud_api()?;
    let output = &context.output;
    let environment = context.login.environment()?;
    let query = [("environment", environment)];
    match verb {
        ClusterVerb::Create {
            name,
            kind,
            cloud,
            region,
            availability,
            cku,
            max_ecku,
            deletion_protection,
            no_wait,
        } => {
            let mut body = json!({ "spec": {
                "display_name": name,
                "availability": availability,
                "cloud": cloud,
                "region": region,
                "config": config(kind, cku, max_ecku)?,
                "environment": { "id": environment },
            }});
            if deletion_protection {
                body["spec"]["deletion_protection"] = json!(true);
            }
            let created = api.post(PATH, &[], &body).await?;
            let cluster = if no_wait { created } else { wait_until_provisioned(&api, environment, created).await? };
            output.object(DETAIL_COLUMNS, &cluster)
        }
        ClusterVerb::List => {
            let clusters = api.list(PATH, &query).await?;
            output.list(COLUMNS, &clusters, &format!("There are no clusters in {environment}"))
        }
        ClusterVerb::Describe { id } => {
            let found = api.get(&one(&id), &query).await;
            output.object(DETAIL_COLUMNS, &found.map_err(|error| Failure::from(error).when_not_found(LIST_SUGGESTION))?)
        }
        ClusterVerb::Update { id, name, kind, cku, max_ecku, deletion_protection } => {
            let not_found = |error| Failure::from(error).when_not_found(LIST_SUGGESTION);
            let mut spec = json!({ "environment": { "id": environment } });
            if let Some(name) = name {
                spec["display_name"] = json!(name);
            }
            if let Some(wanted) = deletion_protection {
                spec["deletion_protection"] = json!(wanted);
            }
            if kind.is_some() || cku.is_some() || max_ecku.is_some() {
                // The kind is part of every size: without --type it stays what it is.
                let kind = match kind {
                    Some(kind) => json!(kind_name(kind)),
                    None => api.get(&one(&id), &query).await.map_err(not_found)?["spec"]["config"]["kind"].clone(),
                };
                spec["config"] = sized(kind, cku, max_ecku);
            }
            let updated = api.patch(&one(&id), &[], &json!({ "spec": spec })).await;
            output.object(DETAIL_COLUMNS, &updated.map_err(not_found)?)
        }
        ClusterVerb::Delete(args) => {
            delete::delete_each(output, "cluster", &args, async |id| {
                let deleted = api.delete(&one(id), &query).await;
                deleted.map_err(|error| Failure::from(error).when_not_found(LIST_SUGGESTION))
            })
            .await
        }
    }
}

fn config(kind: ClusterKind, cku: Option<u32>, max_ecku: Option<u32>) -> Result<Value, Failure> {
    let is_dedicated = matches!(kind, ClusterKind::Dedicated);
    if cku.is_some() && !is_dedicated {
        return Err(Failure::usage("--cku is only for clusters of --type dedicated"));
    }
    if max_ecku.is_some() && is_dedicated {
        return Err(Failure::usage("--max-ecku is not for clusters of --type dedicated: use --cku"));
    }
    let cku = if is_dedicated { cku.or(Some(1)) } else { None };
    Ok(sized(json!(kind_name(kind)), cku, max_ecku))
}

fn sized(kind: Value, cku: Option<u32>, max_ecku: Option<u32>) -> Value {
    let mut config = json!({ "kind": kind });
    if let Some(cku) = cku {
        config["cku"] = json!(cku);
    }
    if let Some(max_ecku) = max_ecku {
        config["max_ecku"] = json!(max_ecku);
    }
    config
}

fn kind_name(kind: ClusterKind) -> &'static str {
    match kind {
        ClusterKind::Basic => "Basic",
        ClusterKind::Standard => "Standard",
        ClusterKind::Dedicated => "Dedicated",
    }
}

/// Polls the cluster until it is provisioned; shows a spinner to people.
async fn wait_until_provisioned(api: &RestClient, environment: &str, created: Value) -> Result<Value, Failure> {
    let id = created.get("id").and_then(Value::as_str).unwrap_or_default().to_string();
    let spinner = if io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    spinner.set_message(format!("Provisioning {id}"));
    spinner.enable_steady_tick(Duration::from_millis(100));
    let began = Instant::now();
    let mut pause = FIRST_POLL;
    let mut cluster = created;
    loop {
        match cluster.pointer("/status/phase").and_then(Value::as_str) {
            Some("PROVISIONED") => break,
            Some("FAILED") => {
                spinner.finish_and_clear();
                return Err(Failure::failed(format!("provisioning of cluster {id} failed"))
                    .suggest(format!("look at it with `millstream cluster describe {id}`")));
            }
            _ if began.elapsed() > WAIT_LIMIT => {
                spinner.finish_and_clear();
                return Err(Failure::failed(format!("cluster {id} is still not provisioned"))
                    .suggest(format!("look at it with `millstream cluster describe {id}`")));
            }
            _ => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(SLOWEST_POLL);
        cluster = api.get(&one(&id), &[("environment", environment)]).await?;
    }
    spinner.finish_and_clear();
    Ok(cluster)
}

fn one(id: &str) -> [&str; 4] {
    ["cmk", "v2", "clusters", id]
}
