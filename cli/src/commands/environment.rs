//! `millstream environment …`: groups of clusters.

use serde_json::json;

use super::{Context, delete};
use crate::command_line::EnvironmentVerb;
use crate::failure::Failure;
use crate::output::{Column, column};

const COLUMNS: &[Column] =
    &[column("ID", "/id"), column("Name", "/display_name"), column("Created", "/metadata/created_at")];
const PATH: &[&str] = &["org", "v2", "environments"];
const LIST_SUGGESTION: &str = "`millstream environment list` shows the environments";

/// Runs one verb.
pub async fn run(context: &Context, verb: EnvironmentVerb) -> Result<(), Failure> {
    let api = context.login.cloud_api()?;
    let output = &context.output;
    match verb {
        EnvironmentVerb::Create { name } => {
            let created = api.post(PATH, &[], &json!({ "display_name": name })).await?;
            output.object(COLUMNS, &created)
        }
        EnvironmentVerb::List => output.list(COLUMNS, &api.list(PATH, &[]).await?, "There are no environments"),
        EnvironmentVerb::Describe { id } => {
            let found =
                api.get(&one(&id), &[]).await.map_err(|error| Failure::from(error).when_not_found(LIST_SUGGESTION))?;
            output.object(COLUMNS, &found)
        }
        EnvironmentVerb::Update { id, name } => {
            let updated = api.patch(&one(&id), &[], &json!({ "display_name": name })).await;
            output.object(COLUMNS, &updated.map_err(|error| Failure::from(error).when_not_found(LIST_SUGGESTION))?)
        }
        EnvironmentVerb::Delete(args) => {
            delete::delete_each(output, "environment", &args, async |id| {
                let deleted = api.delete(&one(id), &[]).await;
                deleted.map_err(|error| Failure::from(error).when_not_found(LIST_SUGGESTION))
            })
            .await
        }
    }
}

fn one(id: &str) -> [&str; 4] {
    ["org", "v2", "environments", id]
}
