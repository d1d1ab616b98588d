//! Which service a command talks to and with which keys: flags, then variables, then the credentials file.
//!
//! Promises that a secret from the credentials file is sent only to the service that the file belongs to: as soon as
//! `--url` or `--bootstrap-server` names another one, the file's keys for it are left out.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command_line::{ConnectionArgs, SecurityProtocol};
use crate::credentials::Credentials;
use crate::failure::{Failure, chain};
use crate::output::printable;
use crate::rest_client::{Identity, KeyPair, RestClient};
use crate::session::Session;

/// How the Kafka listener is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all; for this machine only.
    Plain,
    /// TLS, trusting this PEM file.
    TrustFile(PathBuf),
    /// TLS, trusting these certificates, which the service named for the cluster.
    TrustPem(String),
    /// TLS, trusting what this machine trusts.
    TrustSystem,
}

/// What the Kafka protocol needs. Has no `Debug`: it holds a secret.
#[derive(Clone)]
pub struct KafkaTarget {
    pub bootstrap_server: String,
    pub credentials: KeyPair,
    pub encryption: Encryption,
}

/// What a command knows about the service before it asks for anything.
pub struct Login {
    url: Option<String>,
    cloud: Option<Identity>,
    /// Whose session is over, so that nobody is logged in.
    session_over: Option<String>,
    kafka: Option<KeyPair>,
    /// The cluster that `kafka` belongs to, if that is known.
    kafka_cluster: Option<String>,
    environment: Option<String>,
    cluster: Option<String>,
    bootstrap_server: Option<String>,
    /// The cluster that `bootstrap_server` belongs to, if that is known.
    bootstrap_cluster: Option<String>,
    tls_ca: Option<PathBuf>,
    security_protocol: Option<SecurityProtocol>,
    data_dir: PathBuf,
}

/// The data directory: flag or variable, else `~/.millstream`.
pub fn data_dir(chosen: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(chosen) = chosen {
        return Ok(chosen.to_path_buf());
    }
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.ok_or_else(|| {
        Failure::usage("HOME is not set, so there is no default data directory").suggest("give --data-dir")
    })?;
    Ok(PathBuf::from(home).join(".millstream"))
}

impl Login {
    /// Puts together what flags, variables and the credentials file of `data_dir` say.
    pub fn resolve(connection: &ConnectionArgs, data_dir: &Path) -> Result<Self, Failure> {
        let file = Credentials::load(data_dir).map_err(|error| Failure::failed(chain(&error)))?;
        Self::merge(connection.clone(), file, Session::load(data_dir)?, data_dir)
    }

    fn merge(
        connection: ConnectionArgs,
        file: Option<Credentials>,
        session: Option<Session>,
        data_dir: &Path,
    ) -> Result<Self, Failure> {
        let given_cloud = pair("cloud", connection.cloud_api_key, connection.cloud_api_secret)?;
        let given_kafka = pair("kafka", connection.kafka_api_key, connection.kafka_api_secret)?;
        // So has a session, which is of the service that the flags name, or the file.
        let service = connection.url.clone().or_else(|| file.as_ref().map(|file| file.rest_url.clone()));
        let session = session.filter(|session| service.is_none_or(|url| same_url(&url, &session.rest_url)));
        // A file of another service has nothing to say about this one.
        let file = file.filter(|file| connection.url.as_deref().is_none_or(|url| same_url(url, &file.rest_url)));
        let mut login = Self {
            url: connection.url,
            cloud: given_cloud.map(Identity::Key),
            session_over: None,
            kafka: given_kafka,
            kafka_cluster: None,
            environment: connection.environment,
            cluster: connection.cluster,
            bootstrap_server: connection.bootstrap_server,
            bootstrap_cluster: None,
            tls_ca: connection.tls_ca,
            security_protocol: connection.security_protocol,
            data_dir: data_dir.to_path_buf(),
        };
        if let Some(session) = session {
            login.fill_in_session(session);
        }
        if let Some(file) = file {
            login.fill_in(file);
        }
        Ok(login)
    }

    fn fill_in_session(&mut self, session: Session) {
        // One that is over is not replaced by the file's key, which may be allowed more: its user is told.
        if self.cloud.is_none() {
            match session.is_over() {
                true => self.session_over = Some(session.email),
                false => self.cloud = Some(Identity::Token(session.token)),
            }
        }
        self.url.get_or_insert(session.rest_url);
    }

    fn fill_in(&mut self, file: Credentials) {
        let listener_is_the_files = self.bootstrap_server.as_ref().is_none_or(|given| *given == file.bootstrap_servers);
        if listener_is_the_files {
            if self.bootstrap_server.is_none() {
                self.bootstrap_server = Some(file.bootstrap_servers);
                self.bootstrap_cluster = Some(file.cluster_id.clone());
            }
            if self.kafka.is_none() {
                self.kafka = Some(KeyPair { key: file.kafka_api_key, secret: file.kafka_api_secret });
                self.kafka_cluster = Some(file.cluster_id.clone());
            }
            if self.security_protocol.is_none() && self.tls_ca.is_none() {
                self.security_protocol = SecurityProtocol::from_name(&file.security_protocol);
                self.tls_ca = file.tls_ca_file;
            }
        }
        self.url.get_or_insert(file.rest_url);
        self.environment.get_or_insert(file.environment_id);
        self.cluster.get_or_insert(file.cluster_id);
        if self.cloud.is_none() && self.session_over.is_none() {
            self.cloud = Some(Identity::Key(KeyPair { key: file.cloud_api_key, secret: file.cloud_api_secret }));
        }
    }

    /// The REST API with the cloud API key.
    pub fn cloud_api(&self) -> Result<RestClient, Failure> {
        let url = self.url()?;
        let Some(cloud) = &self.cloud else {
            return Err(self.nobody(format!("no cloud API key for {url}")).suggest(
                "log in with `millstream login`, or set MILLSTREAM_CLOUD_API_KEY and MILLSTREAM_CLOUD_API_SECRET",
            ));
        };
        self.rest(url, cloud.clone())
    }

    /// The REST API for topics of a cluster: with the Kafka key if it is that cluster's, else with the cloud key.
    pub fn topic_api(&self) -> Result<(RestClient, &str), Failure> {
        let url = self.url()?;
        let cluster = self.cluster()?;
        let kafka = self.kafka_key_of(cluster).cloned().map(Identity::Key);
        let Some(identity) = kafka.or_else(|| self.cloud.clone()) else {
            return Err(self.nobody(format!("no API key for cluster {cluster}")).suggest(KAFKA_KEY_SUGGESTION));
        };
        Ok((self.rest(url, identity)?, cluster))
    }

    /// The address of the REST API, and a client that says nothing about who asks.
    pub fn without_credentials(&self) -> Result<(String, RestClient), Failure> {
        let url = self.url()?;
        Ok((url.to_string(), self.rest(url, Identity::Nobody)?))
    }

    fn nobody(&self, message: String) -> Failure {
        match &self.session_over {
            Some(email) => Failure::not_authorized(format!("the session of {} is over", printable(email)))
                .suggest("log in again with `millstream login`, or forget the session with `millstream logout`"),
            None => Failure::not_authorized(message),
        }
    }

    /// The environment that the command is about.
    pub fn environment(&self) -> Result<&str, Failure> {
        self.environment.as_deref().ok_or_else(|| {
            Failure::usage("no environment was given")
                .suggest("give --environment; `millstream environment list` shows the ids")
        })
    }

    /// The cluster that the command is about.
    pub fn cluster(&self) -> Result<&str, Failure> {
        self.cluster.as_deref().ok_or_else(|| {
            Failure::usage("no cluster was given").suggest("give --cluster; `millstream cluster list` shows the ids")
        })
    }

    /// Everything that the Kafka protocol needs; asks the REST API for the address of another cluster.
    pub async fn kafka_target(&self) -> Result<KafkaTarget, Failure> {
        let (bootstrap_server, authority) = self.find_bootstrap_server().await?;
        let credentials = match &self.cluster {
            Some(cluster) => self.kafka_key_of(cluster),
            None => self.kafka.as_ref(),
        };
        let Some(credentials) = credentials else {
            let cluster = self.cluster.as_deref().unwrap_or("this cluster");
            return Err(Failure::not_authorized(format!("no Kafka API key for {cluster}")).suggest(format!(
                "create one with `millstream api-key create --resource {cluster} --service-account ID`, then set \
                 MILLSTREAM_KAFKA_API_KEY and MILLSTREAM_KAFKA_API_SECRET"
            )));
        };
        Ok(self.target_at(&bootstrap_server, credentials.clone(), authority))
    }

    /// A listener that somebody else found, with a key of that cluster and the certificates that the service says its
    /// clients have to trust.
    pub fn target_at(&self, bootstrap_server: &str, credentials: KeyPair, authority: Option<String>) -> KafkaTarget {
        let says_otherwise = self.tls_ca.is_some() || self.security_protocol == Some(SecurityProtocol::SaslPlaintext);
        let encryption = match authority.filter(|_| !says_otherwise) {
            Some(pem) => Encryption::TrustPem(pem),
            None => self.encryption(bootstrap_server),
        };
        KafkaTarget { bootstrap_server: bootstrap_server.to_owned(), credentials, encryption }
    }

    /// The address, and the certificates that the service says clients of it have to trust.
    async fn find_bootstrap_server(&self) -> Result<(String, Option<String>), Failure> {
        let known_for_other_cluster = match (&self.bootstrap_cluster, &self.cluster) {
            (Some(known), Some(wanted)) => known != wanted,
            _ => false,
        };
        if let Some(server) = self.bootstrap_server.as_ref().filter(|_| !known_for_other_cluster) {
            return Ok((server.clone(), None));
        }
        let Ok(cluster) = self.cluster() else {
            return Err(self.not_logged_in("no bootstrap server is known"));
        };
        let environment = self.environment()?;
        let answer =
            self.cloud_api()?.get(&["cmk", "v2", "clusters", cluster], &[("environment", environment)]).await?;
        let endpoint = answer.pointer("/spec/kafka_bootstrap_endpoint").and_then(Value::as_str).unwrap_or_default();
        let endpoint = endpoint.rsplit("://").next().unwrap_or_default();
        if endpoint.is_empty() {
            return Err(Failure::failed(format!("cluster {cluster} has no address yet"))
                .suggest(format!("look at its status with `millstream cluster describe {cluster}`")));
        }
        Ok((endpoint.to_string(), authority_of(&answer)))
    }

    /// Keeps certificates that a cluster's clients have to trust in the data directory, for clients that read a file.
    pub fn keep_authority(&self, pem: &str) -> Result<PathBuf, Failure> {
        let path = self.data_dir.join(format!("{}-ca.pem", self.cluster()?));
        let written = std::fs::create_dir_all(&self.data_dir).and_then(|()| std::fs::write(&path, pem));
        written.map_err(|error| {
            Failure::failed(format!("cannot write {}: {error}", path.display())).suggest("give another --data-dir")
        })?;
        Ok(path)
    }

    fn kafka_key_of(&self, cluster: &str) -> Option<&KeyPair> {
        let belongs = self.kafka_cluster.as_deref().is_none_or(|known| known == cluster);
        self.kafka.as_ref().filter(|_| belongs)
    }

    fn encryption(&self, bootstrap_server: &str) -> Encryption {
        // A secret leaves this machine encrypted unless someone says otherwise.
        let by_default = match is_loopback(bootstrap_server) && self.tls_ca.is_none() {
            true => SecurityProtocol::SaslPlaintext,
            false => SecurityProtocol::SaslSsl,
        };
        match (self.security_protocol.unwrap_or(by_default), &self.tls_ca) {
            (SecurityProtocol::SaslPlaintext, _) => Encryption::Plain,
            (SecurityProtocol::SaslSsl, Some(path)) => Encryption::TrustFile(path.clone()),
            (SecurityProtocol::SaslSsl, None) => Encryption::TrustSystem,
        }
    }

    fn url(&self) -> Result<&str, Failure> {
        self.url.as_deref().ok_or_else(|| self.not_logged_in("no REST address is known"))
    }

    fn not_logged_in(&self, what: &str) -> Failure {
        Failure::not_authorized(format!(
            "not logged in: {what}, and {} has no credentials file",
            self.data_dir.display()
        ))
        .suggest(
            "start the service on this machine with `millstream up`, or name another one with --url and \
                 --bootstrap-server and give its keys",
        )
    }

    fn rest(&self, url: &str, identity: Identity) -> Result<RestClient, Failure> {
        let ca_file = self.tls_ca.as_deref().filter(|_| url.starts_with("https:"));
        Ok(RestClient::new(url, identity, ca_file)?)
    }
}

/// The certificates that the service says clients of a cluster have to trust.
pub fn authority_of(cluster: &Value) -> Option<String> {
    cluster.pointer("/status/kafka_ca_certificate").and_then(Value::as_str).map(str::to_owned)
}

const KAFKA_KEY_SUGGESTION: &str =
    "set MILLSTREAM_KAFKA_API_KEY and MILLSTREAM_KAFKA_API_SECRET, or their cloud counterparts";

fn pair(kind: &str, key: Option<String>, secret: Option<String>) -> Result<Option<KeyPair>, Failure> {
    let upper = kind.to_uppercase();
    match (key, secret) {
        (Some(key), Some(secret)) => Ok(Some(KeyPair { key, secret })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Failure::usage(format!("--{kind}-api-key was given without its secret"))
            .suggest(format!("set MILLSTREAM_{upper}_API_SECRET or give --{kind}-api-secret"))),
        (None, Some(_)) => Err(Failure::usage(format!("the secret of a {kind} API key was given without the key"))
            .suggest(format!("set MILLSTREAM_{upper}_API_KEY or give --{kind}-api-key"))),
    }
}

fn same_url(left: &str, right: &str) -> bool {
    left.trim_end_matches('/') == right.trim_end_matches('/')
}

fn is_loopback(server: &str) -> bool {
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Credentials {
        Credentials {
            bootstrap_servers: "127.0.0.1:9092".into(),
            rest_url: "http://127.0.0.1:8080".into(),
            organization_id: "org".into(),
            environment_id: "env-file".into(),
            cluster_id: "lkc-file".into(),
            service_account_id: "sa-file".into(),
            kafka_api_key: "FILEKAFKA".into(),
            kafka_api_secret: "s1".into(),
            cloud_api_key: "FILECLOUD".into(),
            cloud_api_secret: "s2".into(),
            admin: None,
            data_dir: "/nowhere".into(),
            security_protocol: "SASL_PLAINTEXT".into(),
            tls_ca_file: None,
        }
    }

    fn login(connection: ConnectionArgs) -> Login {
        Login::merge(connection, Some(file()), None, Path::new("/nowhere"))
            .unwrap_or_else(|failure| panic!("{failure}"))
    }

    #[test]
    fn the_file_alone_is_enough() {
        let login = login(ConnectionArgs::default());
        assert_eq!(login.url().ok(), Some("http://127.0.0.1:8080"));
        assert_eq!(login.environment().ok(), Some("env-file"));
        assert_eq!(login.kafka_key_of("lkc-file").map(|pair| pair.key.as_str()), Some("FILEKAFKA"));
        assert!(login.encryption("127.0.0.1:9092") == Encryption::Plain);
    }

    #[test]
    fn flags_win_over_the_file() {
        let flags = ConnectionArgs {
            cloud_api_key: Some("FLAG".into()),
            cloud_api_secret: Some("s".into()),
            cluster: Some("lkc-flag".into()),
            ..ConnectionArgs::default()
        };
        let login = login(flags);
        assert!(matches!(&login.cloud, Some(Identity::Key(pair)) if pair.key == "FLAG"));
        assert_eq!(login.cluster().ok(), Some("lkc-flag"));
    }

    #[test]
    fn secrets_of_the_file_are_not_sent_to_another_service() {
        let elsewhere = login(ConnectionArgs { url: Some("http://other:8080".into()), ..ConnectionArgs::default() });
        assert!(elsewhere.cloud.is_none() && elsewhere.kafka.is_none() && elsewhere.environment.is_none());
        let other_broker =
            login(ConnectionArgs { bootstrap_server: Some("other:9092".into()), ..ConnectionArgs::default() });
        assert!(other_broker.kafka.is_none() && other_broker.cloud.is_some());
        let slash = login(ConnectionArgs { url: Some("http://127.0.0.1:8080/".into()), ..ConnectionArgs::default() });
        assert!(slash.cloud.is_some());
    }

    fn login_in_session(connection: ConnectionArgs, minutes_left: i64) -> Login {
        let session = Session {
            rest_url: "http://127.0.0.1:8080".into(),
            session_id: "id".into(),
            organization_id: "org".into(),
            email: "ann@example.com".into(),
            token: "TOKEN".into(),
            expires_at: chrono::Utc::now() + chrono::TimeDelta::minutes(minutes_left),
        };
        let merged = Login::merge(connection, Some(file()), Some(session), Path::new("/nowhere"));
        merged.unwrap_or_else(|failure| panic!("{failure}"))
    }

    #[test]
    fn a_session_comes_before_the_file_and_after_flags() {
        let login = login_in_session(ConnectionArgs::default(), 1);
        assert!(matches!(&login.cloud, Some(Identity::Token(token)) if token == "TOKEN"));
        let flags = ConnectionArgs {
            cloud_api_key: Some("FLAG".into()),
            cloud_api_secret: Some("s".into()),
            ..ConnectionArgs::default()
        };
        assert!(matches!(login_in_session(flags, 1).cloud, Some(Identity::Key(_))));
    }

    #[test]
    fn a_token_is_not_sent_to_another_service() {
        let flags = ConnectionArgs { url: Some("http://other:8080".into()), ..ConnectionArgs::default() };
        assert!(login_in_session(flags, 1).cloud.is_none());
    }

    #[test]
    fn the_file_does_not_take_the_place_of_a_session_that_is_over() {
        let Err(failure) = login_in_session(ConnectionArgs::default(), -1).cloud_api() else { panic!("logged in") };
        assert!(failure.message.contains("ann@example.com"), "{failure}");
    }

    #[test]
    fn the_key_of_one_cluster_is_not_used_for_another() {
        let login = login(ConnectionArgs { cluster: Some("lkc-second".into()), ..ConnectionArgs::default() });
        assert!(login.kafka_key_of("lkc-second").is_none());
        assert!(login.kafka_key_of("lkc-file").is_some());
    }

    #[test]
    fn a_key_without_its_secret_is_a_usage_error() {
        let flags = ConnectionArgs { kafka_api_key: Some("K".into()), ..ConnectionArgs::default() };
        let Err(failure) = Login::merge(flags, Some(file()), None, Path::new("/nowhere")) else { panic!("accepted") };
        assert_eq!(failure.kind, crate::failure::FailureKind::Usage);
    }

    #[test]
    fn secrets_leave_the_machine_only_encrypted() {
        let bare = Login::merge(ConnectionArgs::default(), None, None, Path::new("/nowhere"))
            .unwrap_or_else(|f| panic!("{f}"));
        assert_eq!(bare.encryption("kafka.example:9092"), Encryption::TrustSystem);
        assert_eq!(bare.encryption("10.0.0.7:9092"), Encryption::TrustSystem);
        for local in ["localhost:9092", "127.0.0.1:9092", "[::1]:9092"] {
            assert_eq!(bare.encryption(local), Encryption::Plain, "{local}");
        }
    }
}
