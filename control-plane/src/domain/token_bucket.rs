//! A token bucket: a rate in the long run, and a burst on top of it.
//!
//! Pure: the caller says what time it is. Keeps microtokens, so that no rate loses to rounding.

use super::timestamp::Timestamp;

const MICROTOKENS_PER_TOKEN: u64 = 1_000_000;

/// How much is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests in the long run, at least 1.
    pub per_second: u32,
    /// Requests at once after a pause, at least 1.
    pub burst: u32,
}

/// What a bucket says about one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// Whether there was a token.
    pub allowed: bool,
    /// Tokens of the full bucket.
    pub limit: u32,
    /// Tokens left.
    pub remaining: u32,
    /// Seconds until the bucket is full again.
    pub reset_seconds: u32,
    /// Seconds until there is a token again, at least 1.
    pub retry_after_seconds: u32,
}

/// One bucket.
#[derive(Debug, Clone, Copy)]
pub struct TokenBucket {
    microtokens: u64,
    filled_at: Timestamp,
}

impl TokenBucket {
    /// A full bucket.
    pub fn full(rate: Rate, now: Timestamp) -> Self {
        Self { microtokens: capacity(rate), filled_at: now }
    }

    /// Takes one token if there is one. A clock that goes backwards fills nothing.
    pub fn take(&mut self, rate: Rate, now: Timestamp) -> Charge {
        self.fill(rate, now);
        let allowed = self.microtokens >= MICROTOKENS_PER_TOKEN;
        if allowed {
            self.microtokens -= MICROTOKENS_PER_TOKEN;
        }
        let missing_to_full = capacity(rate).saturating_sub(self.microtokens);
        let missing_to_one = MICROTOKENS_PER_TOKEN.saturating_sub(self.microtokens);
        Charge {
            allowed,
            limit: rate.burst,
            remaining: u32::try_from(self.microtokens / MICROTOKENS_PER_TOKEN).unwrap_or(u32::MAX),
            reset_seconds: seconds_to_gain(missing_to_full, rate),
            retry_after_seconds: seconds_to_gain(missing_to_one, rate).max(1),
        }
    }

    /// Whether forgetting this bucket changes nothing.
    pub fn is_full(&self, rate: Rate, now: Timestamp) -> bool {
        let mut filled = *self;
        filled.fill(rate, now);
        filled.microtokens >= capacity(rate)
    }

    fn fill(&mut self, rate: Rate, now: Timestamp) {
        let elapsed_micros = u64::try_from(now.0.saturating_sub(self.filled_at.0)).unwrap_or(0);
        // A token a second is a microtoken a microsecond.
        let gained = elapsed_micros.saturating_mul(u64::from(rate.per_second));
        self.microtokens = self.microtokens.saturating_add(gained).min(capacity(rate));
        self.filled_at = self.filled_at.max(now);
    }
}

fn capacity(rate: Rate) -> u64 {
    u64::from(rate.burst.max(1)) * MICROTOKENS_PER_TOKEN
}

fn seconds_to_gain(microtokens: u64, rate: Rate) -> u32 {
    let per_second = u64::from(rate.per_second.max(1)) * MICROTOKENS_PER_TOKEN;
    u32::try_from(microtokens.div_ceil(per_second)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 2, burst: 3 };
    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let mut bucket = TokenBucket::full(RATE, Timestamp(0));
        let remaining: Vec<u32> = (0..3).map(|_| bucket.take(RATE, Timestamp(0)).remaining).collect();
        assert_eq!(remaining, [2, 1, 0]);
        let refused = bucket.take(RATE, Timestamp(0));
        assert_eq!((refused.allowed, refused.retry_after_seconds, refused.reset_seconds), (false, 1, 2));
        assert!(bucket.take(RATE, Timestamp(SECOND / 2)).allowed);
        assert!(!bucket.take(RATE, Timestamp(SECOND / 2)).allowed);
        let after_a_long_time = bucket.take(RATE, Timestamp(1_000 * SECOND));
        assert_eq!((after_a_long_time.allowed, after_a_long_time.remaining), (true, 2));
    }

    #[test]
    fn a_clock_that_goes_backwards_gives_nothing_away() {
        let mut bucket = TokenBucket::full(RATE, Timestamp(10 * SECOND));
        (0..3).for_each(|_| assert!(bucket.take(RATE, Timestamp(10 * SECOND)).allowed));
        assert!(!bucket.take(RATE, Timestamp(0)).allowed);
        assert!(!bucket.take(RATE, Timestamp(10 * SECOND)).allowed);
        assert!(bucket.is_full(RATE, Timestamp(12 * SECOND)));
        assert!(!bucket.is_full(RATE, Timestamp(11 * SECOND)));
    }

    proptest::proptest! {
        #[test]
        fn never_more_than_the_burst_and_the_rate(
            per_second in 1_u32..50, burst in 1_u32..50, gaps in proptest::collection::vec(0_i64..200_000, 1..200),
        ) {
            let rate = Rate { per_second, burst };
            let mut bucket = TokenBucket::full(rate, Timestamp(0));
            let (mut now, mut allowed) = (0_i64, 0_i64);
            for gap in gaps {
                now += gap;
                allowed += i64::from(bucket.take(rate, Timestamp(now)).allowed);
                assert!(allowed * SECOND <= i64::from(burst) * SECOND + now * i64::from(per_second));
            }
        }
    }
}
