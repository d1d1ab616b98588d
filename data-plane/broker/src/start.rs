//! Starting and stopping a broker.
//!
//! Promises: `start` returns when the broker answers clients from its last state; a failure names its cause and
//! leaves nothing behind. `shutdown` ends every task and closes every log, so that the next start is quick.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use millstream_log::OpenMode;
use millstream_metadata::decide::{BrokerRequest, register_broker, unfence_broker};
use millstream_metadata::raft::{MetadataGroup, StartError as MetadataStartError, VoterId};
use millstream_metadata::records::Endpoint;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::authorizer::Authorizer;
use crate::broker::{AdvertisedListener, Broker, Settings};
use crate::config::{BrokerConfig, KafkaListener};
use crate::connections::ConnectionRegistry;
use crate::data_dir::{DataDir, DataDirError};
use crate::fleet::{config_stream, forward, image_file, tenant_deletion};
use crate::groups::config::GroupConfig;
use crate::groups::coordinator::{GroupCoordinator, StartError as GroupStartError};
use crate::http;
use crate::metadata_backup;
use crate::metering::{self, Metering};
use crate::metrics::Metrics;
use crate::network::listener;
use crate::object_store::ObjectStore;
use crate::partitions::Partitions;
use crate::producer_ids::ProducerIds;
use crate::quotas::Quotas;
use crate::tenants::TenantDirectory;
use crate::topics;

/// How often logs are flushed and retention is applied (Kafka: five minutes, and flushes only when a segment closes).
const UPKEEP_INTERVAL: Duration = Duration::from_secs(60);
/// How long connections and tasks get to end at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// What the control plane said last cannot be read.
    #[error(transparent)]
    Tenants(#[from] image_file::OpenError),
    /// The cluster metadata cannot be read.
    #[error(transparent)]
    Metadata(#[from] MetadataStartError),
    /// Another broker has this id.
    #[error("cannot register broker {broker_id}: {reason}")]
    Register {
        /// The id.
        broker_id: i32,
        /// Why.
        reason: String,
    },
    /// The state of consumer groups cannot be read.
    #[error(transparent)]
    Groups(#[from] GroupStartError),
    /// A listener cannot be used.
    #[error("cannot use the {listener} listener: {source}")]
    Listener {
        /// Which.
        listener: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A broker that runs. Dropping it without `shutdown` is a crash: safe, but the next start is slower.
pub struct RunningBroker {
    pub(crate) broker: Arc<Broker>,
    data_dir: DataDir,
    stop: CancellationToken,
    tasks: Vec<(&'static str, JoinHandle<()>)>,
    backup: Option<metadata_backup::MetadataBackup>,
}

/// Starts a broker.
pub async fn start(config: BrokerConfig) -> Result<RunningBroker, StartError> {
    let data_dir = DataDir::open(&config.data_dir)?;
    let was_clean = data_dir.take_clean_shutdown()?;
    if !was_clean {
        info!("the last stop was not clean or this is the first start: checking the ends of all logs");
    }
    let mut listeners = Vec::with_capacity(config.listeners.len());
    for KafkaListener { name, socket, advertised_host, advertised_port, tls } in config.listeners {
        let advertised = Arc::new(AdvertisedListener { name, host: advertised_host, port: advertised_port });
        listeners.push((to_tokio(socket, "Kafka")?, advertised, tls));
    }
    let http_listener = to_tokio(config.http_listener, "HTTP")?;
    if let Ok(address) = http_listener.local_addr() {
        info!(%address, "health, metrics and kafka/v3 are served at http://{address}");
    }
    let tenants = Arc::new(TenantDirectory::open(&data_dir.join("tenants"))?);
    let voter_id = VoterId::try_from(config.broker_id).unwrap_or_default();
    let metadata = MetadataGroup::start(&data_dir.join("metadata"), voter_id).await?;
    let settings = Settings {
        physical_cluster_id: config.physical_cluster_id,
        broker_id: config.broker_id,
        listeners: listeners.iter().map(|(_, advertised, _)| Arc::clone(advertised)).collect(),
        default_partitions: config.default_partitions,
        auto_create_topics: config.auto_create_topics,
        open_metrics: config.open_metrics,
    };
    register(&metadata, &settings).await?;
    let group_config =
        GroupConfig { initial_rebalance_delay_ms: config.initial_rebalance_delay_ms, ..GroupConfig::default() };
    let groups = GroupCoordinator::start(&data_dir.join("groups"), group_config).await?;
    let open_mode = if was_clean { OpenMode::Clean } else { OpenMode::Unclean };
    let broker = Arc::new(Broker {
        partitions: Partitions::new(data_dir.join("partitions"), open_mode),
        producer_ids: ProducerIds::new(settings.broker_id),
        authorizer: Authorizer::new(Arc::clone(&tenants), metadata.subscribe()),
        settings,
        metadata,
        groups,
        metering: Metering::default(),
        quotas: Arc::new(Quotas::new(Arc::clone(&tenants))),
        tenants,
        connections: Arc::new(ConnectionRegistry::default()),
        metrics: Arc::new(Metrics::default()),
        fleet: Arc::default(),
        backup: Arc::default(),
    });
    topics::follow_metadata(&broker).await;

    let stop = CancellationToken::new();
    let mut tasks = Vec::new();
    let mut own = |name: &'static str, task: JoinHandle<()>| tasks.push((name, task));
    for (socket, advertised, tls) in listeners {
        let accepting = listener::run(Arc::clone(&broker), socket, advertised, tls, stop.clone());
        own("Kafka listener", tokio::spawn(accepting));
    }
    if config.fleet.is_some() {
        // Before anybody asks whether the broker is ready.
        broker.fleet.set_configured();
    }
    own("HTTP listener", tokio::spawn(http::serve(Arc::clone(&broker), http_listener, stop.clone())));
    own("metadata follower", tokio::spawn(follow_metadata(Arc::clone(&broker), stop.clone())));
    own("log upkeep", tokio::spawn(keep_logs(Arc::clone(&broker), stop.clone())));
    own("metering", tokio::spawn(metering::run(Arc::clone(&broker), stop.clone())));
    own("tenant deletion", tokio::spawn(tenant_deletion::run(Arc::clone(&broker), stop.clone())));
    if let Some(fleet) = config.fleet {
        own("config stream", tokio::spawn(config_stream::run(Arc::clone(&broker), fleet.clone(), stop.clone())));
        own("forwarded requests", tokio::spawn(forward::run(Arc::clone(&broker), fleet, stop.clone())));
    }
    let backup = match config.object_store {
        None => None,
        Some(object_store) => {
            let store = ObjectStore::connect(&object_store).await;
            let backup = metadata_backup::MetadataBackup::new(Arc::clone(&broker), store);
            own("metadata backup", tokio::spawn(backup.clone().run(stop.clone())));
            Some(backup)
        }
    };
    Ok(RunningBroker { broker, data_dir, stop, tasks, backup })
}

impl RunningBroker {
    /// Whether the broker has a configuration image, so that it can let clients in.
    pub fn has_configuration(&self) -> bool {
        self.broker.tenants.position().epoch != 0
    }

    /// Stops: no new requests, tasks end, logs are closed and marked clean.
    pub async fn shutdown(self) {
        self.stop.cancel();
        let deadline = tokio::time::Instant::now() + SHUTDOWN_TIMEOUT;
        for (name, task) in self.tasks {
            match tokio::time::timeout_at(deadline, task).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => error!(%error, task = name, "a task of the broker failed"),
                Err(_) => warn!(task = name, "a task of the broker did not end in time"),
            }
        }
        if let Some(backup) = self.backup {
            backup.upload_last().await;
        }
        self.broker.groups.shutdown().await;
        let closing = Arc::clone(&self.broker);
        let clean = tokio::task::spawn_blocking(move || closing.partitions.close()).await.unwrap_or(false);
        self.broker.metadata.shutdown().await;
        if clean && let Err(error) = self.data_dir.mark_clean_shutdown() {
            warn!(%error, "cannot mark the shutdown as clean, the next start will check all logs");
        }
    }
}

fn to_tokio(listener: std::net::TcpListener, name: &'static str) -> Result<TcpListener, StartError> {
    let failed = |source| StartError::Listener { listener: name, source };
    listener.set_nonblocking(true).map_err(failed)?;
    TcpListener::from_std(listener).map_err(failed)
}

/// Registers this run of the process and opens it to clients.
async fn register(metadata: &MetadataGroup, settings: &Settings) -> Result<(), StartError> {
    let broker_id = settings.broker_id;
    let refused = |reason: String| StartError::Register { broker_id, reason };
    let request = BrokerRequest {
        broker_id,
        incarnation_id: Uuid::new_v4(),
        rack: None,
        endpoints: settings.listeners.iter().map(|listener| endpoint(listener)).collect(),
    };
    let registered = metadata
        .decide(move |image| register_broker(image, &request))
        .await
        .map_err(|error| refused(error.to_string()))?;
    metadata
        .decide(move |image| unfence_broker(image, broker_id, registered.broker_epoch))
        .await
        .map_err(|error| refused(error.to_string()))?;
    Ok(())
}

fn endpoint(listener: &AdvertisedListener) -> Endpoint {
    Endpoint { listener: listener.name.clone(), host: listener.host.clone(), port: listener.port }
}

/// Follows metadata that somebody else wrote; what this broker wrote was followed when it was answered.
async fn follow_metadata(broker: Arc<Broker>, stop: CancellationToken) {
    let mut images = broker.metadata.subscribe();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = images.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
        images.borrow_and_update();
        topics::follow_metadata(&broker).await;
    }
}

async fn keep_logs(broker: Arc<Broker>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let upkeep = Arc::clone(&broker);
        let kept = tokio::task::spawn_blocking(move || {
            upkeep.partitions.flush();
            upkeep.partitions.apply_retention();
        });
        if let Err(error) = kept.await {
            error!(%error, "the upkeep of logs was interrupted");
        }
    }
}
