//! The instant at which something is decided, given by the caller.
//! Wall time stamps what is stored, monotonic time measures deadlines: a clock that is set back or forward must
//! not expire every session of every group. Never read from the operating system in here.

/// One instant, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since the Unix epoch; for commit times and retention.
    pub wall_ms: i64,
    /// Milliseconds since some fixed point of this process; for deadlines.
    pub monotonic_ms: u64,
}

impl Moment {
    /// The deadline that lies `timeout_ms` ahead; a negative timeout counts as none.
    pub fn deadline_after_ms(self, timeout_ms: i32) -> u64 {
        self.monotonic_ms.saturating_add(u64::try_from(timeout_ms).unwrap_or(0))
    }
}
