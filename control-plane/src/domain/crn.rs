//! Resource names: `crn://confluent.cloud/organization=…/…`. Clients cut ids out of them, so their form is fixed.

use millstream_api::ids::{
    ApiKeyId, ClientQuotaId, EnvironmentId, LogicalClusterId, OrganizationId, RoleBindingId, ServiceAccountId, UserId,
};

/// CRN of an organization.
pub fn organization(organization: OrganizationId) -> String {
    format!("crn://confluent.cloud/organization={organization}")
}

/// CRN of an environment.
pub fn environment(organization_id: OrganizationId, environment: &EnvironmentId) -> String {
    format!("{}/environment={environment}", organization(organization_id))
}

/// CRN of a Kafka cluster.
pub fn cluster(organization: OrganizationId, environment_id: &EnvironmentId, cluster: &LogicalClusterId) -> String {
    format!("{}/cloud-cluster={cluster}/kafka={cluster}", environment(organization, environment_id))
}

/// CRN of a service account.
pub fn service_account(organization_id: OrganizationId, service_account: &ServiceAccountId) -> String {
    format!("{}/service-account={service_account}", organization(organization_id))
}

/// CRN of a user.
pub fn user(organization_id: OrganizationId, user: &UserId) -> String {
    format!("{}/user={user}", organization(organization_id))
}

/// CRN of a client quota.
pub fn client_quota(organization_id: OrganizationId, client_quota: &ClientQuotaId) -> String {
    format!("{}/client-quota={client_quota}", organization(organization_id))
}

/// CRN of a session.
pub fn session(organization_id: OrganizationId, session: &str) -> String {
    format!("{}/session={session}", organization(organization_id))
}

/// CRN of an API key.
pub fn api_key(organization_id: OrganizationId, api_key: &ApiKeyId) -> String {
    format!("{}/api-key={api_key}", organization(organization_id))
}

/// CRN of a role binding.
pub fn role_binding(organization_id: OrganizationId, role_binding: &RoleBindingId) -> String {
    format!("{}/role-binding={role_binding}", organization(organization_id))
}
