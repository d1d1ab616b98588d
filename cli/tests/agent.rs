//! The operator's agent between a control plane of its own process and a Kubernetes in memory, with brokers beside it.

#[path = "../../operator/src/agent/tests/kubernetes.rs"]
#[allow(dead_code, reason = "the tests of the agent itself use the rest")]
mod kubernetes;
#[allow(dead_code, reason = "each test binary uses its own part of the support")]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use kubernetes::{Kubernetes, NAMESPACE};
use millstream_operator::agent::Agent;
use millstream_operator::agent::settings::AgentSettings;
use serde_json::{Value, json};
use support::fleet::{Customer, write_certificates};
use support::{Up, millstream, stderr, stdout};

/// How long something may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            match look() {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// `database` is the name of a file: another one is another installation.
fn start_control_plane(folder: &Path, database: &str, fleet: &str) -> Up {
    fs::write(folder.join("agent-token"), "agent-token\n").expect("written");
    let mut command = millstream(folder);
    command.args(["control-plane", "-o", "json", "--http-listen", "127.0.0.1:0", "--fleet-listen", fleet]);
    command.arg("--database-url").arg(format!("sqlite:{}", folder.join(database).display()));
    command.args(["--new-organization", "Acme", "--secret-dir"]).arg(folder.join(format!("{database}-secrets")));
    for (flag, file) in [
        ("--agent-token-file", "agent-token"),
        ("--fleet-tls-certificate", "cert.pem"),
        ("--fleet-tls-key", "key.pem"),
        ("--fleet-client-ca", "ca.pem"),
    ] {
        command.arg(flag).arg(folder.join(file));
    }
    Up::spawn(&mut command)
}

fn settings(folder: &Path, fleet: &str) -> AgentSettings {
    let at = |name: &str| format!("{:?}", folder.join(name));
    let text = format!(
        "agentId = \"eu-1\"\n[controlPlane]\nurl = \"https://{fleet}\"\ntokenFile = {}\ncaFile = {}\n\
         clientCertificateFile = {}\nclientKeyFile = {}\n[brokers]\nversion = \"0.1.0\"\n\
         image = {{ repository = \"registry.test/millstream\" }}\n\
         shared = {{ storageGib = 1, cpuMillis = 100, memoryMib = 256 }}\n\
         perCku = {{ storageGib = 1, cpuMillis = 100, memoryMib = 256 }}\n",
        at("agent-token"),
        at("ca.pem"),
        at("cert.pem"),
        at("key.pem"),
    );
    AgentSettings::parse(&text).expect("they are good")
}

/// What the controller would do: runs the broker of a resource, and says that it is ready.
fn deliver(folder: &Path, kubernetes: &Kubernetes, resource: &Value) -> Up {
    let name = resource["metadata"]["name"].as_str().expect("a name");
    let own = folder.join(name);
    fs::create_dir(&own).expect("made");
    let secret = kubernetes.secret(&format!("{name}-agent-token")).expect("it is made before the resource");
    fs::write(own.join("token"), secret["stringData"]["token"].as_str().expect("a token")).expect("written");
    let fleet = resource["spec"]["controlPlane"]["endpoint"].as_str().expect("an endpoint");
    let file = format!(
        "physical_cluster_id = {name:?}\nbroker_id = 0\ndata_dir = {:?}\nhttp.bind = \"127.0.0.1:0\"\n\
         fleet = {{ url = {fleet:?}, token_file = {:?}, ca_file = {:?} }}\n\
         [[listeners]]\nname = \"INTERNAL\"\nbind = \"127.0.0.1:0\"\nadvertised_host = \"127.0.0.1\"\n\
         tls = {{ certificate_file = {:?}, key_file = {:?} }}\n",
        own.join("data"),
        own.join("token"),
        folder.join("ca.pem"),
        folder.join("cert.pem"),
        folder.join("key.pem"),
    );
    fs::write(own.join("broker.toml"), file).expect("written");
    let mut command = millstream(folder);
    command.args(["broker", "-o", "json", "--log", "warn", "--config"]).arg(own.join("broker.toml"));
    let broker = Up::spawn(&mut command);
    let endpoint = broker.ready["kafka_addresses"]["INTERNAL"].clone();
    let authority = fs::read_to_string(folder.join("ca.pem")).expect("it is there");
    kubernetes.edit(name, |object| {
        let condition = json!({ "type": "Ready", "status": "True", "reason": "AsSpecified", "message": "",
                                "lastTransitionTime": "2026-01-01T00:00:00Z" });
        object["status"] = json!({
            "observedGeneration": object["metadata"]["generation"],
            "conditions": [condition],
            "endpoints": { "internal": endpoint },
            "certificateAuthority": { "configMap": "ca", "certificates": authority, "notAfter": "2036-01-01T00:00:00Z" },
        });
    });
    broker
}

/// The resource of a dedicated cluster, or the shared one.
fn find(kubernetes: &Kubernetes, dedicated_to: &Value) -> Option<Value> {
    let state = kubernetes.state();
    let mut clusters = state.objects.iter().filter(|((kind, _), _)| kind == "kafkaclusters").map(|(_, object)| object);
    let of = |object: &Value| object["metadata"]["annotations"]["millstream.dev/dedicated-to"].clone();
    clusters.find(|object| of(object) == *dedicated_to).cloned()
}

fn names(kubernetes: &Kubernetes) -> BTreeSet<String> {
    let state = kubernetes.state();
    let of_clusters = state.objects.keys().filter(|(kind, _)| kind == "kafkaclusters");
    of_clusters.map(|(_, name)| name.clone()).collect()
}

fn id_of(made: &Value) -> String {
    made["id"].as_str().expect("an id").to_string()
}

fn install_tls_provider() {
    let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_of_customers_become_resources_and_go_with_them() {
    install_tls_provider();
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    write_certificates(folder, &["localhost", "127.0.0.1", "eu-1"]);
    let control_plane = start_control_plane(folder, "cp", "127.0.0.1:0");
    let kubernetes = Kubernetes::default();
    let settings = settings(folder, &control_plane.text("fleet_address"));
    let agent = tokio::spawn(Agent::new(settings, kubernetes.client(), NAMESPACE).run());

    // The shared one is there before anybody asks for a cluster.
    let shared = eventually("the shared resource", || find(&kubernetes, &Value::Null)).await;
    let _shared_broker = deliver(folder, &kubernetes, &shared);
    let customer = Customer { home: folder, control_plane: &control_plane };
    let environment = id_of(&customer.run("environment create e"));
    customer.run(&format!("cluster create basic --type basic --environment {environment}"));

    let dedicated =
        |name: &str| format!("cluster create {name} --type dedicated --cku 1 --no-wait --environment {environment}");
    let own = customer.run(&dedicated("own"))["id"].clone();
    let resource = eventually("a resource of its own", || find(&kubernetes, &own)).await;
    let _own_broker = deliver(folder, &kubernetes, &resource);
    let id = own.as_str().expect("an id");
    let describe = format!("cluster describe {id} --environment {environment}");
    let is_there = || (customer.run(&describe)["status"]["phase"] == "PROVISIONED").then_some(());
    eventually("the dedicated cluster", is_there).await;
    produce_with_what_the_service_says(&customer, &environment, id).await;

    // One that is deleted before anybody has made its brokers goes as well.
    let early = customer.run(&dedicated("early"))["id"].clone();
    let unmade = eventually("the other resource", || find(&kubernetes, &early)).await;
    for (id, resource) in [(&early, &unmade), (&own, &resource)] {
        let id = id.as_str().expect("an id");
        customer.run(&format!("cluster delete {id} --force --environment {environment}"));
        let name = resource["metadata"]["name"].as_str().expect("a name");
        eventually("nothing is left of it", || kubernetes.cluster(name).is_none().then_some(())).await;
        let secret = format!("{name}-agent-token");
        eventually("its token is gone", || kubernetes.secret(&secret).is_none().then_some(())).await;
    }
    assert!(find(&kubernetes, &Value::Null).is_some_and(|object| object["metadata"]["deletionTimestamp"].is_null()));
    agent.abort();
}

/// A key, a topic and a record, by somebody who has nothing but the REST API.
async fn produce_with_what_the_service_says(customer: &Customer<'_>, environment: &str, cluster: &str) {
    let account = id_of(&customer.run("service-account create a"));
    customer.run(&format!(
        "role-binding create --principal {account} --role CloudClusterAdmin --environment {environment} --cluster {cluster}"
    ));
    let at = format!("--environment {environment} --cluster {cluster}");
    let key = customer
        .run(&format!("api-key create --resource {cluster} --service-account {account} --environment {environment}"));
    let secret = key["spec"]["secret"].as_str().expect("a secret");
    let key = format!("--kafka-api-key {} --kafka-api-secret {secret}", id_of(&key));
    let create = format!("topic create t --if-not-exists {at}");
    eventually("the topic", || customer.try_run(&create, "").status.success().then_some(())).await;
    let produced = customer.try_run(&format!("topic produce t {at} {key}"), "one\n");
    assert!(produced.status.success(), "{}", stderr(&produced));
    let consumed = customer.try_run(&format!("topic consume t -b -n 1 {at} {key}"), "");
    assert!(stdout(&consumed).contains("one"), "{}", stderr(&consumed));
    // Clients that read a file are told of one that the command wrote.
    let text = customer.run(&format!("client-config create librdkafka {at} {key}"))["configuration"].to_string();
    let written = format!("{cluster}-ca.pem");
    assert!(text.contains(&written), "{text}");
    let kept = fs::read_to_string(customer.home.join(".millstream").join(written)).expect("it is there");
    assert_eq!(kept, fs::read_to_string(customer.home.join("ca.pem")).expect("it is there"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_stays_without_a_control_plane_and_with_one_that_knows_nothing_of_it() {
    install_tls_provider();
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    write_certificates(folder, &["localhost", "127.0.0.1", "eu-1"]);
    let control_plane = start_control_plane(folder, "cp", "127.0.0.1:0");
    let fleet = control_plane.text("fleet_address");
    let kubernetes = Kubernetes::default();
    let agent = tokio::spawn(Agent::new(settings(folder, &fleet), kubernetes.client(), NAMESPACE).run());
    let shared = eventually("the shared resource", || find(&kubernetes, &Value::Null)).await;
    let customer = Customer { home: folder, control_plane: &control_plane };
    let environment = id_of(&customer.run("environment create e"));
    let create =
        |name: &str| format!("cluster create {name} --type dedicated --cku 1 --no-wait --environment {environment}");
    let own = customer.run(&create("own"))["id"].clone();
    eventually("a resource of its own", || find(&kubernetes, &own)).await;
    let before = names(&kubernetes);

    // Another installation answers at the same address: it asks for its own shared one, and for nothing else.
    control_plane.crash();
    let stranger = start_control_plane(folder, "another", &fleet);
    eventually("what the stranger wants", || (names(&kubernetes).len() == before.len() + 1).then_some(())).await;
    assert!(names(&kubernetes).is_superset(&before));
    stranger.crash();

    // The right one is back: it is heard again, also by somebody who pretends to be the agent. The one that came later is.
    let control_plane = start_control_plane(folder, "cp", &fleet);
    let customer = Customer { home: folder, control_plane: &control_plane };
    let environment = id_of(&customer.run("environment create later"));
    let create =
        |name: &str| format!("cluster create {name} --type dedicated --cku 1 --no-wait --environment {environment}");
    let queued = customer.run(&create("queued"))["id"].clone();
    eventually("the resource that was asked for last", || find(&kubernetes, &queued)).await;

    let elsewhere = Kubernetes::default();
    let second = tokio::spawn(Agent::new(settings(folder, &fleet), elsewhere.client(), NAMESPACE).run());
    eventually("all of it at the one that came later", || find(&elsewhere, &queued)).await;
    let last = customer.run(&create("last"))["id"].clone();
    eventually("what is new at the one that came later", || find(&elsewhere, &last)).await;
    assert!(find(&kubernetes, &last).is_none(), "the first one is not heard any more");
    assert!(names(&kubernetes).is_superset(&before) && find(&kubernetes, &Value::Null).is_some());
    assert!(kubernetes.cluster(shared["metadata"]["name"].as_str().expect("a name")).is_some());
    agent.abort();
    second.abort();
}
