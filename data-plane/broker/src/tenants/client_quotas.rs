//! Client quotas as the control plane sends them: byte rates of some principals of a tenant, or of all others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use millstream_api::fleet;
use millstream_api::ids::{ClientQuotaId, LogicalClusterId, Principal};

use crate::quotas::bucket::UNLIMITED;

/// Stands for every principal without a quota of its own.
const DEFAULT: &str = "<default>";
/// Principals of one quota at most.
const MAX_PRINCIPALS: usize = 10_000;

/// What one principal may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ByteRates {
    pub(crate) ingress_bytes_per_second: u64,
    pub(crate) egress_bytes_per_second: u64,
}

impl ByteRates {
    const UNLIMITED: Self = Self { ingress_bytes_per_second: UNLIMITED, egress_bytes_per_second: UNLIMITED };

    fn min(self, other: Self) -> Self {
        Self {
            ingress_bytes_per_second: self.ingress_bytes_per_second.min(other.ingress_bytes_per_second),
            egress_bytes_per_second: self.egress_bytes_per_second.min(other.egress_bytes_per_second),
        }
    }
}

/// One quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientQuota {
    id: ClientQuotaId,
    tenant: LogicalClusterId,
    principals: Vec<Principal>,
    applies_to_others: bool,
    rates: ByteRates,
}

impl ClientQuota {
    pub(crate) fn parse(wire: &fleet::ClientQuota) -> Result<Self, String> {
        if wire.principals.is_empty() || wire.principals.len() > MAX_PRINCIPALS {
            return Err(format!("principals has {} entries instead of 1 to {MAX_PRINCIPALS}", wire.principals.len()));
        }
        let named = wire.principals.iter().filter(|principal| *principal != DEFAULT);
        let principals: Result<Vec<Principal>, _> = named.map(|principal| principal.parse()).collect();
        let principals = principals.map_err(|error| format!("principals: {error}"))?;
        let applies_to_others = principals.len() != wire.principals.len();
        Ok(Self {
            id: wire.id.parse().map_err(|error| format!("id: {error}"))?,
            tenant: wire.logical_cluster_id.parse().map_err(|error| format!("logical_cluster_id: {error}"))?,
            principals,
            applies_to_others,
            rates: ByteRates {
                ingress_bytes_per_second: wire.ingress_byte_rate,
                egress_bytes_per_second: wire.egress_byte_rate,
            },
        })
    }

    fn to_wire(&self) -> fleet::ClientQuota {
        let others = self.applies_to_others.then(|| DEFAULT.to_owned());
        fleet::ClientQuota {
            id: self.id.to_string(),
            logical_cluster_id: self.tenant.to_string(),
            principals: self.principals.iter().map(ToString::to_string).chain(others).collect(),
            ingress_byte_rate: self.rates.ingress_bytes_per_second,
            egress_byte_rate: self.rates.egress_bytes_per_second,
        }
    }
}

/// What the quotas of one tenant come to.
#[derive(Debug, Default)]
pub(crate) struct ClientQuotas {
    of_principals: BTreeMap<Principal, ByteRates>,
    of_others: Option<ByteRates>,
}

impl ClientQuotas {
    /// The rates of one principal: each has them for itself.
    pub(crate) fn rates_of(&self, principal: &Principal) -> ByteRates {
        self.of_principals.get(principal).copied().or(self.of_others).unwrap_or(ByteRates::UNLIMITED)
    }

    /// Should two quotas name the same principal, the lower rates count.
    fn add(&mut self, quota: &ClientQuota) {
        for principal in &quota.principals {
            let rates = self.of_principals.entry(principal.clone()).or_insert(ByteRates::UNLIMITED);
            *rates = rates.min(quota.rates);
        }
        if quota.applies_to_others {
            self.of_others = Some(self.of_others.unwrap_or(ByteRates::UNLIMITED).min(quota.rates));
        }
    }
}

/// All client quotas of an image, by id.
#[derive(Debug, Default)]
pub(crate) struct ClientQuotaTable(HashMap<ClientQuotaId, ClientQuota>);

impl ClientQuotaTable {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds or replaces one. Answers the tenants for which something changed.
    pub(crate) fn insert(&mut self, quota: ClientQuota) -> Vec<LogicalClusterId> {
        let tenant = quota.tenant.clone();
        match self.0.insert(quota.id.clone(), quota) {
            Some(before) if before.tenant != tenant => vec![before.tenant, tenant],
            _ => vec![tenant],
        }
    }

    /// Removes one. Answers its tenant.
    pub(crate) fn remove(&mut self, raw_id: &str) -> Option<LogicalClusterId> {
        let id: ClientQuotaId = raw_id.parse().ok()?;
        self.0.remove(&id).map(|quota| quota.tenant)
    }

    /// Removes those of a tenant that is gone.
    pub(crate) fn remove_tenant(&mut self, tenant: &LogicalClusterId) {
        self.0.retain(|_, quota| quota.tenant != *tenant);
    }

    /// What the quotas of a tenant come to.
    pub(crate) fn of_tenant(&self, tenant: &LogicalClusterId) -> Arc<ClientQuotas> {
        let mut quotas = ClientQuotas::default();
        for quota in self.0.values().filter(|quota| quota.tenant == *tenant) {
            quotas.add(quota);
        }
        Arc::new(quotas)
    }

    /// All of them as the control plane sent them.
    pub(crate) fn to_wire(&self) -> impl Iterator<Item = fleet::ClientQuota> + '_ {
        self.0.values().map(ClientQuota::to_wire)
    }
}
