//! Dedicated physical clusters on this machine: one broker each, in this process, with a data directory and ports of
//! its own.
//!
//! Promises: a broker comes back at the same port after a restart, if the port is still to be had; of one that was
//! deleted nothing is left, neither on the disk nor in the object store.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use millstream_api::fleet::DesiredPhysicalCluster;
use millstream_api::ids::PhysicalClusterId;
use millstream_broker::start::RunningBroker;
use tracing::{info, warn};

use super::desired::{self, Desired};
use super::listeners::host_and_port;
use super::local_agent::Machine;
use super::object_store;
use crate::failure::chain;

/// Dedicated physical clusters on one machine: each costs memory, ports and files.
const MAX_DEDICATED: usize = 16;

/// The dedicated physical clusters, running.
#[derive(Default)]
pub struct Dedicated {
    running: BTreeMap<PhysicalClusterId, (Desired, RunningBroker)>,
}

impl Dedicated {
    /// Starts those that were asked for before. One that does not start is tried again when it is asked for again.
    pub async fn start_saved(&mut self, machine: &Machine) {
        let saved = match desired::load_dedicated(&machine.agent_dir) {
            Ok(saved) => saved,
            Err(error) => return warn!(%error, "cannot read which dedicated clusters were asked for last"),
        };
        for desired in saved {
            let id = desired.physical_cluster_id.clone();
            if let Err(reason) = self.start(machine, desired).await {
                warn!(physical_cluster = %id, "cannot start the broker of {id}: {reason}");
            }
        }
    }

    /// Sees to it that one runs, and returns where its clients connect.
    pub async fn ensure(
        &mut self,
        machine: &Machine,
        id: &PhysicalClusterId,
        asked: &DesiredPhysicalCluster,
    ) -> Result<String, String> {
        let kafka_port = self.running.get(id).map_or(0, |(running, _)| running.kafka_port);
        let kafka_port = if kafka_port == 0 { saved_port(machine, id) } else { kafka_port };
        let desired = Desired {
            physical_cluster_id: id.clone(),
            generation: asked.generation,
            broker_token: asked.broker_token.clone(),
            dedicated_to: asked.dedicated_to.clone(),
            kafka_port,
        };
        let is_full = self.running.len() >= MAX_DEDICATED;
        match self.running.get_mut(id) {
            Some((running, _)) => {
                *running = desired;
                keep(machine, running);
            }
            None if is_full => return Err(format!("this machine runs {MAX_DEDICATED} dedicated clusters already")),
            None => self.start(machine, desired).await?,
        }
        let port = self.running.get(id).map_or(0, |(running, _)| running.kafka_port);
        Ok(host_and_port(&machine.advertised_host, port))
    }

    async fn start(&mut self, machine: &Machine, mut desired: Desired) -> Result<(), String> {
        let no_port = |error: io::Error| format!("cannot listen on {}: {error}", machine.bind);
        let kafka_listener = bind_again(machine.bind, desired.kafka_port).map_err(no_port)?;
        let http_listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(no_port)?;
        desired.kafka_port = kafka_listener.local_addr().map_err(no_port)?.port();
        // The port must be known before a client is told of it.
        keep(machine, &desired);
        let data_dir = data_dir(machine, &desired.physical_cluster_id);
        let config = machine.broker_config(&desired, data_dir, kafka_listener, http_listener, desired.kafka_port);
        let broker = millstream_broker::start::start(config).await.map_err(|error| chain(&error))?;
        let id = desired.physical_cluster_id.clone();
        info!(physical_cluster = %id, logical_cluster = desired.dedicated_to, "the broker of {id} runs");
        self.running.insert(id, (desired, broker));
        Ok(())
    }

    /// Stops one and removes everything that it has written. Does nothing to one that is gone.
    pub async fn delete(&mut self, machine: &Machine, id: &PhysicalClusterId) -> io::Result<()> {
        // Forgotten last: what is left after a failure or a crash is deleted when it is asked for again.
        if let Some((_, broker)) = self.running.remove(id) {
            broker.shutdown().await;
        }
        remove_folder(&data_dir(machine, id)).await?;
        object_store::remove_prefix(&machine.object_store_dir, id.as_str()).await?;
        desired::forget_dedicated(&machine.agent_dir, id)?;
        info!(physical_cluster = %id, "the broker of {id} and its data are removed");
        Ok(())
    }

    /// Stops all of them.
    pub async fn shutdown(self) {
        for (_, broker) in self.running.into_values() {
            broker.shutdown().await;
        }
    }
}

fn data_dir(machine: &Machine, id: &PhysicalClusterId) -> PathBuf {
    machine.dedicated_dir.join(id.as_str())
}

fn saved_port(machine: &Machine, id: &PhysicalClusterId) -> u16 {
    let saved = desired::load_dedicated(&machine.agent_dir).unwrap_or_default();
    saved.iter().find(|desired| desired.physical_cluster_id == *id).map_or(0, |desired| desired.kafka_port)
}

fn keep(machine: &Machine, desired: &Desired) {
    if let Err(error) = desired.save(&machine.agent_dir) {
        // The broker runs all the same; only its next start must wait for the control plane.
        warn!(%error, physical_cluster = %desired.physical_cluster_id, "cannot keep what was asked for");
    }
}

/// The port that it had; another one if somebody else has taken it, which clients learn from the control plane.
fn bind_again(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((address, port)) {
        Err(error) if port != 0 && error.kind() == io::ErrorKind::AddrInUse => {
            warn!(port, "port {port} of a dedicated cluster is in use: it moves to another one");
            TcpListener::bind((address, 0))
        }
        bound => bound,
    }
}

async fn remove_folder(folder: &Path) -> io::Result<()> {
    match tokio::fs::remove_dir_all(folder).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
