//! Clusters: from the POST to the first acknowledged record, through everything that a user does in between.
use std::time::Instant;

use anyhow::{Context as _, Result};
use millstream_e2e::postgres::Postgres;
use millstream_e2e::rest::{Rest, text_at};
use millstream_protocol::api_key::ApiKey;
use serde_json::{Value, json};

use super::installation::Installation;
use super::poll::{micros_since, micros_until};
use super::{BASIC_PER_INSTALLATION, DEDICATED_PER_INSTALLATION, Database, progress};
use crate::connection::{Connection, Endpoint};
use crate::histogram::Histogram;
use crate::load::produce;
use crate::scenario::table::{Goal, Line};
use crate::topic::Topic;
use crate::workbench::Workbench;

const TOPIC: &str = "first";

pub fn measure(database: Database, postgres: Option<&Postgres>, workbench: &Workbench) -> Result<Vec<Line>> {
    let (mut basic, mut dedicated) = (Histogram::default(), Histogram::default());
    for round in 1..=workbench.pick(6, 1) {
        progress(database, &format!("clusters in new installation {round}"));
        let installation = Installation::start(postgres, &format!("clusters_{round}"), workbench)?;
        let mut rest = installation.rest()?;
        let account = installation.create_account(&mut rest)?;
        let crn = format!("{}/environment={}", installation.organization_crn, installation.environment());
        installation.bind(&mut rest, &account, "EnvironmentAdmin", &crn)?;
        for index in 1..=BASIC_PER_INSTALLATION {
            let took = one(&installation, &mut rest, &account, json!({"kind": "Basic"}));
            basic.record(took.with_context(|| format!("Basic cluster {index}"))?);
        }
        for index in 1..=DEDICATED_PER_INSTALLATION {
            let took = one(&installation, &mut rest, &account, json!({"kind": "Dedicated", "cku": 1}));
            dedicated.record(took.with_context(|| format!("Dedicated cluster {index}"))?);
        }
    }
    Ok(vec![
        Line::times("Basic cluster: POST to the first acknowledged record", &basic, Goal::P99Below(1000.0)),
        Line::times("Dedicated cluster: POST to the first acknowledged record", &dedicated, Goal::P99Below(5000.0)),
    ])
}

/// Makes a cluster, a key, a topic and a record, deletes the cluster; the microseconds until the record was acknowledged.
fn one(installation: &Installation, rest: &mut Rest, account: &str, config: Value) -> Result<u64> {
    let body = json!({"spec": {
        "display_name": installation.name("cluster"), "availability": "SINGLE_ZONE", "cloud": "AWS", "region": "us-east-2",
        "config": config, "environment": {"id": installation.environment()},
    }});
    let started = Instant::now();
    let cluster = text_at(&rest.call("POST", "/cmk/v2/clusters", Some(&body))?, "/id")?;
    let path = format!("/cmk/v2/clusters/{cluster}?environment={}", installation.environment());
    let mut read = Value::Null;
    let provisioned = micros_until(started, || {
        read = rest.call("GET", &path, None)?;
        Ok(text_at(&read, "/status/phase")? == "PROVISIONED")
    });
    provisioned.with_context(|| format!("until it is PROVISIONED: {read}"))?;
    let key = installation.create_key(rest, account, Some(&cluster))?;
    let mut endpoint = installation.kafka(&key);
    endpoint.address = text_at(&read, "/spec/kafka_bootstrap_endpoint")?.replace("SASL_PLAINTEXT://", "");
    produce_first_record(&endpoint)?;
    let took = micros_since(started);
    rest.call("DELETE", &path, None)?;
    Ok(took)
}

fn produce_first_record(endpoint: &Endpoint) -> Result<()> {
    Topic::create(endpoint, TOPIC, 1)?;
    let mut frame = produce::frame(TOPIC, &[(0, produce::batch_of_one(&produce::payload(100))?)])?;
    let mut connection = Connection::open(endpoint)?;
    let correlation_id = connection.send_frame(&mut frame)?;
    connection
        .receive(ApiKey::Produce, produce::VERSION, correlation_id, |reader| produce::check_acknowledged(reader, 1))
}
