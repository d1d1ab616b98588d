//! `millstream service-account …`: who owns API keys.

use serde_json::json;

use super::{Context, delete};
use crate::command_line::ServiceAccountVerb;
use crate::failure::Failure;
use crate::output::{Column, column};

const COLUMNS: &[Column] =
    &[column("ID", "/id"), column("Name", "/display_name"), column("Description", "/description")];
const PATH: &[&str] = &["iam", "v2", "service-accounts"];
const LIST_SUGGESTION: &str = "`millstream service-account list` shows the service accounts";

/// Runs one verb.
pub async fn run(context: &Context, verb: ServiceAccountVerb) -> Result<(), Failure> {
    let api = context.login.cloud_api()?;
    let output = &context.output;
    match verb {
        ServiceAccountVerb::Create { name, description } => {
            let mut body = json!({ "display_name": name });
            if let Some(description) = description {
                body["description"] = description.into();
            }
            output.object(COLUMNS, &api.post(PATH, &[], &body).await?)
        }
        ServiceAccountVerb::List => output.list(COLUMNS, &api.list(PATH, &[]).await?, "There are no service accounts"),
        ServiceAccountVerb::Describe { id } => {
            let found =
                api.get(&one(&id), &[]).await.map_err(|error| Failure::from(error).when_not_found(LIST_SUGGESTION))?;
            output.object(COLUMNS, &found)
        }
        ServiceAccountVerb::Update { id, name, description } => {
            let mut body = serde_json::Map::new();
            if let Some(name) = name {
                body.insert("display_name".into(), name.into());
            }
            if let Some(description) = description {
                body.insert("description".into(), description.into());
            }
            let updated = api.patch(&one(&id), &[], &body.into()).await;
            output.object(COLUMNS, &updated.map_err(|error| Failure::from(error).when_not_found(LIST_SUGGESTION))?)
        }
        ServiceAccountVerb::Delete(args) => {
            delete::delete_each(output, "service account", &args, async |id| {
                let deleted = api.delete(&one(id), &[]).await;
                deleted.map_err(|error| Failure::from(error).when_not_found(LIST_SUGGESTION))
            })
            .await
        }
    }
}

fn one(id: &str) -> [&str; 4] {
    ["iam", "v2", "service-accounts", id]
}
