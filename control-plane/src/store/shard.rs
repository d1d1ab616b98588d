//! Config events as values: what brokers of one physical cluster must learn.

use millstream_api::fleet::{
    ApiKey, ClientQuota, ConfigItem, ConfigItemKey, LogicalCluster, PrincipalOfOrganization, RoleBinding, config_event,
    config_item, config_item_key,
};
use millstream_api::ids::{ApiKeyId, ClientQuotaId, LogicalClusterId, Principal, RoleBindingId};

/// One change, before it has a revision.
pub type Change = config_event::Change;

/// A logical cluster with its full value.
pub fn upsert_logical_cluster(cluster: LogicalCluster) -> Change {
    Change::Upsert(ConfigItem { item: Some(config_item::Item::LogicalCluster(cluster)) })
}

/// An API key with its full value.
pub fn upsert_api_key(api_key: ApiKey) -> Change {
    Change::Upsert(ConfigItem { item: Some(config_item::Item::ApiKey(api_key)) })
}

/// A role binding with its full value.
pub fn upsert_role_binding(role_binding: RoleBinding) -> Change {
    Change::Upsert(ConfigItem { item: Some(config_item::Item::RoleBinding(role_binding)) })
}

/// A client quota with its full value.
pub fn upsert_client_quota(client_quota: ClientQuota) -> Change {
    Change::Upsert(ConfigItem { item: Some(config_item::Item::ClientQuota(client_quota)) })
}

/// A principal with its organization.
pub fn upsert_principal(principal: PrincipalOfOrganization) -> Change {
    Change::Upsert(ConfigItem { item: Some(config_item::Item::Principal(principal)) })
}

/// A principal that is gone.
pub fn delete_principal(principal: &Principal) -> Change {
    Change::Delete(ConfigItemKey { key: Some(config_item_key::Key::Principal(principal.to_string())) })
}

/// A logical cluster that is gone.
pub fn delete_logical_cluster(id: &LogicalClusterId) -> Change {
    Change::Delete(ConfigItemKey { key: Some(config_item_key::Key::LogicalClusterId(id.to_string())) })
}

/// An API key that is gone.
pub fn delete_api_key(id: &ApiKeyId) -> Change {
    Change::Delete(ConfigItemKey { key: Some(config_item_key::Key::ApiKeyId(id.to_string())) })
}

/// A role binding that is gone.
pub fn delete_role_binding(id: &RoleBindingId) -> Change {
    Change::Delete(ConfigItemKey { key: Some(config_item_key::Key::RoleBindingId(id.to_string())) })
}

/// A client quota that is gone.
pub fn delete_client_quota(id: &ClientQuotaId) -> Change {
    Change::Delete(ConfigItemKey { key: Some(config_item_key::Key::ClientQuotaId(id.to_string())) })
}
