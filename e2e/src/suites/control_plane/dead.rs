//! Nothing is left of the control plane, nor its database: brokers that start in this moment serve with what they were told last.
use anyhow::{Result, ensure};

use super::site::{Key, Site};
use crate::wire::{Batch, CREATE_TOPICS, PRODUCE, Wire, create_topic, produce, produce_result};

const TOPIC: &str = "without-a-control-plane";

pub fn only_brokers(site: &mut Site) -> Result<()> {
    let account = site.create_account()?;
    site.make_administrator(&account)?;
    let key = site.create_kafka_key(&mut site.caller().at(1)?, &account)?;
    let deleted = site.create_kafka_key(&mut site.caller().at(2)?, &account)?;
    site.caller().at(0)?.call("DELETE", &format!("/iam/v2/api-keys/{}", deleted.id), None)?;
    Wire::log_in(&site.kafka(&key))?.call(CREATE_TOPICS, 2, &create_topic(TOPIC))?;
    ensure!(write(site, &key)? == (0, 0), "the topic does not take the first record");
    site.replicas.iter_mut().for_each(|replica| replica.kill_hard());
    site.postgres.stop()?;
    site.broker.kill_and_start_again()?;
    let written = write(site, &key)?;
    ensure!(written == (0, 1), "the second record got the error code and offset {written:?}");
    let wrong = Key { secret: deleted.secret.clone(), ..key.clone() };
    ensure!(!site.is_let_in(&deleted)? && !site.is_let_in(&wrong)?, "a key is let in that must not be");
    site.postgres.start_again()?;
    site.start_replicas()?;
    let new = site.create_kafka_key(&mut site.caller().at(2)?, &account)?;
    ensure!(site.is_let_in(&new)?, "a key made after the return is refused at its first use");
    Ok(())
}

/// Error code and offset of one record.
fn write(site: &Site, key: &Key) -> Result<(i16, i64)> {
    let records = Batch::of_one_record(b"record").encode();
    produce_result(&Wire::log_in(&site.kafka(key))?.call(PRODUCE, 7, &produce(TOPIC, 0, 1, &records))?)
}
