//! `POST /iam/v2/role-bindings`. Answered once every live broker knows the binding, so that its first use succeeds.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use millstream_api::crn::{CrnPattern, Scope};
use millstream_api::ids::{LogicalClusterId, Principal, RoleBindingId};
use millstream_api::plan;
use millstream_api::rest::cmk::ClusterKind;
use millstream_api::rest::iam::{CreateRoleBinding, RoleBinding};
use millstream_api::rest::propagation::WaitFor;
use millstream_api::role::Role;

use super::{PatternError, parse_pattern, render};
use crate::app::{Announced, App};
use crate::domain::authorization::{Action, Decision, Target};
use crate::domain::role_binding::{check_kind, check_scope};
use crate::fleet::wait::announce;
use crate::http::answers::created;
use crate::http::body::JsonBody;
use crate::http::caller::Caller;
use crate::http::error::ApiError;
use crate::http::idempotency::{self, Idempotency};
use crate::http::propagation::WaitForReady;
use crate::random;
use crate::store::config_log::{self, Changes};
use crate::store::error::StoreError;
use crate::store::role_bindings::{self, RoleBinding as Row};
use crate::store::{
    Transaction, environments, logical_clusters, organizations, quotas, service_accounts, shard, users,
};

/// Gives a role to a user or service account.
#[utoipa::path(post, path = "/iam/v2/role-bindings", operation_id = "createIamV2RoleBinding", tag = "Role bindings",
    params(("wait" = inline(Option<WaitFor>), Query,
        description = "`ready`: answer when every live broker knows it, after half a minute at the latest")),
    request_body = CreateRoleBinding, responses((status = 201, body = RoleBinding)))]
pub async fn handle(
    State(app): State<Arc<App>>,
    caller: Caller,
    idempotency: Idempotency,
    wait: WaitForReady,
    body: JsonBody<CreateRoleBinding>,
) -> Result<Response, ApiError> {
    let wanted = parse(&caller, &body.value)?;
    authorize_creation(&caller, &wanted)?;
    let organization = caller.scope.organization_id();
    let mut transaction = app.database.write_for(&caller.scope).await?;
    organizations::lock(&mut transaction, organization).await?;
    if let Some(id) = idempotency.find(&mut transaction, &caller, &body.bytes).await? {
        let id = id.parse().map_err(|_| ApiError::internal())?;
        let row = role_bindings::get(&mut transaction, &caller.scope, &id).await?.ok_or_else(idempotency::gone)?;
        let heads = present_heads(&mut transaction, &caller).await?;
        let announced = role_bindings::announced(&mut transaction, &row).await?;
        drop(transaction);
        announce(&app, &heads).await;
        return Ok(answer(&app, &row, &announced, &wait).await);
    }
    check_principal(&mut transaction, &caller, &wanted.principal).await?;
    check_target(&mut transaction, &caller, &wanted).await?;
    let now = app.clock.now();
    let (principal_service_account_id, principal_user_id) = match wanted.principal {
        Principal::ServiceAccount(id) => (Some(id), None),
        Principal::User(id) => (None, Some(id)),
    };
    let row = Row {
        organization_id: organization,
        id: RoleBindingId::from_random(random::bytes()?),
        principal_service_account_id,
        principal_user_id,
        role_name: wanted.role.to_string(),
        crn_pattern: wanted.pattern.to_string(),
        sent_crn_pattern: body.value.crn_pattern.clone(),
        created_at: now.0,
    };
    idempotency.remember(&app, &mut transaction, &caller, &body.bytes, row.id.as_str()).await?;
    role_bindings::insert(&mut transaction, &row, &wanted.pattern.scope).await.map_err(|error| match error {
        StoreError::Duplicate => ApiError::already_exists("the principal has this role there already"),
        // What it is bound to went in the same moment.
        StoreError::BrokenReference => ApiError::not_found().at("/crn_pattern"),
        other => other.into(),
    })?;
    let taken = role_bindings::shares(&wanted.pattern.scope);
    quotas::take(&mut transaction, &caller.scope, taken, now).await?;
    let item = row.config_item().ok_or_else(ApiError::internal)?;
    let mut changes = Changes::new();
    for host in role_bindings::hosts(&mut transaction, organization).await? {
        changes.insert(host, vec![shard::upsert_role_binding(item.clone())]);
    }
    let announced = config_log::append_all(&mut transaction, changes, now).await?;
    role_bindings::set_revisions(&mut transaction, &row, &announced).await?;
    transaction.commit().await?;
    announce(&app, &announced).await;
    Ok(answer(&app, &row, &announced, &wait).await)
}

async fn answer(app: &App, row: &Row, announced: &Announced, wait: &WaitForReady) -> Response {
    let mut answer = render(app, row);
    answer.status = Some(wait.status(app, announced).await);
    created(&answer.metadata, &answer)
}

struct Wanted {
    principal: Principal,
    role: Role,
    pattern: CrnPattern,
}

fn parse(caller: &Caller, body: &CreateRoleBinding) -> Result<Wanted, ApiError> {
    let principal = body.principal.parse().map_err(|_| {
        ApiError::bad_request("principal must be User: and the id of a user or service account").at("/principal")
    })?;
    let role: Role = body.role_name.parse().map_err(|error: millstream_api::role::UnknownRole| {
        ApiError::bad_request(error.to_string()).at("/role_name")
    })?;
    let pattern = parse_pattern(&caller.scope, &body.crn_pattern).map_err(|error| match error {
        PatternError::Malformed(detail) => ApiError::bad_request(detail).at("/crn_pattern"),
        PatternError::NotFound => ApiError::not_found().at("/crn_pattern"),
    })?;
    check_scope(role, &pattern.scope)?;
    Ok(Wanted { principal, role, pattern })
}

/// Fails unless the caller sees both ends of the binding and may make it.
fn authorize_creation(caller: &Caller, wanted: &Wanted) -> Result<(), ApiError> {
    let sees = |action, target| caller.grants.decide(action, target) == Decision::Allowed;
    let sees_principal = match &wanted.principal {
        Principal::ServiceAccount(id) => sees(Action::ViewServiceAccount, Target::ServiceAccount(id)),
        Principal::User(id) => sees(Action::ViewUser, Target::User(id)),
    };
    let sees_target = match &wanted.pattern.scope {
        Scope::Organization => true,
        Scope::ServiceAccount(id) => sees(Action::ViewServiceAccount, Target::ServiceAccount(id)),
        Scope::Environment(id) => sees(Action::ViewEnvironment, Target::Environment(id)),
        Scope::Cluster(environment, cluster) | Scope::KafkaResource(environment, cluster, _) => {
            sees(Action::ViewCluster, Target::Cluster(environment, cluster))
        }
    };
    if !sees_target {
        return Err(ApiError::not_found().at("/crn_pattern"));
    }
    if !sees_principal {
        return Err(ApiError::not_found().at("/principal"));
    }
    let binding = Target::RoleBinding(&wanted.principal, &wanted.pattern.scope);
    if sees(Action::ManageRoleBinding, binding) { Ok(()) } else { Err(ApiError::forbidden().at("/crn_pattern")) }
}

async fn check_principal(
    transaction: &mut Transaction,
    caller: &Caller,
    principal: &Principal,
) -> Result<(), ApiError> {
    let known = match principal {
        Principal::ServiceAccount(id) => {
            service_accounts::get_and_keep(transaction, &caller.scope, id).await?.is_some()
        }
        Principal::User(id) => users::get_and_keep(transaction, &caller.scope, id).await?.is_some(),
    };
    if known { Ok(()) } else { Err(ApiError::not_found().at("/principal")) }
}

/// Checks that what the pattern names exists, and that the role can be had there.
async fn check_target(transaction: &mut Transaction, caller: &Caller, wanted: &Wanted) -> Result<(), ApiError> {
    let not_found = || ApiError::not_found().at("/crn_pattern");
    match &wanted.pattern.scope {
        Scope::Organization => Ok(()),
        Scope::ServiceAccount(id) => {
            let account = service_accounts::get_and_keep(transaction, &caller.scope, id).await?;
            account.map(|_| ()).ok_or_else(not_found)
        }
        Scope::Environment(id) => {
            let environment = environments::get_and_keep(transaction, &caller.scope, id).await?;
            environment.map(|_| ()).ok_or_else(not_found)
        }
        Scope::Cluster(environment, cluster) | Scope::KafkaResource(environment, cluster, _) => {
            let row = logical_clusters::get_and_keep(transaction, &caller.scope, cluster).await?;
            let row = row.filter(|row| row.environment_id == *environment).ok_or_else(not_found)?;
            check_cluster_kind(cluster, &row.kind, wanted.role)
        }
    }
}

fn check_cluster_kind(cluster: &LogicalClusterId, kind: &str, role: Role) -> Result<(), ApiError> {
    let kind: Result<ClusterKind, _> = serde_json::from_value(kind.into());
    let Some(plan) = kind.ok().and_then(plan::of) else {
        tracing::error!(logical_cluster = %cluster, "cluster {cluster} has a kind without a plan");
        return Err(ApiError::internal());
    };
    Ok(check_kind(role, plan)?)
}

/// The newest revisions of the physical clusters that have the organization's bindings.
async fn present_heads(transaction: &mut Transaction, caller: &Caller) -> Result<Announced, ApiError> {
    let mut heads = Announced::new();
    for host in role_bindings::hosts(transaction, caller.scope.organization_id()).await? {
        if let Some(state) = config_log::state(transaction, &host).await? {
            heads.push((host, state.head));
        }
    }
    Ok(heads)
}
