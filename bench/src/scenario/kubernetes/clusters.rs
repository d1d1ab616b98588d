//! Clusters: from the POST to the first record. Basic ones on the warm shared brokers, Dedicated ones with a broker of their own.
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::client::Client;
use super::progress;
use crate::histogram::Histogram;
use crate::scenario::table::{Goal, Line};
use crate::workbench::Workbench;

/// A new organization may make twenty clusters a day.
const BASIC: usize = 8;
const DEDICATED: usize = 10;

pub fn measure(client: &Client<'_>, workbench: &Workbench) -> Result<Vec<Line>> {
    let basic = Times::measure(client, "basic", workbench.pick(BASIC, 1))?;
    let dedicated = Times::measure(client, "dedicated", workbench.pick(DEDICATED, 1))?;
    Ok(vec![
        Line::times("Basic cluster: POST to PROVISIONED", &basic.provisioned, Goal::P99Below(1000.0)),
        Line::times("Basic cluster: POST to the first record", &basic.first_record, Goal::None),
        Line::times("Dedicated cluster: POST to PROVISIONED", &dedicated.provisioned, Goal::P99Below(20_000.0)),
        Line::times("Dedicated cluster: POST to the first record", &dedicated.first_record, Goal::P99Below(60_000.0)),
        Line::times("Dedicated cluster: DELETE until resource, pod and volume are gone", &dedicated.gone, Goal::None),
    ])
}

#[derive(Default)]
struct Times {
    provisioned: Histogram,
    first_record: Histogram,
    gone: Histogram,
}

impl Times {
    fn measure(client: &Client<'_>, kind: &str, count: usize) -> Result<Self> {
        let mut times = Self::default();
        for index in 1..=count {
            progress(&format!("{kind} cluster {index} of {count}"));
            let made = client.first_record(kind, Instant::now()).with_context(|| format!("{kind} cluster {index}"))?;
            times.provisioned.record(made.provisioned * 1000);
            times.first_record.record(made.first_record * 1000);
            times.gone.record(client.delete(&made, kind == "dedicated")? * 1000);
        }
        Ok(times)
    }
}
