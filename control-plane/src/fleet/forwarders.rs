//! HTTP requests that the control plane hands to a broker over the stream which the broker dialled.
//!
//! Promises: answers are matched by id; requests in flight are bounded; a request ends in an answer, a timeout or the
//! end of the stream, whichever comes first, and leaves nothing behind.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream_api::fleet::{ForwardedRequest, HttpAnswer};
use millstream_api::ids::PhysicalClusterId;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tonic::Status;

/// Requests in flight on one broker at most.
pub const MAX_IN_FLIGHT: usize = 256;
/// How long a broker may take to answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Streams of one physical cluster at most.
pub const MAX_FORWARDERS_PER_PHYSICAL_CLUSTER: usize = 1_000;

/// Why a request got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// No broker of the physical cluster is connected.
    #[error("no broker of this cluster is connected: try again shortly")]
    NoBroker,
    /// All brokers have their hands full.
    #[error("the brokers of this cluster have {MAX_IN_FLIGHT} requests in flight: try again shortly")]
    Busy,
    /// The broker went away with the request.
    #[error("the broker went away before it answered: the request may or may not have taken effect")]
    Lost,
    /// The broker did not answer in time.
    #[error("the broker did not answer in time: the request may or may not have taken effect")]
    TimedOut,
}

/// Every broker that takes requests.
#[derive(Default)]
pub struct Forwarders {
    by_physical_cluster: Mutex<HashMap<PhysicalClusterId, Vec<Arc<Forwarder>>>>,
    next_request: AtomicU64,
}

/// One broker that takes requests.
pub struct Forwarder {
    requests: mpsc::Sender<Result<ForwardedRequest, Status>>,
    pending: Mutex<HashMap<u64, oneshot::Sender<HttpAnswer>>>,
    permits: Semaphore,
}

impl Forwarder {
    /// A broker behind a queue.
    pub fn new(requests: mpsc::Sender<Result<ForwardedRequest, Status>>) -> Arc<Self> {
        Arc::new(Self { requests, pending: Mutex::default(), permits: Semaphore::new(MAX_IN_FLIGHT) })
    }

    /// Hands an answer to whoever waits for it; nobody does after a timeout.
    pub fn complete(&self, answer: HttpAnswer) {
        let waiting = self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&answer.id);
        if let Some(waiting) = waiting {
            // The caller may have hung up meanwhile.
            let _ = waiting.send(answer);
        }
    }

    fn has_room(&self) -> bool {
        self.permits.available_permits() > 0 && !self.requests.is_closed()
    }

    async fn exchange(&self, request: ForwardedRequest) -> Result<HttpAnswer, ForwardError> {
        let _permit = self.permits.try_acquire().map_err(|_| ForwardError::Busy)?;
        let id = request.id;
        let (sender, receiver) = oneshot::channel();
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        let _forget = ForgetOnDrop { forwarder: self, id };
        let exchange = async {
            self.requests.send(Ok(request)).await.map_err(|_| ForwardError::NoBroker)?;
            receiver.await.map_err(|_| ForwardError::Lost)
        };
        timeout(ANSWER_TIMEOUT, exchange).await.unwrap_or(Err(ForwardError::TimedOut))
    }

    /// Ends every request in flight: the stream is gone.
    fn abandon(&self) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

struct ForgetOnDrop<'a> {
    forwarder: &'a Forwarder,
    id: u64,
}

impl Drop for ForgetOnDrop<'_> {
    fn drop(&mut self) {
        self.forwarder.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Forwarders {
    /// Takes in a broker. Says whether there was room.
    pub fn add(&self, physical_cluster: &PhysicalClusterId, forwarder: Arc<Forwarder>) -> bool {
        let mut all = self.by_physical_cluster.lock().unwrap_or_else(PoisonError::into_inner);
        let forwarders = all.entry(physical_cluster.clone()).or_default();
        let has_room = forwarders.len() < MAX_FORWARDERS_PER_PHYSICAL_CLUSTER;
        if has_room {
            forwarders.push(forwarder);
        }
        has_room
    }

    /// Forgets a broker and ends its requests in flight.
    pub fn remove(&self, physical_cluster: &PhysicalClusterId, forwarder: &Arc<Forwarder>) {
        let mut all = self.by_physical_cluster.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(forwarders) = all.get_mut(physical_cluster) {
            forwarders.retain(|other| !Arc::ptr_eq(other, forwarder));
            if forwarders.is_empty() {
                all.remove(physical_cluster);
            }
        }
        drop(all);
        forwarder.abandon();
    }

    /// Has a broker of the physical cluster answer a request. Its id is set here.
    pub async fn forward(
        &self,
        physical_cluster: &PhysicalClusterId,
        mut request: ForwardedRequest,
    ) -> Result<HttpAnswer, ForwardError> {
        request.id = self.next_request.fetch_add(1, Ordering::Relaxed);
        let forwarder = self.choose(physical_cluster, request.id)?;
        forwarder.exchange(request).await
    }

    /// Takes the brokers in turn and passes over those without room.
    fn choose(&self, physical_cluster: &PhysicalClusterId, turn: u64) -> Result<Arc<Forwarder>, ForwardError> {
        let all = self.by_physical_cluster.lock().unwrap_or_else(PoisonError::into_inner);
        let forwarders = all.get(physical_cluster).ok_or(ForwardError::NoBroker)?;
        let count = forwarders.len();
        let first = usize::try_from(turn % (count as u64).max(1)).unwrap_or(0);
        let mut in_turn = (0..count).map(|step| &forwarders[(first + step) % count]);
        in_turn.find(|forwarder| forwarder.has_room()).cloned().ok_or(ForwardError::Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn physical_cluster() -> PhysicalClusterId {
        "pkc-a".parse().expect("an id")
    }

    type Requests = mpsc::Receiver<Result<ForwardedRequest, Status>>;

    fn with_one_broker() -> (Arc<Forwarders>, Arc<Forwarder>, Requests) {
        let (sender, receiver) = mpsc::channel(MAX_IN_FLIGHT);
        let (forwarders, forwarder) = (Arc::new(Forwarders::default()), Forwarder::new(sender));
        assert!(forwarders.add(&physical_cluster(), Arc::clone(&forwarder)));
        (forwarders, forwarder, receiver)
    }

    fn pending(forwarder: &Forwarder) -> usize {
        forwarder.pending.lock().expect("not poisoned").len()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_ends_after_its_time_and_leaves_nothing_behind() {
        let (forwarders, forwarder, _requests) = with_one_broker();
        let outcome = forwarders.forward(&physical_cluster(), ForwardedRequest::default()).await;
        assert_eq!(outcome, Err(ForwardError::TimedOut));
        assert_eq!(pending(&forwarder), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn more_requests_than_allowed_are_refused_at_once() {
        let (forwarders, forwarder, _requests) = with_one_broker();
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..MAX_IN_FLIGHT {
            let forwarders = Arc::clone(&forwarders);
            waiting.spawn(async move { forwarders.forward(&physical_cluster(), ForwardedRequest::default()).await });
        }
        while pending(&forwarder) < MAX_IN_FLIGHT {
            tokio::task::yield_now().await;
        }
        let one_more = forwarders.forward(&physical_cluster(), ForwardedRequest::default()).await;
        assert_eq!(one_more, Err(ForwardError::Busy));
    }

    #[tokio::test]
    async fn a_caller_that_hangs_up_leaves_nothing_behind_and_a_late_answer_is_dropped() {
        let (forwarders, forwarder, mut requests) = with_one_broker();
        let caller = {
            let forwarders = Arc::clone(&forwarders);
            tokio::spawn(async move { forwarders.forward(&physical_cluster(), ForwardedRequest::default()).await })
        };
        let asked = requests.recv().await.expect("it is asked").expect("a request");
        caller.abort();
        assert!(caller.await.is_err());
        assert_eq!(pending(&forwarder), 0);
        forwarder.complete(HttpAnswer { id: asked.id, ..HttpAnswer::default() });
        assert_eq!(forwarder.permits.available_permits(), MAX_IN_FLIGHT);
    }

    #[tokio::test]
    async fn a_broker_that_left_is_not_asked_any_more() {
        let (forwarders, forwarder, _requests) = with_one_broker();
        forwarders.remove(&physical_cluster(), &forwarder);
        let outcome = forwarders.forward(&physical_cluster(), ForwardedRequest::default()).await;
        assert_eq!(outcome, Err(ForwardError::NoBroker));
    }
}
