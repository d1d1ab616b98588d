//! How often a password may be tried: a few times at once, then with growing pauses, for each e-mail address and for
//! each network address.
//!
//! Promises: an attempt counts before its password is checked, so that a thousand at the same moment are a thousand.
//! Whether a user exists makes no difference. Lives in the memory of one replica, bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::domain::timestamp::Timestamp;

/// Attempts for one e-mail address before there are pauses.
const FREE_PER_EMAIL: u32 = 5;
/// Attempts from one network address before there are pauses: many people may be behind it.
const FREE_PER_ADDRESS: u32 = 50;
/// The first pause; each is twice as long as the one before.
const FIRST_PAUSE_SECONDS: u32 = 1;
/// Doublings at most: the longest pause is about a minute, so that nobody is locked out by somebody else for long.
const MAX_DOUBLINGS: u32 = 6;
/// Seconds without an attempt after which the earlier ones are forgotten.
const FORGET_SECONDS: i64 = 15 * 60;
/// E-mail addresses and network addresses that are remembered at most, of each.
const MAX_ENTRIES: usize = 20_000;

/// The attempts that one replica saw.
#[derive(Default)]
pub struct LoginAttempts {
    emails: Mutex<HashMap<String, Attempts>>,
    addresses: Mutex<HashMap<IpAddr, Attempts>>,
}

#[derive(Debug, Clone, Copy)]
struct Attempts {
    count: u32,
    last: Timestamp,
    not_before: Timestamp,
}

impl LoginAttempts {
    /// Counts an attempt. Fails with the seconds to wait if it comes too early.
    pub fn begin(&self, email: &str, address: IpAddr, now: Timestamp) -> Result<(), u32> {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut addresses, address, FREE_PER_ADDRESS, now)?;
        let mut emails = self.emails.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut emails, email.to_owned(), FREE_PER_EMAIL, now)
    }

    /// The password was right: the attempts for the e-mail address are forgotten.
    pub fn succeeded(&self, email: &str) {
        self.emails.lock().unwrap_or_else(PoisonError::into_inner).remove(email);
    }
}

fn count<K: Eq + std::hash::Hash + Clone>(
    all: &mut HashMap<K, Attempts>,
    key: K,
    free: u32,
    now: Timestamp,
) -> Result<(), u32> {
    if all.len() >= MAX_ENTRIES && !all.contains_key(&key) {
        make_room(all, now);
    }
    let attempts = all.entry(key).or_insert(Attempts { count: 0, last: now, not_before: now });
    if now.0 - attempts.last.0 > FORGET_SECONDS * 1_000_000 {
        *attempts = Attempts { count: 0, last: now, not_before: now };
    }
    if now < attempts.not_before {
        let micros = u32::try_from(attempts.not_before.0 - now.0).unwrap_or(u32::MAX);
        return Err(micros.div_ceil(1_000_000));
    }
    attempts.count = attempts.count.saturating_add(1);
    attempts.last = now;
    if attempts.count >= free {
        let pause = FIRST_PAUSE_SECONDS << (attempts.count - free).min(MAX_DOUBLINGS);
        attempts.not_before = Timestamp(now.0 + i64::from(pause) * 1_000_000);
    }
    Ok(())
}

/// Forgets what is old, and the one that was tried least, so that an attacker with many names does not clear its own.
fn make_room<K: Eq + std::hash::Hash + Clone>(all: &mut HashMap<K, Attempts>, now: Timestamp) {
    all.retain(|_, attempts| now.0 - attempts.last.0 <= FORGET_SECONDS * 1_000_000);
    if all.len() < MAX_ENTRIES {
        return;
    }
    let least = all.iter().min_by_key(|(_, attempts)| (attempts.count, attempts.last)).map(|(key, _)| key.clone());
    if let Some(key) = least {
        all.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn at(seconds: i64) -> Timestamp {
        Timestamp(1_700_000_000_000_000 + seconds * 1_000_000)
    }

    #[test]
    fn a_thousand_attempts_at_the_same_moment_are_a_handful() {
        let attempts = LoginAttempts::default();
        let begun = (0..1_000).filter(|_| attempts.begin("ann@example.com", HOME, at(0)).is_ok()).count();
        assert_eq!(begun, 5);
        assert_eq!(attempts.begin("ann@example.com", IpAddr::V4(Ipv4Addr::BROADCAST), at(0)), Err(1), "from elsewhere");
    }

    #[test]
    fn pauses_grow_to_a_minute_and_are_forgotten() {
        let attempts = LoginAttempts::default();
        let mut now = 0;
        for _ in 0..4 {
            assert_eq!(attempts.begin("ann", HOME, at(now)), Ok(()));
        }
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert_eq!(attempts.begin("ann", HOME, at(now)), Ok(()));
            let pause = attempts.begin("ann", HOME, at(now)).expect_err("too early");
            pauses.push(pause);
            now += i64::from(pause);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        now += FORGET_SECONDS + 1;
        assert!((0..5).all(|_| attempts.begin("ann", HOME, at(now)).is_ok()));
    }

    #[test]
    fn the_right_password_ends_the_pauses() {
        let attempts = LoginAttempts::default();
        for _ in 0..5 {
            assert_eq!(attempts.begin("ann", HOME, at(0)), Ok(()));
        }
        attempts.succeeded("ann");
        assert_eq!(attempts.begin("ann", HOME, at(0)), Ok(()));
    }

    #[test]
    fn an_address_that_tries_many_names_is_slowed_down() {
        let attempts = LoginAttempts::default();
        let begun = (0..1_000).filter(|name| attempts.begin(&name.to_string(), HOME, at(0)).is_ok()).count();
        assert_eq!(begun, 50);
    }

    #[test]
    fn memory_is_bounded() {
        let mut all = HashMap::new();
        for key in 0..MAX_ENTRIES + 100 {
            let _ = count(&mut all, key, 5, at(0));
        }
        assert_eq!(all.len(), MAX_ENTRIES);
    }
}
