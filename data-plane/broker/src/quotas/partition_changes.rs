//! How many partitions a tenant may create and delete in five minutes (KIP-599).
//!
//! A request is accepted while anything is left and then counts in full, so that one for many partitions is possible;
//! while nothing is left, requests are refused. What is not used within five minutes is lost.

use std::sync::Arc;
use std::time::Duration;

use crate::quotas::bucket::{Bucket, Moment};

/// The window of the limit.
const WINDOW: Duration = Duration::from_secs(300);
/// The bucket counts thousandths of a partition: limits are below one per second.
const PER_PARTITION: u64 = 1_000;

/// The changes of one tenant.
#[derive(Debug)]
pub(crate) struct PartitionChanges {
    bucket: Arc<Bucket>,
}

/// Partitions that were charged; given back when dropped, unless they are kept.
#[derive(Debug)]
pub(crate) struct Charge {
    bucket: Arc<Bucket>,
    amount: u64,
}

impl PartitionChanges {
    pub(crate) fn new(per_window: u64) -> Self {
        Self { bucket: Arc::new(Bucket::new(rate_of(per_window), WINDOW)) }
    }

    pub(crate) fn set_limit(&self, now: Moment, per_window: u64) {
        self.bucket.set_rate(now, rate_of(per_window));
    }

    /// How long until the next charge is accepted.
    pub(crate) fn debt(&self, now: Moment) -> Duration {
        self.bucket.debt(now)
    }

    /// Charges so many partitions, or answers when to try again. Nothing is always accepted.
    pub(crate) fn charge(&self, now: Moment, partitions: u64) -> Result<Charge, Duration> {
        let amount = partitions.saturating_mul(PER_PARTITION);
        if amount > 0 {
            self.bucket.try_spend(now, amount)?;
        }
        Ok(Charge { bucket: Arc::clone(&self.bucket), amount })
    }
}

impl Charge {
    /// What was charged for did happen.
    pub(crate) fn keep(mut self) {
        self.amount = 0;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.bucket.give_back(self.amount);
    }
}

fn rate_of(per_window: u64) -> u64 {
    per_window.saturating_mul(PER_PARTITION) / WINDOW.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment(seconds * 1_000_000_000)
    }

    #[test]
    fn a_window_has_so_many_changes_and_no_more() {
        let changes = PartitionChanges::new(300);
        for _ in 0..29 {
            changes.charge(at(1_000), 10).unwrap().keep();
        }
        changes.charge(at(1_000), 70).unwrap().keep();
        assert_eq!(changes.charge(at(1_000), 1).unwrap_err(), Duration::from_secs(60));
        changes.charge(at(1_060), 1).unwrap().keep();
    }

    #[test]
    fn what_did_not_happen_does_not_count() {
        let changes = PartitionChanges::new(300);
        for _ in 0..10 {
            drop(changes.charge(at(1_000), 300).unwrap());
        }
        changes.charge(at(1_000), 301).unwrap().keep();
        assert!(changes.charge(at(1_000), 1).is_err());
        assert!(changes.charge(at(1_000), 0).is_ok());
    }
}
