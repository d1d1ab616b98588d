//! Something gets into the config log that no broker understands: here a key whose principal is of no kind, put there by a trigger of
//! the database. It costs that key, and nobody else anything.
use anyhow::{Result, ensure};

use super::site::{DATABASE, LIMIT, Site};
use crate::process::wait_until;

const METRIC: &str = "configuration_quarantined_items";

pub fn quarantined(site: &mut Site) -> Result<()> {
    let (account, caller) = (site.create_account()?, site.caller());
    let other = site.create_account()?;
    ensure!(site.broker_metric(METRIC)? == 0, "something is quarantined already");
    let hex = |text: &str| format!("encode('{text}', 'hex')");
    let (right, wrong) = (hex(&format!("User:{account}")), hex(&format!("Robo:{account}")));
    site.postgres.query(
        DATABASE,
        &format!(
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             NEW.payload := decode(replace(encode(NEW.payload, 'hex'), {right}, {wrong}), 'hex'); RETURN NEW; END $$; \
             CREATE TRIGGER poison BEFORE INSERT ON config_events FOR EACH ROW EXECUTE FUNCTION poison()"
        ),
    )?;
    let poisoned = site.create_kafka_key(&mut caller.at(0)?, &account)?;
    ensure!(!site.is_let_in(&poisoned)?, "the broker understood what it could not understand");
    let healthy = site.create_kafka_key(&mut caller.at(0)?, &other)?;
    ensure!(site.is_let_in(&healthy)?, "a key behind the one that is not understood is refused");
    let items = site.broker_metric(METRIC)?;
    ensure!(items == 1, "the metric says {items}");
    site.postgres.query(DATABASE, "DROP TRIGGER poison ON config_events; DROP FUNCTION poison")?;
    caller.at(1)?.call("DELETE", &format!("/iam/v2/api-keys/{}", poisoned.id), None)?;
    let is_gone = wait_until(LIMIT, || site.broker_metric(METRIC).is_ok_and(|count| count == 0));
    ensure!(is_gone, "what was deleted is still quarantined");
    Ok(())
}
