//! One shard behind its lock, the requests that wait for it, and the task that keeps its time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_api::ids::LogicalClusterId;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::clock::Clock;
use crate::groups::classic::event::{Event, Reply, Token};
use crate::groups::config::GroupConfig;
use crate::groups::error::{ErrorChain, GroupError};
use crate::groups::moment::Moment;
use crate::groups::shard::Shard;

/// Requests that wait in one shard. Each holds a connection, so there are fewer in practice.
const MAX_WAITING_REQUESTS: usize = 65_536;
/// How long the timer sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(3_600);
/// How long after a snapshot that could not be written the next one is tried.
const SNAPSHOT_RETRY: Duration = Duration::from_secs(60);

/// One shard.
pub(super) struct Slot {
    inner: Mutex<Inner>,
    clock: Clock,
    /// Tells the timer that something is due earlier than it thinks, or that a snapshot is wanted.
    wake: Notify,
}

struct Inner {
    /// Absent after the coordinator was stopped.
    shard: Option<Shard>,
    waiting: HashMap<Token, oneshot::Sender<Reply>>,
    /// Until when the timer sleeps.
    sleeps_until_ms: u64,
}

impl Slot {
    pub(super) fn new(shard: Shard, clock: Clock) -> Self {
        let inner = Inner { shard: Some(shard), waiting: HashMap::new(), sleeps_until_ms: 0 };
        Self { inner: Mutex::new(inner), clock, wake: Notify::new() }
    }

    /// Handles a request and waits for its answer. Nothing if the coordinator is stopped or has too much to do.
    pub(super) async fn request(
        self: &Arc<Self>,
        tenant: &LogicalClusterId,
        group_id: &str,
        token: Token,
        event: Event,
    ) -> Option<Reply> {
        let receiver = match self.start_request(tenant, group_id, token, event)? {
            Started::Answered(reply) => return Some(reply),
            Started::Waits(receiver) => receiver,
        };
        let _abandonment = Abandonment { slot: self, tenant, group_id, token };
        receiver.await.ok()
    }

    fn start_request(&self, tenant: &LogicalClusterId, group_id: &str, token: Token, event: Event) -> Option<Started> {
        let mut inner = self.lock();
        if inner.waiting.len() >= MAX_WAITING_REQUESTS {
            return None;
        }
        let now = self.clock.now();
        let mut replies = inner.shard.as_mut()?.step(tenant, group_id, token, event, now);
        let own = replies.iter().position(|(answered, _)| *answered == token);
        if let Some(position) = own {
            let (_, reply) = replies.swap_remove(position);
            inner.deliver(replies);
            self.wake_timer(&inner);
            return Some(Started::Answered(reply));
        }
        let (sender, receiver) = oneshot::channel();
        inner.waiting.insert(token, sender);
        inner.deliver(replies);
        self.wake_timer(&inner);
        Some(Started::Waits(receiver))
    }

    /// Uses the shard for something that does not wait.
    pub(super) fn with_shard<T>(&self, act: impl FnOnce(&mut Shard, Moment) -> T) -> Result<T, GroupError> {
        let mut inner = self.lock();
        let shard = inner.shard.as_mut().ok_or(GroupError::CoordinatorNotAvailable)?;
        let result = act(shard, self.clock.now());
        self.wake_timer(&inner);
        Ok(result)
    }

    pub(super) fn delete_tenant(&self, tenant: &LogicalClusterId) -> Result<(), GroupError> {
        let mut inner = self.lock();
        let shard = inner.shard.as_mut().ok_or(GroupError::CoordinatorNotAvailable)?;
        let replies = shard.on_tenant_deleted(tenant, self.clock.now())?;
        inner.deliver(replies);
        Ok(())
    }

    /// Closes the shard; whoever waits is sent away.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        if let Some(mut shard) = inner.shard.take() {
            let replies = shard.close();
            inner.deliver(replies);
        }
        inner.waiting.clear();
    }

    /// How many requests wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    fn abandon(&self, tenant: &LogicalClusterId, group_id: &str, token: Token) {
        let mut inner = self.lock();
        if inner.waiting.remove(&token).is_none() {
            return;
        }
        let now = self.clock.now();
        let Some(shard) = inner.shard.as_mut() else { return };
        let replies = shard.step(tenant, group_id, token, Event::Abandon, now);
        inner.deliver(replies);
        self.wake_timer(&inner);
    }

    fn on_time(&self) {
        let mut inner = self.lock();
        let now = self.clock.now();
        let Some(shard) = inner.shard.as_mut() else { return };
        let replies = shard.on_time(now);
        inner.deliver(replies);
    }

    fn expire_offsets(&self) {
        let mut inner = self.lock();
        let now = self.clock.now();
        if let Some(shard) = inner.shard.as_mut() {
            shard.expire_offsets(now);
        }
    }

    /// Writes a snapshot. The shard is locked while its state is copied and again while its log is cut.
    fn write_snapshot(&self) -> bool {
        let prepared = match self.with_shard(|shard, _| shard.prepare_snapshot()) {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(error)) => return log_snapshot_failure(&error),
            Err(_) => return true,
        };
        if let Err(error) = prepared.write() {
            return log_snapshot_failure(&error);
        }
        match self.with_shard(|shard, _| shard.on_snapshot_written(&prepared)) {
            Ok(Err(error)) => log_snapshot_failure(&error),
            Ok(Ok(())) | Err(_) => true,
        }
    }

    fn needs_snapshot(&self) -> bool {
        self.lock().shard.as_ref().is_some_and(Shard::needs_snapshot)
    }

    /// When the timer has to look again.
    fn plan_sleep(&self) -> Instant {
        let mut inner = self.lock();
        let deadline_ms = inner.shard.as_ref().and_then(Shard::next_deadline_ms);
        inner.sleeps_until_ms = deadline_ms.unwrap_or(u64::MAX);
        let idle_until = Instant::now() + IDLE;
        let deadline = deadline_ms.and_then(|deadline_ms| self.clock.instant_of(deadline_ms));
        deadline.map_or(idle_until, |deadline| deadline.min(idle_until))
    }

    fn wake_timer(&self, inner: &Inner) {
        let Some(shard) = &inner.shard else { return };
        let is_earlier = shard.next_deadline_ms().is_some_and(|deadline_ms| deadline_ms < inner.sleeps_until_ms);
        if is_earlier || shard.needs_snapshot() {
            self.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn deliver(&mut self, replies: Vec<(Token, Reply)>) {
        for (token, reply) in replies {
            if let Some(sender) = self.waiting.remove(&token) {
                // The receiver may be gone in this very moment; then nobody wants the answer.
                let _ = sender.send(reply);
            }
        }
    }
}

enum Started {
    Answered(Reply),
    Waits(oneshot::Receiver<Reply>),
}

/// Takes a waiting request back when its future is dropped, which happens when its connection ends. Finds nothing to
/// do when the request was answered.
struct Abandonment<'a> {
    slot: &'a Slot,
    tenant: &'a LogicalClusterId,
    group_id: &'a str,
    token: Token,
}

impl Drop for Abandonment<'_> {
    fn drop(&mut self) {
        self.slot.abandon(self.tenant, self.group_id, self.token);
    }
}

/// Keeps the time of one shard until it is stopped.
pub(super) async fn keep_time(slot: Arc<Slot>, config: GroupConfig, stop: CancellationToken) {
    let check_interval = Duration::from_millis(config.offsets_retention_check_interval_ms.max(1));
    let mut expiry = tokio::time::interval(check_interval);
    expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next_snapshot_at = Instant::now();
    loop {
        let sleep_until = slot.plan_sleep();
        tokio::select! {
            () = stop.cancelled() => return,
            () = slot.wake.notified() => {}
            () = tokio::time::sleep_until(sleep_until) => {}
            _ = expiry.tick() => run_blocking(&slot, Slot::expire_offsets).await.unwrap_or_default(),
        }
        slot.on_time();
        if slot.needs_snapshot() && Instant::now() >= next_snapshot_at {
            let written = run_blocking(&slot, Slot::write_snapshot).await.unwrap_or(false);
            if !written {
                next_snapshot_at = Instant::now() + SNAPSHOT_RETRY;
            }
        }
    }
}

/// Runs what may take long where it does not hold up others.
async fn run_blocking<T: Send + 'static>(slot: &Arc<Slot>, act: impl FnOnce(&Slot) -> T + Send + 'static) -> Option<T> {
    let slot = Arc::clone(slot);
    match tokio::task::spawn_blocking(move || act(&slot)).await {
        Ok(result) => Some(result),
        Err(error) => {
            error!(%error, "upkeep of consumer groups was interrupted");
            None
        }
    }
}

fn log_snapshot_failure(error: &dyn std::error::Error) -> bool {
    error!(error = %ErrorChain(error), "cannot write a snapshot of consumer groups, their log keeps growing");
    false
}
