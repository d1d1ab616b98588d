//! A rate as a point in time: when everything that was spent so far is paid.
//!
//! Spending moves the point into the future by what the amount costs at the rate. Unused time is kept for a burst
//! and no longer. Over any stretch the amount spent is at most rate × (stretch + burst) plus the last request of each
//! connection that waits. Pure but for its own atomics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const NANOS_PER_SECOND: u128 = 1_000_000_000;
/// The rate that stands for no limit.
pub(crate) const UNLIMITED: u64 = u64::MAX;

/// The clock begins here, so that a burst is whole from the start. Longer than any burst.
const START: Duration = Duration::from_secs(3_600);

/// Nanoseconds, counted from an hour before the broker started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) u64);

/// Tells the moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(tokio::time::Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(tokio::time::Instant::now())
    }

    pub(crate) fn now(self) -> Moment {
        Moment(to_nanos(START + self.0.elapsed()))
    }
}

/// One rate of one tenant or principal.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// Units per second.
    rate: AtomicU64,
    /// When everything is paid.
    paid_at: AtomicU64,
    /// How much unused time is kept.
    burst: u64,
}

impl Bucket {
    /// `rate` units per second; what was not used in `burst` is lost.
    pub(crate) fn new(rate: u64, burst: Duration) -> Self {
        Self { rate: AtomicU64::new(rate.max(1)), paid_at: AtomicU64::new(0), burst: to_nanos(burst) }
    }

    /// Units per second; [`UNLIMITED`] for no limit.
    pub(crate) fn rate(&self) -> u64 {
        self.rate.load(Ordering::Relaxed)
    }

    /// Spends and answers how long to wait afterwards.
    pub(crate) fn spend(&self, now: Moment, amount: u64) -> Duration {
        let rate = self.rate();
        if rate == UNLIMITED {
            return Duration::ZERO;
        }
        let mut before = self.paid_at.load(Ordering::Relaxed);
        loop {
            let after = step(before, now, amount, rate, self.burst);
            match self.paid_at.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Duration::from_nanos(after.saturating_sub(now.0)),
                Err(other) => before = other,
            }
        }
    }

    /// Spends unless there is a debt already; then answers how long it lasts and spends nothing.
    pub(crate) fn try_spend(&self, now: Moment, amount: u64) -> Result<(), Duration> {
        let rate = self.rate();
        if rate == UNLIMITED {
            return Ok(());
        }
        let mut before = self.paid_at.load(Ordering::Relaxed);
        loop {
            if before > now.0 {
                return Err(Duration::from_nanos(before - now.0));
            }
            let after = step(before, now, amount, rate, self.burst);
            match self.paid_at.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => before = other,
            }
        }
    }

    /// Takes back what was spent for something that then did not happen.
    pub(crate) fn give_back(&self, amount: u64) {
        let cost = cost(amount, self.rate());
        let _always_some = self
            .paid_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid_at| Some(paid_at.saturating_sub(cost)));
    }

    /// How long until everything is paid.
    pub(crate) fn debt(&self, now: Moment) -> Duration {
        Duration::from_nanos(self.paid_at.load(Ordering::Relaxed).saturating_sub(now.0))
    }

    /// Changes the rate. What is owed is owed in units: it takes longer to pay at a lower rate.
    pub(crate) fn set_rate(&self, now: Moment, rate: u64) {
        let rate = rate.max(1);
        let before = self.rate.swap(rate, Ordering::Relaxed);
        if before == rate {
            return;
        }
        let _always_some = self.paid_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |paid_at| {
            let debt = u128::from(paid_at.saturating_sub(now.0));
            if debt == 0 {
                return Some(paid_at);
            }
            let scaled = debt.saturating_mul(u128::from(before)) / u128::from(rate);
            Some(now.0.saturating_add(u64::try_from(scaled).unwrap_or(u64::MAX)))
        });
    }
}

/// When everything is paid after `amount` was spent.
fn step(paid_at: u64, now: Moment, amount: u64, rate: u64, burst: u64) -> u64 {
    paid_at.max(now.0.saturating_sub(burst)).saturating_add(cost(amount, rate))
}

fn cost(amount: u64, rate: u64) -> u64 {
    // Rounded up, or many small amounts would exceed the rate.
    u64::try_from((u128::from(amount) * NANOS_PER_SECOND).div_ceil(u128::from(rate))).unwrap_or(u64::MAX)
}

fn to_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const NO_BURST: Duration = Duration::ZERO;

    fn at(seconds: u64) -> Moment {
        Moment(seconds * SECOND)
    }

    #[test]
    fn what_exceeds_the_rate_is_waited_for() {
        let bucket = Bucket::new(100, NO_BURST);
        assert_eq!(bucket.spend(at(10), 50), Duration::from_millis(500));
        assert_eq!(bucket.spend(at(10), 100), Duration::from_millis(1_500));
        assert_eq!(bucket.debt(at(11)), Duration::from_millis(500));
        assert_eq!(bucket.debt(at(12)), Duration::ZERO);
    }

    #[test]
    fn unused_time_is_kept_for_one_burst_only() {
        let bucket = Bucket::new(100, Duration::from_secs(2));
        assert_eq!(bucket.spend(at(1_000), 200), Duration::ZERO);
        assert_eq!(bucket.spend(at(1_000), 100), Duration::from_secs(1));
    }

    #[test]
    fn a_hard_limit_refuses_while_there_is_a_debt_and_spends_nothing_then() {
        let bucket = Bucket::new(100, Duration::from_secs(1));
        assert_eq!(bucket.try_spend(at(10), 300), Ok(()));
        assert_eq!(bucket.try_spend(at(10), 1), Err(Duration::from_secs(2)));
        assert_eq!(bucket.debt(at(10)), Duration::from_secs(2));
        assert_eq!(bucket.try_spend(at(12), 1), Ok(()));
    }

    #[test]
    fn what_did_not_happen_costs_nothing() {
        let bucket = Bucket::new(100, Duration::from_secs(1));
        bucket.try_spend(at(10), 300).unwrap();
        bucket.give_back(300);
        assert_eq!(bucket.spend(at(10), 100), Duration::ZERO);
    }

    #[test]
    fn a_debt_is_kept_in_units_when_the_rate_changes() {
        let bucket = Bucket::new(100, NO_BURST);
        bucket.spend(at(10), 1_000);
        bucket.set_rate(at(10), 1_000);
        assert_eq!(bucket.debt(at(10)), Duration::from_secs(1));
        bucket.set_rate(at(10), 10);
        assert_eq!(bucket.debt(at(10)), Duration::from_secs(100));
    }

    #[test]
    fn without_a_limit_nothing_is_waited_for() {
        let bucket = Bucket::new(UNLIMITED, NO_BURST);
        assert_eq!(bucket.spend(at(1), u64::MAX), Duration::ZERO);
        assert_eq!(bucket.try_spend(at(1), u64::MAX), Ok(()));
    }

    #[test]
    fn absurd_amounts_and_rates_do_not_overflow() {
        let bucket = Bucket::new(0, NO_BURST);
        assert!(bucket.spend(at(1), u64::MAX) > Duration::from_secs(1_000_000));
        bucket.set_rate(at(1), UNLIMITED - 1);
        bucket.set_rate(at(1), 1);
        bucket.spend(at(1), u64::MAX);
    }
}
