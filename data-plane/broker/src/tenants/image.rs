//! The image of the control plane's configuration in memory: pure, no locks, no files.
//!
//! Promises: a delta is applied whole or not at all; an item that cannot be understood never blocks the rest,
//! and a key or a role binding that cannot be understood gives nothing rather than what it gave before. Never does I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use aws_lc_rs::hmac;
use millstream_api::fleet::{self, ConfigEvent, ConfigItem, ConfigItemKey, Delta, SnapshotBegin};
use millstream_api::fleet::{config_event::Change, config_item::Item, config_item_key::Key};
use millstream_api::ids::{ApiKeyId, LogicalClusterId, OrganizationId, Principal, RoleBindingId};
use millstream_api::plan::PLANS;

use crate::fleet::image_file::{JournalRecord, StoredImage};
use crate::tenants::client_quotas::{ClientQuota, ClientQuotaTable, ClientQuotas};
use crate::tenants::role_bindings::{RoleBinding, RoleBindings};
use crate::tenants::{Credential, LogicalCluster};

/// Items that one image holds at most.
pub(crate) const MAX_ITEMS: usize = 1_000_000;
/// Items that could not be understood and are kept all the same, so that a newer version may read them.
const MAX_QUARANTINED: usize = 10_000;
/// Descriptions of invalid items that one change reports at most.
const MAX_REPORTED: usize = 16;
/// Bytes of the pepper and of an HMAC.
const HMAC_BYTES: usize = 32;

/// Where an image stands in the stream of changes. Zeros: nothing was received yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Changes when the control plane's database was restored.
    pub(crate) epoch: u64,
    /// Grows with every change.
    pub(crate) revision: u64,
}

/// What an applied snapshot or delta took away, for the caller to act on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Keys that no longer let anybody in, or not with the same secret or identity: close their connections.
    pub(crate) revoked_keys: Vec<ApiKeyId>,
    /// Clusters that are no longer served: close their connections.
    pub(crate) removed_clusters: Vec<LogicalClusterId>,
    /// Clusters whose deletion was said expressly: delete their data.
    pub(crate) deleted_clusters: Vec<LogicalClusterId>,
    /// Clusters whose limits can have changed: their plan, or a client quota. May name one twice.
    pub(crate) relimited_clusters: Vec<LogicalClusterId>,
    /// Whether what principals may do can have changed.
    pub(crate) rights_changed: bool,
    /// Descriptions of items that could not be understood; at most a few.
    pub(crate) invalid_items: Vec<String>,
}

/// Why a delta was not applied.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DeltaError {
    /// It does not begin where the image ends.
    #[error(
        "delta begins at epoch {delta_epoch} revision {from_revision}, the image ends at epoch {epoch} revision {revision}"
    )]
    Gap { delta_epoch: u64, from_revision: u64, epoch: u64, revision: u64 },
    /// Its events are not of its revisions, or not in order.
    #[error("delta holds an event of revision {revision} out of order")]
    Disordered { revision: u64 },
    /// The image would hold too many items.
    #[error("the image would hold more than {MAX_ITEMS} items")]
    TooLarge,
}

/// Why a snapshot was not applied.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// The HMAC key has the wrong length.
    #[error("the pepper has {0} bytes instead of {HMAC_BYTES}")]
    Pepper(usize),
    /// It holds too many items.
    #[error("the snapshot holds more than {MAX_ITEMS} items")]
    TooLarge,
}

/// The key of the HMAC over secrets.
pub(crate) struct Pepper {
    bytes: [u8; HMAC_BYTES],
    /// The same bytes, ready for use.
    pub(crate) key: hmac::Key,
}

impl Pepper {
    fn new(bytes: [u8; HMAC_BYTES]) -> Self {
        Self { bytes, key: hmac::Key::new(hmac::HMAC_SHA256, &bytes) }
    }
}

/// A key that may authenticate.
pub(crate) struct KnownKey {
    /// Whom it lets in.
    pub(crate) credential: Arc<Credential>,
    /// HMAC of id and secret.
    pub(crate) secret_hmac: [u8; HMAC_BYTES],
}

/// Kind and raw id of an item that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum QuarantineKey {
    Cluster(String),
    ApiKey(String),
    RoleBinding(String),
    ClientQuota(String),
    Principal(String),
}

/// The configuration as of one revision.
pub(crate) struct Image {
    position: Position,
    pepper: Arc<Pepper>,
    clusters: HashMap<LogicalClusterId, Arc<LogicalCluster>>,
    keys: HashMap<ApiKeyId, KnownKey>,
    role_bindings: RoleBindings,
    client_quotas: ClientQuotaTable,
    /// Everybody of the organizations that have a cluster here.
    principals: HashMap<Principal, OrganizationId>,
    quarantined: BTreeMap<QuarantineKey, ConfigItem>,
    pending_deletions: BTreeSet<LogicalClusterId>,
}

impl Default for Image {
    fn default() -> Self {
        Self {
            position: Position::default(),
            pepper: Arc::new(Pepper::new([0; HMAC_BYTES])),
            clusters: HashMap::new(),
            keys: HashMap::new(),
            client_quotas: ClientQuotaTable::default(),
            role_bindings: RoleBindings::default(),
            principals: HashMap::new(),
            quarantined: BTreeMap::new(),
            pending_deletions: BTreeSet::new(),
        }
    }
}

impl Image {
    /// Where the image stands.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// The key of the HMAC over secrets.
    pub(crate) fn pepper(&self) -> Arc<Pepper> {
        Arc::clone(&self.pepper)
    }

    /// The key of this id, if its cluster is served.
    pub(crate) fn usable_key(&self, id: &ApiKeyId) -> Option<&KnownKey> {
        self.keys.get(id).filter(|key| self.clusters.contains_key(&key.credential.tenant))
    }

    /// All clusters.
    pub(crate) fn clusters(&self) -> &HashMap<LogicalClusterId, Arc<LogicalCluster>> {
        &self.clusters
    }

    /// The role bindings of a principal. The same pointer means the same bindings.
    pub(crate) fn role_bindings_of(&self, principal: &Principal) -> Option<Arc<Vec<RoleBinding>>> {
        self.role_bindings.of(principal).cloned()
    }

    /// What the client quotas of a tenant come to.
    pub(crate) fn client_quotas_of(&self, tenant: &LogicalClusterId) -> Arc<ClientQuotas> {
        self.client_quotas.of_tenant(tenant)
    }

    /// Whether the principal belongs to the organization of the cluster.
    pub(crate) fn has_principal(&self, cluster: &LogicalClusterId, principal: &Principal) -> bool {
        let organization = self.clusters.get(cluster).map(|cluster| cluster.organization);
        organization.is_some() && self.principals.get(principal).copied() == organization
    }

    /// Number of keys.
    pub(crate) fn key_count(&self) -> usize {
        self.keys.len()
    }

    /// Number of items that could not be understood.
    pub(crate) fn quarantined_count(&self) -> usize {
        self.quarantined.len()
    }

    /// Tenants that were deleted and whose data may still be here.
    pub(crate) fn pending_deletions(&self) -> Vec<LogicalClusterId> {
        self.pending_deletions.iter().cloned().collect()
    }

    /// Replaces everything but the pending deletions.
    pub(crate) fn apply_snapshot(
        &mut self,
        begin: &SnapshotBegin,
        items: Vec<ConfigItem>,
    ) -> Result<Changes, SnapshotError> {
        let pepper = <[u8; HMAC_BYTES]>::try_from(begin.pepper.as_ref());
        let pepper = pepper.map_err(|_| SnapshotError::Pepper(begin.pepper.len()))?;
        if items.len() > MAX_ITEMS {
            return Err(SnapshotError::TooLarge);
        }
        let mut changes = Changes::default();
        let same_pepper = self.pepper.bytes == pepper;
        let old_keys = std::mem::take(&mut self.keys);
        let old_clusters = std::mem::take(&mut self.clusters);
        self.role_bindings = RoleBindings::default();
        self.client_quotas = ClientQuotaTable::default();
        self.principals.clear();
        self.quarantined.clear();
        self.pepper = Arc::new(Pepper::new(pepper));
        for item in items {
            self.upsert(item, &mut changes);
        }
        for (id, old) in old_keys {
            let same = self.keys.get_mut(&id).filter(|new| new.is_same_as(&old) && same_pepper);
            match same {
                // Connections compare by identity, so an unchanged key keeps its credential.
                Some(new) => new.credential = old.credential,
                None => changes.revoked_keys.push(id),
            }
        }
        changes.removed_clusters.extend(old_clusters.into_keys().filter(|id| !self.clusters.contains_key(id)));
        self.forget_absent_organizations(&mut changes);
        changes.rights_changed = true;
        self.position = Position { epoch: begin.epoch, revision: begin.revision };
        Ok(changes)
    }

    /// Applies a delta that continues the image. Events that the image has already are skipped.
    pub(crate) fn apply_delta(&mut self, delta: &Delta) -> Result<Changes, DeltaError> {
        let continues = self.position != Position::default()
            && delta.epoch == self.position.epoch
            && delta.from_revision <= self.position.revision;
        if !continues {
            return Err(DeltaError::Gap {
                delta_epoch: delta.epoch,
                from_revision: delta.from_revision,
                epoch: self.position.epoch,
                revision: self.position.revision,
            });
        }
        check_order(delta)?;
        let rights = self.role_bindings.len() + self.principals.len();
        let items = self.keys.len() + self.clusters.len() + rights + self.client_quotas.len();
        if items + delta.events.len() > MAX_ITEMS {
            return Err(DeltaError::TooLarge);
        }
        let mut changes = Changes::default();
        let applied = self.position.revision;
        for event in delta.events.iter().filter(|event| event.revision > applied) {
            self.apply_event(event, &mut changes);
        }
        if changes.rights_changed {
            self.forget_absent_organizations(&mut changes);
        }
        self.position.revision = applied.max(delta.to_revision);
        Ok(changes)
    }

    /// Applies a record of the journal; one that does not continue the image is older than it and is skipped.
    pub(crate) fn replay(&mut self, record: &JournalRecord) {
        if let Some(delta) = &record.delta {
            let _older_than_the_image = self.apply_delta(delta);
        }
        if let Ok(tenant) = record.deletion_done.parse() {
            self.pending_deletions.remove(&tenant);
        }
    }

    /// The image as it goes to disk.
    pub(crate) fn to_stored(&self) -> StoredImage {
        let clusters = self.clusters.values().map(|cluster| Item::LogicalCluster(cluster.to_wire()));
        let keys = self.keys.values().map(|key| Item::ApiKey(key.to_wire()));
        let role_bindings = self.role_bindings.iter().map(|binding| Item::RoleBinding(binding.to_wire()));
        let principals = self.principals.iter().map(|(principal, organization)| {
            let (principal, organization_id) = (principal.to_string(), organization.to_string());
            Item::Principal(fleet::PrincipalOfOrganization { principal, organization_id })
        });
        let client_quotas = self.client_quotas.to_wire().map(Item::ClientQuota);
        let items = clusters.chain(keys).chain(role_bindings).chain(principals).chain(client_quotas);
        let items = items.map(|item| ConfigItem { item: Some(item) });
        StoredImage {
            epoch: self.position.epoch,
            revision: self.position.revision,
            pepper: self.pepper.bytes.to_vec(),
            items: items.chain(self.quarantined.values().cloned()).collect(),
            pending_deletions: self.pending_deletions.iter().map(ToString::to_string).collect(),
        }
    }

    /// The image as it was on disk. Items that an older version quarantined are tried again.
    pub(crate) fn from_stored(stored: StoredImage) -> Self {
        let mut image = Self::default();
        if let Ok(pepper) = stored.pepper.as_slice().try_into() {
            image.pepper = Arc::new(Pepper::new(pepper));
        }
        let mut changes = Changes::default();
        for item in stored.items {
            image.upsert(item, &mut changes);
        }
        image.pending_deletions = stored.pending_deletions.iter().filter_map(|id| id.parse().ok()).collect();
        image.position = Position { epoch: stored.epoch, revision: stored.revision };
        image
    }

    fn apply_event(&mut self, event: &ConfigEvent, changes: &mut Changes) {
        match &event.change {
            Some(Change::Upsert(item)) => self.upsert(item.clone(), changes),
            Some(Change::Delete(ConfigItemKey { key: Some(Key::LogicalClusterId(id)) })) => {
                self.delete_cluster(id, changes);
            }
            Some(Change::Delete(ConfigItemKey { key: Some(Key::ApiKeyId(id)) })) => self.delete_key(id, changes),
            Some(Change::Delete(ConfigItemKey { key: Some(Key::RoleBindingId(id)) })) => {
                self.quarantined.remove(&QuarantineKey::RoleBinding(id.clone()));
                self.forget_role_binding(id, changes);
            }
            Some(Change::Delete(ConfigItemKey { key: Some(Key::ClientQuotaId(id)) })) => {
                self.quarantined.remove(&QuarantineKey::ClientQuota(id.clone()));
                changes.relimited_clusters.extend(self.client_quotas.remove(id));
            }
            Some(Change::Delete(ConfigItemKey { key: Some(Key::Principal(principal)) })) => {
                self.quarantined.remove(&QuarantineKey::Principal(principal.clone()));
                self.forget_principal(principal);
            }
            Some(Change::Delete(ConfigItemKey { key: None })) | None => {
                changes.report(format!("an event of revision {} is of an unknown kind", event.revision));
            }
        }
    }

    fn upsert(&mut self, item: ConfigItem, changes: &mut Changes) {
        match &item.item {
            Some(Item::LogicalCluster(wire)) => match parse_cluster(wire) {
                Ok(cluster) => {
                    self.quarantined.remove(&QuarantineKey::Cluster(wire.id.clone()));
                    self.pending_deletions.remove(&cluster.id);
                    changes.relimited_clusters.push(cluster.id.clone());
                    let is_same = self.clusters.get(&cluster.id).is_some_and(|known| **known == cluster);
                    if !is_same {
                        self.clusters.insert(cluster.id.clone(), Arc::new(cluster));
                        changes.rights_changed = true;
                    }
                }
                // A cluster that was understood before goes on as it was.
                Err(reason) => {
                    let key = QuarantineKey::Cluster(wire.id.clone());
                    self.quarantine(key, item, &reason, changes);
                }
            },
            Some(Item::ApiKey(wire)) => match parse_key(wire) {
                Ok(key) => {
                    self.quarantined.remove(&QuarantineKey::ApiKey(wire.id.clone()));
                    self.upsert_key(key, changes);
                }
                Err(reason) => {
                    // The change may have been meant to take a right away: fail closed.
                    self.forget_key(&wire.id, changes);
                    let key = QuarantineKey::ApiKey(wire.id.clone());
                    self.quarantine(key, item, &reason, changes);
                }
            },
            Some(Item::RoleBinding(wire)) => match RoleBinding::parse(wire) {
                Ok(binding) => {
                    self.quarantined.remove(&QuarantineKey::RoleBinding(wire.id.clone()));
                    changes.rights_changed |= self.role_bindings.insert(binding);
                }
                Err(reason) => {
                    self.forget_role_binding(&wire.id, changes);
                    let key = QuarantineKey::RoleBinding(wire.id.clone());
                    self.quarantine(key, item, &reason, changes);
                }
            },
            Some(Item::ClientQuota(wire)) => match ClientQuota::parse(wire) {
                Ok(quota) => {
                    self.quarantined.remove(&QuarantineKey::ClientQuota(wire.id.clone()));
                    changes.relimited_clusters.extend(self.client_quotas.insert(quota));
                }
                // A quota that was understood before goes on as it was.
                Err(reason) => {
                    let key = QuarantineKey::ClientQuota(wire.id.clone());
                    self.quarantine(key, item, &reason, changes);
                }
            },
            Some(Item::Principal(wire)) => match parse_principal(wire) {
                Ok((principal, organization)) => {
                    self.quarantined.remove(&QuarantineKey::Principal(wire.principal.clone()));
                    self.principals.insert(principal, organization);
                }
                Err(reason) => {
                    self.forget_principal(&wire.principal);
                    let key = QuarantineKey::Principal(wire.principal.clone());
                    self.quarantine(key, item, &reason, changes);
                }
            },
            None => changes.report("an item is of an unknown kind".to_owned()),
        }
    }

    fn upsert_key(&mut self, key: KnownKey, changes: &mut Changes) {
        let id = key.credential.api_key.clone();
        let unchanged = self.keys.get(&id).is_some_and(|old| key.is_same_as(old));
        if unchanged {
            return;
        }
        if self.keys.insert(id.clone(), key).is_some() {
            changes.revoked_keys.push(id);
        }
    }

    fn delete_cluster(&mut self, raw_id: &str, changes: &mut Changes) {
        changes.rights_changed = true;
        self.quarantined.remove(&QuarantineKey::Cluster(raw_id.to_owned()));
        let Ok(id) = raw_id.parse::<LogicalClusterId>() else {
            return;
        };
        if self.clusters.remove(&id).is_some() {
            changes.removed_clusters.push(id.clone());
        }
        let keys: Vec<_> =
            self.keys.iter().filter(|(_, key)| key.credential.tenant == id).map(|(id, _)| id.clone()).collect();
        for key in keys {
            self.keys.remove(&key);
            changes.revoked_keys.push(key);
        }
        self.client_quotas.remove_tenant(&id);
        self.pending_deletions.insert(id.clone());
        changes.deleted_clusters.push(id);
    }

    fn delete_key(&mut self, raw_id: &str, changes: &mut Changes) {
        self.quarantined.remove(&QuarantineKey::ApiKey(raw_id.to_owned()));
        self.forget_key(raw_id, changes);
    }

    fn forget_key(&mut self, raw_id: &str, changes: &mut Changes) {
        let Ok(id) = raw_id.parse::<ApiKeyId>() else {
            return;
        };
        if self.keys.remove(&id).is_some() {
            changes.revoked_keys.push(id);
        }
    }

    fn forget_role_binding(&mut self, raw_id: &str, changes: &mut Changes) {
        if let Ok(id) = raw_id.parse::<RoleBindingId>() {
            changes.rights_changed |= self.role_bindings.remove(&id);
        }
    }

    fn forget_principal(&mut self, text: &str) {
        if let Ok(principal) = text.parse::<Principal>() {
            self.principals.remove(&principal);
        }
    }

    /// Role bindings and principals go with the last cluster of their organization: from then on nobody tells of their deletion.
    /// A cluster that is not understood still counts, because a newer version may understand it.
    fn forget_absent_organizations(&mut self, changes: &mut Changes) {
        let quarantined = self.quarantined.values().filter_map(|item| match &item.item {
            Some(Item::LogicalCluster(wire)) => wire.organization_id.parse().ok(),
            _ => None,
        });
        let understood = self.clusters.values().map(|cluster| cluster.organization);
        let present: HashSet<OrganizationId> = understood.chain(quarantined).collect();
        changes.rights_changed |= self.role_bindings.retain_organizations(|id| present.contains(&id));
        self.principals.retain(|_, organization| present.contains(organization));
        self.quarantined.retain(|_, item| match &item.item {
            Some(Item::RoleBinding(wire)) => wire.organization_id.parse().map_or(true, |id| present.contains(&id)),
            Some(Item::Principal(wire)) => wire.organization_id.parse().map_or(true, |id| present.contains(&id)),
            _ => true,
        });
    }

    fn quarantine(&mut self, key: QuarantineKey, item: ConfigItem, reason: &str, changes: &mut Changes) {
        changes.report(format!("{}: {reason}", key.describe()));
        let has_room = self.quarantined.len() < MAX_QUARANTINED || self.quarantined.contains_key(&key);
        if has_room {
            self.quarantined.insert(key, item);
        }
    }
}

impl Changes {
    fn report(&mut self, description: String) {
        if self.invalid_items.len() < MAX_REPORTED {
            self.invalid_items.push(description);
        }
    }
}

impl QuarantineKey {
    fn describe(&self) -> String {
        let (kind, id) = match self {
            Self::Cluster(id) => ("logical cluster", id),
            Self::ApiKey(id) => ("API key", id),
            Self::RoleBinding(id) => ("role binding", id),
            Self::ClientQuota(id) => ("client quota", id),
            Self::Principal(id) => ("principal", id),
        };
        let id: String = id.chars().take(64).collect();
        format!("{kind} {id:?}")
    }
}

impl KnownKey {
    fn is_same_as(&self, other: &Self) -> bool {
        self.credential == other.credential && self.secret_hmac == other.secret_hmac
    }

    fn to_wire(&self) -> fleet::ApiKey {
        fleet::ApiKey {
            id: self.credential.api_key.to_string(),
            logical_cluster_id: self.credential.tenant.to_string(),
            principal: self.credential.principal.to_string(),
            secret_hmac: self.secret_hmac.to_vec().into(),
        }
    }
}

impl LogicalCluster {
    fn to_wire(&self) -> fleet::LogicalCluster {
        fleet::LogicalCluster {
            id: self.id.to_string(),
            organization_id: self.organization.to_string(),
            environment_id: self.environment.to_string(),
            kind: self.kind.as_str().to_owned(),
            units: self.units,
        }
    }
}

fn check_order(delta: &Delta) -> Result<(), DeltaError> {
    let mut last = delta.from_revision;
    for event in &delta.events {
        let in_order =
            event.revision > delta.from_revision && event.revision >= last && event.revision <= delta.to_revision;
        if !in_order {
            return Err(DeltaError::Disordered { revision: event.revision });
        }
        last = event.revision;
    }
    Ok(())
}

fn parse_cluster(wire: &fleet::LogicalCluster) -> Result<LogicalCluster, String> {
    let plan = PLANS.into_iter().find(|plan| plan.kind.as_str() == wire.kind);
    let kind = plan.ok_or("the kind is none that has a plan")?.kind;
    Ok(LogicalCluster {
        id: wire.id.parse().map_err(|error| format!("id: {error}"))?,
        organization: wire.organization_id.parse().map_err(|error| format!("organization_id: {error}"))?,
        environment: wire.environment_id.parse().map_err(|error| format!("environment_id: {error}"))?,
        kind,
        units: wire.units,
    })
}

fn parse_principal(wire: &fleet::PrincipalOfOrganization) -> Result<(Principal, OrganizationId), String> {
    let principal = wire.principal.parse().map_err(|error| format!("principal: {error}"))?;
    let organization = wire.organization_id.parse().map_err(|error| format!("organization_id: {error}"))?;
    Ok((principal, organization))
}

fn parse_key(wire: &fleet::ApiKey) -> Result<KnownKey, String> {
    let secret_hmac = <[u8; HMAC_BYTES]>::try_from(wire.secret_hmac.as_ref());
    let secret_hmac =
        secret_hmac.map_err(|_| format!("secret_hmac has {} bytes instead of {HMAC_BYTES}", wire.secret_hmac.len()))?;
    let credential = Credential {
        tenant: wire.logical_cluster_id.parse().map_err(|error| format!("logical_cluster_id: {error}"))?,
        principal: wire.principal.parse().map_err(|error| format!("principal: {error}"))?,
        api_key: wire.id.parse().map_err(|error| format!("id: {error}"))?,
    };
    Ok(KnownKey { credential: Arc::new(credential), secret_hmac })
}
