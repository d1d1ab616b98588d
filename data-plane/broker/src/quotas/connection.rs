//! What one connection is charged to, and how it waits.

use std::sync::Arc;
use std::time::Duration;

use millstream_protocol::api_key::ApiKey;

use crate::quotas::bucket::Moment;
use crate::quotas::in_flight::Room;
use crate::quotas::tenant::{ConnectionPlace, PrincipalQuota, Rate, TenantQuota};

/// Shorter waits are not worth a timer: the debt stays and the next request waits for it.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// A login waits at most this long for its turn; with more in front of it the connection is closed.
const LONGEST_LOGIN_WAIT: Duration = Duration::from_secs(10);

/// The quota of a connection: that of its tenant and that of its principal, and which of their rates it used already.
pub(crate) struct ConnectionQuota {
    tenant: Arc<TenantQuota>,
    principal: Arc<PrincipalQuota>,
    used: bool,
    used_ingress: bool,
    used_egress: bool,
}

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// The tenant has as many connections as it may.
    TooMany {
        /// How many.
        limit: u64,
    },
    /// So many new connections came that this one's turn is too far away.
    TooFast,
}

impl ConnectionQuota {
    pub(crate) fn new(tenant: Arc<TenantQuota>, principal: Arc<PrincipalQuota>) -> Self {
        Self { tenant, principal, used: false, used_ingress: false, used_egress: false }
    }

    /// Takes a place among the tenant's connections. Answers how long the connection must wait for its turn.
    pub(crate) fn admit(&self) -> Result<(ConnectionPlace, Duration), NotAdmitted> {
        let now = self.now();
        if self.tenant.new_connections.debt(now) > LONGEST_LOGIN_WAIT {
            self.tenant.count_refused_connection();
            return Err(NotAdmitted::TooFast);
        }
        let place =
            self.tenant.take_place().ok_or_else(|| NotAdmitted::TooMany { limit: self.tenant.limits().connections })?;
        let wait = self.tenant.new_connections.spend(now, 1);
        Ok((place, self.counted(Rate::Connections, wait)))
    }

    /// How long the connection waits before its first request of a kind: what others of its tenant or its principal
    /// owe is owed by it too, or a new connection would be a way around the limit.
    pub(crate) fn inherit_debt(&mut self, api: ApiKey) -> Duration {
        let (tenant, principal) = (&self.tenant, &self.principal);
        let mut debt = Duration::ZERO;
        if !self.used {
            self.used = true;
            debt = debt.max(tenant.requests.debt(tenant.clock.now()));
        }
        if api == ApiKey::Produce && !self.used_ingress {
            self.used_ingress = true;
            let now = tenant.clock.now();
            debt = debt.max(tenant.ingress.debt(now)).max(principal.ingress.debt(now));
        }
        if api == ApiKey::Fetch && !self.used_egress {
            self.used_egress = true;
            let now = tenant.clock.now();
            debt = debt.max(tenant.egress.debt(now)).max(principal.egress.debt(now));
        }
        worth_waiting(debt)
    }

    /// Charges one request.
    pub(crate) fn charge_request(&self) -> Duration {
        let wait = self.tenant.requests.spend(self.now(), 1);
        self.counted(Rate::Requests, wait)
    }

    /// Charges what a client produced.
    pub(crate) fn charge_ingress(&self, bytes: usize) -> Duration {
        let (now, bytes) = (self.now(), bytes as u64);
        let wait = self.tenant.ingress.spend(now, bytes).max(self.principal.ingress.spend(now, bytes));
        self.counted(Rate::Ingress, wait)
    }

    /// Charges what a client fetched.
    pub(crate) fn charge_egress(&self, bytes: usize) -> Duration {
        let (now, bytes) = (self.now(), bytes as u64);
        let wait = self.tenant.egress.spend(now, bytes).max(self.principal.egress.spend(now, bytes));
        self.counted(Rate::Egress, wait)
    }

    /// Lets a request to store records over HTTP through unless bytes are owed; then answers for how long.
    pub(crate) fn admit_records(&self) -> Result<(), Duration> {
        let now = self.now();
        let debt = worth_waiting(self.tenant.ingress.debt(now).max(self.principal.ingress.debt(now)));
        if debt.is_zero() { Ok(()) } else { Err(debt) }
    }

    /// Lets an administrative request over HTTP through, or answers when to come again.
    pub(crate) fn admit_rest_admin(&self) -> Result<(), Duration> {
        self.tenant.rest_admin.try_spend(self.now(), 1)
    }

    /// How long until partitions may change again.
    pub(crate) fn partition_change_debt(&self) -> Duration {
        self.tenant.partition_changes.debt(self.now())
    }

    /// The limit of stored bytes, if it is reached.
    pub(crate) fn reached_storage_limit(&self) -> Option<u64> {
        self.tenant.storage.reached_limit()
    }

    /// A batch was stored.
    pub(crate) fn count_stored(&self, bytes: usize) {
        self.tenant.storage.add(bytes);
    }

    /// The largest answer to one fetch.
    pub(crate) fn max_fetch_bytes(&self) -> usize {
        self.tenant.max_fetch_bytes(&self.principal)
    }

    /// Waits for room to read a request of this size.
    pub(crate) async fn enter(&self, request_bytes: usize) -> Option<Room> {
        self.tenant.in_flight.enter(request_bytes).await
    }

    /// Waits, or less if limits are raised meanwhile.
    pub(crate) async fn wait(&self, wait: Duration) {
        let mut until = tokio::time::Instant::now() + wait;
        loop {
            let changed = self.tenant.changed();
            // Limits can have changed since the wait was charged, when nobody listened for it yet.
            until = until.min(tokio::time::Instant::now() + self.debt());
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                () = changed => {}
            }
        }
    }

    fn debt(&self) -> Duration {
        let now = self.now();
        let (tenant, principal) = (&self.tenant, &self.principal);
        [&tenant.ingress, &tenant.egress, &tenant.requests, &tenant.new_connections]
            .into_iter()
            .chain([&principal.ingress, &principal.egress])
            .map(|bucket| bucket.debt(now))
            .max()
            .unwrap_or_default()
    }

    fn counted(&self, rate: Rate, wait: Duration) -> Duration {
        let wait = worth_waiting(wait);
        if !wait.is_zero() {
            self.tenant.count_throttle(rate, wait);
        }
        wait
    }

    fn now(&self) -> Moment {
        self.tenant.clock.now()
    }
}

fn worth_waiting(wait: Duration) -> Duration {
    if wait < SHORTEST_WAIT { Duration::ZERO } else { wait }
}

/// The wait as responses say it.
pub(crate) fn to_throttle_time_ms(wait: Duration) -> i32 {
    i32::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}
