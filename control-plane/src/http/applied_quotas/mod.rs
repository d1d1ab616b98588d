//! `/service-quota/v1/applied-quotas`. Only read: the operator of the installation raises a quota.

pub mod get;
pub mod list;

use millstream_api::ids::OrganizationId;
use millstream_api::rest::envelope::{ObjectMetadata, ObjectReference};
use millstream_api::rest::service_quota::{API_VERSION, AppliedQuota};

use super::error::ApiError;
use super::parameters::Parameters;
use crate::app::App;
use crate::authentication::OrgScope;
use crate::domain::crn;
use crate::domain::quota::{self, Definition, QuotaScope, keys_of_kind};
use crate::domain::timestamp::Timestamp;
use crate::store::quotas::{self, Counter, Counters};
use crate::store::{Transaction, quota_objects};

/// The query parameters that name the object that a quota belongs to, and the scope of the object.
const OBJECT_PARAMETERS: [(&str, QuotaScope); 4] = [
    ("environment", QuotaScope::Environment),
    ("kafka_cluster", QuotaScope::KafkaCluster),
    ("service_account", QuotaScope::ServiceAccount),
    ("user", QuotaScope::UserAccount),
];

/// The query parameter that names the object of a scope; none for the organization.
fn parameter_of(scope: QuotaScope) -> Option<&'static str> {
    OBJECT_PARAMETERS.into_iter().find(|(_, of)| *of == scope).map(|(name, _)| name)
}

/// An object that quotas belong to.
struct Object {
    id: String,
    environment_id: Option<String>,
    kind: Option<String>,
}

/// The objects of a scope that the parameters choose. One that is named but does not exist is refused with 404.
async fn objects(
    transaction: &mut Transaction,
    caller: &OrgScope,
    scope: QuotaScope,
    parameters: &Parameters,
) -> Result<Vec<Object>, ApiError> {
    if scope == QuotaScope::Organization {
        return Ok(vec![Object { id: String::new(), environment_id: None, kind: None }]);
    }
    let rows = quota_objects::list(transaction, caller, scope).await?;
    let mut objects: Vec<Object> =
        rows.into_iter().map(|(id, environment_id, kind)| Object { id, environment_id, kind }).collect();
    let named = |name: &str| parameters.first(name).filter(|value| !value.is_empty()).map(str::to_owned);
    if let (QuotaScope::KafkaCluster, Some(environment)) = (scope, named("environment")) {
        let environments = quota_objects::list(transaction, caller, QuotaScope::Environment).await?;
        let known = environments.iter().any(|(id, _, _)| *id == environment);
        if !known {
            return Err(ApiError::not_found());
        }
        objects.retain(|object| object.environment_id.as_ref() == Some(&environment));
    }
    if let Some(wanted) = parameter_of(scope).and_then(named) {
        objects.retain(|object| object.id == wanted);
        if objects.is_empty() {
            return Err(ApiError::not_found());
        }
    }
    Ok(objects)
}

/// One quota of one object with what is in use.
struct Applied {
    definition: &'static Definition,
    object_id: String,
    environment_id: Option<String>,
    default_limit: i64,
    applied_limit: i64,
    usage: i64,
}

fn apply(definition: &'static Definition, object: &Object, counters: &Counters, now: Timestamp) -> Applied {
    let counter = counters.get(definition.code, &object.id);
    let of_every_object = counters.get(definition.code, "");
    let is_of_keys = definition.code == quota::KEYS_OF_CLUSTER.code;
    let default_limit = match &object.kind {
        Some(kind) if is_of_keys => keys_of_kind(kind),
        _ => definition.limit,
    };
    let raise = |counter: Option<&Counter>| counter.and_then(|counter| counter.limit_override);
    let window = quotas::window_of(definition, now);
    Applied {
        definition,
        object_id: object.id.clone(),
        environment_id: object.environment_id.clone(),
        default_limit,
        applied_limit: raise(counter).or(raise(of_every_object)).unwrap_or(default_limit),
        usage: counter.filter(|counter| counter.counted_from == window).map_or(0, |counter| counter.used),
    }
}

fn render(app: &App, organization: OrganizationId, applied: &Applied) -> AppliedQuota {
    let Applied { definition, object_id, .. } = applied;
    let parameter = parameter_of(definition.scope);
    let query = parameter.map(|name| format!("?{name}={object_id}")).unwrap_or_default();
    let reference = |path: &str, segment: &str, id: &str| ObjectReference {
        id: id.to_owned(),
        related: Some(format!("{}{path}/{id}", app.public_url)),
        resource_name: Some(format!("{}/{segment}={id}", crn::organization(organization))),
        ..ObjectReference::default()
    };
    let own = |scope: QuotaScope, path: &str, segment: &str| {
        (definition.scope == scope).then(|| reference(path, segment, object_id))
    };
    let organization_id = organization.to_string();
    let environment = own(QuotaScope::Environment, "/org/v2/environments", "environment");
    let of_cluster = applied.environment_id.as_ref().map(|id| reference("/org/v2/environments", "environment", id));
    let cluster = own(QuotaScope::KafkaCluster, "/cmk/v2/clusters", "cloud-cluster").map(|mut cluster| {
        if let Some(environment) = &applied.environment_id {
            let environment_crn = format!("{}/environment={environment}", crn::organization(organization));
            cluster.resource_name = Some(format!("{environment_crn}/cloud-cluster={object_id}"));
        }
        cluster
    });
    AppliedQuota {
        api_version: API_VERSION.into(),
        kind: "AppliedQuota".into(),
        id: definition.code.into(),
        metadata: ObjectMetadata {
            self_url: format!("{}/service-quota/v1/applied-quotas/{}{query}", app.public_url, definition.code),
            resource_name: Some(format!("{}/applied-quota={}", crn::organization(organization), definition.code)),
            created_at: None,
            updated_at: None,
        },
        scope: definition.scope.as_str().into(),
        display_name: definition.display_name.into(),
        default_limit: applied.default_limit,
        applied_limit: applied.applied_limit,
        usage: applied.usage,
        organization: ObjectReference {
            related: Some(format!("{}/org/v2/organizations/{organization_id}", app.public_url)),
            id: organization_id,
            resource_name: Some(crn::organization(organization)),
            ..ObjectReference::default()
        },
        environment: environment.or(of_cluster),
        kafka_cluster: cluster,
        service_account: own(QuotaScope::ServiceAccount, "/iam/v2/service-accounts", "service-account"),
        user: own(QuotaScope::UserAccount, "/iam/v2/users", "user"),
    }
}
