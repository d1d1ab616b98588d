//! How many bytes a tenant may store.
//!
//! What is stored is counted as it is produced and set right from the logs by `crate::metering`, which also sees what
//! retention and deletions freed. A request that arrives while everything is full is refused; one that arrives before
//! may fill it beyond the limit by its own size.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::quotas::bucket::UNLIMITED;

/// The storage of one tenant.
#[derive(Debug)]
pub(crate) struct Storage {
    stored: AtomicU64,
    limit: AtomicU64,
}

impl Storage {
    pub(crate) fn new(limit: Option<u64>) -> Self {
        Self { stored: AtomicU64::new(0), limit: AtomicU64::new(limit.unwrap_or(UNLIMITED)) }
    }

    pub(crate) fn set_limit(&self, limit: Option<u64>) {
        self.limit.store(limit.unwrap_or(UNLIMITED), Ordering::Relaxed);
    }

    /// What the logs hold now.
    pub(crate) fn set_stored(&self, bytes: u64) {
        self.stored.store(bytes, Ordering::Relaxed);
    }

    /// A batch was stored.
    pub(crate) fn add(&self, bytes: usize) {
        self.stored.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The limit, if it is reached.
    pub(crate) fn reached_limit(&self) -> Option<u64> {
        let limit = self.limit.load(Ordering::Relaxed);
        (self.stored.load(Ordering::Relaxed) >= limit).then_some(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_is_full_at_its_limit_and_no_longer_when_something_was_freed() {
        let storage = Storage::new(Some(1_000));
        storage.add(999);
        assert_eq!(storage.reached_limit(), None);
        storage.add(1);
        assert_eq!(storage.reached_limit(), Some(1_000));
        storage.set_stored(500);
        assert_eq!(storage.reached_limit(), None);
        storage.set_limit(Some(500));
        assert_eq!(storage.reached_limit(), Some(500));
        storage.set_limit(None);
        assert_eq!(storage.reached_limit(), None);
    }
}
