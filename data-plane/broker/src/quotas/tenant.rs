//! The quota of one tenant: its rates, its connections, its storage, and the rates of its principals.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use millstream_api::ids::Principal;
use millstream_api::plan::Limits;
use tokio::sync::Notify;

use crate::quotas::bucket::{Bucket, Clock, Moment, UNLIMITED};
use crate::quotas::in_flight::InFlight;
use crate::quotas::partition_changes::PartitionChanges;
use crate::quotas::storage::Storage;
use crate::tenants::client_quotas::{ByteRates, ClientQuotas};

/// Unused bytes and requests are kept this long. Longer ones would let a minute's total exceed the rate noticeably.
const RATE_BURST: Duration = Duration::from_millis(500);
/// Unused connection attempts are kept this long: clients open several connections at once.
const CONNECTION_BURST: Duration = Duration::from_secs(2);
/// Unused administrative requests over HTTP are kept this long: tools send them in volleys.
const REST_ADMIN_BURST: Duration = Duration::from_secs(10);

/// Which rate a wait is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rate {
    Ingress,
    Egress,
    Requests,
    Connections,
}

impl Rate {
    /// All of them, in the order of their declaration.
    pub(crate) const ALL: [Self; 4] = [Self::Ingress, Self::Egress, Self::Requests, Self::Connections];

    /// Its name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
            Self::Requests => "requests",
            Self::Connections => "connections",
        }
    }
}

/// The quota of one tenant.
pub(crate) struct TenantQuota {
    pub(crate) clock: Clock,
    pub(crate) ingress: Bucket,
    pub(crate) egress: Bucket,
    pub(crate) requests: Bucket,
    pub(crate) new_connections: Bucket,
    pub(crate) rest_admin: Bucket,
    pub(crate) partition_changes: PartitionChanges,
    pub(crate) in_flight: InFlight,
    pub(crate) storage: Storage,
    limits: RwLock<Limits>,
    client_quotas: RwLock<Arc<ClientQuotas>>,
    /// Bounded by the principals with a key of this tenant.
    principals: Mutex<HashMap<Principal, Arc<PrincipalQuota>>>,
    open_connections: AtomicU64,
    /// Connections whose clients hung up before everything that they sent was answered.
    leaving_connections: AtomicU64,
    max_connections: AtomicU64,
    refused_connections: AtomicU64,
    throttled_micros: [AtomicU64; Rate::ALL.len()],
    changed: Notify,
}

/// The rates of one principal of one tenant. Without a client quota they have no limit.
#[derive(Debug)]
pub(crate) struct PrincipalQuota {
    pub(crate) ingress: Bucket,
    pub(crate) egress: Bucket,
}

/// One open connection of a tenant; gives its place back when dropped.
pub(crate) struct ConnectionPlace {
    tenant: Arc<TenantQuota>,
    leaves: AtomicBool,
}

impl ConnectionPlace {
    /// Gives the place to another connection: this one's client hung up, and only what it sent before is still answered.
    /// False if as many connections leave already as may be open.
    pub(crate) fn leave(&self) -> bool {
        if self.leaves.load(Ordering::Relaxed) {
            return true;
        }
        if !add_below(&self.tenant.leaving_connections, self.tenant.max_connections.load(Ordering::Relaxed)) {
            return false;
        }
        self.leaves.store(true, Ordering::Relaxed);
        self.tenant.open_connections.fetch_sub(1, Ordering::Relaxed);
        true
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let tenant = &self.tenant;
        let counter = if *self.leaves.get_mut() { &tenant.leaving_connections } else { &tenant.open_connections };
        counter.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Adds one unless there are `max` already.
fn add_below(counter: &AtomicU64, max: u64) -> bool {
    let added = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < max).then_some(count + 1));
    added.is_ok()
}

impl PrincipalQuota {
    fn new(rates: ByteRates) -> Self {
        Self {
            ingress: Bucket::new(rates.ingress_bytes_per_second, RATE_BURST),
            egress: Bucket::new(rates.egress_bytes_per_second, RATE_BURST),
        }
    }

    fn set_rates(&self, now: Moment, rates: ByteRates) {
        self.ingress.set_rate(now, rates.ingress_bytes_per_second);
        self.egress.set_rate(now, rates.egress_bytes_per_second);
    }
}

impl TenantQuota {
    pub(crate) fn new(clock: Clock, limits: Limits, client_quotas: Arc<ClientQuotas>) -> Self {
        Self {
            clock,
            ingress: Bucket::new(limits.ingress_bytes_per_second, RATE_BURST),
            egress: Bucket::new(limits.egress_bytes_per_second, RATE_BURST),
            requests: Bucket::new(limits.requests_per_second, RATE_BURST),
            new_connections: Bucket::new(limits.new_connections_per_second, CONNECTION_BURST),
            rest_admin: Bucket::new(limits.rest_admin_requests_per_second, REST_ADMIN_BURST),
            partition_changes: PartitionChanges::new(limits.partition_changes_per_5_minutes),
            in_flight: InFlight::new(limits.ingress_bytes_per_second),
            storage: Storage::new(limits.storage_bytes),
            limits: RwLock::new(limits),
            client_quotas: RwLock::new(client_quotas),
            principals: Mutex::default(),
            open_connections: AtomicU64::new(0),
            leaving_connections: AtomicU64::new(0),
            max_connections: AtomicU64::new(limits.connections),
            refused_connections: AtomicU64::new(0),
            throttled_micros: [const { AtomicU64::new(0) }; Rate::ALL.len()],
            changed: Notify::new(),
        }
    }

    /// The limits in force.
    pub(crate) fn limits(&self) -> Limits {
        *self.limits.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts other limits in force. Connections that wait look again.
    pub(crate) fn set_limits(&self, limits: Limits, client_quotas: Arc<ClientQuotas>) {
        let now = self.clock.now();
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
        self.ingress.set_rate(now, limits.ingress_bytes_per_second);
        self.egress.set_rate(now, limits.egress_bytes_per_second);
        self.requests.set_rate(now, limits.requests_per_second);
        self.new_connections.set_rate(now, limits.new_connections_per_second);
        self.rest_admin.set_rate(now, limits.rest_admin_requests_per_second);
        self.partition_changes.set_limit(now, limits.partition_changes_per_5_minutes);
        self.in_flight.set_rate(limits.ingress_bytes_per_second);
        self.storage.set_limit(limits.storage_bytes);
        self.max_connections.store(limits.connections, Ordering::Relaxed);
        // The same order as in `principal`: whoever is new there finds these, or is found here.
        let principals = self.principals.lock().unwrap_or_else(PoisonError::into_inner);
        for (principal, quota) in principals.iter() {
            quota.set_rates(now, client_quotas.rates_of(principal));
        }
        *self.client_quotas.write().unwrap_or_else(PoisonError::into_inner) = client_quotas;
        drop(principals);
        self.changed.notify_waiters();
    }

    /// The rates of a principal with a key of this tenant.
    pub(crate) fn principal(&self, principal: &Principal) -> Arc<PrincipalQuota> {
        let mut principals = self.principals.lock().unwrap_or_else(PoisonError::into_inner);
        let quota = principals.entry(principal.clone()).or_insert_with(|| {
            let client_quotas = self.client_quotas.read().unwrap_or_else(PoisonError::into_inner);
            Arc::new(PrincipalQuota::new(client_quotas.rates_of(principal)))
        });
        Arc::clone(quota)
    }

    /// A place for one more connection; none if the tenant has as many as it may.
    pub(crate) fn take_place(self: &Arc<Self>) -> Option<ConnectionPlace> {
        if !add_below(&self.open_connections, self.max_connections.load(Ordering::Relaxed)) {
            self.count_refused_connection();
            return None;
        }
        Some(ConnectionPlace { tenant: Arc::clone(self), leaves: AtomicBool::new(false) })
    }

    /// Connections that are open now, but for those whose clients hung up.
    pub(crate) fn open_connections(&self) -> u64 {
        self.open_connections.load(Ordering::Relaxed)
    }

    /// A connection was not let in because of a limit.
    pub(crate) fn count_refused_connection(&self) {
        self.refused_connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Connections that were not let in because of a limit.
    pub(crate) fn refused_connections(&self) -> u64 {
        self.refused_connections.load(Ordering::Relaxed)
    }

    pub(crate) fn count_throttle(&self, rate: Rate, wait: Duration) {
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        self.throttled_micros[rate as usize].fetch_add(micros, Ordering::Relaxed);
    }

    /// Time that requests were made to wait, all connections together.
    pub(crate) fn throttled(&self, rate: Rate) -> Duration {
        Duration::from_micros(self.throttled_micros[rate as usize].load(Ordering::Relaxed))
    }

    /// Fires when limits change.
    pub(crate) fn changed(&self) -> impl Future<Output = ()> + '_ {
        self.changed.notified()
    }

    /// The largest answer to one fetch: no more than the egress of a second, so that one answer cannot stop a tenant
    /// for long.
    pub(crate) fn max_fetch_bytes(&self, principal: &PrincipalQuota) -> usize {
        let rate = self.egress.rate().min(principal.egress.rate());
        if rate == UNLIMITED { usize::MAX } else { usize::try_from(rate).unwrap_or(usize::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    fn with_places(connections: u64) -> Arc<TenantQuota> {
        let limits = Limits { connections, ..limits::of_cluster(None) };
        Arc::new(TenantQuota::new(Clock::start(), limits, Arc::default()))
    }

    #[test]
    fn a_connection_that_leaves_makes_room_at_once_and_for_one_only() {
        let tenant = with_places(1);
        let first = tenant.take_place().unwrap();
        assert!(tenant.take_place().is_none());
        assert!(first.leave() && first.leave());
        let second = tenant.take_place().unwrap();
        assert!(tenant.take_place().is_none());
        drop(first);
        assert_eq!(tenant.open_connections(), 1);
        drop(second);
        assert_eq!(tenant.open_connections(), 0);
    }

    #[test]
    fn no_more_connections_leave_than_may_be_open() {
        let tenant = with_places(1);
        let first = tenant.take_place().unwrap();
        assert!(first.leave());
        let second = tenant.take_place().unwrap();
        assert!(!second.leave(), "hanging up is a way to have more connections");
        drop(first);
        assert!(second.leave());
    }
}
