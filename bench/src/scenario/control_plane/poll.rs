//! Waiting for a condition as a client does that keeps to the rates of its cluster.
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

/// Between two tries: 200 a second at most, where one unit of a Basic cluster has 300 requests. A time is therefore too long by up to
/// this much, and what a try takes.
pub const PAUSE: Duration = Duration::from_millis(5);
const LIMIT: Duration = Duration::from_secs(60);

/// Tries until `holds`; the microseconds since `started` then.
pub fn micros_until(started: Instant, mut holds: impl FnMut() -> Result<bool>) -> Result<u64> {
    loop {
        if holds()? {
            return Ok(micros_since(started));
        }
        ensure!(started.elapsed() < LIMIT, "not within {} s", LIMIT.as_secs());
        std::thread::sleep(PAUSE);
    }
}

pub fn micros_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}
