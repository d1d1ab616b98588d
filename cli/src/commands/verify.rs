//! `millstream verify`: does the service work? Makes a Basic cluster and what a client needs, sends a record through it, and
//! deletes everything, also after a failure and when it is told to stop.
//!
//! All that it makes is in an environment, or owned by a service account, of a name that no other run has: what is deleted is
//! found by that name, so an answer that was lost leaves nothing behind. Never touches anything else.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::ProgressBar;
use millstream_protocol::compression::Compression;
use serde_json::{Value, json};

use crate::command_line::VerifyArgs;
use crate::failure::{Failure, FailureKind};
use crate::kafka_client::cluster::Cluster;
use crate::kafka_client::consumer::{Consumer, StartAt};
use crate::kafka_client::producer::{OutgoingRecord, Producer};
use crate::login::{KafkaTarget, Login, authority_of};
use crate::output::{Output, printable};
use crate::process::StopSignals;
use crate::rest_client::{KeyPair, RestClient};
use crate::secret_file;

const ENVIRONMENTS: &[&str] = &["org", "v2", "environments"];
const CLUSTERS: &[&str] = &["cmk", "v2", "clusters"];
const SERVICE_ACCOUNTS: &[&str] = &["iam", "v2", "service-accounts"];
const ROLE: &str = "CloudClusterAdmin";
const TOPIC: &str = "verify";
const VALUE: &[u8] = b"a record of millstream verify";
/// Bytes of the part of the name that no other run has.
const NAME_BYTES: usize = 5;
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// A step, and what is likely wrong when it does not end.
struct Step {
    name: &'static str,
    when_late: &'static str,
}

const API: Step = Step { name: "api", when_late: "does the address of --url lead to the REST API?" };
const CLUSTER: Step = Step {
    name: "cluster",
    when_late: "no broker has taken it: on Kubernetes `kubectl get kafkaclusters` says whether one is ready",
};
const KEY: Step = Step { name: "key", when_late: "a broker does not take what is new: its log says why" };
const TOPIC_STEP: Step =
    Step { name: "topic", when_late: "the broker does not answer the control plane: its log says why" };
const PRODUCE: Step =
    Step { name: "produce", when_late: "does the name of the bootstrap server lead to the broker from here?" };
const CONSUME: Step =
    Step { name: "consume", when_late: "the record did not come back: the log of the broker says why" };
const CLEAN_UP: Step =
    Step { name: "clean up", when_late: "delete the environment and the service account millstream-verify-…" };

/// Runs all steps, reports each, and fails as the first that failed.
pub async fn run(args: VerifyArgs, data_dir: &Path, output: &Output) -> Result<(), Failure> {
    let mut connection = args.connection();
    if let Some(folder) = &args.cloud_api_key_dir {
        connection.cloud_api_key = Some(secret_file::read_secret(&folder.join("api-key"))?);
        connection.cloud_api_secret = Some(secret_file::read_secret(&folder.join("api-secret"))?);
    }
    let login = Login::resolve(&connection, data_dir)?;
    let run = Run { api: login.cloud_api()?, name: unique_name()?, place: (args.cloud, args.region), login };
    let mut report = Report::new(output, Duration::from_secs(args.limit));
    let mut stop = StopSignals::install()?;
    let outcome = tokio::select! {
        outcome = run.all_steps(&mut report) => outcome,
        () = stop.next() => Err(Failure::failed("it was told to stop")),
    };
    let cleaned = report.step(&CLEAN_UP, run.delete_everything()).await;
    report.finish()?;
    outcome.and(cleaned)
}

struct Run {
    login: Login,
    api: RestClient,
    name: String,
    /// Cloud and region.
    place: (String, String),
}

/// The cluster and the key that it made.
struct Made {
    environment_id: String,
    cluster: Value,
}

impl Run {
    async fn all_steps(&self, report: &mut Report<'_>) -> Result<(), Failure> {
        report.step(&API, self.check_api()).await?;
        let made = report.step(&CLUSTER, self.create_cluster()).await?;
        let target = report.step(&KEY, self.create_key(&made)).await?;
        report.step(&TOPIC_STEP, self.create_topic(&made)).await?;
        report.step(&PRODUCE, produce(&target)).await?;
        report.step(&CONSUME, consume(&target)).await
    }

    async fn check_api(&self) -> Result<(), Failure> {
        self.api.get(ENVIRONMENTS, &[("page_size", "1")]).await?;
        Ok(())
    }

    async fn create_cluster(&self) -> Result<Made, Failure> {
        let environment = self.api.post(ENVIRONMENTS, &[], &json!({ "display_name": self.name })).await?;
        let environment_id = text(&environment, "/id")?;
        let (cloud, region) = &self.place;
        let body = json!({ "spec": {
            "display_name": self.name,
            "availability": "SINGLE_ZONE",
            "cloud": cloud,
            "region": region,
            "config": { "kind": "Basic" },
            "environment": { "id": environment_id },
        }});
        let mut cluster = self.api.post(CLUSTERS, &[], &body).await?;
        let id = text(&cluster, "/id")?;
        loop {
            match cluster.pointer("/status/phase").and_then(Value::as_str) {
                Some("PROVISIONED") => return Ok(Made { environment_id, cluster }),
                Some("FAILED") => return Err(Failure::failed(format!("provisioning of cluster {id} failed"))),
                _ => tokio::time::sleep(POLL_INTERVAL).await,
            }
            cluster = self.api.get(&[CLUSTERS, &[&id]].concat(), &[("environment", &environment_id)]).await?;
        }
    }

    /// A service account that may do everything on the cluster, and a key of its own that every live broker knows.
    async fn create_key(&self, made: &Made) -> Result<KafkaTarget, Failure> {
        let body = json!({ "display_name": self.name, "description": "Made by `millstream verify`" });
        let account = text(&self.api.post(SERVICE_ACCOUNTS, &[], &body).await?, "/id")?;
        let role = json!({
            "principal": format!("User:{account}"),
            "role_name": ROLE,
            "crn_pattern": text(&made.cluster, "/metadata/resource_name")?,
        });
        self.api.post(&["iam", "v2", "role-bindings"], &[], &role).await?;
        let body = json!({ "spec": {
            "display_name": self.name,
            "owner": { "id": account, "api_version": "iam/v2", "kind": "ServiceAccount" },
            "resource": {
                "id": text(&made.cluster, "/id")?,
                "environment": made.environment_id,
                "api_version": "cmk/v2",
                "kind": "Cluster",
            },
        }});
        let key = self.api.post(&["iam", "v2", "api-keys"], &[("wait", "ready")], &body).await?;
        let credentials = KeyPair { key: text(&key, "/id")?, secret: text(&key, "/spec/secret")? };
        let server = text(&made.cluster, "/spec/kafka_bootstrap_endpoint")?;
        let server = server.rsplit("://").next().unwrap_or_default();
        Ok(self.login.target_at(server, credentials, authority_of(&made.cluster)))
    }

    async fn create_topic(&self, made: &Made) -> Result<(), Failure> {
        let id = text(&made.cluster, "/id")?;
        let body = json!({ "topic_name": TOPIC, "partitions_count": 1 });
        self.api.post(&["kafka", "v3", "clusters", &id, "topics"], &[], &body).await?;
        Ok(())
    }

    async fn delete_everything(&self) -> Result<(), Failure> {
        for environment in self.of_this_run(ENVIRONMENTS).await? {
            let query = [("environment", environment.as_str())];
            for cluster in self.api.list(CLUSTERS, &query).await? {
                self.api.delete(&[CLUSTERS, &[&text(&cluster, "/id")?]].concat(), &query).await?;
            }
            while !self.api.list(CLUSTERS, &query).await?.is_empty() {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            self.api.delete(&[ENVIRONMENTS, &[&environment]].concat(), &[]).await?;
        }
        // Its key and its role go with it.
        for account in self.of_this_run(SERVICE_ACCOUNTS).await? {
            self.api.delete(&[SERVICE_ACCOUNTS, &[&account]].concat(), &[]).await?;
        }
        Ok(())
    }

    async fn of_this_run(&self, path: &[&str]) -> Result<Vec<String>, Failure> {
        let objects = self.api.list(path, &[]).await?;
        objects
            .iter()
            .filter(|object| object["display_name"] == json!(self.name))
            .map(|object| text(object, "/id"))
            .collect()
    }
}

async fn produce(target: &KafkaTarget) -> Result<(), Failure> {
    let cluster = Cluster::connect(target).await?;
    let mut producer = Producer::new(cluster, TOPIC, Compression::None, Vec::new(), None).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let record = OutgoingRecord { key: None, value: Some(VALUE.to_vec()), timestamp_ms: now.as_millis() as i64 };
    Ok(producer.send(&[record]).await?)
}

async fn consume(target: &KafkaTarget) -> Result<(), Failure> {
    let mut consumer = Consumer::new(Cluster::connect(target).await?, TOPIC).await?;
    let partitions: Vec<i32> = consumer.layout().leaders.keys().copied().collect();
    let start: BTreeMap<i32, i64> = consumer.offsets_at(&partitions, StartAt::Beginning).await?;
    consumer.assign(start);
    loop {
        if let Some(record) = consumer.poll().await?.into_iter().next() {
            return match record.value.as_deref() == Some(VALUE) {
                true => Ok(()),
                false => Err(Failure::failed("the record that came back is not the one that was sent")),
            };
        }
    }
}

/// Says how each step ended: a line per step for people, one object at the end for programs.
struct Report<'a> {
    output: &'a Output,
    limit: Duration,
    steps: Vec<Value>,
}

impl<'a> Report<'a> {
    fn new(output: &'a Output, limit: Duration) -> Self {
        Self { output, limit, steps: Vec::new() }
    }

    async fn step<T>(&mut self, step: &Step, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let name = step.name;
        let spinner = if io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        spinner.set_message(name.to_owned());
        spinner.enable_steady_tick(Duration::from_millis(100));
        let began = Instant::now();
        let outcome = tokio::time::timeout(self.limit, work).await.unwrap_or_else(|_| {
            let message = format!("not done after {} s", self.limit.as_secs());
            Err(Failure::new(FailureKind::Unreachable, message).suggest(step.when_late))
        });
        spinner.finish_and_clear();
        let milliseconds = began.elapsed().as_millis() as u64;
        let error = outcome.as_ref().err().map(|failure| failure.message.clone());
        self.output.say(&match &error {
            None => format!("ok    {name:10} {milliseconds} ms"),
            Some(message) => format!("FAIL  {name:10} {}", printable(message)),
        })?;
        self.steps.push(json!({ "step": name, "ok": error.is_none(), "milliseconds": milliseconds, "error": error }));
        outcome.map_err(|failure| Failure { message: format!("{name}: {}", failure.message), ..failure })
    }

    fn finish(self) -> Result<(), Failure> {
        if !self.output.is_json() {
            return Ok(());
        }
        let ok = self.steps.iter().all(|step| step["ok"] == json!(true));
        self.output.json(&json!({ "ok": ok, "steps": self.steps }))
    }
}

fn unique_name() -> Result<String, Failure> {
    let mut bytes = [0; NAME_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Failure::failed(format!("no random numbers: {error}")))?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("millstream-verify-{digits}"))
}

fn text(object: &Value, pointer: &str) -> Result<String, Failure> {
    let found = object.pointer(pointer).and_then(Value::as_str);
    found
        .map(str::to_owned)
        .ok_or_else(|| Failure::failed(format!("the service answered with an object that has no {pointer}")))
}
