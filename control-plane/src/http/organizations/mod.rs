//! `/org/v2/organizations`. A caller sees one: its own.

pub mod get;
pub mod list;

use millstream_api::rest::org::{API_VERSION, Organization};

use super::answers::metadata;
use crate::app::App;
use crate::domain::crn;
use crate::store::organizations::Organization as Row;

fn render(app: &App, row: &Row) -> Organization {
    let path = format!("/org/v2/organizations/{}", row.id);
    Organization {
        api_version: API_VERSION.into(),
        kind: "Organization".into(),
        id: row.id.to_string(),
        metadata: metadata(app, &path, crn::organization(row.id), row.created_at, row.updated_at),
        display_name: row.display_name.clone(),
    }
}
