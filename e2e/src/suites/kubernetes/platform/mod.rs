//! Production mode end to end: PostgreSQL and S3 beside Kubernetes, two replicas of everything, Java clients inside and outside.
mod clients;
mod deletion;
mod outages;
mod producer;
mod refusals;
mod site;

use anyhow::Result;

use self::clients::Clients;
use self::deletion::Usage;
use self::site::Site;
use super::account::Account;
use super::{Suite, on_kubernetes};
use crate::context::Context;
use crate::need::{self, Need};
use crate::outcome::Outcome;

pub const SUITE: Suite = Suite {
    name: "platform",
    about: "production mode on a real Kubernetes: PostgreSQL, S3, two replicas, Java clients inside and outside",
    needs: NEEDS,
    run,
};

const NEEDS: &[Need] = &[need::NODE_PROGRAMS, need::ROOT, need::GO, need::POSTGRES, need::JAVA, need::MAVEN];
const NODES: u8 = 2;

fn run(context: &Context) -> Result<Outcome> {
    on_kubernetes(context, NODES, |kubernetes, checks| {
        let site = Site::start(context, kubernetes)?;
        refusals::check(&site, checks);
        let account = Account::open(&site.release)?;
        let before = Usage::now(&account)?;
        let clients = Clients::prepare(context, &site, &account)?;
        checks
            .check("Java clients inside write to clusters of every kind and read back", || clients.round_trip_inside());
        checks.check("Java clients outside do so by the names below the domain", || clients.round_trip_outside());
        outages::check(&site, &account, &clients, checks)?;
        deletion::check(&site, &account, &clients, &before, checks);
        Ok(())
    })
}
