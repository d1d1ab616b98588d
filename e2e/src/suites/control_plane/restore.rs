//! The database is lost and an older copy put in its place, while the broker runs on with what it knows.
use anyhow::{Result, ensure};

use super::site::{DATABASE, LIMIT, Site};
use crate::process::wait_until;

const COPY: &str = "backup";
const EPOCH: &str = "SELECT epoch FROM installation";

pub fn older_database(site: &mut Site) -> Result<()> {
    let account = site.create_account()?;
    let kept = site.create_kafka_key(&mut site.caller().at(1)?, &account)?;
    site.stop_replicas()?;
    site.postgres.copy_database(DATABASE, COPY)?;
    site.start_replicas()?;
    let epoch = site.postgres.query(DATABASE, EPOCH)?;
    let lost = site.create_kafka_key(&mut site.caller().at(2)?, &account)?;
    ensure!(site.is_let_in(&lost)?, "a key is refused at its first use");
    site.stop_replicas()?;
    site.postgres.restore_database(COPY, DATABASE)?;
    site.start_replicas()?;
    let is_dead = wait_until(LIMIT, || site.is_let_in(&lost).is_ok_and(|is_let_in| !is_let_in));
    ensure!(is_dead, "a key of the lost time works");
    ensure!(site.is_let_in(&kept)?, "a key that is in the copy is refused");
    let later = site.postgres.query(DATABASE, EPOCH)?;
    ensure!(later.parse::<u64>()? > epoch.parse::<u64>()?, "the epoch is {later} after {epoch}");
    // Its revision has the number of one of the lost time.
    let new = site.create_kafka_key(&mut site.caller().at(0)?, &account)?;
    ensure!(site.is_let_in(&new)?, "a key made after the restore is refused at its first use");
    ensure!(!site.is_let_in(&lost)?, "a key of the lost time works again");
    Ok(())
}
