//! What the broker counts, per tenant and in all, and its Prometheus text.
//!
//! Promises: counting is one relaxed atomic addition, without a lock or a look-up: a connection holds the
//! counters of its tenant. Labels hold ids only. Never holds a name that a user chose.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use millstream_api::ids::LogicalClusterId;
use millstream_api::plan::Limits;
use millstream_protocol::api_key::ApiKey;

use crate::quotas::tenant::{Rate, TenantQuota};

/// Kafka's API keys end below this.
const API_SLOTS: usize = 96;

/// The counters of one tenant.
pub(crate) struct TenantMetrics {
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
    received_records: AtomicU64,
    successful_authentications: AtomicU64,
    http_requests: AtomicU64,
    requests: [AtomicU64; API_SLOTS],
}

impl TenantMetrics {
    fn new() -> Self {
        Self {
            received_bytes: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            received_records: AtomicU64::new(0),
            successful_authentications: AtomicU64::new(0),
            http_requests: AtomicU64::new(0),
            requests: [const { AtomicU64::new(0) }; API_SLOTS],
        }
    }

    /// A batch was stored.
    pub(crate) fn count_produced(&self, bytes: usize, records: u64) {
        self.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.received_records.fetch_add(records, Ordering::Relaxed);
    }

    /// Record bytes went into a fetch response.
    pub(crate) fn count_fetched(&self, bytes: usize) {
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A Kafka request was received.
    pub(crate) fn count_request(&self, api: ApiKey) {
        let slot = usize::try_from(api.key()).ok().and_then(|key| self.requests.get(key));
        if let Some(slot) = slot {
            slot.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A kafka/v3 request was received over HTTP.
    pub(crate) fn count_http_request(&self) {
        self.http_requests.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted so far.
    fn counts(&self) -> Counts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            received_bytes: load(&self.received_bytes),
            sent_bytes: load(&self.sent_bytes),
            received_records: load(&self.received_records),
            successful_authentications: load(&self.successful_authentications),
            requests: load(&self.http_requests) + self.requests.iter().map(load).sum::<u64>(),
        }
    }

    /// A connection logged in.
    pub(crate) fn count_authentication(&self) {
        self.successful_authentications.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a tenant did since some moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) received_records: u64,
    pub(crate) successful_authentications: u64,
    pub(crate) requests: u64,
}

impl Counts {
    /// What came on top of earlier counts.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            received_bytes: self.received_bytes.saturating_sub(earlier.received_bytes),
            sent_bytes: self.sent_bytes.saturating_sub(earlier.sent_bytes),
            received_records: self.received_records.saturating_sub(earlier.received_records),
            successful_authentications: self
                .successful_authentications
                .saturating_sub(earlier.successful_authentications),
            requests: self.requests.saturating_sub(earlier.requests),
        }
    }
}

/// A counter of each tenant: name, help, which one.
type Counter = (&'static str, &'static str, fn(&TenantMetrics) -> &AtomicU64);
/// A looked-up value of each tenant: name, help, which one.
type Gauge = (&'static str, &'static str, fn(&TenantGauges) -> u64);

/// The counters of this broker.
pub(crate) struct Metrics {
    tenants: RwLock<HashMap<LogicalClusterId, Arc<TenantMetrics>>>,
    failed_authentications: AtomicU64,
}

/// What is not counted but looked up when somebody asks.
#[derive(Default)]
pub(crate) struct Gauges {
    /// Per tenant.
    pub(crate) tenants: BTreeMap<LogicalClusterId, TenantGauges>,
    /// Of the process: name without prefix, help, value.
    pub(crate) process: Vec<(&'static str, &'static str, f64)>,
}

/// Looked-up values of one tenant.
#[derive(Default, Clone, Copy)]
pub(crate) struct TenantGauges {
    pub(crate) active_connections: u64,
    pub(crate) partitions: u64,
    pub(crate) retained_bytes: u64,
    pub(crate) quota: Option<QuotaGauges>,
}

/// What a tenant may use, and how it was held to it.
#[derive(Clone, Copy)]
pub(crate) struct QuotaGauges {
    limits: Limits,
    throttled_seconds: [f64; Rate::ALL.len()],
    refused_connections: u64,
}

impl QuotaGauges {
    pub(crate) fn of(quota: &TenantQuota) -> Self {
        Self {
            limits: quota.limits(),
            throttled_seconds: Rate::ALL.map(|rate| quota.throttled(rate).as_secs_f64()),
            refused_connections: quota.refused_connections(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self { tenants: RwLock::default(), failed_authentications: AtomicU64::new(0) }
    }
}

impl Metrics {
    /// The counters of a tenant. The caller keeps them for the life of its connection. Only for tenants that
    /// authenticated, so that their number is bounded by the tenants of this broker.
    pub(crate) fn tenant(&self, tenant: &LogicalClusterId) -> Arc<TenantMetrics> {
        let known = self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned();
        if let Some(known) = known {
            return known;
        }
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(TenantMetrics::new())))
    }

    /// What every tenant did so far.
    pub(crate) fn counts(&self) -> Vec<(LogicalClusterId, Counts)> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        tenants.iter().map(|(id, metrics)| (id.clone(), metrics.counts())).collect()
    }

    /// Drops the counters of a tenant that was deleted.
    pub(crate) fn forget(&self, tenant: &LogicalClusterId) {
        self.tenants.write().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }

    /// Somebody presented a key that does not exist or a wrong secret.
    pub(crate) fn count_failed_authentication(&self) {
        self.failed_authentications.fetch_add(1, Ordering::Relaxed);
    }

    /// Everything in Prometheus' text format.
    pub(crate) fn render(&self, gauges: &Gauges) -> String {
        let tenants: BTreeMap<_, _> = {
            let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
            tenants.iter().map(|(id, metrics)| (id.clone(), Arc::clone(metrics))).collect()
        };
        let mut page = Page(String::new());
        let counters: [Counter; 5] = [
            ("received_bytes_total", "Bytes of record batches that were stored.", |tenant| &tenant.received_bytes),
            ("sent_bytes_total", "Bytes of record batches that were fetched.", |tenant| &tenant.sent_bytes),
            ("received_records_total", "Records that were stored.", |tenant| &tenant.received_records),
            ("successful_authentications_total", "Logins with an API key.", |tenant| {
                &tenant.successful_authentications
            }),
            ("http_requests_total", "Requests of kafka/v3 over HTTP.", |tenant| &tenant.http_requests),
        ];
        for (name, help, counter) in counters {
            page.family(name, help, "counter");
            for (id, tenant) in &tenants {
                page.tenant_value(name, id, counter(tenant).load(Ordering::Relaxed));
            }
        }
        page.requests(&tenants);
        let looked_up: [Gauge; 3] = [
            ("active_connections", "Authenticated connections that are open.", |tenant| tenant.active_connections),
            ("partitions", "Partitions that this broker leads.", |tenant| tenant.partitions),
            ("retained_bytes", "Bytes of records on this broker's disk.", |tenant| tenant.retained_bytes),
        ];
        for (name, help, gauge) in looked_up {
            page.family(name, help, "gauge");
            for (id, tenant) in &gauges.tenants {
                page.tenant_value(name, id, gauge(tenant));
            }
        }
        page.quotas(&gauges.tenants);
        let failed = self.failed_authentications.load(Ordering::Relaxed);
        page.family("failed_authentications_total", "Logins with a wrong key or secret.", "counter");
        page.line("failed_authentications_total", "", failed as f64);
        for (name, help, value) in &gauges.process {
            page.family(name, help, "gauge");
            page.line(name, "", *value);
        }
        page.0
    }
}

/// A page of Prometheus text under construction.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, help: &str, kind: &str) {
        self.append(format_args!("# HELP millstream_{name} {help}\n# TYPE millstream_{name} {kind}\n"));
    }

    fn line(&mut self, name: &str, labels: &str, value: f64) {
        self.append(format_args!("millstream_{name}{labels} {value}\n"));
    }

    fn tenant_value(&mut self, name: &str, tenant: &LogicalClusterId, value: u64) {
        self.append(format_args!("millstream_{name}{{logical_cluster=\"{tenant}\"}} {value}\n"));
    }

    fn requests(&mut self, tenants: &BTreeMap<LogicalClusterId, Arc<TenantMetrics>>) {
        self.family("requests_total", "Kafka requests by API.", "counter");
        for (id, tenant) in tenants {
            for (key, count) in (0..).zip(&tenant.requests) {
                let count = count.load(Ordering::Relaxed);
                let Some(api) = ApiKey::try_from(key).ok().filter(|_| count > 0) else { continue };
                let api = api.name();
                self.append(format_args!(
                    "millstream_requests_total{{logical_cluster=\"{id}\",api=\"{api}\"}} {count}\n"
                ));
            }
        }
    }

    fn quotas(&mut self, tenants: &BTreeMap<LogicalClusterId, TenantGauges>) {
        let quotas: Vec<_> = tenants.iter().filter_map(|(id, gauges)| Some((id, gauges.quota?))).collect();
        self.family("limit", "What the tenant may use.", "gauge");
        for (id, quota) in &quotas {
            let limits = &quota.limits;
            for (name, limit) in [
                ("ingress_bytes_per_second", Some(limits.ingress_bytes_per_second)),
                ("egress_bytes_per_second", Some(limits.egress_bytes_per_second)),
                ("requests_per_second", Some(limits.requests_per_second)),
                ("connections", Some(limits.connections)),
                ("new_connections_per_second", Some(limits.new_connections_per_second)),
                ("partitions", Some(limits.partitions)),
                ("storage_bytes", limits.storage_bytes),
            ] {
                let Some(limit) = limit else { continue };
                self.append(format_args!("millstream_limit{{logical_cluster=\"{id}\",limit=\"{name}\"}} {limit}\n"));
            }
        }
        self.family("throttle_seconds_total", "Time that connections were made to wait for a rate.", "counter");
        for (id, quota) in &quotas {
            for (rate, seconds) in Rate::ALL.into_iter().zip(quota.throttled_seconds) {
                let rate = rate.name();
                self.append(format_args!(
                    "millstream_throttle_seconds_total{{logical_cluster=\"{id}\",rate=\"{rate}\"}} {seconds}\n"
                ));
            }
        }
        let help = "Connections that were not let in because of their number or rate.";
        self.family("refused_connections_total", help, "counter");
        for (id, quota) in &quotas {
            self.tenant_value("refused_connections_total", id, quota.refused_connections);
        }
    }

    fn append(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("writing to a String cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lkc(id: &str) -> LogicalClusterId {
        id.parse().unwrap()
    }

    #[test]
    fn what_is_counted_appears_under_the_id_of_its_tenant() {
        let metrics = Metrics::default();
        let tenant = metrics.tenant(&lkc("lkc-a"));
        tenant.count_produced(100, 3);
        tenant.count_produced(50, 1);
        tenant.count_request(ApiKey::Produce);
        metrics.tenant(&lkc("lkc-a")).count_fetched(7);
        metrics.count_failed_authentication();
        let mut gauges = Gauges::default();
        gauges.tenants.insert(
            lkc("lkc-b"),
            TenantGauges { active_connections: 1, partitions: 2, retained_bytes: 3, quota: None },
        );
        gauges.process.push(("ready", "Whether it is.", 1.0));
        let page = metrics.render(&gauges);
        for line in [
            "millstream_received_bytes_total{logical_cluster=\"lkc-a\"} 150",
            "millstream_received_records_total{logical_cluster=\"lkc-a\"} 4",
            "millstream_sent_bytes_total{logical_cluster=\"lkc-a\"} 7",
            "millstream_requests_total{logical_cluster=\"lkc-a\",api=\"Produce\"} 1",
            "millstream_retained_bytes{logical_cluster=\"lkc-b\"} 3",
            "millstream_failed_authentications_total 1",
            "millstream_ready 1",
        ] {
            assert!(page.lines().any(|other| other == line), "{line} is missing in:\n{page}");
        }
        assert!(!page.contains("api=\"Fetch\""), "an API that was never asked has no line");
    }

    #[test]
    fn a_deleted_tenant_leaves_no_line() {
        let metrics = Metrics::default();
        metrics.tenant(&lkc("lkc-a")).count_authentication();
        metrics.forget(&lkc("lkc-a"));
        assert!(!metrics.render(&Gauges::default()).contains("lkc-a"));
    }

    #[test]
    fn every_api_has_a_slot() {
        let keys = (i16::MIN..=i16::MAX).filter(|key| ApiKey::try_from(*key).is_ok());
        assert!(keys.max().is_some_and(|largest| (largest as usize) < API_SLOTS));
    }
}
