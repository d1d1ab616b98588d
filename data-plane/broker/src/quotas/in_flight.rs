//! How many bytes of large requests one tenant may be sending at once.
//!
//! The rates charge a request when it is complete. Without this bound a tenant could send a large request on each of
//! its connections at the same moment, and its neighbours would wait for all of them. A connection that finds no room
//! is not read; small requests need no room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests up to this size need no room.
pub(crate) const SMALL_REQUEST_BYTES: usize = 64 * 1024;
/// One permit stands for this many bytes.
const UNIT_BYTES: u64 = 1_024;
/// The least room a tenant has, whatever its rate.
const MIN_BYTES: u64 = 8 * 1024 * 1024;
/// The most room a tenant has, whatever its rate.
const MAX_BYTES: u64 = 128 * 1024 * 1024;

/// The room of one tenant.
#[derive(Debug)]
pub(crate) struct InFlight {
    room: Arc<Semaphore>,
    units: AtomicU32,
}

/// Room that a request has; given back when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    _permit: OwnedSemaphorePermit,
}

impl InFlight {
    /// Room for a second at this ingress rate.
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        let units = units_of(bytes_per_second);
        Self { room: Arc::new(Semaphore::new(units as usize)), units: AtomicU32::new(units) }
    }

    /// Follows a change of the rate. Room that is taken is not taken away.
    pub(crate) fn set_rate(&self, bytes_per_second: u64) {
        let units = units_of(bytes_per_second);
        let before = self.units.swap(units, Ordering::Relaxed);
        if units >= before {
            self.room.add_permits((units - before) as usize);
            return;
        }
        let missing = (before - units) as usize - self.room.forget_permits((before - units) as usize);
        // What is in use now leaves later than wanted: the room stays larger by it until the next change.
        self.units.fetch_add(u32::try_from(missing).unwrap_or(0), Ordering::Relaxed);
    }

    /// Waits for room. A request larger than all of it waits until it is alone.
    pub(crate) async fn enter(&self, request_bytes: usize) -> Option<Room> {
        let wanted = u32::try_from(request_bytes as u64 / UNIT_BYTES).unwrap_or(u32::MAX);
        let wanted = wanted.min(self.units.load(Ordering::Relaxed));
        let permit = Arc::clone(&self.room).acquire_many_owned(wanted).await.ok()?;
        Some(Room { _permit: permit })
    }
}

fn units_of(bytes_per_second: u64) -> u32 {
    let bytes = bytes_per_second.clamp(MIN_BYTES, MAX_BYTES);
    u32::try_from(bytes / UNIT_BYTES).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_request_waits_while_others_take_the_room() {
        let in_flight = InFlight::new(MIN_BYTES);
        let most = in_flight.enter(MIN_BYTES as usize - 1024 * 1024).await.unwrap();
        assert!(in_flight.enter(2 * 1024 * 1024).now_or_never().is_none());
        drop(most);
        assert!(in_flight.enter(2 * 1024 * 1024).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_request_larger_than_the_room_gets_all_of_it() {
        let in_flight = InFlight::new(MIN_BYTES);
        let _all = in_flight.enter(100 * 1024 * 1024).await.unwrap();
        assert!(in_flight.enter(SMALL_REQUEST_BYTES + UNIT_BYTES as usize).now_or_never().is_none());
    }

    #[tokio::test]
    async fn room_follows_the_rate() {
        let in_flight = InFlight::new(MIN_BYTES);
        in_flight.set_rate(2 * MIN_BYTES);
        let half = in_flight.enter(MIN_BYTES as usize).await.unwrap();
        let _other = in_flight.enter(MIN_BYTES as usize).now_or_never().unwrap();
        drop(half);
        in_flight.set_rate(MIN_BYTES);
        assert!(in_flight.enter(1024 * 1024).now_or_never().is_none());
    }
}
