//! A point in time with the precision that both database engines keep: microseconds.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};

/// Microseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Milliseconds since 1970.
    pub fn as_millis(self) -> i64 {
        self.0 / 1_000
    }

    /// For JSON. Out of range only when the stored number is damaged: then 1970.
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }
}

/// Where the time comes from.
#[derive(Debug, Clone, Copy)]
pub struct Clock(fn() -> Timestamp);

impl Clock {
    /// The clock of this machine.
    pub fn system() -> Self {
        Self(|| {
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp(i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX))
        })
    }

    /// The time now.
    pub fn now(self) -> Timestamp {
        (self.0)()
    }
}
