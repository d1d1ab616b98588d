//! The installation of the suite, and who calls it.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::commit_holder::CommitHolder;
use crate::context::Context;
use crate::millstream::{self, Millstream};
use crate::postgres::{Durability, Postgres, url_through};
use crate::replica::{Replica, Settings};
use crate::rest::{Answer, Rest, text_at};
use crate::server::{Access, RestAccess, Server as _};
use crate::wire::Wire;

pub const DATABASE: &str = "control_plane";
pub const REPLICAS: usize = 3;
/// How long whatever comes by itself may take.
pub const LIMIT: Duration = Duration::from_secs(60);
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// PostgreSQL, a broker with its agent, and replicas; all gone when dropped.
pub struct Site {
    /// Before the database, so that they end before it does.
    pub replicas: Vec<Replica>,
    pub up: Millstream,
    /// The way of the first replica to the database.
    pub holder: CommitHolder,
    pub postgres: Postgres,
    rest: RestAccess,
    names: AtomicU64,
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
        let postgres = Postgres::start(Durability::ForTests, &context.log)?;
        let database_url = postgres.create_database(DATABASE)?;
        let up = Millstream::start_new_on(context, &database_url)?;
        up.make_standard()?;
        let rest = up.access().rest.clone().context("the server has no REST API")?;
        let secrets: Value = serde_json::from_slice(&std::fs::read(up.data_dir().join("secrets.json"))?)?;
        let holder = CommitHolder::start(postgres.socket())?;
        let mut replicas = Vec::new();
        for number in 0..REPLICAS {
            let through_holder = || url_through(holder.directory(), DATABASE);
            replicas.push(Replica::start(Settings {
                binary: millstream::binary(context),
                database_url: if number == 0 { through_holder() } else { database_url.clone() },
                agent_token: text_at(&secrets, "/agent_token")?,
                secret_dir: up.data_dir().join("control-plane"),
                log: context.log.clone(),
            })?);
        }
        Ok(Self { replicas, up, holder, postgres, rest, names: AtomicU64::new(0) })
    }

    /// Stops everything but the database.
    pub fn stop_all(&mut self) -> Result<()> {
        self.replicas.iter_mut().try_for_each(Replica::stop)?;
        self.up.stop()
    }

    /// Starts it again.
    pub fn start_all(&mut self) -> Result<()> {
        self.up.restart()?;
        self.replicas.iter_mut().try_for_each(Replica::start_again)
    }

    pub fn environment(&self) -> &str {
        &self.rest.environment_id
    }

    pub fn cluster(&self) -> &str {
        &self.rest.cluster_id
    }

    /// A name that nothing has yet.
    pub fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// Who has the first Cloud key, with the addresses of all replicas.
    pub fn caller(&self) -> Caller {
        Caller {
            urls: self.replicas.iter().map(Replica::url).collect(),
            key: Key { id: self.rest.cloud_api_key.clone(), secret: self.rest.cloud_api_secret.clone() },
        }
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

    pub fn create_kafka_key(&self, rest: &mut Rest, account: &str) -> Result<Key> {
        let body = self.kafka_key_body(account, &self.name("key"));
        Key::from_answer(&rest.call("POST", "/iam/v2/api-keys", Some(&body))?)
    }

    /// How the broker is reached with a key.
    pub fn kafka(&self, key: &Key) -> Access {
        Access {
            bootstrap_servers: self.up.access().bootstrap_servers.clone(),
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
