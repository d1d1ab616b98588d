//! The stream of tenant configuration: receives, applies, closes what was revoked, persists, acknowledges.
//!
//! Promises: a revoked key is refused and its connections are told to close before anything is written to disk;
//! an acknowledgement is sent only for what is on disk; a gap is answered with a request for a snapshot. Ends only
//! when told to: every error leads to another try.

use std::sync::Arc;
use std::time::Duration;

use millstream_api::fleet::broker_update::Update as Outgoing;
use millstream_api::fleet::config_update::Update as Incoming;
use millstream_api::fleet::nack::Code;
use millstream_api::fleet::{
    Ack, BrokerHello, BrokerUpdate, ConfigItem, ConfigUpdate, Delta, HEARTBEAT_INTERVAL_MS, Nack, SnapshotBegin,
    SnapshotEnd,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tracing::{debug, error, info, warn};

use super::dial::{Retry, StreamError, connect, with_token};
use super::status::FleetStatus;
use crate::broker::Broker;
use crate::clock::now_ms;
use crate::config::FleetEndpoint;
use crate::connections::ConnectionRegistry;
use crate::quotas::Quotas;
use crate::tenants::TenantDirectory;
use crate::tenants::image::{Changes, MAX_ITEMS, Position};

/// Acknowledgements that wait to be sent at most; then the stream stops reading.
const MAX_OUTGOING: usize = 64;
/// A stream on which nothing came for this long is dead.
const MAX_SILENCE: Duration = Duration::from_millis(5 * HEARTBEAT_INTERVAL_MS);
/// A snapshot that was asked for must begin within this time.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(10);

/// Who this broker is, as it says to the control plane.
#[derive(Clone)]
pub(crate) struct BrokerIdentity {
    /// `pkc-…`
    pub(crate) physical_cluster_id: String,
    /// Kafka's node id.
    pub(crate) broker_id: i32,
    /// New with each start of the process.
    pub(crate) boot_id: String,
}

impl BrokerIdentity {
    pub(super) fn of(broker: &Broker) -> Self {
        Self {
            physical_cluster_id: broker.settings.physical_cluster_id.to_string(),
            broker_id: broker.settings.broker_id,
            boot_id: broker.fleet.boot_id.to_string(),
        }
    }

    /// The first message of a stream.
    pub(super) fn hello(&self, position: Position) -> BrokerHello {
        BrokerHello {
            physical_cluster_id: self.physical_cluster_id.clone(),
            broker_id: self.broker_id,
            boot_id: self.boot_id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: position.epoch,
            revision: position.revision,
        }
    }
}

/// The parts that the stream works on.
pub(crate) struct ConfigStream {
    pub(crate) endpoint: FleetEndpoint,
    pub(crate) identity: BrokerIdentity,
    pub(crate) tenants: Arc<TenantDirectory>,
    pub(crate) connections: Arc<ConnectionRegistry>,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) status: Arc<FleetStatus>,
}

/// Keeps the stream up until `shutdown` fires. Deletions that come over it are left to `tenant_deletion`.
pub(crate) async fn run(broker: Arc<Broker>, endpoint: FleetEndpoint, shutdown: CancellationToken) {
    let stream = ConfigStream {
        endpoint,
        identity: BrokerIdentity::of(&broker),
        tenants: Arc::clone(&broker.tenants),
        connections: Arc::clone(&broker.connections),
        quotas: Arc::clone(&broker.quotas),
        status: Arc::clone(&broker.fleet),
    };
    stream.run(shutdown).await;
}

impl ConfigStream {
    /// Keeps the stream up until `shutdown` fires.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut retry = Retry::new();
        // After a gap the position does not count: the control plane would resume from it again.
        let mut wants_snapshot = false;
        loop {
            let mut session = Session { stream: &self, snapshot: None, gap_since: None, got_through: false };
            let ended = tokio::select! {
                () = shutdown.cancelled() => return,
                ended = session.run(wants_snapshot) => ended,
            };
            self.status.set_config_connected(false);
            wants_snapshot = session.gap_since.is_some();
            if session.got_through {
                retry.reset();
            }
            if let Err(error) = ended {
                // Once per outage: the tries in between would only fill the log.
                if retry.is_first() {
                    warn!("config stream: {error}; serving on with the last image and trying again");
                } else {
                    debug!("config stream: {error}");
                }
            }
            let pause = retry.next_pause();
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Acts on what a change took away or limits. Before anything is written: a revocation must not wait for a disk.
    fn act_on(&self, changes: &Changes) {
        let takes_away = !changes.revoked_keys.is_empty() || !changes.removed_clusters.is_empty();
        if takes_away {
            self.connections.close_where(|credential| !self.tenants.is_current(credential));
        }
        self.quotas.refresh(&changes.relimited_clusters);
        if !changes.deleted_clusters.is_empty() {
            self.status.deletions.notify_one();
        }
    }

    /// Writes the image to disk. `None` if that failed: nothing may be acknowledged then.
    async fn persist(&self) -> Option<Position> {
        let tenants = Arc::clone(&self.tenants);
        let persisted = tokio::task::spawn_blocking(move || tenants.persist()).await;
        let persisted = persisted.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let was_unsaved = self.status.set_image_unsaved(persisted.is_err());
        match persisted {
            Ok(position) => Some(position),
            Err(error) => {
                if !was_unsaved {
                    error!(
                        "cannot write the tenant image: {error}; changes are in force but would be lost by a restart without the control plane"
                    );
                }
                None
            }
        }
    }
}

/// One connection of the stream.
struct Session<'a> {
    stream: &'a ConfigStream,
    snapshot: Option<Snapshot>,
    /// Since when a snapshot is awaited, because a delta did not fit.
    gap_since: Option<tokio::time::Instant>,
    /// The control plane answered with something useful.
    got_through: bool,
}

/// A snapshot that is being received.
struct Snapshot {
    begin: SnapshotBegin,
    items: Vec<ConfigItem>,
}

impl Session<'_> {
    async fn run(&mut self, wants_snapshot: bool) -> Result<(), StreamError> {
        let endpoint = &self.stream.endpoint;
        let mut client = connect(endpoint).await?;
        let (outgoing, queue) = mpsc::channel(MAX_OUTGOING);
        let position = if wants_snapshot { Position::default() } else { self.stream.tenants.position() };
        let hello = Outgoing::Hello(self.stream.identity.hello(position));
        send(&outgoing, hello).await?;
        let request = with_token(ReceiverStream::new(queue), endpoint).await?;
        let mut incoming = client.subscribe(request).await.map_err(Box::new)?.into_inner();
        loop {
            let update = next(&mut incoming).await?;
            self.stream.status.heard(now_ms());
            if let Some(update) = update.update {
                self.receive(update, &outgoing).await?;
            }
            if self.gap_since.is_some_and(|since| since.elapsed() > SNAPSHOT_PATIENCE) {
                return Err(StreamError::Protocol("no snapshot after a gap".to_owned()));
            }
        }
    }

    async fn receive(&mut self, update: Incoming, outgoing: &mpsc::Sender<BrokerUpdate>) -> Result<(), StreamError> {
        match update {
            Incoming::Resume(resume) => {
                let position = self.stream.tenants.position();
                if resume.epoch != position.epoch || resume.revision != position.revision {
                    return Err(StreamError::Protocol(
                        "a resume from a position that this broker does not have".to_owned(),
                    ));
                }
                self.is_up("resumed");
                self.acknowledge(outgoing).await
            }
            Incoming::SnapshotBegin(begin) => {
                self.gap_since = None;
                self.snapshot = Some(Snapshot { begin, items: Vec::new() });
                Ok(())
            }
            Incoming::SnapshotItems(more) => {
                let Some(snapshot) = &mut self.snapshot else {
                    return Err(StreamError::Protocol("snapshot items without a beginning".to_owned()));
                };
                if snapshot.items.len() + more.items.len() > MAX_ITEMS {
                    return Err(StreamError::Protocol(format!("a snapshot of more than {MAX_ITEMS} items")));
                }
                snapshot.items.extend(more.items);
                Ok(())
            }
            Incoming::SnapshotEnd(end) => self.finish_snapshot(end, outgoing).await,
            Incoming::Delta(delta) => self.apply_delta(delta, outgoing).await,
            Incoming::Heartbeat(heartbeat) => {
                self.stream.status.saw_revision(heartbeat.head_revision);
                if self.stream.status.report().image_unsaved {
                    self.acknowledge(outgoing).await?;
                }
                Ok(())
            }
        }
    }

    async fn finish_snapshot(
        &mut self,
        end: SnapshotEnd,
        outgoing: &mpsc::Sender<BrokerUpdate>,
    ) -> Result<(), StreamError> {
        let Some(snapshot) = self.snapshot.take() else {
            return Err(StreamError::Protocol("the end of a snapshot without its beginning".to_owned()));
        };
        if snapshot.items.len() as u64 != end.items {
            let got = snapshot.items.len();
            return Err(StreamError::Protocol(format!("a snapshot of {got} items that should have {}", end.items)));
        }
        let tenants = Arc::clone(&self.stream.tenants);
        let applied =
            tokio::task::spawn_blocking(move || tenants.apply_snapshot(&snapshot.begin, snapshot.items)).await;
        let changes = match applied {
            Ok(Ok(changes)) => changes,
            Ok(Err(error)) => return Err(StreamError::Protocol(format!("a snapshot that is not usable: {error}"))),
            Err(_) => return Err(StreamError::Protocol("a snapshot that could not be applied".to_owned())),
        };
        self.is_up("received a snapshot");
        self.after(changes, outgoing).await
    }

    async fn apply_delta(&mut self, delta: Delta, outgoing: &mpsc::Sender<BrokerUpdate>) -> Result<(), StreamError> {
        if self.gap_since.is_some() {
            return Ok(());
        }
        if self.snapshot.is_some() {
            return Err(StreamError::Protocol("a delta inside a snapshot".to_owned()));
        }
        let (epoch, revision) = (delta.epoch, delta.to_revision);
        match self.stream.tenants.apply_delta(delta) {
            Ok(changes) => self.after(changes, outgoing).await,
            Err(error) => {
                warn!("config stream: {error}; asking for a snapshot");
                self.gap_since = Some(tokio::time::Instant::now());
                let nack = Nack { epoch, revision, code: Code::Gap.into(), detail: error.to_string() };
                send(outgoing, Outgoing::Nack(nack)).await
            }
        }
    }

    /// What follows every applied change.
    async fn after(&mut self, changes: Changes, outgoing: &mpsc::Sender<BrokerUpdate>) -> Result<(), StreamError> {
        self.stream.act_on(&changes);
        let Position { epoch, revision } = self.stream.tenants.position();
        if !changes.invalid_items.is_empty() {
            let detail = changes.invalid_items.join("; ");
            error!("config stream: items were left out because they cannot be understood: {detail}");
            let nack = Nack { epoch, revision, code: Code::Invalid.into(), detail };
            send(outgoing, Outgoing::Nack(nack)).await?;
        }
        self.acknowledge(outgoing).await
    }

    /// Persists, then acknowledges what is on disk.
    async fn acknowledge(&self, outgoing: &mpsc::Sender<BrokerUpdate>) -> Result<(), StreamError> {
        let Some(Position { epoch, revision }) = self.stream.persist().await else {
            return Ok(());
        };
        send(outgoing, Outgoing::Ack(Ack { epoch, revision })).await
    }

    fn is_up(&mut self, how: &str) {
        self.got_through = true;
        self.stream.status.set_config_connected(true);
        let Position { epoch, revision } = self.stream.tenants.position();
        info!("config stream: {how}, epoch {epoch} revision {revision}");
    }
}

async fn next(incoming: &mut Streaming<ConfigUpdate>) -> Result<ConfigUpdate, StreamError> {
    match tokio::time::timeout(MAX_SILENCE, incoming.message()).await {
        Err(_) => Err(StreamError::Silent(MAX_SILENCE)),
        Ok(Err(status)) => Err(Box::new(status).into()),
        Ok(Ok(None)) => Err(StreamError::Ended),
        Ok(Ok(Some(update))) => Ok(update),
    }
}

async fn send(outgoing: &mpsc::Sender<BrokerUpdate>, update: Outgoing) -> Result<(), StreamError> {
    let message = BrokerUpdate { update: Some(update) };
    outgoing.send(message).await.map_err(|_| StreamError::Ended)
}

#[cfg(test)]
#[path = "config_stream_tests.rs"]
mod tests;
