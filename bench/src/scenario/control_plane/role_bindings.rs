//! Role bindings while changes run: from the POST until a broker answers the account, from the DELETE until it refuses. A connection that
//! is open all the time asks, so that only the binding is waited for.
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use millstream_protocol::messages::metadata_response::MetadataResponse;
use millstream_protocol::writer::Writer;

use super::changes::{self, PER_SECOND};
use super::installation::{Installation, Key};
use super::poll::micros_until;
use super::{Database, progress};
use crate::connection::Connection;
use crate::histogram::Histogram;
use crate::scenario::table::{Goal, Line};
use crate::topic::Topic;
use crate::workbench::Workbench;

const TOPIC: &str = "guarded";
const METADATA_VERSION: i16 = 12;

pub fn measure(database: Database, installation: &Installation, workbench: &Workbench) -> Result<Vec<Line>> {
    let count = workbench.pick(400, 20);
    progress(database, &format!("{count} role bindings are made and deleted while {PER_SECOND} changes/s run"));
    let mut rest = installation.rest()?;
    let account = installation.create_account(&mut rest)?;
    let key = installation.create_key(&mut rest, &account, Some(installation.cluster()))?;
    Topic::create(&installation.first_kafka(), TOPIC, 1)?;
    let mut guarded = Guarded::open(installation, &key)?;
    ensure!(!guarded.is_allowed()?, "an account without a role may read a topic");
    let (times, _) = changes::during(installation, || {
        let (mut effective, mut revoked) = (Histogram::default(), Histogram::default());
        for index in 0..count {
            let started = Instant::now();
            let crn = installation.cluster_crn(installation.cluster());
            let binding = installation.bind(&mut rest, &account, "CloudClusterAdmin", &crn)?;
            let allowed = micros_until(started, || guarded.is_allowed());
            effective.record(allowed.with_context(|| format!("binding {index}"))?);
            let started = Instant::now();
            rest.call("DELETE", &format!("/iam/v2/role-bindings/{binding}"), None)?;
            let refused = micros_until(started, || guarded.is_allowed().map(|is_allowed| !is_allowed));
            revoked.record(refused.with_context(|| format!("deletion of binding {index}"))?);
        }
        Ok((effective, revoked))
    })?;
    let goal = Goal::P99Below(1000.0);
    Ok(vec![
        Line::times("role binding: POST to the first allowed request, under changes", &times.0, goal),
        Line::times("role binding: DELETE to the first refused request, under changes", &times.1, goal),
    ])
}

/// A topic that the account may describe or not.
struct Guarded {
    connection: Connection,
}

impl Guarded {
    fn open(installation: &Installation, key: &Key) -> Result<Self> {
        Ok(Self { connection: Connection::open(&installation.kafka(key))? })
    }

    fn is_allowed(&mut self) -> Result<bool> {
        let named = MetadataRequestTopic { name: Some(TOPIC.into()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest { topics: Some(vec![named]), ..MetadataRequest::default() };
        let encode = |writer: &mut Writer| request.encode(writer, METADATA_VERSION);
        self.connection.call(ApiKey::Metadata, METADATA_VERSION, encode, |reader| {
            let response = MetadataResponse::decode(reader, METADATA_VERSION)?;
            let [topic] = &response.topics[..] else { bail!("Metadata answered for {} topics", response.topics.len()) };
            match ErrorCode::from_code(topic.error_code) {
                Some(ErrorCode::None) => Ok(true),
                Some(ErrorCode::TopicAuthorizationFailed) => Ok(false),
                other => bail!("Metadata answered with error {} ({other:?})", topic.error_code),
            }
        })
    }
}
