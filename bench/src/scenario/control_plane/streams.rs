//! Config streams: what a thousand brokers that follow one replica of the control plane cost it in memory, and in CPU while nothing
//! changes. The brokers are real but for what they do with the news: each has a connection of its own, takes a snapshot and acknowledges.
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use millstream_api::fleet::broker_service_client::BrokerServiceClient;
use millstream_api::fleet::{
    Ack, BrokerHello, BrokerUpdate, ConfigUpdate, DesiredPhysicalCluster, broker_update, config_update,
};
use millstream_e2e::agent::Agent;
use millstream_e2e::postgres::Postgres;
use millstream_e2e::replica::{Replica, Settings};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};

use super::{Database, progress};
use crate::scenario::table::{Line, verdict};
use crate::usage;
use crate::workbench::Workbench;

const KIB_PER_STREAM: f64 = 64.0;
/// Streams that are opened at the same time: a server takes connections in from a queue of bounded length.
const OPENING: usize = 50;
/// What waits to be sent in one stream.
const OUTGOING: usize = 4;
const LIMIT: Duration = Duration::from_secs(30);
const AGENT_TOKEN: &str = "the token of a benchmark";

pub fn measure(database: Database, postgres: Option<&Postgres>, workbench: &Workbench) -> Result<Vec<Line>> {
    let count = workbench.pick(1_000, 50);
    progress(database, &format!("{count} brokers follow one replica"));
    let directory = tempfile::tempdir()?;
    let database_url = match postgres {
        Some(postgres) => postgres.create_database("streams")?,
        None => format!("sqlite:{}", directory.path().join("streams.sqlite").display()),
    };
    let replica = Replica::start(Settings {
        binary: workbench.binary.clone(),
        database_url,
        agent_token: AGENT_TOKEN.to_owned(),
        secret_dir: directory.path().join("secrets"),
        log: workbench.context.log.clone(),
    })?;
    let agent = Agent::start(vec![replica.fleet_url()], AGENT_TOKEN.to_owned())?;
    let shared = agent.wait_for_physical_cluster(LIMIT)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // One broker first: whatever the first stream allocates once belongs to no stream.
        let mut streams = vec![Stream::open(&replica.fleet_url(), &shared, 0).await?];
        let before = usage::rss_mib(replica.pid())?;
        for first in (1..count).step_by(OPENING) {
            let opening = (first..count.min(first + OPENING))
                .map(|id| tokio::spawn(open(replica.fleet_url(), shared.clone(), id)));
            for stream in opening.collect::<Vec<_>>() {
                streams.push(stream.await??);
            }
        }
        let opened = usage::rss_mib(replica.pid())?;
        // Whoever is not listened to is cut: all of them are listened to while the time runs.
        let followers: Vec<_> = streams.into_iter().map(|stream| tokio::spawn(stream.follow())).collect();
        let (seconds, duration) = (usage::cpu_seconds(replica.pid())?, Duration::from_secs(workbench.pick(30, 5)));
        let started = Instant::now();
        tokio::time::sleep(duration).await;
        let cpu = (usage::cpu_seconds(replica.pid())? - seconds) / started.elapsed().as_secs_f64();
        let after = usage::rss_mib(replica.pid())?;
        if let Some(ended) = followers.into_iter().find(|follower| follower.is_finished()) {
            return Err(ended.await?.err().unwrap_or_else(|| anyhow!("a stream ended")));
        }
        let per_stream = (opened.max(after) - before) * 1024.0 / (count - 1) as f64;
        Ok(vec![
            line("RSS of `control-plane` per config stream", count, format!("{per_stream:.1} KiB"), target(per_stream)),
            line("CPU of `control-plane` while they wait", count, format!("{:.1} %", cpu * 100.0), String::new()),
        ])
    })
}

fn target(per_stream: f64) -> String {
    format!("≤ {KIB_PER_STREAM:.0} KiB {}", verdict(per_stream <= KIB_PER_STREAM))
}

fn line(name: &str, count: usize, value: String, target: String) -> Line {
    let cells = vec![count.to_string(), value, String::new(), String::new(), target];
    Line { name: name.to_owned(), cells }
}

/// One broker's.
struct Stream {
    updates: mpsc::Sender<BrokerUpdate>,
    incoming: Streaming<ConfigUpdate>,
    _client: BrokerServiceClient<Channel>,
}

async fn open(url: String, shared: DesiredPhysicalCluster, broker_id: usize) -> Result<Stream> {
    Stream::open(&url, &shared, broker_id).await
}

impl Stream {
    /// Connects, takes the snapshot in and acknowledges it.
    async fn open(url: &str, shared: &DesiredPhysicalCluster, broker_id: usize) -> Result<Self> {
        let mut client = BrokerServiceClient::new(connect(url).await?);
        let (updates, receiver) = mpsc::channel(OUTGOING);
        let hello = BrokerHello {
            physical_cluster_id: shared.physical_cluster_id.clone(),
            broker_id: i32::try_from(broker_id)?,
            boot_id: "bench".into(),
            version: "bench".into(),
            epoch: 0,
            revision: 0,
        };
        updates.send(BrokerUpdate { update: Some(broker_update::Update::Hello(hello)) }).await?;
        let request = with_token(ReceiverStream::new(receiver), &shared.broker_token)?;
        let incoming = client.subscribe(request).await?.into_inner();
        let mut stream = Self { updates, incoming, _client: client };
        let mut begun = None;
        loop {
            match stream.next().await? {
                config_update::Update::SnapshotBegin(begin) => begun = Some((begin.epoch, begin.revision)),
                config_update::Update::SnapshotEnd(_) => break,
                _ => {}
            }
        }
        let (epoch, revision) = begun.context("a snapshot ended that had not begun")?;
        stream.acknowledge(epoch, revision).await?;
        Ok(stream)
    }

    /// Reads whatever comes until the stream ends.
    async fn follow(mut self) -> Result<()> {
        loop {
            match self.next().await? {
                config_update::Update::Delta(delta) => self.acknowledge(delta.epoch, delta.to_revision).await?,
                config_update::Update::Heartbeat(_) => {}
                other => bail!("nobody expected {other:?}"),
            }
        }
    }

    async fn next(&mut self) -> Result<config_update::Update> {
        let message = self.incoming.message().await?.context("the stream ended")?;
        message.update.context("an update without content")
    }

    async fn acknowledge(&self, epoch: u64, revision: u64) -> Result<()> {
        let ack = BrokerUpdate { update: Some(broker_update::Update::Ack(Ack { epoch, revision })) };
        Ok(self.updates.send(ack).await?)
    }
}

async fn connect(url: &str) -> Result<Channel> {
    Ok(Endpoint::from_shared(url.to_owned())?.connect().await?)
}

fn with_token<T>(body: T, token: &str) -> Result<Request<T>> {
    let mut request = Request::new(body);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    Ok(request)
}
