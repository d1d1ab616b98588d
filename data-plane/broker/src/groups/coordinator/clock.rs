//! The coordinator's clocks, read in one place; everything that decides takes the instant as an argument.

use std::time::{Duration, Instant};

use crate::clock;
use crate::groups::moment::Moment;

/// Both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    started: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { started: Instant::now() }
    }

    pub(super) fn now(&self) -> Moment {
        let elapsed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Moment { wall_ms: clock::now_ms(), monotonic_ms: elapsed_ms }
    }

    /// The instant of a deadline, for a timer.
    pub(super) fn instant_of(&self, deadline_ms: u64) -> Option<tokio::time::Instant> {
        self.started.checked_add(Duration::from_millis(deadline_ms)).map(tokio::time::Instant::from_std)
    }
}
