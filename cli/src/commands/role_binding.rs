//! `millstream role-binding …`: what users and service accounts may do.

use serde_json::{Value, json};

use super::{Context, delete};
use crate::command_line::RoleBindingVerb;
use crate::failure::Failure;
use crate::output::{Column, column};
use crate::rest_client::RestClient;

const COLUMNS: &[Column] = &[
    column("ID", "/id"),
    column("Principal", "/principal"),
    column("Role", "/role_name"),
    column("Resource", "/crn_pattern"),
];
const PATH: &[&str] = &["iam", "v2", "role-bindings"];
const LIST_SUGGESTION: &str = "`millstream role-binding list` shows the role bindings";

/// Runs one verb.
pub async fn run(context: &Context, verb: RoleBindingVerb) -> Result<(), Failure> {
    let api = context.login.cloud_api()?;
    let output = &context.output;
    match verb {
        RoleBindingVerb::Create { principal, role, resource, crn_pattern } => {
            let pattern = pattern(context, &api, crn_pattern, resource).await?;
            let body = json!({ "principal": full(&principal), "role_name": role, "crn_pattern": pattern });
            output.object(COLUMNS, &api.post(PATH, &[], &body).await?)
        }
        RoleBindingVerb::List { principal, crn_pattern } => {
            let pattern = pattern(context, &api, crn_pattern, None).await?;
            let principal = principal.as_deref().map(full);
            let mut query = vec![("crn_pattern", pattern.as_str())];
            if let Some(principal) = &principal {
                query.push(("principal", principal));
            }
            output.list(COLUMNS, &api.list(PATH, &query).await?, "There are no such role bindings")
        }
        RoleBindingVerb::Delete(args) => {
            delete::delete_each(output, "role binding", &args, async |id| {
                let deleted = api.delete(&["iam", "v2", "role-bindings", id], &[]).await;
                deleted.map_err(|error| Failure::from(error).when_not_found(LIST_SUGGESTION))
            })
            .await
        }
    }
}

/// The resource name that was given, or the one of the cluster, followed by what in it.
async fn pattern(
    context: &Context,
    api: &RestClient,
    given: Option<String>,
    resource: Option<String>,
) -> Result<String, Failure> {
    if let Some(given) = given {
        return Ok(given);
    }
    let (environment, cluster) = (context.login.environment()?, context.login.cluster()?);
    let found = api.get(&["cmk", "v2", "clusters", cluster], &[("environment", environment)]).await?;
    let name = found.pointer("/metadata/resource_name").and_then(Value::as_str);
    let name = name.ok_or_else(|| Failure::failed("the service answered with a cluster that has no resource name"))?;
    Ok(match resource {
        Some(resource) => format!("{name}/kafka={cluster}/{resource}"),
        None => name.to_owned(),
    })
}

fn full(principal: &str) -> String {
    if principal.contains(':') { principal.to_owned() } else { format!("User:{principal}") }
}
