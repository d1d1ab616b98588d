//! The agent between a control plane and a Kubernetes.

mod control_plane;
mod kubernetes;

use millstream_api::fleet::DesiredPhysicalCluster;
use millstream_api::fleet::observed_physical_cluster::Phase;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::Status;

use super::Agent;
use super::desired::tests::SETTINGS;
use super::settings::AgentSettings;
use control_plane::{AgentStream, PATIENCE};
use kubernetes::{Kubernetes, NAMESPACE};

struct World {
    kubernetes: Kubernetes,
    streams: mpsc::Receiver<AgentStream>,
    // The agent ends with it.
    _agent: JoinSet<()>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let (address, streams) = control_plane::start().await;
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("token"), "agent-token\n").expect("written");
        let mut settings = AgentSettings::parse(SETTINGS).expect("they are good");
        settings.control_plane.url = format!("http://{address}");
        settings.control_plane.token_file = folder.path().join("token");
        let kubernetes = Kubernetes::default();
        let mut agent = JoinSet::new();
        agent.spawn(Agent::new(settings, kubernetes.client(), NAMESPACE).run());
        Self { kubernetes, streams, _agent: agent, _folder: folder }
    }

    async fn stream(&mut self) -> AgentStream {
        let next = tokio::time::timeout(PATIENCE, self.streams.recv()).await;
        next.expect("it dials in time").expect("the agent lives")
    }

    /// Waits until the resource is as it should be.
    async fn wait_for(&self, name: &str, is_it: impl Fn(Option<&Value>) -> bool) {
        let wait = async {
            while !is_it(self.kubernetes.cluster(name).as_ref()) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("not in time: {:?}", self.kubernetes.cluster(name)));
    }

    /// What the controller says of a resource.
    fn set_status(&self, name: &str, ready: &str, reason: &str, endpoint: Option<&str>) {
        self.kubernetes.edit(name, |object| {
            let condition = |kind: &str, status: &str, reason: &str| {
                json!({ "type": kind, "status": status, "reason": reason, "message": "says the controller",
                        "lastTransitionTime": "2026-01-01T00:00:00Z" })
            };
            object["status"] = json!({
                "observedGeneration": object["metadata"]["generation"],
                "conditions": [condition("Accepted", "True", "Valid"), condition("Ready", ready, reason)],
                "endpoints": { "internal": "in.test:9092", "external": endpoint },
                "blockedBy": if ready == "True" { json!([]) } else { json!(["broker 0"]) },
            });
        });
    }
}

fn wish(id: &str, generation: u64) -> DesiredPhysicalCluster {
    DesiredPhysicalCluster {
        physical_cluster_id: id.into(),
        generation,
        brokers: 1,
        broker_token: "token-of-brokers".into(),
        dedicated_to: "lkc-a".into(),
        ckus: 1,
        ..DesiredPhysicalCluster::default()
    }
}

fn deletion(id: &str, generation: u64) -> DesiredPhysicalCluster {
    DesiredPhysicalCluster { deleted: true, ..wish(id, generation) }
}

#[tokio::test]
async fn a_wish_becomes_a_resource_whose_status_is_reported() {
    let mut world = World::start().await;
    let mut stream = world.stream().await;
    assert_eq!(stream.authorization, "Bearer agent-token");
    assert_eq!((stream.hello.agent_id.as_str(), stream.hello.regions.len()), ("eu-1", 1));
    assert!(!stream.hello.boot_id.is_empty());
    stream.want(wish("pkc-a", 7)).await;
    world.wait_for("pkc-a", |object| object.is_some()).await;
    let secret = world.kubernetes.secret("pkc-a-agent-token").expect("before the resource");
    assert_eq!(secret["stringData"]["token"], "token-of-brokers");

    world.set_status("pkc-a", "False", "Starting", None);
    let waits = stream.wait_for(|observed| observed.phase() == Phase::Provisioning).await;
    assert_eq!(waits.message, "Starting: says the controller (waits for broker 0)");
    world.set_status("pkc-a", "True", "AsSpecified", Some("pkc-a.kafka.test:9092"));
    let ready = stream.wait_for(|observed| observed.phase() == Phase::Ready).await;
    assert_eq!((ready.observed_generation, ready.message.as_str()), (7, ""));
    assert_eq!(ready.kafka_bootstrap_endpoint, "pkc-a.kafka.test:9092");
}

#[tokio::test]
async fn what_the_controller_has_not_looked_at_yet_is_not_reported() {
    let mut world = World::start().await;
    let mut stream = world.stream().await;
    stream.want(wish("pkc-a", 1)).await;
    world.wait_for("pkc-a", |object| object.is_some()).await;
    world.set_status("pkc-a", "True", "AsSpecified", Some("a.test:9092"));
    stream.wait_for(|observed| observed.observed_generation == 1).await;
    stream.want(DesiredPhysicalCluster { ckus: 2, ..wish("pkc-a", 2) }).await;
    world.wait_for("pkc-a", |object| object.is_some_and(|object| object["metadata"]["generation"] == 2)).await;
    // It is ready for what it was; the first thing that is heard of the second wish is what the controller says of it.
    stream.want(wish("pkc-b", 9)).await;
    world.wait_for("pkc-b", |object| object.is_some()).await;
    world.set_status("pkc-b", "True", "AsSpecified", Some("b.test:9092"));
    let next = stream.wait_for(|_| true).await;
    assert_eq!(next.physical_cluster_id, "pkc-b");
    world.set_status("pkc-a", "False", "Rolling", Some("a.test:9092"));
    let next = stream.wait_for(|_| true).await;
    assert_eq!((next.observed_generation, next.phase()), (2, Phase::Provisioning));
}

#[tokio::test]
async fn one_physical_cluster_at_a_time_is_upgraded() {
    let mut world = World::start().await;
    let stream = world.stream().await;
    for id in ["pkc-a", "pkc-b"] {
        stream.want(wish(id, 1)).await;
        world.wait_for(id, |object| object.is_some()).await;
        // What an agent of an earlier version has made.
        world.kubernetes.edit(id, |object| object["spec"]["version"] = json!("0.0.9"));
        world.set_status(id, "True", "AsSpecified", Some("a.test:9092"));
    }
    let has = |version: &'static str, ckus: &'static str| {
        move |object: Option<&Value>| {
            let spec = object.map(|object| &object["spec"]);
            spec.is_some_and(|spec| spec["version"] == version && spec["nodePools"][0]["storage"]["size"] == ckus)
        }
    };
    for id in ["pkc-a", "pkc-b"] {
        stream.want(DesiredPhysicalCluster { ckus: 2, ..wish(id, 2) }).await;
    }
    world.wait_for("pkc-a", has("0.1.0", "40Gi")).await;
    // What else is wanted of the other one does not wait.
    world.wait_for("pkc-b", has("0.0.9", "40Gi")).await;
    world.set_status("pkc-a", "False", "CrashLooping", None);
    stream.want(wish("pkc-c", 1)).await;
    world.wait_for("pkc-c", |object| object.is_some()).await;
    world.set_status("pkc-c", "True", "AsSpecified", Some("c.test:9092"));
    assert!(has("0.0.9", "40Gi")(world.kubernetes.cluster("pkc-b").as_ref()), "an upgrade that fails is not repeated");
    world.set_status("pkc-a", "True", "AsSpecified", Some("a.test:9092"));
    world.wait_for("pkc-b", has("0.1.0", "40Gi")).await;
}

#[tokio::test]
async fn a_stream_that_says_nothing_deletes_nothing() {
    let mut world = World::start().await;
    let stream = world.stream().await;
    stream.want(wish("pkc-a", 1)).await;
    world.wait_for("pkc-a", |object| object.is_some()).await;
    let boot_id = stream.hello.boot_id.clone();
    stream.end(Status::unavailable("this replica is shutting down")).await;
    // The next one knows of another cluster only.
    let mut next = world.stream().await;
    assert_eq!(next.hello.boot_id, boot_id);
    world.set_status("pkc-a", "True", "AsSpecified", Some("a.test:9092"));
    next.want(wish("pkc-b", 1)).await;
    world.wait_for("pkc-b", |object| object.is_some()).await;
    // What is there is reported all the same, which also shows that the agent has looked.
    next.wait_for(|observed| observed.physical_cluster_id == "pkc-a" && observed.phase() == Phase::Ready).await;
    assert!(world.kubernetes.cluster("pkc-a").is_some_and(|object| object["metadata"]["deletionTimestamp"].is_null()));
}

#[tokio::test]
async fn a_deletion_that_is_said_takes_the_volumes_and_is_reported_when_nothing_is_left() {
    let mut world = World::start().await;
    let mut stream = world.stream().await;
    stream.want(wish("pkc-a", 1)).await;
    world.wait_for("pkc-a", |object| object.is_some()).await;
    world.kubernetes.edit("pkc-a", |object| object["metadata"]["finalizers"] = json!(["millstream.dev/volumes"]));
    stream.want(deletion("pkc-a", 2)).await;
    let is_going =
        |object: Option<&Value>| object.is_some_and(|object| !object["metadata"]["deletionTimestamp"].is_null());
    world.wait_for("pkc-a", is_going).await;
    assert_eq!(world.kubernetes.cluster("pkc-a").expect("going")["spec"]["deletionPolicy"], "Delete");
    assert!(world.kubernetes.secret("pkc-a-agent-token").is_some());
    world.kubernetes.remove("pkc-a");
    let gone = stream.wait_for(|observed| observed.phase() == Phase::Deleted).await;
    assert_eq!((gone.physical_cluster_id.as_str(), gone.observed_generation), ("pkc-a", 2));
    assert!(world.kubernetes.secret("pkc-a-agent-token").is_none());
}

#[tokio::test]
async fn the_deletion_of_what_never_was_is_done_at_once() {
    let mut world = World::start().await;
    let mut stream = world.stream().await;
    stream.want(deletion("pkc-a", 2)).await;
    stream.wait_for(|observed| observed.phase() == Phase::Deleted).await;
}

#[tokio::test]
async fn a_resource_of_somebody_else_is_left_alone_whatever_is_said() {
    let mut world = World::start().await;
    let mut stream = world.stream().await;
    stream.want(wish("pkc-a", 1)).await;
    world.wait_for("pkc-a", |object| object.is_some()).await;
    world.kubernetes.edit("pkc-a", |object| object["metadata"]["labels"] = json!({}));
    let before = world.kubernetes.cluster("pkc-a");
    for desired in [DesiredPhysicalCluster { ckus: 5, ..wish("pkc-a", 2) }, deletion("pkc-a", 3)] {
        let generation = desired.generation;
        stream.want(desired).await;
        let refused = stream.wait_for(|observed| observed.observed_generation == generation).await;
        assert_eq!(refused.phase(), Phase::Failed);
        assert!(refused.message.contains("did not make"), "{}", refused.message);
        assert_eq!(world.kubernetes.cluster("pkc-a"), before);
    }
}

#[tokio::test]
async fn a_resource_that_was_deleted_by_hand_is_made_again() {
    let mut world = World::start().await;
    let stream = world.stream().await;
    stream.want(wish("pkc-a", 1)).await;
    world.wait_for("pkc-a", |object| object.is_some()).await;
    world.kubernetes.remove("pkc-a");
    world.wait_for("pkc-a", |object| object.is_some()).await;
}

#[tokio::test]
async fn what_kubernetes_refuses_has_failed_with_its_reason_until_it_does_not() {
    let mut world = World::start().await;
    let mut stream = world.stream().await;
    world.kubernetes.state().refuses = Some(422);
    stream.want(wish("pkc-a", 1)).await;
    let failed = stream.wait_for(|observed| observed.phase() == Phase::Failed).await;
    assert!(failed.message.contains("the schema does not like it"), "{}", failed.message);
    // One that only has trouble is asked again, and nothing has failed.
    world.kubernetes.state().refuses = Some(503);
    stream.want(wish("pkc-b", 1)).await;
    world.kubernetes.state().refuses = None;
    for id in ["pkc-a", "pkc-b"] {
        world.wait_for(id, |object| object.is_some()).await;
        world.set_status(id, "True", "AsSpecified", Some("a.test:9092"));
        let next = stream.wait_for(|observed| observed.physical_cluster_id == id).await;
        assert_eq!(next.phase(), Phase::Ready);
    }
}
