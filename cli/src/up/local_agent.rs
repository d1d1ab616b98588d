//! The agent of this machine: asks the control plane what should run here, and runs it in this process.
//!
//! It stands where the operator stands in Kubernetes and speaks the same protocol: the control plane cannot tell them
//! apart. One shared physical cluster on the ports of the command line, and a broker for each dedicated one. Promises
//! that brokers start from what was asked for last, without waiting for a control plane that is slow or dead, and that
//! they go on when the control plane goes away. Never decides what should exist.

use std::io;
use std::net::{IpAddr, TcpListener};
use std::path::PathBuf;
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
use millstream_broker::config::{BrokerConfig, FleetEndpoint, KafkaListener, ObjectStoreConfig};
use millstream_broker::start::RunningBroker;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tracing::{debug, error, info, warn};

use super::dedicated::Dedicated;
use super::desired::{self, Desired};
use super::listeners::host_and_port;
use crate::failure::chain;

const AGENT_ID: &str = "local";
const BROKER_ID: i32 = 0;
/// The only listener of a broker here.
const LISTENER: &str = "EXTERNAL";
/// Reports that may wait for the control plane.
const MAX_WAITING_REPORTS: usize = 16;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const FIRST_RETRY: Duration = Duration::from_millis(50);
const SLOWEST_RETRY: Duration = Duration::from_secs(5);
/// Partitions of a topic that a client creates without saying how many, as Confluent Cloud has it.
const DEFAULT_PARTITIONS: i32 = 6;
/// One machine, often one consumer: a new group need not wait for others as long as in a data center.
const INITIAL_REBALANCE_DELAY_MS: i32 = 0;

/// What the agent needs. Has no `Debug`: it holds secrets.
pub struct LocalAgentConfig {
    pub agent_token: String,
    pub machine: Machine,
    pub shared: SharedParts,
}

/// What this machine gives every broker. Has no `Debug`: it holds secrets.
pub struct Machine {
    /// Where the fleet protocol is served.
    pub control_plane_url: String,
    /// Where what was asked for last is kept.
    pub agent_dir: PathBuf,
    /// Below it is a data directory for each dedicated physical cluster.
    pub dedicated_dir: PathBuf,
    /// The folder with the buckets of the object store.
    pub object_store_dir: PathBuf,
    /// Address that brokers listen on for clients.
    pub bind: IpAddr,
    /// Host that clients are told to connect to.
    pub advertised_host: String,
    pub tls: Option<Arc<rustls::ServerConfig>>,
    pub object_store: ObjectStoreConfig,
}

/// What belongs to the broker of the shared physical cluster.
pub struct SharedParts {
    pub data_dir: PathBuf,
    pub kafka_listener: TcpListener,
    pub http_listener: TcpListener,
    pub kafka_port: u16,
}

impl Machine {
    /// How one broker is started here.
    pub fn broker_config(
        &self,
        desired: &Desired,
        data_dir: PathBuf,
        kafka_listener: TcpListener,
        http_listener: TcpListener,
        kafka_port: u16,
    ) -> BrokerConfig {
        BrokerConfig {
            physical_cluster_id: desired.physical_cluster_id.clone(),
            broker_id: BROKER_ID,
            data_dir,
            listeners: vec![KafkaListener {
                name: LISTENER.to_string(),
                socket: kafka_listener,
                advertised_host: self.advertised_host.clone(),
                advertised_port: kafka_port,
                tls: self.tls.clone(),
            }],
            http_listener,
            open_metrics: false,
            fleet: Some(FleetEndpoint::plain(&self.control_plane_url, &desired.broker_token)),
            object_store: Some(self.object_store.clone()),
            default_partitions: DEFAULT_PARTITIONS,
            auto_create_topics: true,
            initial_rebalance_delay_ms: INITIAL_REBALANCE_DELAY_MS,
        }
    }
}

/// What became of the broker of the shared physical cluster.
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
            agent_token: config.agent_token,
            boot_id: uuid::Uuid::new_v4().to_string(),
            shared_endpoint: host_and_port(&config.machine.advertised_host, config.shared.kafka_port),
            machine: config.machine,
            shared_parts: Some(config.shared),
            shared: None,
            dedicated: Dedicated::default(),
            state: sender,
        };
        let task = tokio::spawn(agent.run(stop.clone()));
        Self { state, stop, task }
    }

    /// Waits until the broker of the shared physical cluster runs.
    pub async fn broker_is_running(&mut self) -> Result<(), String> {
        let settled = self.state.wait_for(|state| *state != BrokerState::Waiting).await;
        match settled.as_deref() {
            Ok(BrokerState::Failed(reason)) => Err(reason.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err("the local agent ended".to_string()),
        }
    }

    /// Stops the brokers, then the agent.
    pub async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            error!(%error, "the local agent failed");
        }
    }
}

struct Agent {
    agent_token: String,
    /// New with each start of the process.
    boot_id: String,
    machine: Machine,
    /// Where clients of the shared physical cluster connect.
    shared_endpoint: String,
    /// Taken by the broker when it starts.
    shared_parts: Option<SharedParts>,
    shared: Option<(Desired, RunningBroker)>,
    dedicated: Dedicated,
    state: watch::Sender<BrokerState>,
}

impl Agent {
    async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = self.follow_control_plane() => {}
            () = stop.cancelled() => {}
        }
        if let Some((_, broker)) = self.shared.take() {
            broker.shutdown().await;
        }
        self.dedicated.shutdown().await;
    }

    /// Ends never: a control plane that is away is dialled again.
    async fn follow_control_plane(&mut self) {
        match desired::load_shared(&self.machine.agent_dir) {
            Ok(Some(desired)) => self.start_shared(desired).await,
            Ok(None) => {}
            Err(error) => warn!(%error, "cannot read what was asked for last, asking the control plane"),
        }
        self.dedicated.start_saved(&self.machine).await;
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
            boot_id: self.boot_id.clone(),
            max_shared: 1,
        };
        let first = AgentReport { report: Some(Report::Hello(hello)) };
        reports.send(first).await.map_err(|_| SyncError::Ended)?;
        let mut instructions = self.open_stream(outgoing).await?;
        info!("connected to the control plane");
        while let Some(AgentInstruction { instruction }) = instructions.message().await? {
            // A heartbeat, or something that a newer control plane says.
            let Some(Instruction::Desired(desired)) = instruction else { continue };
            let observed = self.carry_out(desired).await?;
            let report = AgentReport { report: Some(Report::Observed(observed)) };
            reports.send(report).await.map_err(|_| SyncError::Ended)?;
        }
        Ok(())
    }

    async fn open_stream(
        &self,
        outgoing: mpsc::Receiver<AgentReport>,
    ) -> Result<Streaming<AgentInstruction>, SyncError> {
        let channel: Channel = Endpoint::from_shared(self.machine.control_plane_url.clone())?
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
    async fn carry_out(&mut self, asked: DesiredPhysicalCluster) -> Result<ObservedPhysicalCluster, SyncError> {
        let mut observed = ObservedPhysicalCluster {
            physical_cluster_id: asked.physical_cluster_id.clone(),
            observed_generation: asked.generation,
            ..ObservedPhysicalCluster::default()
        };
        let outcome = match asked.physical_cluster_id.parse::<PhysicalClusterId>() {
            Err(error) => Outcome::Failed(error.to_string()),
            Ok(id) if asked.dedicated_to.is_empty() => self.carry_out_shared(id, &asked).await,
            Ok(id) if asked.deleted => {
                self.dedicated.delete(&self.machine, &id).await.map_err(SyncError::Delete)?;
                Outcome::Deleted
            }
            Ok(id) => match self.dedicated.ensure(&self.machine, &id, &asked).await {
                Ok(endpoint) => Outcome::Ready(endpoint),
                Err(reason) => Outcome::Failed(reason),
            },
        };
        let phase = match outcome {
            Outcome::Ready(endpoint) => {
                observed.kafka_bootstrap_endpoint = endpoint;
                Phase::Ready
            }
            Outcome::Failed(reason) => {
                observed.message = reason;
                Phase::Failed
            }
            Outcome::Deleted => Phase::Deleted,
        };
        observed.phase = phase.into();
        Ok(observed)
    }

    async fn carry_out_shared(&mut self, id: PhysicalClusterId, asked: &DesiredPhysicalCluster) -> Outcome {
        let runs_another = self.shared.as_ref().is_some_and(|(running, _)| running.physical_cluster_id != id);
        if runs_another {
            return Outcome::Failed("this machine runs another shared physical cluster already".to_string());
        }
        if asked.deleted {
            self.stop_shared().await;
            return Outcome::Deleted;
        }
        let desired = Desired {
            physical_cluster_id: id,
            generation: asked.generation,
            broker_token: asked.broker_token.clone(),
            dedicated_to: String::new(),
            kafka_port: 0,
        };
        if let Err(error) = desired.save(&self.machine.agent_dir) {
            // The broker runs all the same; only its next start must wait for the control plane.
            warn!(%error, "cannot keep what was asked for");
        }
        if self.shared.is_none() {
            self.start_shared(desired).await;
        }
        let state = self.state.borrow().clone();
        match state {
            BrokerState::Running => Outcome::Ready(self.shared_endpoint.clone()),
            BrokerState::Failed(reason) => Outcome::Failed(reason),
            BrokerState::Waiting => Outcome::Failed("the broker was not started".to_string()),
        }
    }

    async fn start_shared(&mut self, desired: Desired) {
        // A broker that failed has taken the ports with it.
        let Some(parts) = self.shared_parts.take() else { return };
        let SharedParts { data_dir, kafka_listener, http_listener, kafka_port } = parts;
        let config = self.machine.broker_config(&desired, data_dir, kafka_listener, http_listener, kafka_port);
        match millstream_broker::start::start(config).await {
            Ok(broker) => {
                info!(physical_cluster = %desired.physical_cluster_id, "the broker runs");
                self.shared = Some((desired, broker));
                self.state.send_replace(BrokerState::Running);
            }
            Err(error) => {
                self.state.send_replace(BrokerState::Failed(chain(&error)));
            }
        }
    }

    /// Stops the broker and forgets that it should run. Its data stays: nobody asked to destroy it.
    async fn stop_shared(&mut self) {
        if let Some((_, broker)) = self.shared.take() {
            broker.shutdown().await;
            let reason = "the physical cluster was deleted; its ports are taken again at the next start";
            self.state.send_replace(BrokerState::Failed(reason.to_string()));
        }
        if let Err(error) = desired::forget_shared(&self.machine.agent_dir) {
            warn!(%error, "cannot forget what was asked for");
        }
    }
}

/// What became of an instruction.
enum Outcome {
    /// It runs, and clients connect there.
    Ready(String),
    Failed(String),
    Deleted,
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
    /// Asked again after the next hello.
    #[error("cannot delete a dedicated cluster: {0}")]
    Delete(#[source] io::Error),
    #[error("the stream has ended")]
    Ended,
}
