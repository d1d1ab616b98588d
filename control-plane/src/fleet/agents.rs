//! One agent's stream: what should exist goes out, what is observed comes back.
//!
//! Promises: each place that an agent serves has a shared physical cluster, made at its first hello and the same
//! after every restart, and another one before those are full, as many as the agent allows. What changes while the
//! agent is connected is said at once, and everything again at the next hello; what shall go is said until the agent
//! has seen it gone. An agent can report only on its own physical clusters.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use millstream_api::fleet::{
    AgentHeartbeat, AgentHello, AgentInstruction, AgentReport, Capacity, DesiredPhysicalCluster, HEARTBEAT_INTERVAL_MS,
    ObservedPhysicalCluster, Region, agent_instruction::Instruction, agent_report::Report,
    observed_physical_cluster::Phase,
};
use millstream_api::ids::PhysicalClusterId;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tonic::{Status, Streaming};
use tracing::{info, warn};

use crate::app::App;
use crate::domain::lifecycle::{PhysicalEvent, PhysicalPhase};
use crate::domain::placement::{Room, Shared, next_shared};
use crate::random;
use crate::store::agent_sessions::{self, Claim, Session};
use crate::store::error::StoreError;
use crate::store::physical_clusters::{self, Observation, Observed, PhysicalCluster};

/// Instructions that wait for an agent at most.
pub const OUTGOING_INSTRUCTIONS: usize = 64;
/// How long an agent may take to make room before it is cut.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Characters of an agent's id at most.
const MAX_AGENT_ID_CHARS: usize = 128;
/// Characters of the id of an agent's process at most.
const MAX_BOOT_ID_CHARS: usize = 128;
/// Places that one agent serves at most.
const MAX_REGIONS: usize = 256;
/// Characters of a message for people at most; longer ones are cut.
const MAX_MESSAGE_CHARS: usize = 1_000;
/// Characters of a bootstrap endpoint at most.
const MAX_ENDPOINT_CHARS: usize = 300;
/// Characters of certificates that clients have to trust at most.
const MAX_CA_CHARS: usize = 32 * 1024;
/// Shared physical clusters of one place at most, whatever the agent allows.
const MAX_SHARED: usize = 8;
/// Brokers of a physical cluster.
const BROKERS: u32 = 1;

/// The generation of each physical cluster that was sent last.
type SentGenerations = HashMap<PhysicalClusterId, i64>;
type Outgoing = mpsc::Sender<Result<AgentInstruction, Status>>;

/// Serves one stream until it ends. The hello was already taken off it.
pub async fn run(app: Arc<App>, hello: AgentHello, mut incoming: Streaming<AgentReport>, outgoing: Outgoing) {
    let agent_id = hello.agent_id.clone();
    info!(agent_id, version = hello.version, "agent {agent_id} connected");
    if let Err(status) = serve(&app, &hello, &mut incoming, &outgoing).await {
        info!(agent_id, "stream of agent {agent_id} ended: {}", status.message());
        // The stream ends whether or not the agent still hears why.
        let _ = outgoing.try_send(Err(status));
    }
}

async fn serve(
    app: &App,
    hello: &AgentHello,
    incoming: &mut Streaming<AgentReport>,
    outgoing: &Outgoing,
) -> Result<(), Status> {
    let regions = check_hello(hello)?;
    let mut wanted = Vec::with_capacity(regions.len());
    for (cloud, region) in regions {
        wanted.push(shared(new_id()?, cloud, region, 0));
    }
    let max_shared = usize::try_from(hello.max_shared).unwrap_or(MAX_SHARED).clamp(1, MAX_SHARED);
    let agent_id = &hello.agent_id;
    let session = new_session(hello)?;
    claim(app, &session).await?;
    let _stream = app.agents.join(&session);
    let mut changes = app.agents.changes();
    let mut sent = SentGenerations::new();
    ensure_physical_clusters(app, agent_id, &wanted).await.map_err(store_status)?;
    app.driver_wake.notify_one();
    send_desired(app, agent_id, &mut sent, outgoing).await?;
    let mut heartbeat = interval(Duration::from_millis(HEARTBEAT_INTERVAL_MS));
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = app.shutdown.cancelled() => return Err(Status::unavailable("this replica is shutting down")),
            _ = changes.changed() => {
                renew(app, &session).await?;
                send_desired(app, agent_id, &mut sent, outgoing).await?;
            }
            _ = heartbeat.tick() => {
                let server_time_ms = app.clock.now().as_millis();
                send(outgoing, Instruction::Heartbeat(AgentHeartbeat { server_time_ms })).await?;
                renew(app, &session).await?;
                if max_shared > 1 {
                    keep_room(app, agent_id, max_shared).await?;
                }
                // A wake-up may be lost between replicas.
                send_desired(app, agent_id, &mut sent, outgoing).await?;
            }
            report = incoming.message() => match report {
                Ok(Some(AgentReport { report: Some(Report::Observed(observed)) })) => {
                    observe(app, &session, observed).await?;
                }
                // A second hello means nothing; an empty message may come from a newer agent.
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Ok(()),
            },
        }
    }
}

fn new_id() -> Result<PhysicalClusterId, Status> {
    let random = random::bytes().map_err(|error| Status::internal(error.to_string()))?;
    Ok(PhysicalClusterId::from_random(random))
}

fn shared(id: PhysicalClusterId, cloud: String, region: String, ordinal: i64) -> PhysicalCluster {
    let phase = PhysicalPhase::Provisioning;
    PhysicalCluster { id, cloud, region, generation: 1, dedicated_to: String::new(), ckus: 0, phase, ordinal }
}

/// Makes the next shared physical cluster where those that are there are getting full.
async fn keep_room(app: &App, agent_id: &str, max_shared: usize) -> Result<(), Status> {
    let id = new_id()?;
    if let Err(error) = try_keep_room(app, agent_id, max_shared, id).await {
        warn!(error = &error as &dyn std::error::Error, agent_id, "cannot look how full the physical clusters are");
    }
    Ok(())
}

/// One at a time: the next heartbeat looks at the next place.
async fn try_keep_room(app: &App, agent_id: &str, max_shared: usize, id: PhysicalClusterId) -> Result<(), StoreError> {
    let there = physical_clusters::shared_of_agent(&mut app.database.read().await?, agent_id).await?;
    let Some((place, ordinal, capacity)) = first_full_place(&there, max_shared) else { return Ok(()) };
    let cluster = shared(id, place.0, place.1, ordinal);
    let mut transaction = app.database.write().await?;
    // Whoever else has made it meanwhile has taken its ordinal.
    if physical_clusters::insert_if_absent(&mut transaction, agent_id, &cluster, app.clock.now()).await? {
        physical_clusters::expect_capacity(&mut transaction, &cluster.id, capacity).await?;
        info!(
            physical_cluster = %cluster.id, agent_id, ordinal,
            "created physical cluster {} on agent {agent_id}: the others are getting full", cluster.id
        );
    }
    transaction.commit().await
}

fn first_full_place(there: &[Shared], max_shared: usize) -> Option<((String, String), i64, Room)> {
    let place_of = |shared: &Shared| (shared.cloud.clone(), shared.region.clone());
    let places: BTreeSet<_> = there.iter().map(place_of).collect();
    places.into_iter().find_map(|place| {
        let of_place: Vec<&Shared> = there.iter().filter(|shared| place_of(shared) == place).collect();
        let (ordinal, capacity) = next_shared(&of_place, max_shared)?;
        Some((place, ordinal, capacity))
    })
}

fn new_session(hello: &AgentHello) -> Result<Session, Status> {
    let random = random::bytes().map_err(|error| Status::internal(error.to_string()))?;
    let stream_id = uuid::Builder::from_random_bytes(random).into_uuid().to_string();
    Ok(Session { agent_id: hello.agent_id.clone(), boot_id: hello.boot_id.clone(), stream_id })
}

/// Makes this stream the one of the agent. Whoever had it before notices at once.
async fn claim(app: &App, session: &Session) -> Result<(), Status> {
    let agent_id = &session.agent_id;
    match try_claim(app, session).await.map_err(store_status)? {
        Claim::Held { displaced } => {
            if let Some(boot_id) = displaced {
                warn!(agent_id, boot_id, "agent {agent_id} runs twice: the process that came first is closed");
            }
            app.agents.look_again();
            Ok(())
        }
        Claim::Fenced { by } => {
            warn!(
                agent_id,
                boot_id = session.boot_id,
                "agent {agent_id} runs twice: refused the process that came first"
            );
            Err(Status::failed_precondition(format!(
                "agent {agent_id} is another process (boot id {by}), which came later: stop one of the two, or give \
                 one of them another agent id"
            )))
        }
    }
}

async fn try_claim(app: &App, session: &Session) -> Result<Claim, StoreError> {
    let mut transaction = app.database.write().await?;
    let is_open_here = |stream_id: &str| app.agents.has(&session.agent_id, stream_id);
    let claim = agent_sessions::claim(&mut transaction, session, is_open_here).await?;
    if matches!(claim, Claim::Held { .. }) {
        physical_clusters::notify_agents(&mut transaction).await?;
        transaction.commit().await?;
    }
    Ok(claim)
}

/// Gives a sign that the agent is there, and ends the stream if another one has taken its place.
async fn renew(app: &App, session: &Session) -> Result<(), Status> {
    match try_renew(app, session).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(displaced(session)),
        Err(error) => {
            let agent_id = &session.agent_id;
            warn!(error = &error as &dyn std::error::Error, agent_id, "cannot give a sign of agent {agent_id}");
            Ok(())
        }
    }
}

async fn try_renew(app: &App, session: &Session) -> Result<bool, StoreError> {
    // Without other replicas nobody needs signs: the stream itself is one.
    if app.database.shared_pool().is_none() {
        return agent_sessions::holds(&mut app.database.read().await?, session).await;
    }
    let mut transaction = app.database.write().await?;
    let holds = agent_sessions::renew(&mut transaction, session).await?;
    transaction.commit().await?;
    Ok(holds)
}

fn displaced(session: &Session) -> Status {
    Status::aborted(format!("another stream took the place of this one as agent {}", session.agent_id))
}

/// Sends what the agent should run, as far as it does not know it yet.
async fn send_desired(
    app: &App,
    agent_id: &str,
    sent: &mut SentGenerations,
    outgoing: &Outgoing,
) -> Result<(), Status> {
    let read = read_clusters(app, agent_id).await;
    let clusters = match read {
        Ok(clusters) => clusters,
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "cannot read what agent {agent_id} should run");
            return Ok(());
        }
    };
    for cluster in &clusters {
        if sent.get(&cluster.id) != Some(&cluster.generation) {
            send(outgoing, Instruction::Desired(desired(app, cluster))).await?;
        }
    }
    *sent = clusters.into_iter().map(|cluster| (cluster.id, cluster.generation)).collect();
    Ok(())
}

async fn read_clusters(app: &App, agent_id: &str) -> Result<Vec<PhysicalCluster>, StoreError> {
    let mut transaction = app.database.read().await?;
    physical_clusters::of_agent(&mut transaction, agent_id).await
}

fn check_hello(hello: &AgentHello) -> Result<BTreeSet<(String, String)>, Status> {
    let printable = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let id_is_good =
        !hello.agent_id.is_empty() && hello.agent_id.len() <= MAX_AGENT_ID_CHARS && printable(&hello.agent_id);
    if !id_is_good {
        return Err(Status::invalid_argument("agent_id must have 1 to 128 printable characters"));
    }
    if hello.boot_id.len() > MAX_BOOT_ID_CHARS || !printable(&hello.boot_id) {
        return Err(Status::invalid_argument("boot_id must have at most 128 printable characters"));
    }
    if hello.regions.len() > MAX_REGIONS {
        return Err(Status::invalid_argument("an agent serves at most 256 regions"));
    }
    if hello.regions.is_empty() {
        return Ok(BTreeSet::from([(String::new(), String::new())]));
    }
    let region_is_good = |place: &Region| {
        let cloud_is_good = matches!(place.cloud.as_str(), "AWS" | "GCP" | "AZURE");
        cloud_is_good && crate::domain::names::check_region(&place.region).is_ok()
    };
    if !hello.regions.iter().all(region_is_good) {
        return Err(Status::invalid_argument("each region needs a cloud (AWS, GCP, AZURE) and a region's name"));
    }
    Ok(hello.regions.iter().map(|place| (place.cloud.clone(), place.region.clone())).collect())
}

/// Stores the wanted ones that the agent does not have yet.
async fn ensure_physical_clusters(app: &App, agent_id: &str, wanted: &[PhysicalCluster]) -> Result<(), StoreError> {
    let mut transaction = app.database.write().await?;
    for cluster in wanted {
        let is_new = physical_clusters::insert_if_absent(&mut transaction, agent_id, cluster, app.clock.now()).await?;
        if is_new {
            info!(physical_cluster = %cluster.id, agent_id, "created physical cluster {} on agent {agent_id}", cluster.id);
        }
    }
    transaction.commit().await
}

fn desired(app: &App, cluster: &PhysicalCluster) -> DesiredPhysicalCluster {
    DesiredPhysicalCluster {
        physical_cluster_id: cluster.id.to_string(),
        generation: u64::try_from(cluster.generation).unwrap_or(0),
        deleted: cluster.phase == PhysicalPhase::Deleting,
        brokers: BROKERS,
        cloud: cluster.cloud.clone(),
        region: cluster.region.clone(),
        broker_token: app.secrets.broker_token(&cluster.id),
        dedicated_to: cluster.dedicated_to.clone(),
        ckus: u32::try_from(cluster.ckus).unwrap_or(0),
    }
}

async fn observe(app: &App, session: &Session, observed: ObservedPhysicalCluster) -> Result<(), Status> {
    let agent_id = &session.agent_id;
    let id: PhysicalClusterId = observed
        .physical_cluster_id
        .parse()
        .map_err(|error: millstream_api::ids::ParseIdError| Status::invalid_argument(error.to_string()))?;
    check_endpoint(&observed.kafka_bootstrap_endpoint)?;
    check_ca_certificate(&observed.kafka_ca_certificate)?;
    let observation = Observation {
        observed_generation: i64::try_from(observed.observed_generation).unwrap_or(i64::MAX),
        event: event(observed.phase()),
        message: observed.message.chars().filter(|character| *character != '\0').take(MAX_MESSAGE_CHARS).collect(),
        kafka_bootstrap_endpoint: observed.kafka_bootstrap_endpoint,
        kafka_ca_certificate: observed.kafka_ca_certificate,
        capacity: capacity(observed.capacity.unwrap_or_default()),
    };
    match store_observation(app, session, &id, &observation).await {
        Ok(None) => return Err(displaced(session)),
        Ok(Some(Observed::Stored)) => app.driver_wake.notify_one(),
        Ok(Some(Observed::Removed)) => info!(agent_id, physical_cluster = %id, "physical cluster {id} is removed"),
        Ok(Some(Observed::Ignored)) => {
            warn!(agent_id, physical_cluster = %id, "an agent reported on what is not its own, or too late");
        }
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "cannot store what an agent observed");
            // It is asked again, and reports again, once it has come back.
            return Err(Status::unavailable("the database failed: connect again"));
        }
    }
    Ok(())
}

/// None if the stream does not speak for the agent any more.
async fn store_observation(
    app: &App,
    session: &Session,
    id: &PhysicalClusterId,
    observation: &Observation,
) -> Result<Option<Observed>, StoreError> {
    let mut transaction = app.database.write().await?;
    if !agent_sessions::holds(&mut transaction, session).await? {
        return Ok(None);
    }
    let now = app.clock.now();
    let observed = physical_clusters::observe(&mut transaction, &session.agent_id, id, observation, now).await?;
    transaction.commit().await?;
    Ok(Some(observed))
}

fn check_endpoint(endpoint: &str) -> Result<(), Status> {
    if endpoint.is_empty() {
        return Ok(());
    }
    let port_is_good =
        endpoint.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    let printable = endpoint.len() <= MAX_ENDPOINT_CHARS && endpoint.bytes().all(|byte| byte.is_ascii_graphic());
    if port_is_good && printable {
        return Ok(());
    }
    Err(Status::invalid_argument("kafka_bootstrap_endpoint must be host:port"))
}

fn check_ca_certificate(pem: &str) -> Result<(), Status> {
    let is_text = pem.bytes().all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\r' | b'\n'));
    let is_good = pem.is_empty() || (is_text && pem.contains("-----BEGIN CERTIFICATE-----"));
    if is_good && pem.len() <= MAX_CA_CHARS {
        return Ok(());
    }
    Err(Status::invalid_argument("kafka_ca_certificate must be certificates as PEM, 32 KiB at most"))
}

fn capacity(capacity: Capacity) -> Room {
    let signed = |figure: u64| i64::try_from(figure).unwrap_or(i64::MAX);
    Room {
        partitions: signed(capacity.partitions),
        ingress_bytes_per_second: signed(capacity.ingress_bytes_per_second),
        connections: signed(capacity.connections),
    }
}

fn event(phase: Phase) -> PhysicalEvent {
    match phase {
        Phase::Unspecified | Phase::Provisioning => PhysicalEvent::ObservedProvisioning,
        Phase::Ready => PhysicalEvent::ObservedReady,
        Phase::Failed => PhysicalEvent::ObservedFailed,
        Phase::Deleted => PhysicalEvent::ObservedDeleted,
    }
}

async fn send(outgoing: &Outgoing, instruction: Instruction) -> Result<(), Status> {
    let message = AgentInstruction { instruction: Some(instruction) };
    outgoing
        .send_timeout(Ok(message), SEND_TIMEOUT)
        .await
        .map_err(|_| Status::resource_exhausted("the agent does not keep up with the stream"))
}

fn store_status(error: StoreError) -> Status {
    warn!(error = &error as &dyn std::error::Error, "the database failed while an agent connected");
    Status::unavailable("the database failed: connect again")
}
