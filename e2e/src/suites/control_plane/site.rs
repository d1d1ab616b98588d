//! The installation of the suite, and who calls it.
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::commit_holder::CommitHolder;
use crate::agent::Agent;
use crate::broker::Broker;
use crate::context::Context;
use crate::millstream;
use crate::postgres::{Durability, Postgres, url_through};
use crate::process::wait_until;
use crate::replica::{Replica, Settings};
use crate::rest::{Answer, Rest, text_at};
use crate::server::Access;
use crate::wire::Wire;

pub const DATABASE: &str = "control_plane";
pub const REPLICAS: usize = 3;
/// 1 while the config stream is up.
const CONNECTED: &str = "control_plane_connected";
const AGENT_TOKEN: &str = "the token of a suite";
/// How long whatever comes by itself may take.
pub const LIMIT: Duration = Duration::from_secs(60);
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// PostgreSQL, replicas, a broker and its agent; all gone when dropped.
pub struct Site {
    /// Before the database, so that they end before it does.
    pub replicas: Vec<Replica>,
    pub broker: Broker,
    _agent: Agent,
    /// The way of the first replica to the database.
    pub holder: CommitHolder,
    pub postgres: Postgres,
    key: Key,
    organization: String,
    environment: String,
    cluster: String,
    names: AtomicU64,
    _secrets: TempDir,
}

/// A key of the service.
#[derive(Clone)]
pub struct Key {
    pub id: String,
    pub secret: String,
}

impl Site {
    pub fn start(context: &Context) -> Result<Self> {
        millstream::build_once(context)?;
        let (binary, secrets) = (millstream::binary(context), tempfile::tempdir()?);
        let postgres = Postgres::start(Durability::ForTests, &context.log)?;
        let database_url = postgres.create_database(DATABASE)?;
        let holder = CommitHolder::start(postgres.socket())?;
        let settings = |database_url: String| Settings {
            binary: binary.clone(),
            database_url,
            agent_token: AGENT_TOKEN.to_owned(),
            secret_dir: secrets.path().to_owned(),
            log: context.log.clone(),
        };
        let through_holder = settings(url_through(holder.directory(), DATABASE));
        let (first, printed) = Replica::start_with(through_holder, &["--new-organization", "e2e"])?;
        let key = Key { id: text_at(&printed, "/cloud_api_key")?, secret: text_at(&printed, "/cloud_api_secret")? };
        let organization = text_at(&printed, "/organization_id")?;
        let mut replicas = vec![first];
        while replicas.len() < REPLICAS {
            replicas.push(Replica::start(settings(database_url.clone()))?);
        }
        let agent = Agent::start(replicas.iter().map(Replica::fleet_url).collect(), AGENT_TOKEN.to_owned())?;
        let host = agent.wait_for_physical_cluster(LIMIT)?;
        // Not at the replica that is killed: it is to be told of what others commit.
        let broker = Broker::start(&binary, &host, &replicas[1].fleet_url(), &context.log)?;
        agent.is_ready(&host.physical_cluster_id, &broker.kafka_address);
        let (environment, cluster, names) = (String::new(), String::new(), AtomicU64::new(0));
        let (_agent, _secrets) = (agent, secrets);
        let mut site = Self {
            replicas,
            broker,
            _agent,
            holder,
            postgres,
            key,
            organization,
            environment,
            cluster,
            names,
            _secrets,
        };
        site.create_cluster()?;
        Ok(site)
    }

    /// A Standard cluster: a Basic one may have fewer keys.
    fn create_cluster(&mut self) -> Result<()> {
        let mut rest = self.caller().at(1)?;
        let body = json!({"display_name": "e2e"});
        self.environment = text_at(&rest.call("POST", "/org/v2/environments", Some(&body))?, "/id")?;
        let body = json!({"spec": {
            "display_name": "e2e", "availability": "SINGLE_ZONE", "cloud": "AWS", "region": "us-east-2",
            "config": {"kind": "Standard"}, "environment": {"id": self.environment},
        }});
        self.cluster = text_at(&rest.call("POST", "/cmk/v2/clusters", Some(&body))?, "/id")?;
        let path = format!("/cmk/v2/clusters/{}?environment={}", self.cluster, self.environment);
        let is_provisioned = wait_until(LIMIT, || {
            let phase = rest.call("GET", &path, None).and_then(|read| text_at(&read, "/status/phase"));
            phase.is_ok_and(|phase| phase == "PROVISIONED")
        });
        ensure!(is_provisioned, "the cluster is not provisioned within {} s", LIMIT.as_secs());
        Ok(())
    }

    /// Stops all replicas.
    pub fn stop_replicas(&mut self) -> Result<()> {
        self.replicas.iter_mut().try_for_each(Replica::stop)
    }

    /// Starts them again, and waits until the broker follows.
    pub fn start_replicas(&mut self) -> Result<()> {
        self.replicas.iter_mut().try_for_each(Replica::start_again)?;
        self.wait_for_broker()
    }

    /// Waits until the broker follows a replica: who makes a key without it waits for nobody.
    pub fn wait_for_broker(&self) -> Result<()> {
        let follows = wait_until(LIMIT, || self.broker_metric(CONNECTED).is_ok_and(|connected| connected == 1));
        ensure!(follows, "the broker follows no replica after {} s", LIMIT.as_secs());
        Ok(())
    }

    /// One of the broker's metrics that is a whole number.
    pub fn broker_metric(&self, name: &str) -> Result<u64> {
        let mut stream = TcpStream::connect(&self.broker.http_address)?;
        stream.set_read_timeout(Some(LIMIT))?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: broker\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let line = answer.lines().find(|line| !line.starts_with('#') && line.contains(name));
        let value = line.and_then(|line| line.rsplit(' ').next()).with_context(|| format!("no {name}: {answer}"))?;
        Ok(value.parse()?)
    }

    pub fn environment(&self) -> &str {
        &self.environment
    }

    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// A name that nothing has yet.
    pub fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// Who has the first Cloud key, with the addresses of all replicas.
    pub fn caller(&self) -> Caller {
        Caller { urls: self.replicas.iter().map(Replica::url).collect(), key: self.key.clone() }
    }

    pub fn create_account(&self) -> Result<String> {
        let body = json!({"display_name": self.name("account"), "description": ""});
        text_at(&self.caller().at(1)?.call("POST", "/iam/v2/service-accounts", Some(&body))?, "/id")
    }

    /// The body of a POST that makes a Kafka key of the first cluster.
    pub fn kafka_key_body(&self, account: &str, name: &str) -> Value {
        let resource = json!({"id": self.cluster(), "environment": self.environment()});
        json!({"spec": {"display_name": name, "owner": {"id": account}, "resource": resource}})
    }

    /// Lets an account do everything on the first cluster.
    pub fn make_administrator(&self, account: &str) -> Result<()> {
        let crn = format!(
            "crn://confluent.cloud/organization={}/environment={}/cloud-cluster={}",
            self.organization, self.environment, self.cluster
        );
        let body =
            json!({"principal": format!("User:{account}"), "role_name": "CloudClusterAdmin", "crn_pattern": crn});
        self.caller().at(1)?.call("POST", "/iam/v2/role-bindings", Some(&body)).map(|_| ())
    }

    pub fn create_kafka_key(&self, rest: &mut Rest, account: &str) -> Result<Key> {
        let body = self.kafka_key_body(account, &self.name("key"));
        Key::from_answer(&rest.call("POST", "/iam/v2/api-keys", Some(&body))?)
    }

    /// How the broker is reached with a key.
    pub fn kafka(&self, key: &Key) -> Access {
        Access {
            bootstrap_servers: self.broker.kafka_address.clone(),
            api_key: key.id.clone(),
            api_secret: key.secret.clone(),
            rest: None,
        }
    }

    /// Tries to log in at the broker, once.
    pub fn is_let_in(&self, key: &Key) -> Result<bool> {
        Ok(Wire::try_log_in(&self.kafka(key))?.is_some())
    }

    /// Limit and usage of a quota of the organization, or of the first cluster.
    pub fn quota(&self, code: &str) -> Result<(u64, u64)> {
        let (environment, cluster) = (self.environment(), self.cluster());
        let scope = match code.ends_with(".per_cluster") {
            true => format!("KAFKA_CLUSTER&environment={environment}&kafka_cluster={cluster}"),
            false => "ORGANIZATION".to_owned(),
        };
        let path = format!("/service-quota/v1/applied-quotas?scope={scope}&id={code}");
        let answer = self.caller().at(1)?.call("GET", &path, None)?;
        let number = |name: &str| answer.pointer(&format!("/data/0/{name}")).and_then(Value::as_u64);
        number("applied_limit").zip(number("usage")).with_context(|| format!("no such quota: {answer}"))
    }
}

impl Key {
    pub fn from_answer(answer: &Value) -> Result<Self> {
        Ok(Self { id: text_at(answer, "/id")?, secret: text_at(answer, "/spec/secret")? })
    }
}

/// A caller with a key and a list of addresses.
#[derive(Clone)]
pub struct Caller {
    urls: Vec<String>,
    key: Key,
}

impl Caller {
    /// The same addresses with another key.
    pub fn with_key(&self, key: Key) -> Self {
        Self { urls: self.urls.clone(), key }
    }

    /// A connection to one replica.
    pub fn at(&self, replica: usize) -> Result<Rest> {
        Rest::connect(&self.urls[replica % self.urls.len()], &self.key.id, &self.key.secret)
    }

    /// Sends a request until some replica answers it with anything but a 5xx, as clients of a service do.
    pub fn insist(
        &self,
        connection: &mut Option<Rest>,
        headers: &[(&str, &str)],
        path: &str,
        body: &Value,
    ) -> Result<Answer> {
        let started = Instant::now();
        for attempt in 0.. {
            ensure!(started.elapsed() < LIMIT, "POST {path}: no answer within {} s", LIMIT.as_secs());
            let mut rest = match connection.take() {
                Some(rest) => rest,
                None => match self.at(attempt) {
                    Ok(rest) => rest,
                    Err(_) => {
                        std::thread::sleep(RETRY_PAUSE);
                        continue;
                    }
                },
            };
            match rest.send("POST", path, headers, Some(body)) {
                Ok(answer) if answer.status < 500 => {
                    *connection = Some(rest);
                    return Ok(answer);
                }
                Ok(_) | Err(_) => std::thread::sleep(RETRY_PAUSE),
            }
        }
        unreachable!("attempts do not end by themselves")
    }
}
