//! Starting: what is refused, and what survives.

use std::net::TcpListener;
use std::sync::Arc;

use millstream_api::rest::iam::Secret;
use millstream_control_plane::{
    AgentCertificates, BootstrapError, Config, ControlPlane, DEFAULT_AUDIT_RETENTION_DAYS, DatabaseUrl,
    FirstCredentials, FirstLogin, FleetTls, OpenDatabaseError, RequestRates, SecretsSource, StartError,
};
use sqlx::Executor as _;

use crate::fixture::installation::start_replica;
use crate::fixture::{Engine, Installation, Rest};

on_both_engines! {
    async fn what_was_answered_is_there_after_a_restart(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        let environment = installation.rest.create_environment("staging").await;
        let account = installation.rest.create_service_account("app").await;
        installation.restart().await;
        let rest = &installation.rest;
        rest.get(&format!("/org/v2/environments/{environment}")).await.expect(200);
        rest.get(&format!("/iam/v2/service-accounts/{account}")).await.expect(200);
    }

    async fn a_database_of_a_newer_version_is_refused_and_left_alone(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        installation.stop().await;
        let statement = "INSERT INTO schema_versions (version) VALUES (1000)";
        match &installation.database {
            DatabaseUrl::Sqlite(path) => {
                let pool = sqlx::SqlitePool::connect(path.to_str().expect("text")).await.expect("it opens");
                pool.execute(statement).await.expect("written");
                pool.close().await;
            }
            DatabaseUrl::Postgres(url) => {
                let pool = sqlx::PgPool::connect(url).await.expect("it opens");
                pool.execute(statement).await.expect("written");
                pool.close().await;
            }
        }
        let error = start_replica(&installation.database, &installation.directory).await.map(|_| ());
        let error = error.expect_err("it is refused");
        assert!(matches!(error, StartError::Database(OpenDatabaseError::NewerSchema { found: 1000, .. })), "{error}");
        assert!(error.to_string().contains("1000"), "{error}");
    }

    async fn another_root_secret_is_refused(engine: Engine) {
        let mut installation = Installation::start(engine).await;
        installation.stop().await;
        let elsewhere = tempfile::tempdir().expect("a directory");
        let error = start_replica(&installation.database, &elsewhere).await.map(|_| ()).expect_err("it is refused");
        assert!(matches!(error, StartError::SecretsMismatch), "{error}");
    }

    async fn the_first_organization_is_made_once_however_often_it_is_asked_for(engine: Engine) {
        let installation = Installation::start(engine).await;
        let secret = "s".repeat(64);
        let credentials = first_credentials("ABCDEFGHIJKLMNOP", &secret);
        let asks = (0..8).map(|_| installation.control_plane().ensure_organization("First", credentials.clone()));
        let made = futures::future::try_join_all(asks).await.expect("one is made");
        assert_eq!(made.iter().filter(|made| **made).count(), 1, "{made:?}");
        let rest = installation.rest.with_key("ABCDEFGHIJKLMNOP", &secret);
        let organizations = rest.get("/org/v2/organizations").await.expect(200);
        assert_eq!(organizations.text_at("/data/0/display_name"), "First");
        rest.create_environment("staging").await;
        rest.log_in("root@example.com", "correct horse battery").await.expect(201);
    }

    async fn a_first_key_with_another_secret_is_refused(engine: Engine) {
        let installation = Installation::start(engine).await;
        let control_plane = installation.control_plane();
        let ensure = |secret: String| async move {
            control_plane.ensure_organization("First", first_credentials("ABCDEFGHIJKLMNOP", &secret)).await
        };
        assert!(ensure("s".repeat(64)).await.expect("made"));
        let refused = ensure("t".repeat(64)).await;
        assert!(matches!(refused, Err(BootstrapError::KeyTaken(_))), "{refused:?}");
        let refused = ensure("t".repeat(63)).await;
        assert!(matches!(refused, Err(BootstrapError::KeySecret)), "{refused:?}");
        let mut weak = first_credentials("BCDEFGHIJKLMNOPA", &"s".repeat(64));
        weak.login.as_mut().expect("a login").password = Secret::new("short".into());
        let refused = control_plane.ensure_organization("First", weak).await;
        assert!(matches!(refused, Err(BootstrapError::User(_))), "{refused:?}");
    }
}

fn first_credentials(key: &str, secret: &str) -> FirstCredentials {
    FirstCredentials {
        cloud_api_key: key.parse().expect("a key"),
        cloud_api_secret: Secret::new(secret.into()),
        login: Some(FirstLogin {
            email: "root@example.com".into(),
            password: Secret::new("correct horse battery".into()),
        }),
    }
}

#[tokio::test]
async fn a_database_that_is_in_use_is_refused_by_name() {
    let installation = Installation::start(Engine::Sqlite).await;
    let error = start_replica(&installation.database, &installation.directory).await.map(|_| ());
    let error = error.expect_err("it is refused");
    assert!(matches!(error, StartError::Database(OpenDatabaseError::Locked { .. })), "{error}");
    assert!(error.to_string().contains("control-plane.db"), "{error}");
    installation.rest.create_environment("still at work").await;
}

#[tokio::test]
async fn the_database_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let installation = Installation::start(Engine::Sqlite).await;
    for name in ["control-plane.db", "control-plane.db-wal", "secrets/installation-secret"] {
        let file = std::fs::metadata(installation.directory.path().join(name)).expect("it exists");
        assert_eq!(file.permissions().mode() & 0o077, 0, "{name}");
    }
}

#[tokio::test]
async fn a_directory_that_does_not_exist_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = DatabaseUrl::Sqlite(directory.path().join("missing").join("control-plane.db"));
    let error = start_replica(&database, &directory).await.map(|_| ()).expect_err("it is refused");
    assert!(matches!(error, StartError::Database(OpenDatabaseError::NotWritable { .. })), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("control-plane.db");
    std::fs::write(&path, "this is not a database, but it is long enough to be read as a header".repeat(20))
        .expect("written");
    let before = std::fs::read(&path).expect("read");
    let error = start_replica(&DatabaseUrl::Sqlite(path.clone()), &directory).await.map(|_| ());
    assert!(matches!(error.expect_err("refused"), StartError::Database(OpenDatabaseError::Engine(_))));
    assert_eq!(std::fs::read(&path).expect("read"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_listeners_speak_tls() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("a key");
    let tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .expect("they belong together");
    let tls = Arc::new(tls);
    let directory = tempfile::tempdir().expect("a directory");
    let http_listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let public_url = format!("https://localhost:{}", http_listener.local_addr().expect("bound").port());
    let control_plane = ControlPlane::start(Config {
        database: DatabaseUrl::Sqlite(directory.path().join("control-plane.db")),
        http_listener,
        fleet_listener: TcpListener::bind("127.0.0.1:0").expect("a port"),
        monitoring_listener: None,
        public_url: public_url.clone(),
        agent_token: "agent".into(),
        secrets: SecretsSource::Bytes([1; 32]),
        request_rates: RequestRates::default(),
        audit_retention_days: DEFAULT_AUDIT_RETENTION_DAYS,
        tls: Some(Arc::clone(&tls)),
        fleet_tls: Some(FleetTls { server: tls, agent_certificates: AgentCertificates::NotNeeded }),
    })
    .await
    .expect("it starts");
    let certificate = reqwest::Certificate::from_pem(certified.cert.pem().as_bytes()).expect("a certificate");
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([certificate]).build().expect("a client");
    let health = client.get(format!("{public_url}/health")).send().await.expect("an answer");
    assert_eq!((health.status().as_u16(), health.version()), (200, reqwest::Version::HTTP_2));
    let port = control_plane.fleet_address().port();
    let tls = tonic::transport::ClientTlsConfig::new()
        .ca_certificate(tonic::transport::Certificate::from_pem(certified.cert.pem()))
        .domain_name("localhost");
    let endpoint = tonic::transport::Endpoint::from_shared(format!("https://localhost:{port}")).expect("a URL");
    endpoint.tls_config(tls).expect("a configuration").connect().await.expect("it connects");
    control_plane.shutdown().await;
}

#[tokio::test]
async fn an_empty_agent_token_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let error = ControlPlane::start(Config {
        database: DatabaseUrl::Sqlite(directory.path().join("control-plane.db")),
        http_listener: TcpListener::bind("127.0.0.1:0").expect("a port"),
        fleet_listener: TcpListener::bind("127.0.0.1:0").expect("a port"),
        monitoring_listener: None,
        public_url: "http://localhost".into(),
        agent_token: String::new(),
        secrets: SecretsSource::Bytes([1; 32]),
        request_rates: RequestRates::default(),
        audit_retention_days: DEFAULT_AUDIT_RETENTION_DAYS,
        tls: None,
        fleet_tls: None,
    })
    .await;
    assert!(matches!(error.map(|_| ()).expect_err("refused"), StartError::EmptyAgentToken));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_does_not_wait_for_idle_connections() {
    let mut installation = Installation::start(Engine::Sqlite).await;
    let (_agent, broker) = installation.fleet().await;
    let rest: Rest = installation.rest.clone();
    rest.get("/health").await.expect(200);
    let began = std::time::Instant::now();
    installation.stop().await;
    assert!(began.elapsed() < std::time::Duration::from_secs(4), "{:?}", began.elapsed());
    broker.wait_for(|image| image.ended.is_some()).await;
}
