//! One hosted partition: its log behind a lock, the offsets that readers see, and the fetches that wait for more.
//!
//! Promises: records become visible in append order; a waiting fetch learns of an append that happened after it
//! looked. The lock is held for an append or an index lookup, never for a read of records; what holds it while the
//! disk works says so before, and whoever serves connections waits for that without blocking its thread. Never decides
//! who leads.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_api::ids::LogicalClusterId;
use millstream_log::{AppendError, Appended, Log, MinOneBatch, ReadError, Slice, StorageError};
use millstream_protocol::record_batch::BatchHeader;
use tokio::sync::Notify;
use uuid::Uuid;

/// Which partition: the tenant and the topic id are part of every key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PartitionId {
    pub(crate) tenant: LogicalClusterId,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
}

/// What a consumer may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// Everything below the high watermark.
    ReadUncommitted,
    /// Everything below the last stable offset.
    ReadCommitted,
}

/// One partition that this broker leads.
pub(crate) struct Partition {
    pub(crate) id: PartitionId,
    leader_epoch: AtomicI32,
    log: Mutex<Log>,
    /// How many hold the lock, or want it, for work that waits for the disk.
    at_disk: AtomicUsize,
    back_from_disk: Notify,
    has_waiters: AtomicBool,
    waiters: Mutex<Vec<Arc<FetchWaiter>>>,
}

/// What one fetch gets of one partition.
pub(crate) struct Fetched {
    /// The batches; empty when there is nothing at the offset yet.
    pub(crate) slice: Option<Slice>,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable_offset: i64,
    pub(crate) log_start_offset: i64,
    /// Producer id and first offset of aborted transactions in the range, for read_committed.
    pub(crate) aborted: Vec<(i64, i64)>,
}

impl Partition {
    pub(crate) fn new(id: PartitionId, leader_epoch: i32, log: Log) -> Self {
        Self {
            id,
            leader_epoch: AtomicI32::new(leader_epoch),
            log: Mutex::new(log),
            at_disk: AtomicUsize::new(0),
            back_from_disk: Notify::new(),
            has_waiters: AtomicBool::new(false),
            waiters: Mutex::new(Vec::new()),
        }
    }

    /// Does what may wait for the disk while it holds the log. Blocking: not for threads that serve connections.
    pub(crate) fn at_disk<T>(&self, work: impl FnOnce(&mut Log) -> T) -> T {
        let _mark = AtDisk::mark(self);
        work(&mut self.log())
    }

    /// Waits until nobody holds the log for work at the disk: a thread that waited for the lock meanwhile would keep
    /// the connections of other tenants waiting with it.
    pub(crate) async fn back_from_disk(&self) {
        while self.at_disk.load(Ordering::Relaxed) > 0 {
            let back = self.back_from_disk.notified();
            // Asked again once it listens: the work may have ended in between.
            if self.at_disk.load(Ordering::SeqCst) > 0 {
                back.await;
            }
        }
    }

    /// The log, for what is not on the hot path.
    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn leader_epoch(&self) -> i32 {
        self.leader_epoch.load(Ordering::Acquire)
    }

    pub(crate) fn set_leader_epoch(&self, epoch: i32) {
        self.leader_epoch.store(epoch, Ordering::Release);
    }

    /// Appends one validated batch and wakes fetches that waited for it.
    pub(crate) fn append(&self, batch: &[u8], header: &BatchHeader, now_ms: i64) -> Result<Appended, AppendError> {
        let appended = self.log().append(batch, header, self.leader_epoch(), now_ms)?;
        // Pairs with the store in `add_waiter`: either the waiter sees the new end, or we see the waiter.
        std::sync::atomic::fence(Ordering::SeqCst);
        if self.has_waiters.load(Ordering::Relaxed) {
            self.wake(batch.len());
        }
        Ok(appended)
    }

    /// What a fetch at `offset` gets now.
    pub(crate) fn fetch(
        &self,
        offset: i64,
        max_bytes: usize,
        min_one: MinOneBatch,
        isolation: Isolation,
    ) -> Result<Fetched, ReadError> {
        let log = self.log();
        let high_watermark = log.log_end_offset();
        let last_stable_offset = log.last_stable_offset();
        let upper = match isolation {
            Isolation::ReadUncommitted => high_watermark,
            Isolation::ReadCommitted => last_stable_offset,
        };
        let slice = log.read(offset, max_bytes, min_one, upper)?;
        let aborted = match (&slice, isolation) {
            (Some(slice), Isolation::ReadCommitted) => log.aborted_transactions(offset, slice.end_offset())?,
            _ => Vec::new(),
        };
        Ok(Fetched { slice, high_watermark, last_stable_offset, log_start_offset: log.log_start_offset(), aborted })
    }

    /// Brings what was appended so far to the disk, without holding the lock while the disk works. Bounds what the
    /// next start has to check and what a power cut can take.
    pub(crate) fn flush(&self) -> Result<(), StorageError> {
        let Some(task) = self.log().begin_flush()? else { return Ok(()) };
        let result = task.run();
        self.log().finish_flush(&task, result)
    }

    /// Registers a fetch that waits for more bytes. The caller must look at the log once more afterwards.
    pub(crate) fn add_waiter(&self, waiter: &Arc<FetchWaiter>) {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        waiters.push(Arc::clone(waiter));
        self.has_waiters.store(true, Ordering::Relaxed);
        drop(waiters);
        std::sync::atomic::fence(Ordering::SeqCst);
    }

    /// Forgets a waiting fetch.
    pub(crate) fn remove_waiter(&self, waiter: &Arc<FetchWaiter>) {
        let mut waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        waiters.retain(|other| !Arc::ptr_eq(other, waiter));
        self.has_waiters.store(!waiters.is_empty(), Ordering::Relaxed);
    }

    /// Wakes everybody, for instance because the partition goes away.
    pub(crate) fn wake_all(&self) {
        self.wake(usize::MAX / 2);
    }

    fn wake(&self, bytes: usize) {
        let waiters = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        for waiter in waiters.iter() {
            waiter.add_bytes(bytes);
        }
    }
}

/// Says that a log is held for work at the disk, until dropped.
struct AtDisk<'a>(&'a Partition);

impl<'a> AtDisk<'a> {
    fn mark(partition: &'a Partition) -> Self {
        partition.at_disk.fetch_add(1, Ordering::SeqCst);
        Self(partition)
    }
}

impl Drop for AtDisk<'_> {
    fn drop(&mut self) {
        self.0.at_disk.fetch_sub(1, Ordering::SeqCst);
        self.0.back_from_disk.notify_waiters();
    }
}

/// A fetch that waits until enough bytes were appended to any of its partitions.
pub(crate) struct FetchWaiter {
    min_bytes: usize,
    appended_bytes: AtomicUsize,
    notify: Notify,
}

impl FetchWaiter {
    /// A waiter that wakes after `min_bytes` were appended.
    pub(crate) fn new(min_bytes: usize) -> Arc<Self> {
        Arc::new(Self { min_bytes, appended_bytes: AtomicUsize::new(0), notify: Notify::new() })
    }

    /// Waits until enough was appended since the waiter was made.
    pub(crate) async fn enough(&self) {
        self.notify.notified().await;
    }

    fn add_bytes(&self, bytes: usize) {
        let before = self.appended_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) >= self.min_bytes {
            self.notify.notify_one();
        }
    }
}
