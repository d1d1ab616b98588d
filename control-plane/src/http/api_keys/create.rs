//! `POST /iam/v2/api-keys`. Answered once every live broker knows the key, so that its first use succeeds.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use millstream_api::ids::{ApiKeyId, LogicalClusterId, ServiceAccountId, UserId};
use millstream_api::rest::envelope::ReferenceInput;
use millstream_api::rest::iam::{ApiKey, CLOUD_RESOURCE_ID, CLOUD_RESOURCE_KIND, CreateApiKey, Secret};
use millstream_api::rest::propagation::WaitFor;

use super::{authorize, check_texts, render};
use crate::app::{Announced, App};
use crate::domain::api_key::secret_from_random;
use crate::domain::authorization::{Action, Decision, Target};
use crate::fleet::wait::announce;
use crate::http::answers::accepted;
use crate::http::body::JsonBody;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::idempotency::{self, Idempotency};
use crate::http::propagation::WaitForReady;
use crate::random;
use crate::store::api_keys::{self, ApiKey as Row};
use crate::store::error::StoreError;
use crate::store::logical_clusters::{self, LogicalCluster};
use crate::store::{Transaction, config_log, quotas, role_bindings, service_accounts, shard, users};

/// Creates an API key. The answer is the only one that shows the secret.
#[utoipa::path(post, path = "/iam/v2/api-keys", operation_id = "createIamV2ApiKey", tag = "API keys",
    params(("wait" = inline(Option<WaitFor>), Query,
        description = "`ready`: answer when every live broker knows it, after half a minute at the latest")),
    request_body = CreateApiKey, responses((status = 202, body = ApiKey)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: Idempotency,
    wait: WaitForReady,
    body: JsonBody<CreateApiKey>,
) -> Result<Response, ApiError> {
    let spec = &body.value.spec;
    let display_name = spec.display_name.clone().unwrap_or_default();
    let description = spec.description.clone().unwrap_or_default();
    check_texts(&display_name, &description)?;
    let owner = parse_owner(&spec.owner)?;
    let cluster_id = parse_resource(spec.resource.as_ref())?;

    let mut transaction = app.database.write_for(&caller.scope).await?;
    if let Some(id) = idempotency.find(&mut transaction, &caller, &body.bytes).await? {
        let id = id.parse().map_err(|_| ApiError::internal())?;
        let row = api_keys::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(idempotency::gone)?;
        authorize_creation(&mut transaction, &caller, &row).await?;
        let secret = secret_from_random(idempotency.secret_bytes(&app, &id)?);
        let announced = present_head(&mut transaction, &row).await?;
        drop(transaction);
        announce(&app, &announced).await;
        return Ok(answer(&app, &caller, &row, secret, &wait).await);
    }
    check_owner(&mut transaction, &caller, &owner).await?;
    let cluster = load_cluster(&mut transaction, &caller, cluster_id.as_ref()).await?;

    let id = ApiKeyId::from_random(random::bytes()?);
    let secret = secret_from_random(idempotency.secret_bytes(&app, &id)?);
    let now = app.clock.now();
    let (owner_service_account_id, owner_user_id) = owner.into_columns();
    let mut row = Row {
        secret_hmac: app.secrets.hash_api_key_secret(&id, &secret),
        id,
        owner_service_account_id,
        owner_user_id,
        cluster_id,
        environment_id: cluster.as_ref().map(|cluster| cluster.environment_id.clone()),
        cluster_kind: cluster.as_ref().map(|cluster| cluster.kind.clone()),
        physical_cluster_id: cluster.and_then(|cluster| cluster.physical_cluster_id),
        display_name,
        description,
        revision: 0,
        created_at: now.0,
        updated_at: now.0,
    };
    authorize_creation(&mut transaction, &caller, &row).await?;
    idempotency.remember(&app, &mut transaction, &caller, &body.bytes, row.id.as_str()).await?;
    quotas::take(&mut transaction, &caller.scope, row.shares(), now).await?;
    let mut announced = Announced::new();
    if let (Some(physical_cluster), Some(item)) = (&row.physical_cluster_id, row.config_item()) {
        let changes = vec![shard::upsert_api_key(item)];
        let revision = config_log::append(&mut transaction, physical_cluster, changes, now).await?;
        announced.push((physical_cluster.clone(), revision));
        row.revision = i64::try_from(revision).map_err(|_| ApiError::internal())?;
    }
    api_keys::insert(&mut transaction, &caller.scope, &row).await.map_err(|error| match error {
        // The owner went in the same moment.
        StoreError::BrokenReference => ApiError::not_found().at("/spec/owner/id"),
        other => other.into(),
    })?;
    transaction.commit().await?;
    announce(&app, &announced).await;
    Ok(answer(&app, &caller, &row, secret, &wait).await)
}

/// Fails unless the caller may make such a key and have it. Owner and cluster are seen already.
async fn authorize_creation(transaction: &mut Transaction, caller: &Caller, row: &Row) -> Result<(), ApiError> {
    authorize(caller, Action::ManageApiKey, row).map_err(|_| ApiError::forbidden().at("/spec/owner/id"))?;
    let owner = row.owner().ok_or_else(ApiError::internal)?;
    let owner_roles = role_bindings::of_principal(transaction, caller.scope.organization_id(), &owner).await?;
    let cluster = row.environment_id.as_ref().zip(row.cluster_id.as_ref());
    if !caller.grants.may_have_key_of(&owner, &owner_roles, cluster) {
        let detail = "with this key the caller could do more than its own roles allow: the owner has roles that the \
                      caller does not have; ask somebody who has them to make the key";
        return Err(ApiError::forbidden_because(detail).at("/spec/owner/id"));
    }
    Ok(())
}

/// The newest revision of the key's physical cluster: whoever knows it knows the key.
async fn present_head(transaction: &mut Transaction, row: &Row) -> Result<Announced, ApiError> {
    let Some(physical_cluster) = &row.physical_cluster_id else { return Ok(Announced::new()) };
    let state = config_log::state(transaction, physical_cluster).await?;
    Ok(state.into_iter().map(|state| (physical_cluster.clone(), state.head)).collect())
}

async fn answer(app: &App, caller: &Caller, row: &Row, secret: String, wait: &WaitForReady) -> Response {
    let mut answer = render(app, caller.scope.organization_id(), row, Some(Secret::new(secret)));
    answer.status = Some(wait.status(app, &row.announced()).await);
    accepted(&answer.metadata, &answer)
}

enum Owner {
    ServiceAccount(ServiceAccountId),
    User(UserId),
}

impl Owner {
    fn into_columns(self) -> (Option<ServiceAccountId>, Option<UserId>) {
        match self {
            Self::ServiceAccount(id) => (Some(id), None),
            Self::User(id) => (None, Some(id)),
        }
    }
}

fn parse_owner(owner: &ReferenceInput) -> Result<Owner, ApiError> {
    let service_account = owner.id.parse().map(Owner::ServiceAccount);
    let owner = service_account.or_else(|_| owner.id.parse().map(Owner::User));
    owner.map_err(|_| ApiError::not_found().at("/spec/owner/id"))
}

/// The cluster that the key is for; none for a Cloud key.
fn parse_resource(resource: Option<&ReferenceInput>) -> Result<Option<LogicalClusterId>, ApiError> {
    let Some(resource) = resource else { return Ok(None) };
    let kind = resource.kind.as_deref().unwrap_or("");
    if resource.id == CLOUD_RESOURCE_ID || kind == CLOUD_RESOURCE_KIND {
        return Ok(None);
    }
    if !matches!(kind, "" | "Cluster") {
        let detail = "spec.resource.kind is not offered by this service: use Cluster, or leave spec.resource out";
        return Err(ApiError::unprocessable(detail).at("/spec/resource/kind"));
    }
    resource.id.parse().map(Some).map_err(|_| ApiError::not_found().at("/spec/resource/id"))
}

async fn check_owner(transaction: &mut Transaction, caller: &Caller, owner: &Owner) -> Result<(), ApiError> {
    let known = match owner {
        Owner::ServiceAccount(id) => service_accounts::get_and_keep(transaction, &caller.scope, id).await?.is_some(),
        Owner::User(id) => users::get_and_keep(transaction, &caller.scope, id).await?.is_some(),
    };
    let (action, target) = match owner {
        Owner::ServiceAccount(id) => (Action::ViewServiceAccount, Target::ServiceAccount(id)),
        Owner::User(id) => (Action::ViewUser, Target::User(id)),
    };
    let seen = caller.grants.decide(action, target) == Decision::Allowed;
    if known && seen { Ok(()) } else { Err(ApiError::not_found().at("/spec/owner/id")) }
}

async fn load_cluster(
    transaction: &mut Transaction,
    caller: &Caller,
    id: Option<&LogicalClusterId>,
) -> Result<Option<LogicalCluster>, ApiError> {
    let Some(id) = id else { return Ok(None) };
    let cluster = logical_clusters::get_and_keep(transaction, &caller.scope, id).await?;
    let cluster = cluster.filter(|cluster| {
        let target = Target::Cluster(&cluster.environment_id, &cluster.id);
        caller.grants.decide(Action::ViewCluster, target) == Decision::Allowed
    });
    cluster.map(Some).ok_or_else(|| ApiError::not_found().at("/spec/resource/id"))
}
