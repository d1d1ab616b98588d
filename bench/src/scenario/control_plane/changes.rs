//! A steady load of changes that every broker is told of: keys made and deleted at a fixed rate by one caller.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::installation::{Installation, Key};

pub const PER_SECOND: u32 = 50;

/// How many changes there were in which time.
#[derive(Debug, Clone, Copy)]
pub struct Made {
    pub changes: u64,
    pub per_second: f64,
}

/// Runs `measurement` while changes are made; fails if one of them does.
pub fn during<T>(installation: &Installation, measurement: impl FnOnce() -> Result<T>) -> Result<(T, Made)> {
    let (stop, changes) = (AtomicBool::new(false), AtomicU64::new(0));
    let started = Instant::now();
    let outcome = std::thread::scope(|scope| {
        let changing = scope.spawn(|| change_until(installation, &stop, &changes));
        let outcome = measurement();
        stop.store(true, Ordering::Relaxed);
        changing.join().map_err(|_| anyhow!("the changing thread panicked"))??;
        outcome
    })?;
    let changes = changes.into_inner();
    Ok((outcome, Made { changes, per_second: changes as f64 / started.elapsed().as_secs_f64() }))
}

fn change_until(installation: &Installation, stop: &AtomicBool, changes: &AtomicU64) -> Result<()> {
    let mut rest = installation.rest()?;
    let account = installation.create_account(&mut rest)?;
    let mut key = None;
    let (started, period) = (Instant::now(), Duration::from_secs(1) / PER_SECOND);
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep((started + period * number).saturating_duration_since(Instant::now()));
        key = match key.take() {
            None => Some(installation.create_key(&mut rest, &account, Some(installation.cluster()))?),
            Some(Key { id, .. }) => rest.call("DELETE", &format!("/iam/v2/api-keys/{id}"), None).map(|_| None)?,
        };
        changes.fetch_add(1, Ordering::Relaxed);
    }
    rest.call("DELETE", &format!("/iam/v2/service-accounts/{account}"), None)?;
    Ok(())
}
