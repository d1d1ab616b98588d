//! `POST /org/v2/environments`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use millstream_api::ids::EnvironmentId;
use millstream_api::rest::org::{CreateEnvironment, Environment};

use super::{check_name, name_is_taken, render};
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::domain::quota::{self, Share};
use crate::http::answers::created;
use crate::http::body::JsonBody;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::idempotency::{self, Idempotency};
use crate::random;
use crate::store::environments::{self, Environment as Row};
use crate::store::quotas;

/// Creates an environment.
#[utoipa::path(post, path = "/org/v2/environments", operation_id = "createOrgV2Environment", tag = "Environments",
    request_body = CreateEnvironment, responses((status = 201, body = Environment)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: Idempotency,
    body: JsonBody<CreateEnvironment>,
) -> Result<Response, ApiError> {
    check_name(&body.value.display_name)?;
    caller.authorize(Action::CreateEnvironment, Target::Organization)?;
    let organization = caller.scope.organization_id();
    let mut transaction = app.database.write_for(&caller.scope).await?;
    if let Some(id) = idempotency.find(&mut transaction, &caller, &body.bytes).await? {
        let id = id.parse().map_err(|_| ApiError::internal())?;
        let row = environments::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(idempotency::gone)?;
        let answer = render(&app, organization, &row);
        return Ok(created(&answer.metadata, &answer));
    }
    let now = app.clock.now();
    let row = Row {
        id: EnvironmentId::from_random(random::bytes()?),
        display_name: body.value.display_name,
        created_at: now.0,
        updated_at: now.0,
    };
    idempotency.remember(&app, &mut transaction, &caller, &body.bytes, row.id.as_str()).await?;
    environments::insert(&mut transaction, &caller.scope, &row).await.map_err(name_is_taken)?;
    let taken = [Share::of_organization(&quota::ENVIRONMENTS)];
    quotas::take(&mut transaction, &caller.scope, taken, now).await?;
    transaction.commit().await?;
    let answer = render(&app, organization, &row);
    Ok(created(&answer.metadata, &answer))
}
