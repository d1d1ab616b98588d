//! What tenants and their principals may use per second, and how they are held to it.
//!
//! A request is always served; what it cost beyond the rate becomes a debt, and the connection is not read until
//! the debt that existed after its request is paid. The debt belongs to the tenant (and to the principal), so a new
//! connection inherits it: reconnecting escapes nothing. Connections that wait form a queue in time: each waits for
//! what was spent before it, so they take turns.
//!
//! Promises: charging is a few atomic operations, without a lock or an allocation; a change of plan or of a client
//! quota is in force at once, also for connections that wait. Never touches a socket.

pub(crate) mod bucket;
pub(crate) mod connection;
pub(crate) mod in_flight;
pub(crate) mod partition_changes;
pub(crate) mod storage;
pub(crate) mod tenant;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use millstream_api::ids::{LogicalClusterId, Principal};

use crate::limits;
use crate::quotas::bucket::Clock;
use crate::quotas::connection::ConnectionQuota;
use crate::quotas::tenant::TenantQuota;
use crate::tenants::TenantDirectory;

/// The quotas of all tenants of this broker.
pub(crate) struct Quotas {
    tenants: Arc<TenantDirectory>,
    clock: Clock,
    known: RwLock<HashMap<LogicalClusterId, Arc<TenantQuota>>>,
}

impl Quotas {
    pub(crate) fn new(tenants: Arc<TenantDirectory>) -> Self {
        Self { tenants, clock: Clock::start(), known: RwLock::default() }
    }

    /// The quota of a tenant. Only for tenants that authenticated, so that their number is bounded by the tenants of
    /// this broker.
    pub(crate) fn tenant(&self, tenant: &LogicalClusterId) -> Arc<TenantQuota> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned();
        if let Some(known) = known {
            return known;
        }
        // The limits are read under the lock: a change that comes meanwhile finds the entry and refreshes it.
        let mut all = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let quota = all.entry(tenant.clone()).or_insert_with(|| {
            let limits = limits::of_cluster(self.tenants.cluster(tenant).as_deref());
            Arc::new(TenantQuota::new(self.clock, limits, self.tenants.client_quotas(tenant)))
        });
        Arc::clone(quota)
    }

    /// What one connection of this principal, or one request over HTTP, is charged to.
    pub(crate) fn connection(&self, tenant: &LogicalClusterId, principal: &Principal) -> ConnectionQuota {
        let tenant = self.tenant(tenant);
        let principal = tenant.principal(principal);
        ConnectionQuota::new(tenant, principal)
    }

    /// Puts the limits of these tenants in force as the configuration has them now.
    pub(crate) fn refresh<'a>(&self, tenants: impl IntoIterator<Item = &'a LogicalClusterId>) {
        let all = self.known.read().unwrap_or_else(PoisonError::into_inner);
        for tenant in tenants {
            let Some(quota) = all.get(tenant) else { continue };
            let limits = limits::of_cluster(self.tenants.cluster(tenant).as_deref());
            quota.set_limits(limits, self.tenants.client_quotas(tenant));
        }
    }

    /// Drops the quota of a tenant that was deleted.
    pub(crate) fn forget(&self, tenant: &LogicalClusterId) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }

    /// The quotas of all tenants that were here since the start.
    pub(crate) fn all(&self) -> Vec<(LogicalClusterId, Arc<TenantQuota>)> {
        let all = self.known.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(id, quota)| (id.clone(), Arc::clone(quota))).collect()
    }
}

#[cfg(test)]
mod simulation;
