//! The agent of this machine: asks the control plane what should run here, and runs it in this process.
//!
//! It stands where the operator stands in Kubernetes and speaks the same protocol: the control plane cannot tell them
//! apart. Promises that the broker starts from what was asked for last, without waiting for a control plane that is
//! slow or dead, and that the broker goes on when the control plane goes away. Never decides what should exist.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millstream_api::fleet::agent_instruction::Instruction;
use millstream_api::fleet::agent_report::Report;
use millstream_api::fleet::agent_service_client::AgentServiceClient;
use millstream_api::fleet::observed_physical_cluster::Phase;
use millstream_api::fleet::{
    AgentHello, AgentInstruction, AgentReport, DesiredPhysicalCluster, MAX_MESSAGE_BYTES, ObservedPhysicalCluster,
};
use millstream_api::ids::PhysicalClusterId;
use millstream_broker::config::{BrokerConfig, FleetEndpoint, ObjectStoreConfig};
use millstream_broker::start::RunningBroker;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tracing::{debug, error, info, warn};

use crate::credentials::write_private_file;
use crate::failure::chain;

const AGENT_ID: &str = "local";
const BROKER_ID: i32 = 0;
/// Reports that may wait for the control plane.
const MAX_WAITING_REPORTS: usize = 16;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const FIRST_RETRY: Duration = Duration::from_millis(50);
const SLOWEST_RETRY: Duration = Duration::from_secs(5);
const DESIRED_FILE: &str = "desired.json";
/// Partitions of a topic that a client creates without saying how many, as Confluent Cloud has it.
const DEFAULT_PARTITIONS: i32 = 6;
/// One machine, often one consumer: a new group need not wait for others as long as in a data center.
const INITIAL_REBALANCE_DELAY_MS: i32 = 0;

/// What the agent needs. Has no `Debug`: it holds secrets.
pub struct LocalAgentConfig {
    /// Where the fleet protocol is served.
    pub control_plane_url: String,
    pub agent_token: String,
    /// Where what was asked for last is kept.
    pub agent_dir: PathBuf,
    /// What the broker needs apart from what the control plane says.
    pub broker: BrokerParts,
}

/// What this machine gives the broker. Has no `Debug`: it holds secrets.
pub struct BrokerParts {
    pub data_dir: PathBuf,
    pub kafka_listener: std::net::TcpListener,
    pub http_listener: std::net::TcpListener,
    pub advertised_host: String,
    pub advertised_port: u16,
    /// What the control plane hands out to clients.
    pub bootstrap_endpoint: String,
    pub tls: Option<Arc<rustls::ServerConfig>>,
    pub object_store: ObjectStoreConfig,
}

/// What became of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerState {
    /// Nothing was asked for yet.
    Waiting,
    Running,
    Failed(String),
}

/// The agent, running.
pub struct LocalAgent {
    state: watch::Receiver<BrokerState>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl LocalAgent {
    /// Starts the agent.
    pub fn start(config: LocalAgentConfig) -> Self {
        let (sender, state) = watch::channel(BrokerState::Waiting);
        let stop = CancellationToken::new();
        let agent = Agent {
            control_plane_url: config.control_plane_url,
            agent_token: config.agent_token,
            agent_dir: config.agent_dir,
            bootstrap_endpoint: config.broker.bootstrap_endpoint.clone(),
            parts: Some(config.broker),
            running: None,
            state: sender,
        };
        let task = tokio::spawn(agent.run(stop.clone()));
        Self { state, stop, task }
    }

    /// Waits until the broker runs.
    pub async fn broker_is_running(&mut self) -> Result<(), String> {
        let settled = self.state.wait_for(|state| *state != BrokerState::Waiting).await;
        match settled.as_deref() {
            Ok(BrokerState::Failed(reason)) => Err(reason.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err("the local agent ended".to_string()),
        }
    }

    /// Stops the broker, then the agent.
    pub async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            error!(%error, "the local agent failed");
        }
    }
}

/// What was asked for, as it is kept on disk.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Desired {
    physical_cluster_id: PhysicalClusterId,
    generation: u64,
    broker_token: String,
}

struct Agent {
    control_plane_url: String,
    agent_token: String,
    agent_dir: PathBuf,
    bootstrap_endpoint: String,
    /// Taken by the broker when it starts.
    parts: Option<BrokerParts>,
    running: Option<(Desired, RunningBroker)>,
    state: watch::Sender<BrokerState>,
}

impl Agent {
    async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = self.follow_control_plane() => {}
            () = stop.cancelled() => {}
        }
        if let Some((_, broker)) = self.running.take() {
            broker.shutdown().await;
        }
    }

    /// Ends never: a control plane that is away is dialled again.
    async fn follow_control_plane(&mut self) {
        match load_desired(&self.agent_dir) {
            Ok(Some(desired)) => self.start_broker(desired).await,
            Ok(None) => {}
            Err(error) => warn!(%error, "cannot read what was asked for last, asking the control plane"),
        }
        let mut pause = FIRST_RETRY;
        loop {
            match self.sync_once().await {
                Ok(()) => pause = FIRST_RETRY,
                Err(error) => debug!(%error, "lost the control plane"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(SLOWEST_RETRY);
        }
    }

    /// One stream, from hello to its end.
    async fn sync_once(&mut self) -> Result<(), SyncError> {
        let (reports, outgoing) = mpsc::channel(MAX_WAITING_REPORTS);
        let hello = AgentHello {
            agent_id: AGENT_ID.to_string(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            regions: Vec::new(),
        };
        let first = AgentReport { report: Some(Report::Hello(hello)) };
        reports.send(first).await.map_err(|_| SyncError::Ended)?;
        let mut instructions = self.open_stream(outgoing).await?;
        info!("connected to the control plane");
        while let Some(AgentInstruction { instruction }) = instructions.message().await? {
            // A heartbeat, or something that a newer control plane says.
            let Some(Instruction::Desired(desired)) = instruction else { continue };
            let observed = self.carry_out(desired).await;
            let report = AgentReport { report: Some(Report::Observed(observed)) };
            reports.send(report).await.map_err(|_| SyncError::Ended)?;
        }
        Ok(())
    }

    async fn open_stream(
        &self,
        outgoing: mpsc::Receiver<AgentReport>,
    ) -> Result<Streaming<AgentInstruction>, SyncError> {
        let channel: Channel = Endpoint::from_shared(self.control_plane_url.clone())?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .tcp_nodelay(true)
            .connect()
            .await?;
        let token: MetadataValue<Ascii> =
            format!("Bearer {}", self.agent_token).parse().map_err(|_| SyncError::BadToken)?;
        let mut client = AgentServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let mut request = Request::new(ReceiverStream::new(outgoing));
        request.metadata_mut().insert("authorization", token);
        Ok(client.sync(request).await?.into_inner())
    }

    /// Brings about what is asked for and says what is.
    async fn carry_out(&mut self, asked: DesiredPhysicalCluster) -> ObservedPhysicalCluster {
        let observed = |phase: Phase, message: String, endpoint: &str| ObservedPhysicalCluster {
            physical_cluster_id: asked.physical_cluster_id.clone(),
            observed_generation: asked.generation,
            phase: phase.into(),
            message,
            kafka_bootstrap_endpoint: endpoint.to_string(),
        };
        let physical_cluster_id = match asked.physical_cluster_id.parse::<PhysicalClusterId>() {
            Ok(id) => id,
            Err(error) => return observed(Phase::Failed, error.to_string(), ""),
        };
        let hosts_another =
            self.running.as_ref().is_some_and(|(running, _)| running.physical_cluster_id != physical_cluster_id);
        if hosts_another {
            return observed(Phase::Failed, "this machine runs another physical cluster already".to_string(), "");
        }
        if asked.deleted {
            self.stop_broker().await;
            return observed(Phase::Deleted, String::new(), "");
        }
        let desired =
            Desired { physical_cluster_id, generation: asked.generation, broker_token: asked.broker_token.clone() };
        if let Err(error) = save_desired(&self.agent_dir, &desired) {
            // The broker runs all the same; only its next start must wait for the control plane.
            warn!(%error, "cannot keep what was asked for");
        }
        if self.running.is_none() {
            self.start_broker(desired).await;
        }
        let state = self.state.borrow().clone();
        match state {
            BrokerState::Running => observed(Phase::Ready, String::new(), &self.bootstrap_endpoint),
            BrokerState::Failed(reason) => observed(Phase::Failed, reason, ""),
            BrokerState::Waiting => observed(Phase::Provisioning, String::new(), ""),
        }
    }

    async fn start_broker(&mut self, desired: Desired) {
        // A broker that failed has taken the ports with it.
        let Some(parts) = self.parts.take() else { return };
        let config = BrokerConfig {
            physical_cluster_id: desired.physical_cluster_id.clone(),
            broker_id: BROKER_ID,
            data_dir: parts.data_dir,
            kafka_listener: parts.kafka_listener,
            advertised_host: parts.advertised_host,
            advertised_port: parts.advertised_port,
            tls: parts.tls,
            http_listener: parts.http_listener,
            fleet: Some(FleetEndpoint { url: self.control_plane_url.clone(), token: desired.broker_token.clone() }),
            object_store: Some(parts.object_store),
            default_partitions: DEFAULT_PARTITIONS,
            auto_create_topics: true,
            initial_rebalance_delay_ms: INITIAL_REBALANCE_DELAY_MS,
        };
        match millstream_broker::start::start(config).await {
            Ok(broker) => {
                info!(physical_cluster = %desired.physical_cluster_id, "the broker runs");
                self.running = Some((desired, broker));
                self.state.send_replace(BrokerState::Running);
            }
            Err(error) => {
                self.state.send_replace(BrokerState::Failed(chain(&error)));
            }
        }
    }

    /// Stops the broker and forgets that it should run. Its data stays: nobody asked to destroy it.
    async fn stop_broker(&mut self) {
        if let Some((_, broker)) = self.running.take() {
            broker.shutdown().await;
            let reason = "the physical cluster was deleted; its ports are taken again at the next start";
            self.state.send_replace(BrokerState::Failed(reason.to_string()));
        }
        if let Err(error) = forget_desired(&self.agent_dir) {
            warn!(%error, "cannot forget what was asked for");
        }
    }
}

/// Why a stream to the control plane ended.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error("cannot connect: {0}")]
    Connect(#[from] tonic::transport::Error),
    #[error("refused: {0}")]
    Refused(#[from] Status),
    #[error("the agent token cannot be sent")]
    BadToken,
    #[error("the stream has ended")]
    Ended,
}

fn load_desired(folder: &Path) -> io::Result<Option<Desired>> {
    match fs::read(folder.join(DESIRED_FILE)) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn save_desired(folder: &Path, desired: &Desired) -> io::Result<()> {
    let unchanged = load_desired(folder).ok().flatten().is_some_and(|saved| saved == *desired);
    if unchanged {
        return Ok(());
    }
    write_private_file(&folder.join(DESIRED_FILE), &serde_json::to_vec_pretty(desired)?)
}

fn forget_desired(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(DESIRED_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_survives_a_restart_until_it_is_deleted() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(load_desired(folder.path()).expect("read").is_none());
        let desired = Desired {
            physical_cluster_id: "pkc-abc".parse().expect("an id"),
            generation: 3,
            broker_token: "token".into(),
        };
        save_desired(folder.path(), &desired).expect("saved");
        assert!(load_desired(folder.path()).expect("read").is_some_and(|loaded| loaded == desired));
        forget_desired(folder.path()).expect("forgotten");
        forget_desired(folder.path()).expect("forgotten twice");
        assert!(load_desired(folder.path()).expect("read").is_none());
    }
}
