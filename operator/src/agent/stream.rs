//! One stream to the control plane: wishes come in, observations go out.
//!
//! Promises: each wish is carried out, and again until it is; what changes is reported within seconds, and everything at
//! the beginning of a stream; nothing is deleted whose deletion was not said on this stream; one physical cluster at a time
//! is upgraded.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use kube::ResourceExt as _;
use millstream_api::fleet::agent_instruction::Instruction;
use millstream_api::fleet::agent_report::Report;
use millstream_api::fleet::{
    AgentHello, AgentInstruction, AgentReport, DesiredPhysicalCluster, HEARTBEAT_INTERVAL_MS, ObservedPhysicalCluster,
    Region,
};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};
use tracing::{info, warn};

use super::Agent;
use super::connection::{DialError, dial};
use super::desired::{self, MANAGED_BY};
use super::observed;
use super::resources::is_refusal;
use super::settings::SharedCapacity;
use crate::crd::KafkaCluster;

/// Reports that may wait for the control plane.
const MAX_WAITING_REPORTS: usize = 64;
/// Physical clusters of one agent at most: each is a resource, and a report.
const MAX_CLUSTERS: usize = 5_000;
/// How often resources are looked at, and wishes that failed are tried again.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How often every wish is carried out again: what somebody changed by hand becomes what it should be.
const RESYNC_INTERVAL: Duration = Duration::from_secs(600);
/// A stream on which nothing came for this long is dead.
const MAX_SILENCE: Duration = Duration::from_millis(5 * HEARTBEAT_INTERVAL_MS);

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// It did not begin.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The control plane refused or the connection broke.
    #[error("the control plane answered {:?}: {}", .0.code(), .0.message())]
    Refused(#[from] Box<Status>),
    /// The control plane ended it.
    #[error("the control plane ended the stream")]
    Ended,
    /// Nothing came, not even a heartbeat.
    #[error("nothing was heard from the control plane for {} s", .0.as_secs())]
    Silent(Duration),
    /// More wishes than one agent can have.
    #[error("the control plane wants more than {MAX_CLUSTERS} physical clusters here")]
    TooMany,
}

/// Follows one stream to its end. Sets `got_through` once the control plane said something.
pub async fn sync(agent: &Agent, got_through: &mut bool) -> Result<Infallible, SyncError> {
    let mut connection = dial(&agent.settings.control_plane).await?;
    let (reports, outgoing) = mpsc::channel(MAX_WAITING_REPORTS);
    let first = AgentReport { report: Some(Report::Hello(hello(agent))) };
    reports.send(first).await.map_err(|_| SyncError::Ended)?;
    let mut request = Request::new(ReceiverStream::new(outgoing));
    request.metadata_mut().insert("authorization", connection.authorization);
    let mut instructions = connection.client.sync(request).await.map_err(Box::new)?.into_inner();
    let mut session = Session {
        agent,
        reports,
        wanted: BTreeMap::new(),
        undone: BTreeSet::new(),
        held: BTreeSet::new(),
        told: BTreeMap::new(),
    };
    let mut look = interval(LOOK_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut resync = interval(RESYNC_INTERVAL);
    resync.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once, when there is nothing to do yet.
    resync.tick().await;
    let mut heard = tokio::time::Instant::now();
    loop {
        tokio::select! {
            instruction = instructions.message() => {
                let instruction = instruction.map_err(Box::new)?.ok_or(SyncError::Ended)?;
                heard = tokio::time::Instant::now();
                if !*got_through {
                    *got_through = true;
                    info!("agent {}: connected to the control plane", agent.settings.agent_id);
                }
                session.follow(instruction).await?;
            }
            _ = look.tick() => {
                if heard.elapsed() > MAX_SILENCE {
                    return Err(SyncError::Silent(MAX_SILENCE));
                }
                session.look().await?;
            }
            _ = resync.tick() => session.begin_again(),
        }
    }
}

fn hello(agent: &Agent) -> AgentHello {
    let regions = agent.settings.regions.iter();
    AgentHello {
        agent_id: agent.settings.agent_id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        regions: regions.map(|place| Region { cloud: place.cloud.clone(), region: place.region.clone() }).collect(),
        boot_id: agent.boot_id.clone(),
        max_shared: agent.settings.brokers.max_shared,
    }
}

struct Session<'a> {
    agent: &'a Agent,
    reports: mpsc::Sender<AgentReport>,
    /// What was said on this stream, by physical cluster.
    wanted: BTreeMap<String, DesiredPhysicalCluster>,
    /// Of these, what is not carried out yet.
    undone: BTreeSet<String>,
    /// What is carried out but for the upgrade, which waits for that of another one.
    held: BTreeSet<String>,
    /// What was reported last, by physical cluster.
    told: BTreeMap<String, ObservedPhysicalCluster>,
}

impl Session<'_> {
    async fn follow(&mut self, instruction: AgentInstruction) -> Result<(), SyncError> {
        // A heartbeat, or something that a newer control plane says.
        let Some(Instruction::Desired(desired)) = instruction.instruction else { return Ok(()) };
        let id = desired.physical_cluster_id.clone();
        self.wanted.insert(id.clone(), desired);
        if self.wanted.len() > MAX_CLUSTERS {
            return Err(SyncError::TooMany);
        }
        self.undone.insert(id.clone());
        self.carry_out(&id).await
    }

    /// Tries again what is not done, and reports what has changed.
    async fn look(&mut self) -> Result<(), SyncError> {
        for id in self.undone.clone() {
            self.carry_out(&id).await?;
        }
        let clusters = match self.agent.resources.list().await {
            Ok(clusters) => clusters,
            Err(error) => {
                warn!("cannot look at the resources KafkaCluster, trying again: {error}");
                return Ok(());
            }
        };
        let is_there = |id: &str| clusters.iter().any(|cluster| cluster.spec.physical_cluster_id == id);
        for (id, desired) in &self.wanted {
            // Somebody deleted it by hand: it is made again.
            if !desired.deleted && !is_there(id) {
                self.undone.insert(id.clone());
            }
        }
        if self.upgrading(&clusters).is_none() {
            self.undone.extend(self.held.pop_first());
        }
        for cluster in clusters {
            let id = &cluster.spec.physical_cluster_id;
            let desired = self.wanted.get(id);
            let is_going = desired.is_some_and(|desired| desired.deleted);
            let is_shared = desired.is_none_or(|desired| desired.dedicated_to.is_empty());
            let capacity = match is_shared {
                true => self.agent.settings.brokers.shared_capacity,
                false => SharedCapacity::default(),
            };
            if !is_going
                && !self.undone.contains(id)
                && let Some(observed) = observed::observe(&cluster, capacity)
            {
                self.tell(observed).await?;
            }
        }
        Ok(())
    }

    fn begin_again(&mut self) {
        self.undone.extend(self.wanted.keys().cloned());
        self.told.clear();
    }

    async fn carry_out(&mut self, id: &str) -> Result<(), SyncError> {
        let Some(desired) = self.wanted.get(id).cloned() else { return Ok(()) };
        let done = match desired.deleted {
            true => self.remove(&desired).await,
            false => self.write(&desired).await,
        };
        match done {
            Ok(Outcome::Written) => {
                self.undone.remove(id);
                self.held.remove(id);
                Ok(())
            }
            Ok(Outcome::Held { by }) => {
                self.undone.remove(id);
                if self.held.insert(id.to_owned()) {
                    info!("the upgrade of {id} waits for that of {by}");
                }
                Ok(())
            }
            Ok(Outcome::Gone) => {
                self.undone.remove(id);
                self.held.remove(id);
                self.tell(observed::deleted(id, desired.generation)).await
            }
            // It is looked at again.
            Ok(Outcome::Going) => Ok(()),
            Ok(Outcome::NotOurs) => {
                let message =
                    format!("a KafkaCluster {id} exists that the agent did not make: remove it, or its label");
                self.tell(observed::failed(id, desired.generation, message)).await
            }
            Err(error) if is_refusal(&error) && !desired.deleted => {
                let message = format!("Kubernetes refuses the resource KafkaCluster {id}: {error}");
                self.tell(observed::failed(id, desired.generation, message)).await
            }
            Err(error) => {
                warn!(physical_cluster = id, "cannot carry out what is wanted of {id}, trying again: {error}");
                Ok(())
            }
        }
    }

    async fn write(&self, desired: &DesiredPhysicalCluster) -> kube::Result<Outcome> {
        let resources = &self.agent.resources;
        let existing = resources.get(&desired.physical_cluster_id).await?;
        if existing.as_ref().is_some_and(|existing| !is_ours(existing)) {
            return Ok(Outcome::NotOurs);
        }
        let settings = &self.agent.settings;
        if let Some(existing) = existing.as_ref().filter(|existing| !desired::is_upgraded(settings, existing))
            && let Some(by) = self.upgrading(&resources.list().await?)
        {
            let resource = desired::resource_without_upgrade(settings, desired, existing);
            resources.apply(&desired::token_secret(desired), &resource).await?;
            return Ok(Outcome::Held { by });
        }
        let resource = desired::resource(settings, desired, existing.as_ref());
        resources.apply(&desired::token_secret(desired), &resource).await?;
        if existing.is_none() {
            info!("made the resource KafkaCluster {}", desired.physical_cluster_id);
        }
        Ok(Outcome::Written)
    }

    /// The one that has the version of the settings and is not ready with it: what it ran before may not be the reason.
    fn upgrading(&self, clusters: &[KafkaCluster]) -> Option<String> {
        let settings = &self.agent.settings;
        let is_going = |cluster: &KafkaCluster| cluster.metadata.deletion_timestamp.is_some();
        let is_upgrading = |cluster: &&KafkaCluster| {
            desired::is_upgraded(settings, cluster) && !is_going(cluster) && !observed::is_settled(cluster)
        };
        clusters.iter().find(is_upgrading).map(|cluster| cluster.spec.physical_cluster_id.clone())
    }

    async fn remove(&self, desired: &DesiredPhysicalCluster) -> kube::Result<Outcome> {
        let resources = &self.agent.resources;
        let id = &desired.physical_cluster_id;
        match resources.get(id).await? {
            Some(existing) if !is_ours(&existing) => Ok(Outcome::NotOurs),
            Some(existing) => {
                if existing.metadata.deletion_timestamp.is_none() {
                    info!("deleting the resource KafkaCluster {id}, as the control plane said");
                    resources.delete(&existing).await?;
                }
                Ok(Outcome::Going)
            }
            None => {
                resources.delete_secret(&desired::token_secret_name(id)).await?;
                Ok(Outcome::Gone)
            }
        }
    }

    /// Reports what was not reported before.
    async fn tell(&mut self, observed: ObservedPhysicalCluster) -> Result<(), SyncError> {
        let id = observed.physical_cluster_id.clone();
        if self.told.get(&id) == Some(&observed) {
            return Ok(());
        }
        self.told.insert(id, observed.clone());
        let report = AgentReport { report: Some(Report::Observed(observed)) };
        self.reports.send(report).await.map_err(|_| SyncError::Ended)
    }
}

/// How far a wish is.
enum Outcome {
    /// The resource is what it should be.
    Written,
    /// The same, but for the upgrade: that of another one is not through.
    Held { by: String },
    /// Somebody else made the resource.
    NotOurs,
    /// The resource is being deleted.
    Going,
    /// Nothing of it is left.
    Gone,
}

fn is_ours(cluster: &KafkaCluster) -> bool {
    cluster.labels().get(MANAGED_BY.0).is_some_and(|value| value == MANAGED_BY.1)
}
