//! One broker's config stream: resume or snapshot, then contiguous deltas and heartbeats; acknowledgements come back.
//!
//! Promises: what is sent is a prefix of the log; a revision is never cut in two. While the database is away the stream
//! stays open and goes on from where it was.

use std::sync::Arc;
use std::time::Duration;

use millstream_api::fleet::{
    BrokerHello, BrokerUpdate, ConfigEvent, ConfigUpdate, Delta, HEARTBEAT_INTERVAL_MS, Heartbeat, MAX_MESSAGE_BYTES,
    Nack, Resume, broker_update, config_update::Update, nack,
};
use millstream_api::ids::PhysicalClusterId;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tonic::{Status, Streaming};
use tracing::{error, info, warn};

use super::propagation::{DEAF_AFTER, Session};
use super::snapshot;
use crate::app::App;
use crate::store::broker_sessions::BrokerSession;
use crate::store::error::StoreError;
use crate::store::{broker_sessions, config_log, installation};

/// Messages that wait for a broker at most.
pub const OUTGOING_MESSAGES: usize = 64;
/// How long a broker may take to make room before it is cut.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// When the log is looked at again after it could not be read.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Revisions in one delta at most.
const MAX_DELTA_REVISIONS: u32 = 256;
/// Bytes of a delta from which no further revision is added.
const DELTA_BYTES: usize = MAX_MESSAGE_BYTES / 4;

/// The bounded queue towards one broker.
pub struct Outgoing(pub mpsc::Sender<Result<ConfigUpdate, Status>>);

impl Outgoing {
    /// Queues a message; a broker that makes no room in time is cut.
    pub async fn send(&self, update: Update) -> Result<(), StreamEnd> {
        use mpsc::error::SendTimeoutError;
        let message = ConfigUpdate { update: Some(update) };
        match self.0.send_timeout(Ok(message), SEND_TIMEOUT).await {
            Ok(()) => Ok(()),
            Err(SendTimeoutError::Closed(_)) => Err(StreamEnd::Closed),
            Err(SendTimeoutError::Timeout(_)) => Err(StreamEnd::TooSlow),
        }
    }
}

/// Why a config stream ends.
#[derive(Debug, thiserror::Error)]
pub enum StreamEnd {
    /// The broker went away.
    #[error("the broker closed the stream")]
    Closed,
    /// The broker does not read.
    #[error("the broker does not keep up with the stream")]
    TooSlow,
    /// The same broker opened another stream.
    #[error("the broker opened another stream")]
    Replaced,
    /// This replica stops.
    #[error("this replica is shutting down")]
    Shutdown,
    /// No such physical cluster.
    #[error("the physical cluster does not exist")]
    Unknown,
    /// The database failed while the stream began.
    #[error("the database failed")]
    Store(#[from] StoreError),
}

impl StreamEnd {
    fn status(&self) -> Option<Status> {
        match self {
            Self::Closed => None,
            Self::TooSlow => Some(Status::resource_exhausted(self.to_string())),
            Self::Replaced => Some(Status::aborted(self.to_string())),
            Self::Shutdown | Self::Store(_) => Some(Status::unavailable(self.to_string())),
            Self::Unknown => Some(Status::not_found(self.to_string())),
        }
    }
}

/// Serves one stream until it ends.
pub async fn run(
    app: Arc<App>,
    physical_cluster: PhysicalClusterId,
    hello: BrokerHello,
    session: Session,
    incoming: Streaming<BrokerUpdate>,
    outgoing: mpsc::Sender<Result<ConfigUpdate, Status>>,
) {
    let broker_id = hello.broker_id;
    info!(%physical_cluster, broker_id, "broker {broker_id} of {physical_cluster} opened its config stream");
    let mut stream = Stream {
        app: &app,
        physical_cluster: &physical_cluster,
        broker_id,
        session,
        incoming,
        outgoing: Outgoing(outgoing),
        epoch: 0,
        sent: 0,
        is_deaf: false,
        look_again_at: None,
    };
    let end = match stream.serve(&hello).await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    info!(%physical_cluster, broker_id, "config stream of broker {broker_id} of {physical_cluster} ended: {end}");
    if let Some(status) = end.status() {
        // The stream ends whether or not the broker still hears why.
        let _ = stream.outgoing.0.try_send(Err(status));
    }
    stream.forget_session().await;
}

struct Stream<'a> {
    app: &'a App,
    physical_cluster: &'a PhysicalClusterId,
    broker_id: i32,
    session: Session,
    incoming: Streaming<BrokerUpdate>,
    outgoing: Outgoing,
    epoch: u64,
    sent: u64,
    is_deaf: bool,
    /// Set while the log cannot be read.
    look_again_at: Option<Instant>,
}

enum Wake {
    Commit,
    Heartbeat,
    Message(BrokerUpdate),
}

impl Stream<'_> {
    async fn serve(&mut self, hello: &BrokerHello) -> Result<std::convert::Infallible, StreamEnd> {
        self.begin(hello).await?;
        // What was committed before the broker came announces itself to nobody.
        self.send_new_revisions().await?;
        let mut heartbeat = interval(Duration::from_millis(HEARTBEAT_INTERVAL_MS));
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wake = tokio::select! {
                _ = self.session.replaced.cancelled() => return Err(StreamEnd::Replaced),
                _ = self.app.shutdown.cancelled() => return Err(StreamEnd::Shutdown),
                changed = self.session.commits.changed() => match changed {
                    Ok(()) => Wake::Commit,
                    Err(_) => return Err(StreamEnd::Shutdown),
                },
                () = at(self.look_again_at) => Wake::Commit,
                _ = heartbeat.tick() => Wake::Heartbeat,
                message = self.incoming.message() => match message {
                    Ok(Some(message)) => Wake::Message(message),
                    Ok(None) | Err(_) => return Err(StreamEnd::Closed),
                },
            };
            match wake {
                Wake::Commit => self.send_new_revisions().await?,
                Wake::Heartbeat => self.send_heartbeat().await?,
                Wake::Message(message) => self.take_in(message).await?,
            }
        }
    }

    async fn begin(&mut self, hello: &BrokerHello) -> Result<(), StreamEnd> {
        let mut transaction = self.app.database.read().await?;
        let state = config_log::state(&mut transaction, self.physical_cluster).await?.ok_or(StreamEnd::Unknown)?;
        self.epoch = installation::epoch(&mut transaction).await?;
        drop(transaction);
        if hello.epoch == self.epoch && hello.revision > state.head {
            self.begin_new_epoch(hello, state.head).await?;
            return self.send_snapshot().await;
        }
        if let Some(pool) = self.app.database.shared_pool() {
            broker_sessions::take_over(pool, &self.session.id, self.physical_cluster, self.broker_id).await?;
        }
        let may_resume = hello.epoch == self.epoch && state.can_resume_from(hello.revision);
        if !may_resume {
            // Others wait for this broker from now on.
            self.record_session(0).await;
            return self.send_snapshot().await;
        }
        self.outgoing.send(Update::Resume(Resume { epoch: self.epoch, revision: hello.revision })).await?;
        self.sent = hello.revision;
        self.acknowledge(hello.revision).await;
        Ok(())
    }

    /// The broker has a revision that the database has not: the database was restored from a backup. Whatever brokers
    /// know of the lost time is worth nothing, also where its numbers have been given to other changes since.
    async fn begin_new_epoch(&self, hello: &BrokerHello, head: u64) -> Result<(), StreamEnd> {
        let physical_cluster = self.physical_cluster;
        error!(
            %physical_cluster, broker_id = self.broker_id, revision = hello.revision, head,
            "the database is older than broker {} of {physical_cluster}: was it restored from a backup? Every broker gets a snapshot",
            self.broker_id
        );
        let mut transaction = self.app.database.write().await?;
        installation::begin_epoch_after(&mut transaction, self.epoch, self.app.clock.now()).await?;
        transaction.commit().await?;
        self.app.propagation.everybody_look_again();
        Ok(())
    }

    async fn send_snapshot(&mut self) -> Result<(), StreamEnd> {
        self.session.start_over();
        (self.epoch, self.sent) = snapshot::send(self.app, self.physical_cluster, &self.outgoing).await?;
        self.session.sent(self.sent);
        Ok(())
    }

    async fn send_new_revisions(&mut self) -> Result<(), StreamEnd> {
        loop {
            self.look_again_at = None;
            let (epoch, events) = match self.read_events().await {
                Ok(read) => read,
                Err(error) => {
                    self.look_again_at = Some(Instant::now() + RETRY_DELAY);
                    warn!(error = &error as &dyn std::error::Error, "cannot read config events; trying again");
                    return Ok(());
                }
            };
            if epoch != self.epoch {
                return self.send_snapshot().await;
            }
            let Some(first) = events.first() else { return Ok(()) };
            if first.revision != self.sent + 1 {
                warn!(physical_cluster = %self.physical_cluster, "config log was trimmed behind a broker; sending a snapshot");
                return self.send_snapshot().await;
            }
            for events in split_by_size(events) {
                let to_revision = events.last().map_or(self.sent, |event| event.revision);
                let delta = Delta { epoch: self.epoch, from_revision: self.sent, to_revision, events };
                self.outgoing.send(Update::Delta(delta)).await?;
                self.sent = to_revision;
                self.session.sent(to_revision);
            }
        }
    }

    async fn read_events(&self) -> Result<(u64, Vec<ConfigEvent>), StoreError> {
        let mut transaction = self.app.database.read().await?;
        let epoch = installation::epoch(&mut transaction).await?;
        let (physical_cluster, sent) = (self.physical_cluster, self.sent);
        let events = config_log::events_after(&mut transaction, physical_cluster, sent, MAX_DELTA_REVISIONS).await?;
        Ok((epoch, events))
    }

    /// Says once that nobody waits for this broker any more, and once that it is back.
    fn report_deafness(&mut self) {
        let (physical_cluster, broker_id) = (self.physical_cluster, self.broker_id);
        match (self.is_deaf, self.session.is_deaf()) {
            (false, true) => error!(
                %physical_cluster, broker_id,
                "broker {broker_id} of {physical_cluster} has acknowledged nothing for {} s: answers no longer wait for it",
                DEAF_AFTER.as_secs()
            ),
            (true, false) => {
                info!(%physical_cluster, broker_id, "broker {broker_id} of {physical_cluster} acknowledges again");
            }
            _ => {}
        }
        self.is_deaf = self.session.is_deaf();
    }

    async fn send_heartbeat(&mut self) -> Result<(), StreamEnd> {
        self.report_deafness();
        if self.is_deaf {
            self.forget_session().await;
        }
        let head_revision = self.sent.max(*self.session.commits.borrow());
        let heartbeat = Heartbeat { head_revision, server_time_ms: self.app.clock.now().as_millis() };
        self.outgoing.send(Update::Heartbeat(heartbeat)).await
    }

    async fn take_in(&mut self, message: BrokerUpdate) -> Result<(), StreamEnd> {
        match message.update {
            Some(broker_update::Update::Ack(ack)) if ack.epoch == self.epoch && ack.revision <= self.sent => {
                self.acknowledge(ack.revision).await;
                Ok(())
            }
            Some(broker_update::Update::Ack(ack)) => {
                warn!(revision = ack.revision, sent = self.sent, "a broker acknowledged what was never sent");
                Ok(())
            }
            Some(broker_update::Update::Nack(nack)) => self.take_in_refusal(nack).await,
            // A second hello means nothing; an empty message may come from a newer broker.
            Some(broker_update::Update::Hello(_)) | None => Ok(()),
        }
    }

    async fn take_in_refusal(&mut self, nack: Nack) -> Result<(), StreamEnd> {
        let detail: String = nack.detail.chars().take(200).collect();
        match nack.code() {
            nack::Code::Gap => {
                warn!(broker_id = self.broker_id, detail, "a broker found a gap; sending a snapshot");
                self.send_snapshot().await
            }
            nack::Code::Invalid | nack::Code::Unspecified => {
                warn!(
                    broker_id = self.broker_id,
                    revision = nack.revision,
                    detail,
                    "a broker did not understand an item"
                );
                Ok(())
            }
        }
    }

    async fn acknowledge(&self, revision: u64) {
        // Others first: once waiters here wake up, the record must already be there for waiters elsewhere.
        self.record_session(revision).await;
        self.session.acknowledge(revision, self.sent);
    }

    async fn record_session(&self, revision: u64) {
        let Some(pool) = self.app.database.shared_pool() else { return };
        let session = BrokerSession {
            id: self.session.id.clone(),
            physical_cluster: self.physical_cluster.clone(),
            broker_id: self.broker_id,
            revision,
        };
        if let Err(error) = broker_sessions::record(pool, &self.app.replica_id, &[session]).await {
            warn!(error = &error as &dyn std::error::Error, "cannot record how far a broker is");
        }
    }

    async fn forget_session(&self) {
        let Some(pool) = self.app.database.shared_pool() else { return };
        if let Err(error) = broker_sessions::remove(pool, &[&self.session.id]).await {
            // Harmless: it expires by itself.
            warn!(error = &error as &dyn std::error::Error, "cannot remove the record of a broker that left");
        }
    }
}

/// Waits until a time; for ever if there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Cuts a list of events into deltas of bounded size, between revisions only.
fn split_by_size(events: Vec<ConfigEvent>) -> Vec<Vec<ConfigEvent>> {
    let mut deltas = Vec::new();
    let (mut delta, mut bytes): (Vec<ConfigEvent>, usize) = (Vec::new(), 0);
    for event in events {
        let next_revision = delta.last().is_some_and(|last| last.revision != event.revision);
        if next_revision && bytes >= DELTA_BYTES {
            deltas.push(std::mem::take(&mut delta));
            bytes = 0;
        }
        bytes += event.encoded_len();
        delta.push(event);
    }
    if !delta.is_empty() {
        deltas.push(delta);
    }
    deltas
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::shard;

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_does_not_read_is_cut() {
        let (sender, _receiver) = mpsc::channel(1);
        let outgoing = Outgoing(sender);
        assert!(outgoing.send(Update::Heartbeat(Heartbeat::default())).await.is_ok());
        let end = outgoing.send(Update::Heartbeat(Heartbeat::default())).await.expect_err("no room");
        assert!(matches!(end, StreamEnd::TooSlow), "{end}");
    }

    #[tokio::test]
    async fn a_broker_that_left_ends_the_stream() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let end = Outgoing(sender).send(Update::Heartbeat(Heartbeat::default())).await.expect_err("nobody reads");
        assert!(matches!(end, StreamEnd::Closed), "{end}");
    }

    #[test]
    fn a_long_list_of_events_is_cut_between_revisions_only() {
        let big = |revision| ConfigEvent {
            revision,
            change: Some(shard::upsert_api_key(millstream_api::fleet::ApiKey {
                principal: "x".repeat(DELTA_BYTES / 2),
                ..Default::default()
            })),
        };
        let deltas = split_by_size(vec![big(1), big(1), big(1), big(2), big(3), big(4)]);
        let revisions: Vec<Vec<u64>> =
            deltas.iter().map(|delta| delta.iter().map(|event| event.revision).collect()).collect();
        assert_eq!(revisions, [vec![1, 1, 1], vec![2, 3], vec![4]]);
    }
}
