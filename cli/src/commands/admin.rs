//! `millstream admin …`: what the operator of an installation does at its database, also while the service runs.

use std::path::Path;

use millstream_control_plane::{DatabaseUrl, QuotaChange, set_quota};

use crate::command_line::admin::{AdminNoun, QuotaVerb};
use crate::failure::{Failure, chain};
use crate::output::Output;
use crate::up::parse_database_url;

/// Where `millstream up` has its control plane's database, within its data directory.
const DATABASE_OF_UP: &str = "control-plane/control-plane.sqlite";

/// Runs one command.
pub async fn run(noun: AdminNoun, data_dir: &Path, output: &Output) -> Result<(), Failure> {
    let AdminNoun::Quota { verb } = noun;
    let (database_url, change) = match verb {
        QuotaVerb::Set { organization, code, object, limit, database_url } => {
            (database_url, change(&organization, code, object, Some(limit))?)
        }
        QuotaVerb::Reset { organization, code, object, database_url } => {
            (database_url, change(&organization, code, object, None)?)
        }
    };
    let database = match database_url {
        Some(url) => parse_database_url(&url)?,
        None => DatabaseUrl::Sqlite(data_dir.join(DATABASE_OF_UP)),
    };
    set_quota(&database, &change).await.map_err(|error| Failure::failed(chain(&error)))?;
    let code = &change.code;
    match change.limit {
        Some(limit) => output.say(&format!("The limit of {code} is {limit} from now on")),
        None => output.say(&format!("The limit of {code} is the default from now on")),
    }
}

fn change(
    organization: &str,
    code: String,
    object: Option<String>,
    limit: Option<u32>,
) -> Result<QuotaChange, Failure> {
    let organization =
        organization.parse().map_err(|_| Failure::usage("--organization must be an organization's id, a UUID"))?;
    Ok(QuotaChange { organization, code, object, limit })
}
