//! What each tenant stores, and what it did in the last minute.
//!
//! Looks at the counters and the logs every few seconds. Promises: a few samples are kept, each bounded by the tenants
//! of this broker. Counts nothing itself: `crate::metrics` does.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream_api::ids::LogicalClusterId;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::broker::Broker;
use crate::metrics::Counts;

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(10);
/// Samples that are kept: a minute and the moment at its beginning.
const MAX_SAMPLES: usize = 7;

/// The samples.
#[derive(Debug, Default)]
pub(crate) struct Metering {
    samples: Mutex<VecDeque<HashMap<LogicalClusterId, Sample>>>,
}

/// One tenant at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) counts: Counts,
    pub(crate) stored_bytes: u64,
}

impl Metering {
    fn add(&self, sample: HashMap<LogicalClusterId, Sample>) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == MAX_SAMPLES {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// What a tenant has now, and what it did since the sample of a minute ago, or since the start.
    pub(crate) fn last_minute(&self, tenant: &LogicalClusterId) -> Sample {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |sample: Option<&HashMap<LogicalClusterId, Sample>>| sample.and_then(|all| all.get(tenant)).copied();
        let last = of(samples.back()).unwrap_or_default();
        let is_since_start = samples.len() < MAX_SAMPLES;
        let first = if is_since_start { Sample::default() } else { of(samples.front()).unwrap_or_default() };
        Sample { counts: last.counts.since(first.counts), ..last }
    }
}

/// Looks until `stop` fires.
pub(crate) async fn run(broker: Arc<Broker>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let broker = Arc::clone(&broker);
        // Looking at every partition takes too long for a thread that serves connections.
        if let Err(error) = tokio::task::spawn_blocking(move || measure(&broker)).await {
            error!(%error, "the measuring of tenants was interrupted");
        }
    }
}

/// Takes a sample, and tells the storage limits what is stored.
pub(crate) fn measure(broker: &Broker) {
    let mut tenants: HashMap<LogicalClusterId, Sample> = HashMap::new();
    for partition in broker.partitions.all() {
        let tenant = tenants.entry(partition.id.tenant.clone()).or_default();
        tenant.stored_bytes += partition.log().size_bytes();
    }
    for (id, counts) in broker.metrics.counts() {
        tenants.entry(id).or_default().counts = counts;
    }
    for (id, quota) in broker.quotas.all() {
        quota.storage.set_stored(tenants.get(&id).map_or(0, |tenant| tenant.stored_bytes));
    }
    broker.metering.add(tenants);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(received_bytes: u64, stored_bytes: u64) -> HashMap<LogicalClusterId, Sample> {
        let counts = Counts { received_bytes, ..Counts::default() };
        HashMap::from([("lkc-a".parse().unwrap(), Sample { counts, stored_bytes })])
    }

    #[test]
    fn the_last_minute_is_the_difference_of_its_ends() {
        let metering = Metering::default();
        let tenant = "lkc-a".parse().unwrap();
        assert_eq!(metering.last_minute(&tenant), Sample::default());
        metering.add(sample(100, 10));
        assert_eq!(metering.last_minute(&tenant).counts.received_bytes, 100, "since the start");
        for number in 1..20 {
            metering.add(sample(100 + number * 7, number));
        }
        let last = metering.last_minute(&tenant);
        assert_eq!((last.counts.received_bytes, last.stored_bytes), (6 * 7, 19));
        assert_eq!(metering.last_minute(&"lkc-b".parse().unwrap()), Sample::default());
    }
}
