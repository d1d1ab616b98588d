//! `millstream broker`: one broker alone, and the whole way from a control plane of its own process to a record.

#[allow(dead_code, reason = "each test binary uses its own part of the support")]
mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use millstream_api::fleet::agent_instruction::Instruction;
use millstream_api::fleet::agent_report::Report;
use millstream_api::fleet::agent_service_client::AgentServiceClient;
use millstream_api::fleet::observed_physical_cluster::Phase;
use millstream_api::fleet::{
    AgentHello, AgentInstruction, AgentReport, DesiredPhysicalCluster, ObservedPhysicalCluster,
};
use support::fleet::{Customer, write_certificates};
use support::{Up, millstream, run, stderr, stdout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

/// Tries until something that comes up in the background is there; each takes as long as a process needs to start.
const ATTEMPTS: usize = 200;

/// A configuration file with an open listener for this machine and an encrypted one.
fn write_config(folder: &Path, physical_cluster: &str, more: &str) {
    let at = |name: &str| folder.join(name).display().to_string();
    let text = format!(
        "physical_cluster_id = \"{physical_cluster}\"\nbroker_id = 0\ndata_dir = {:?}\nhttp.bind = \"127.0.0.1:0\"\n\
         {more}\n\
         [[listeners]]\nname = \"INTERNAL\"\nbind = \"127.0.0.1:0\"\nadvertised_host = \"127.0.0.1\"\n\
         [[listeners]]\nname = \"EXTERNAL\"\nbind = \"127.0.0.1:0\"\nadvertised_host = \"localhost\"\n\
         tls = {{ certificate_file = {:?}, key_file = {:?} }}\n",
        at("data"),
        at("cert.pem"),
        at("key.pem"),
    );
    fs::write(folder.join("broker.toml"), text).expect("written");
}

fn start_broker(folder: &Path) -> Up {
    let mut command = millstream(folder);
    command.args(["broker", "-o", "json", "--log-format", "json", "--config"]).arg(folder.join("broker.toml"));
    Up::spawn(&mut command)
}

/// Status and body of a GET.
fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("connected");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.split(' ').nth(1).expect("a status").to_string(), body.to_string())
}

#[test]
fn a_broker_without_a_control_plane_waits_for_none_and_ends_with_0() {
    let folder = tempfile::tempdir().expect("folder");
    write_certificates(folder.path(), &["localhost", "127.0.0.1"]);
    write_config(folder.path(), "pkc-a", "");
    let broker = start_broker(folder.path());
    let http = broker.text("http_address");
    assert_eq!(get(&http, "/livez").0, "200");
    assert_eq!(get(&http, "/readyz").0, "200");
    assert_eq!(broker.ready["physical_cluster_id"], "pkc-a");
    assert_eq!(broker.stop("-TERM"), Some(0));
}

#[test]
fn a_file_that_cannot_work_is_named_with_its_field_before_anything_starts() {
    let folder = tempfile::tempdir().expect("folder");
    write_certificates(folder.path(), &["localhost", "127.0.0.1"]);
    let check =
        || run(folder.path(), &format!("broker --check --config {}", folder.path().join("broker.toml").display()));
    write_config(folder.path(), "pkc-a", "");
    assert_eq!(check().status.code(), Some(0), "{}", stderr(&check()));
    assert!(!folder.path().join("data").exists());

    let cases = [
        ("kafka_port = 9092", "kafka_port"),
        ("fleet = { url = \"http://elsewhere:8081\", token_file = \"/x\" }", "fleet.url"),
        ("fleet = { url = \"https://elsewhere:8081\", token = \"secret\" }", "unknown field `token`"),
        ("fleet = { url = \"https://elsewhere:8081\", token_file = \"/does-not-exist\" }", "/does-not-exist"),
        ("defaults = { partitions = 0 }", "defaults.partitions"),
    ];
    for (more, expected) in cases {
        write_config(folder.path(), "pkc-a", more);
        let refused = check();
        assert!(matches!(refused.status.code(), Some(1 | 2)), "{more}");
        assert!(stderr(&refused).contains(expected), "{more}: {}", stderr(&refused));
        assert!(stderr(&refused).contains("Suggestion: "), "{more}: {}", stderr(&refused));
    }
    write_config(folder.path(), "pkc-a", "");
    fs::write(folder.path().join("key.pem"), "nonsense").expect("written");
    assert!(stderr(&check()).contains("key.pem"), "{}", stderr(&check()));
}

/// An agent that is told of one shared physical cluster, and says that it is there.
struct Agent {
    reports: tokio::sync::mpsc::Sender<AgentReport>,
    desired: DesiredPhysicalCluster,
    // Keeps the stream open.
    _instructions: tonic::Streaming<AgentInstruction>,
}

impl Agent {
    async fn connect(folder: &Path, fleet: &str) -> Self {
        let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let authority = Certificate::from_pem(fs::read(folder.join("ca.pem")).expect("read"));
        let endpoint = Endpoint::from_shared(format!("https://{fleet}")).expect("a URL");
        let endpoint = endpoint.tls_config(ClientTlsConfig::new().ca_certificate(authority)).expect("a configuration");
        let mut client = AgentServiceClient::new(endpoint.connect().await.expect("connected"));
        let (reports, outgoing) = tokio::sync::mpsc::channel(4);
        let hello = AgentHello { agent_id: "test".into(), version: "test".into(), ..AgentHello::default() };
        reports.send(AgentReport { report: Some(Report::Hello(hello)) }).await.expect("sent");
        let mut request = tonic::Request::new(ReceiverStream::new(outgoing));
        request.metadata_mut().insert("authorization", "Bearer agent-token".parse().expect("a value"));
        let mut instructions = client.sync(request).await.expect("accepted").into_inner();
        loop {
            let told = instructions.message().await.expect("a stream").expect("an instruction");
            if let Some(Instruction::Desired(desired)) = told.instruction {
                return Self { reports, desired, _instructions: instructions };
            }
        }
    }

    async fn say_ready(&self, endpoint: &str) {
        let observed = ObservedPhysicalCluster {
            physical_cluster_id: self.desired.physical_cluster_id.clone(),
            observed_generation: self.desired.generation,
            phase: Phase::Ready.into(),
            kafka_bootstrap_endpoint: endpoint.to_string(),
            ..ObservedPhysicalCluster::default()
        };
        self.reports.send(AgentReport { report: Some(Report::Observed(observed)) }).await.expect("sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_the_names_of_the_listener_that_it_came_in_by() {
    let folder = tempfile::tempdir().expect("folder");
    let folder = folder.path();
    write_certificates(folder, &["localhost", "127.0.0.1"]);
    fs::write(folder.join("agent-token"), "agent-token\n").expect("written");
    fs::write(folder.join("database-url"), format!("sqlite:{}", folder.join("cp.sqlite").display())).expect("written");
    let mut command = millstream(folder);
    command.args(["control-plane", "-o", "json", "--http-listen", "127.0.0.1:0", "--fleet-listen", "127.0.0.1:0"]);
    command.args(["--new-organization", "Acme", "--secret-dir"]).arg(folder.join("secrets"));
    for (flag, file) in [
        ("--database-url-file", "database-url"),
        ("--agent-token-file", "agent-token"),
        ("--fleet-tls-certificate", "cert.pem"),
        ("--fleet-tls-key", "key.pem"),
    ] {
        command.arg(flag).arg(folder.join(file));
    }
    let control_plane = Up::spawn(&mut command);
    let fleet = control_plane.text("fleet_address");
    let agent = Agent::connect(folder, &fleet).await;

    fs::write(folder.join("token"), &agent.desired.broker_token).expect("written");
    let (token, ca) = (folder.join("token"), folder.join("ca.pem"));
    let fleet = format!("fleet = {{ url = \"https://{fleet}\", token_file = {token:?}, ca_file = {ca:?} }}");
    write_config(folder, &agent.desired.physical_cluster_id, &fleet);
    let broker = start_broker(folder);
    let internal = broker.ready["kafka_addresses"]["INTERNAL"].as_str().expect("an address").to_string();
    let external = broker.ready["kafka_addresses"]["EXTERNAL"].as_str().expect("an address").to_string();
    agent.say_ready(&external).await;

    let customer = Customer { home: folder, control_plane: &control_plane };
    let environment = customer.run("environment create e")["id"].as_str().expect("an id").to_string();
    let made = customer.run(&format!("cluster create c --type basic --environment {environment}"));
    let cluster = made["id"].as_str().expect("an id").to_string();
    let account = customer.run("service-account create a")["id"].as_str().expect("an id").to_string();
    customer.run(&format!(
        "role-binding create --principal {account} --role CloudClusterAdmin --environment {environment} --cluster {cluster}"
    ));
    let key = customer
        .run(&format!("api-key create --resource {cluster} --service-account {account} --environment {environment}"));
    let key = format!(
        "--kafka-api-key {} --kafka-api-secret {}",
        key["id"].as_str().expect("a key"),
        key["spec"]["secret"].as_str().expect("a secret")
    );
    // Through the stream of forwarded requests, which comes up beside the other one.
    let create = format!("topic create t --if-not-exists --cluster {cluster} --environment {environment}");
    let created = (0..ATTEMPTS).any(|_| customer.try_run(&create, "").status.success());
    assert!(created, "{}", stderr(&customer.try_run(&create, "")));

    // The open listener knows no TLS and the encrypted one nothing else: whoever were told the other's port would fail.
    let open = format!("--bootstrap-server {internal} --security-protocol SASL_PLAINTEXT {key}");
    let encrypted = format!("--bootstrap-server {external} --tls-ca {} {key}", folder.join("ca.pem").display());
    for place in [open, encrypted] {
        let produced = customer.try_run(&format!("topic produce t {place}"), "one\n");
        assert!(produced.status.success(), "{place}: {}", stderr(&produced));
        let consumed = customer.try_run(&format!("topic consume t -b -n 1 {place}"), "");
        assert!(stdout(&consumed).contains("one"), "{place}: {}", stderr(&consumed));
    }
    assert_eq!(broker.stop("-TERM"), Some(0));
}
