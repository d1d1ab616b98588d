//! An agent of the fleet, in the place of the one that runs in Kubernetes: it is told of physical clusters and says what became of
//! them. Dials the control plane at one address after another, for as long as it lives.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use millstream_api::fleet::agent_instruction::Instruction;
use millstream_api::fleet::agent_report::Report;
use millstream_api::fleet::agent_service_client::AgentServiceClient;
use millstream_api::fleet::observed_physical_cluster::Phase;
use millstream_api::fleet::{AgentHello, AgentReport, DesiredPhysicalCluster, ObservedPhysicalCluster};
use tokio::sync::{Notify, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::transport::Endpoint;

/// Reports that wait to be sent.
const OUTGOING: usize = 16;
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// A running agent, gone when dropped.
#[derive(Debug)]
pub struct Agent {
    told: mpsc::Receiver<DesiredPhysicalCluster>,
    endpoints: Arc<Endpoints>,
    /// The thread ends when this is dropped.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Where clients of the physical clusters that are ready connect, by id.
#[derive(Debug, Default)]
struct Endpoints {
    by_id: Mutex<HashMap<String, String>>,
    changed: Notify,
}

impl Endpoints {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agent {
    /// Starts an agent that serves every region.
    pub fn start(urls: Vec<String>, token: String) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, told) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let endpoints = Arc::new(Endpoints::default());
        let shared = Arc::clone(&endpoints);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = follow_for_ever(&urls, &token, &shared, &sender) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { told, endpoints, stop: Some(stop), thread: Some(thread) })
    }

    /// The next physical cluster that it is told of.
    pub fn wait_for_physical_cluster(&self, limit: Duration) -> Result<DesiredPhysicalCluster> {
        self.told.recv_timeout(limit).context("the agent is told of no physical cluster")
    }

    /// Says, now and whenever it is asked, that a physical cluster is ready.
    pub fn is_ready(&self, physical_cluster: &str, endpoint: &str) {
        self.endpoints.lock().insert(physical_cluster.to_owned(), endpoint.to_owned());
        self.endpoints.changed.notify_one();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn follow_for_ever(
    urls: &[String],
    token: &str,
    endpoints: &Endpoints,
    told: &mpsc::Sender<DesiredPhysicalCluster>,
) {
    for url in urls.iter().cycle() {
        // Whatever ended it, the next address may do better.
        let _ = follow(url, token, endpoints, told).await;
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn follow(
    url: &str,
    token: &str,
    endpoints: &Endpoints,
    told: &mpsc::Sender<DesiredPhysicalCluster>,
) -> Result<()> {
    let channel = Endpoint::from_shared(url.to_owned())?.connect().await?;
    let (reports, receiver) = tokio::sync::mpsc::channel(OUTGOING);
    let hello = AgentHello { agent_id: "e2e".into(), version: "e2e".into(), ..AgentHello::default() };
    reports.send(AgentReport { report: Some(Report::Hello(hello)) }).await?;
    let mut request = Request::new(ReceiverStream::new(receiver));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    let mut instructions = AgentServiceClient::new(channel).sync(request).await?.into_inner();
    let mut known: HashMap<String, DesiredPhysicalCluster> = HashMap::new();
    loop {
        tokio::select! {
            message = instructions.message() => {
                let Some(message) = message? else { bail!("the stream ended") };
                if let Some(Instruction::Desired(desired)) = message.instruction {
                    told.send(desired.clone()).map_err(|_| anyhow!("nobody asks any more"))?;
                    known.insert(desired.physical_cluster_id.clone(), desired);
                }
            }
            () = endpoints.changed.notified() => {}
        }
        for report in due_reports(&known, endpoints) {
            reports.send(report).await?;
        }
    }
}

/// What can be said of the physical clusters that it was told of.
fn due_reports(known: &HashMap<String, DesiredPhysicalCluster>, endpoints: &Endpoints) -> Vec<AgentReport> {
    let endpoints = endpoints.lock();
    let ready = known.values().filter_map(|desired| Some((desired, endpoints.get(&desired.physical_cluster_id)?)));
    let report = |(desired, endpoint): (&DesiredPhysicalCluster, &String)| ObservedPhysicalCluster {
        physical_cluster_id: desired.physical_cluster_id.clone(),
        observed_generation: desired.generation,
        phase: Phase::Ready.into(),
        kafka_bootstrap_endpoint: endpoint.clone(),
        ..ObservedPhysicalCluster::default()
    };
    ready.map(report).map(|observed| AgentReport { report: Some(Report::Observed(observed)) }).collect()
}
