//! The control plane as an installation runs it: three replicas of `millstream control-plane` on one PostgreSQL behind a list of
//! addresses, `millstream broker` and an agent. Replicas are killed and restarted, the database goes away and comes back
//! older; whatever was answered holds, and nothing is made twice.
mod commit_holder;
mod dead;
mod keys;
mod limits;
mod lost_answers;
mod outage;
mod poison;
mod restore;
mod rolling;
mod site;

use anyhow::{Result, bail};

use self::site::Site;
use super::Suite;
use crate::context::{Against, Context};
use crate::need;
use crate::outcome::Outcome;

pub const SUITE: Suite = Suite {
    name: "control-plane",
    about: "three replicas on one PostgreSQL: limits, keys, kill -9, rolling restarts, poison, a database that goes away or is restored",
    needs: &[need::POSTGRES],
    run,
};

/// One behaviour and the check of it.
type Check = (&'static str, fn(&mut Site) -> Result<()>);

/// The quiet ones first: a site that is broken by one breaks the checks after it.
const CHECKS: &[Check] = &[
    ("200 callers at three replicas make exactly as many environments as the limit allows", limits::parallel_creates),
    ("a key works at its first use, whichever replica made it, and at none after its end", keys::first_use),
    ("after kill -9 between commit and answer an environment is found again", lost_answers::environment),
    ("after kill -9 between commit and answer a service account is found again", lost_answers::service_account),
    ("after kill -9 between commit and answer a key is found again and works", lost_answers::kafka_key),
    ("after kill -9 between commit and answer a cluster is found again", lost_answers::cluster),
    ("replicas restarted one after another lose nothing and make nothing twice", rolling::restarts_under_load),
    ("what no broker understands is quarantined and holds up nobody", poison::quarantined),
    ("while the database is away calls are told to wait, and brokers let clients in", outage::database_away),
    (
        "brokers that start while control plane and database are dead serve, and let in whom they should",
        dead::only_brokers,
    ),
    ("after an older database was put in its place the keys of the lost time are dead", restore::older_database),
];

fn run(context: &Context) -> Result<Outcome> {
    if context.against != Against::Millstream {
        bail!("Apache Kafka has no control plane");
    }
    let mut site = Site::start(context)?;
    let mut outcome = Outcome::default();
    for (name, check) in CHECKS {
        let result = check(&mut site);
        match &result {
            Ok(()) => context.note(&format!("ok   {name}")),
            Err(error) => context.note(&format!("FAIL {name}: {error:#}")),
        }
        outcome.count(result.is_ok());
    }
    Ok(outcome)
}
