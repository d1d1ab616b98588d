//! `POST /iam/v2/service-accounts`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use millstream_api::ids::{Principal, ServiceAccountId};
use millstream_api::rest::iam::{CreateServiceAccount, ServiceAccount};

use super::{check_texts, name_is_taken, render};
use crate::app::App;
use crate::domain::authorization::{Action, Target};
use crate::domain::quota::{self, Share};
use crate::fleet::wait;
use crate::http::answers::created;
use crate::http::body::JsonBody;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::idempotency::{self, Idempotency};
use crate::random;
use crate::store::service_accounts::{self, ServiceAccount as Row};
use crate::store::{organizations, principals, quotas};

/// Creates a service account.
#[utoipa::path(post, path = "/iam/v2/service-accounts", operation_id = "createIamV2ServiceAccount",
    tag = "Service accounts", request_body = CreateServiceAccount, responses((status = 201, body = ServiceAccount)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: Idempotency,
    body: JsonBody<CreateServiceAccount>,
) -> Result<Response, ApiError> {
    let description = body.value.description.unwrap_or_default();
    check_texts(&body.value.display_name, &description)?;
    caller.authorize(Action::CreateServiceAccount, Target::Organization)?;
    let organization = caller.scope.organization_id();
    let mut transaction = app.database.write_for(&caller.scope).await?;
    organizations::lock(&mut transaction, organization).await?;
    if let Some(id) = idempotency.find(&mut transaction, &caller, &body.bytes).await? {
        let id = id.parse().map_err(|_| ApiError::internal())?;
        let row = service_accounts::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(idempotency::gone)?;
        let answer = render(&app, organization, &row);
        return Ok(created(&answer.metadata, &answer));
    }
    let now = app.clock.now();
    let row = Row {
        id: ServiceAccountId::from_random(random::bytes()?),
        display_name: body.value.display_name,
        description,
        created_at: now.0,
        updated_at: now.0,
    };
    idempotency.remember(&app, &mut transaction, &caller, &body.bytes, row.id.as_str()).await?;
    service_accounts::insert(&mut transaction, &caller.scope, &row).await.map_err(name_is_taken)?;
    let taken = [Share::of_organization(&quota::SERVICE_ACCOUNTS)];
    quotas::take(&mut transaction, &caller.scope, taken, now).await?;
    let principal = Principal::ServiceAccount(row.id.clone());
    let announced = principals::tell(&mut transaction, organization, &principal, now).await?;
    transaction.commit().await?;
    // An ACL that names the account may be the next request.
    wait::announce(&app, &announced).await;
    let answer = render(&app, organization, &row);
    Ok(created(&answer.metadata, &answer))
}
