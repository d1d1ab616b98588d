//! `/iam/v2/users`. Confluent invites users; this service also lets an administrator make them.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod update;

use millstream_api::ids::OrganizationId;
use millstream_api::rest::iam::{API_VERSION, User};

use super::answers::metadata;
use super::error::ApiError;
use crate::app::App;
use crate::domain::user::{self, UserError};
use crate::domain::{crn, names};
use crate::passwords::PasswordError;
use crate::store::users::User as Row;

/// Users log in with a password.
const AUTH_TYPE: &str = "AUTH_TYPE_LOCAL";

fn render(app: &App, organization: OrganizationId, row: &Row) -> User {
    let path = format!("/iam/v2/users/{}", row.id);
    User {
        api_version: API_VERSION.into(),
        kind: "User".into(),
        id: row.id.to_string(),
        metadata: metadata(app, &path, crn::user(organization, &row.id), row.created_at, row.updated_at),
        email: row.email.clone(),
        full_name: row.full_name.clone(),
        auth_type: AUTH_TYPE.into(),
    }
}

/// Unlike other names, that of a user may be empty.
fn check_full_name(full_name: &str) -> Result<(), ApiError> {
    if full_name.is_empty() {
        return Ok(());
    }
    names::check_display_name(full_name)
        .map_err(|error| ApiError::bad_request(format!("full_name {error}")).at("/full_name"))
}

/// The hash of a new password.
async fn hash_password(app: &App, password: &str) -> Result<String, ApiError> {
    user::check_password(password)?;
    Ok(app.passwords.hash(password).await?)
}

impl From<UserError> for ApiError {
    fn from(error: UserError) -> Self {
        let field = match error {
            UserError::Email => "/email",
            UserError::Password => "/password",
        };
        Self::bad_request(error.to_string()).at(field)
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::unavailable(),
            PasswordError::Random(error) => error.into(),
            PasswordError::Hash => {
                tracing::error!(error = &error as &dyn std::error::Error, "a password cannot be hashed");
                Self::internal()
            }
        }
    }
}
