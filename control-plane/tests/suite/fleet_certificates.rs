//! Mutual TLS at the fleet's front door.

use std::net::TcpListener;
use std::sync::Arc;

use millstream_api::fleet::agent_instruction::Instruction;
use millstream_api::fleet::broker_service_client::BrokerServiceClient;
use millstream_api::fleet::{AgentHello, BrokerHello, BrokerUpdate, DesiredPhysicalCluster, broker_update};
use millstream_control_plane::{
    AgentCertificates, Config, ControlPlane, DEFAULT_AUDIT_RETENTION_DAYS, DatabaseUrl, FleetTls, RequestRates,
    SecretsSource,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request};

use crate::fixture::FakeAgent;
use crate::fixture::installation::AGENT_TOKEN;

struct Fleet {
    authority: CertifiedIssuer<'static, KeyPair>,
    control_plane: ControlPlane,
    _directory: tempfile::TempDir,
}

impl Fleet {
    async fn start() -> Self {
        let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.der().clone()).expect("a root");
        let clients = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build();
        let (certificate, key) = sign(&authority, "localhost");
        let server = rustls::ServerConfig::builder()
            .with_client_cert_verifier(clients.expect("a verifier"))
            .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().expect("a private key"))
            .expect("they belong together");
        let directory = tempfile::tempdir().expect("a directory");
        let control_plane = ControlPlane::start(Config {
            database: DatabaseUrl::Sqlite(directory.path().join("control-plane.db")),
            http_listener: TcpListener::bind("127.0.0.1:0").expect("a port"),
            fleet_listener: TcpListener::bind("127.0.0.1:0").expect("a port"),
            monitoring_listener: None,
            public_url: "http://localhost".into(),
            agent_token: AGENT_TOKEN.into(),
            secrets: SecretsSource::Bytes([1; 32]),
            request_rates: RequestRates::default(),
            audit_retention_days: DEFAULT_AUDIT_RETENTION_DAYS,
            tls: None,
            fleet_tls: Some(FleetTls { server: Arc::new(server), agent_certificates: AgentCertificates::Required }),
        })
        .await
        .expect("it starts");
        Self { authority, control_plane, _directory: directory }
    }

    /// A connection whose client shows a certificate of this name, or none.
    async fn connect(&self, name: Option<&str>) -> Channel {
        let mut tls =
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.authority.pem())).domain_name("localhost");
        if let Some(name) = name {
            let (certificate, key) = sign(&self.authority, name);
            tls = tls.identity(Identity::from_pem(certificate.pem(), key.serialize_pem()));
        }
        let url = format!("https://localhost:{}", self.control_plane.fleet_address().port());
        let endpoint = Endpoint::from_shared(url).expect("a URL").tls_config(tls).expect("a configuration");
        endpoint.connect().await.expect("it connects")
    }

    /// What an agent is told to run that says it is `agent_id` and shows a certificate of `name`.
    async fn sync(&self, agent_id: &str, name: Option<&str>) -> Result<DesiredPhysicalCluster, Code> {
        let hello = AgentHello { agent_id: agent_id.into(), version: "test".into(), ..AgentHello::default() };
        let opened = FakeAgent::open_on(self.connect(name).await, AGENT_TOKEN, hello).await;
        let (_reports, mut instructions) = opened.map_err(|status| status.code())?;
        loop {
            let told = instructions.message().await.map_err(|status| status.code())?;
            if let Some(Instruction::Desired(desired)) = told.and_then(|told| told.instruction) {
                return Ok(desired);
            }
        }
    }
}

fn sign(authority: &CertifiedIssuer<'_, KeyPair>, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("params");
    (params.signed_by(&key, authority).expect("signed"), key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_gets_in_with_its_token_and_a_certificate_that_names_it() {
    let fleet = Fleet::start().await;
    assert!(fleet.sync("eu-1", Some("eu-1")).await.is_ok());
    assert_eq!(fleet.sync("eu-1", None).await.map(|_| ()), Err(Code::Unauthenticated));
    assert_eq!(fleet.sync("eu-1", Some("eu-2")).await.map(|_| ()), Err(Code::PermissionDenied));
    fleet.control_plane.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_without_the_token_is_worth_nothing() {
    let fleet = Fleet::start().await;
    let hello = AgentHello { agent_id: "eu-1".into(), version: "test".into(), ..AgentHello::default() };
    let opened = FakeAgent::open_on(fleet.connect(Some("eu-1")).await, "another token", hello).await;
    assert_eq!(opened.map(|_| ()).map_err(|status| status.code()), Err(Code::Unauthenticated));
    fleet.control_plane.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_needs_its_token_only() {
    let fleet = Fleet::start().await;
    let desired = fleet.sync("eu-1", Some("eu-1")).await.expect("let in");
    let mut client = BrokerServiceClient::new(fleet.connect(None).await);
    let (updates, receiver) = tokio::sync::mpsc::channel(1);
    let physical_cluster_id = desired.physical_cluster_id;
    let hello = broker_update::Update::Hello(BrokerHello { physical_cluster_id, ..BrokerHello::default() });
    updates.send(BrokerUpdate { update: Some(hello) }).await.expect("room");
    let mut request = Request::new(ReceiverStream::new(receiver));
    let bearer = format!("Bearer {}", desired.broker_token).parse().expect("printable");
    request.metadata_mut().insert("authorization", bearer);
    let mut stream = client.subscribe(request).await.expect("let in").into_inner();
    assert!(stream.message().await.expect("a stream").is_some());
    fleet.control_plane.shutdown().await;
}
