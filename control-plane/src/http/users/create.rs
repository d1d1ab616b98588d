//! `POST /iam/v2/users`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use millstream_api::ids::{Principal, UserId};
use millstream_api::rest::iam::{CreateUser, User};

use super::{check_full_name, hash_password, render};
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::domain::quota::{self, Share};
use crate::domain::user::normalize_email;
use crate::fleet::wait;
use crate::http::answers::created;
use crate::http::body::JsonBody;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::idempotency::{self, Idempotency};
use crate::random;
use crate::store::error::StoreError;
use crate::store::users::{self, User as Row};
use crate::store::{organizations, principals, quotas};

/// Makes a user, who has no role yet.
#[utoipa::path(post, path = "/iam/v2/users", operation_id = "createIamV2User", tag = "Users",
    request_body = CreateUser, responses((status = 201, body = User)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: Idempotency,
    body: JsonBody<CreateUser>,
) -> Result<Response, ApiError> {
    let email = normalize_email(&body.value.email)?;
    let full_name = body.value.full_name.clone().unwrap_or_default();
    check_full_name(&full_name)?;
    caller.authorize(Action::CreateUser, Target::Organization)?;
    // Outside of the transaction: it takes a while.
    let password_hash = match &body.value.password {
        Some(password) => hash_password(&app, password.expose()).await?,
        None => String::new(),
    };
    let organization = caller.scope.organization_id();
    let mut transaction = app.database.write_for(&caller.scope).await?;
    organizations::lock(&mut transaction, organization).await?;
    if let Some(id) = idempotency.find(&mut transaction, &caller, &body.bytes).await? {
        let id = id.parse().map_err(|_| ApiError::internal())?;
        let row = users::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(idempotency::gone)?;
        let answer = render(&app, organization, &row);
        return Ok(created(&answer.metadata, &answer));
    }
    let now = app.clock.now();
    let id = UserId::from_random(random::bytes()?);
    let row = Row { id, email, full_name, password_hash, created_at: now.0, updated_at: now.0 };
    idempotency.remember(&app, &mut transaction, &caller, &body.bytes, row.id.as_str()).await?;
    users::insert(&mut transaction, &caller.scope, &row).await.map_err(|error| match error {
        StoreError::Duplicate => ApiError::already_exists("a user with this email exists").at("/email"),
        other => other.into(),
    })?;
    quotas::take(&mut transaction, &caller.scope, [Share::of_organization(&quota::USERS)], now).await?;
    let principal = Principal::User(row.id.clone());
    let announced = principals::tell(&mut transaction, organization, &principal, now).await?;
    transaction.commit().await?;
    wait::announce(&app, &announced).await;
    let answer = render(&app, organization, &row);
    Ok(created(&answer.metadata, &answer))
}
