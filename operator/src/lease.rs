//! Which of several operators acts: the one that holds a Lease.
//!
//! A Lease that somebody else holds counts as given up when it has not changed for its whole duration *by our own
//! clock*: clocks of machines differ. Being the holder is no proof, only a convention: what must not happen twice is
//! also guarded by UIDs and the PodDisruptionBudget.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::time::Instant;
use tracing::{info, warn};

/// Whoever does not renew for this long has given up.
const DURATION: Duration = Duration::from_secs(15);
/// The holder renews this often; the others look this often.
const PERIOD: Duration = Duration::from_secs(3);
/// A holder that could not renew for this long stops acting, well before another one begins.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// An answer of the API server is waited for this long.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// What to do about the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is none: make it, held by us.
    Create,
    /// Nobody holds it, or whoever did has given up.
    Take,
    /// We hold it.
    Renew,
    /// Somebody else holds it.
    StandBy,
}

/// What this operator knows of the Lease.
#[derive(Debug)]
pub struct Watcher {
    identity: String,
    seen: Option<(LeaseSpec, Instant)>,
}

impl Watcher {
    pub fn new(identity: &str) -> Self {
        Self { identity: identity.to_owned(), seen: None }
    }

    /// Decides, from the Lease as it is `now`.
    pub fn decide(&mut self, lease: Option<&LeaseSpec>, now: Instant) -> Decision {
        let Some(lease) = lease else { return Decision::Create };
        let holder = lease.holder_identity.as_deref().unwrap_or_default();
        if holder == self.identity {
            return Decision::Renew;
        }
        if holder.is_empty() {
            return Decision::Take;
        }
        match &self.seen {
            Some((seen, since)) if seen == lease => {
                let duration = lease.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
                let duration = duration.map_or(DURATION, Duration::from_secs);
                if now.duration_since(*since) >= duration { Decision::Take } else { Decision::StandBy }
            }
            _ => {
                self.seen = Some((lease.clone(), now));
                Decision::StandBy
            }
        }
    }
}

/// One operator's part in the election.
pub struct Election {
    leases: Api<Lease>,
    name: String,
    watcher: Watcher,
}

impl Election {
    /// `identity` is unlike that of every other process: the name of the pod and something random.
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        let leases = Api::namespaced(client, namespace);
        Self { leases, name: name.to_owned(), watcher: Watcher::new(identity) }
    }

    /// Waits until this operator is the one that acts.
    pub async fn won(&mut self) {
        loop {
            match tokio::time::timeout(REQUEST_TIMEOUT, self.attempt()).await {
                Ok(Ok(true)) => {
                    info!(identity = %self.watcher.identity, "this operator acts now");
                    return;
                }
                Ok(Ok(false)) => {}
                Ok(Err(error)) => warn!(%error, "cannot read or write the Lease {}", self.name),
                Err(_) => warn!("the API server does not answer about the Lease {}", self.name),
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Renews; returns when this operator has to stop acting.
    pub async fn lost(&mut self) {
        let mut deadline = Instant::now() + RENEW_DEADLINE;
        loop {
            tokio::time::sleep(PERIOD).await;
            match tokio::time::timeout_at(deadline, self.attempt()).await {
                Ok(Ok(true)) => deadline = Instant::now() + RENEW_DEADLINE,
                Ok(Ok(false)) | Err(_) => break,
                Ok(Err(error)) => warn!(%error, "cannot renew the Lease {}", self.name),
            }
            if deadline <= Instant::now() {
                break;
            }
        }
        warn!(identity = %self.watcher.identity, "this operator does not act any more");
    }

    /// Lets go of the Lease, so that the next one need not wait for its end. Gives up soon: it ends by itself.
    pub async fn release(&mut self) {
        match tokio::time::timeout(REQUEST_TIMEOUT, self.let_go()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(%error, "cannot let go of the Lease {}: the next operator waits for its end", self.name)
            }
            Err(_) => warn!("the API server does not answer: the next operator waits for the end of the Lease"),
        }
    }

    async fn let_go(&mut self) -> kube::Result<()> {
        let Some(mut lease) = self.leases.get_opt(&self.name).await? else { return Ok(()) };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() == Some(&self.watcher.identity) {
            spec.holder_identity = None;
            self.leases.replace(&self.name, &PostParams::default(), &lease).await?;
        }
        Ok(())
    }

    /// One look and, if it is time, one write. True if the Lease is ours afterwards.
    async fn attempt(&mut self) -> kube::Result<bool> {
        let found = self.leases.get_opt(&self.name).await?;
        let decision = self.watcher.decide(found.as_ref().and_then(|lease| lease.spec.as_ref()), Instant::now());
        let written = match (decision, found) {
            (Decision::StandBy, _) => return Ok(false),
            (Decision::Create, None) => {
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
                let lease = Lease { metadata, spec: Some(self.held(None)) };
                self.leases.create(&PostParams::default(), &lease).await
            }
            (_, Some(mut lease)) => {
                lease.spec = Some(self.held(lease.spec.take()));
                // The version that was read goes along: of two that take it at once, one is refused.
                self.leases.replace(&self.name, &PostParams::default(), &lease).await
            }
            (_, None) => return Ok(false),
        };
        match written {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn held(&self, before: Option<LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let mut spec = before.unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(&self.watcher.identity) {
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |count| count.saturating_add(1)));
            spec.acquire_time = Some(now.clone());
        }
        spec.holder_identity = Some(self.watcher.identity.clone());
        spec.lease_duration_seconds = i32::try_from(DURATION.as_secs()).ok();
        spec.renew_time = Some(now);
        spec
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::ApiServer;

    fn server() -> ApiServer {
        let server = ApiServer::default();
        server.state().set_time("2026-01-01T00:00:00Z".to_owned());
        server
    }

    fn held_by(holder: &str, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_taken_when_its_holder_has_not_renewed_it_for_its_duration_by_our_clock() {
        let mut watcher = Watcher::new("me");
        let start = Instant::now();
        let mut after =
            |lease: &LeaseSpec, seconds: u64| watcher.decide(Some(lease), start + Duration::from_secs(seconds));
        let lease = held_by("other", 0);
        assert_eq!(after(&lease, 0), Decision::StandBy);
        assert_eq!(after(&lease, 14), Decision::StandBy);
        assert_eq!(after(&held_by("other", 1), 15), Decision::StandBy, "it was renewed");
        assert_eq!(after(&held_by("other", 1), 29), Decision::StandBy);
        assert_eq!(after(&held_by("other", 1), 30), Decision::Take);
    }

    #[test]
    fn a_lease_that_nobody_holds_is_taken_at_once() {
        let mut watcher = Watcher::new("me");
        let now = Instant::now();
        assert_eq!(watcher.decide(None, now), Decision::Create);
        assert_eq!(watcher.decide(Some(&LeaseSpec::default()), now), Decision::Take);
        assert_eq!(watcher.decide(Some(&held_by("me", 0)), now), Decision::Renew);
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_two_operators_acts_and_the_other_follows_when_it_dies_or_lets_go() {
        let server = server();
        let election = |identity: &str| Election::new(server.client(), "millstream", "operator", identity);
        let (mut first, mut second, mut third) = (election("first"), election("second"), election("third"));
        first.won().await;
        assert!(!second.attempt().await.unwrap());
        let stolen_early = tokio::time::timeout(DURATION - Duration::from_secs(1), second.won()).await;
        assert!(stolen_early.is_err(), "the first one still holds it");
        // The first one is dead: it renews no more.
        second.won().await;
        assert!(!first.attempt().await.unwrap());
        second.release().await;
        assert!(third.attempt().await.unwrap(), "it was let go");
    }

    #[tokio::test(start_paused = true)]
    async fn an_operator_whose_lease_was_taken_stops() {
        let server = server();
        let mut first = Election::new(server.client(), "millstream", "operator", "first");
        first.won().await;
        let still_acts = tokio::time::timeout(Duration::from_secs(60), first.lost()).await;
        assert!(still_acts.is_err(), "it renews as long as nobody takes it");
        let taken =
            server.state().find("leases", "operator").map(|lease| lease["spec"]["holderIdentity"] = "second".into());
        assert!(taken.is_some());
        first.lost().await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_operator_that_cannot_renew_stops_before_another_may_begin() {
        let server = server();
        let mut first = Election::new(server.client(), "millstream", "operator", "first");
        first.won().await;
        server.state().silent = true;
        let begun = Instant::now();
        first.lost().await;
        assert!(begun.elapsed() < DURATION, "{:?}", begun.elapsed());
    }
}
