//! What a tenant has in a release: an organization with its first key, and clusters.
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::release::Release;
use super::{LIMIT, eventually};
use crate::kube::command::run;
use crate::rest::Rest;
use crate::{image, millstream};

/// The first organization of the release, by its first key, and an environment in it.
pub struct Account<'a> {
    release: &'a Release<'a>,
    url: String,
    pub key: String,
    secret: String,
    pub environment: String,
}

impl<'a> Account<'a> {
    pub fn open(release: &'a Release<'a>) -> Result<Self> {
        let address = release.kubectl("get service millstream --output=jsonpath={.spec.clusterIP}")?;
        let mut account = Self {
            release,
            url: format!("http://{address}:8080"),
            key: Self::first_key(release)?,
            secret: credential(release, "api-secret")?,
            environment: String::new(),
        };
        account.environment = id(&account.run("environment create tests")?)?;
        Ok(account)
    }

    /// A key, with its secret, that may do everything on a cluster.
    pub fn administrator_key(&self, cluster: &str) -> Result<(String, String)> {
        let owner = id(&self.run(&format!("service-account create app-of-{cluster}"))?)?;
        self.run(&format!("role-binding create --principal {owner} --role CloudClusterAdmin --cluster {cluster}"))?;
        let made = self.run(&format!("api-key create --resource {cluster} --service-account {owner}"))?;
        Ok((id(&made)?, text(&made, "/spec/secret")?))
    }

    /// The REST API.
    pub fn rest(&self) -> Result<Rest> {
        self.rest_at(&self.url)
    }

    /// The REST API at the address of one replica.
    pub fn rest_at(&self, url: &str) -> Result<Rest> {
        Rest::connect(url, &self.key, &self.secret)
    }

    /// Waits until the REST API says so of a cluster.
    pub fn wait_for_phase(&self, cluster: &str, phase: &str) -> Result<()> {
        eventually(phase, || {
            let described = self.run(&format!("cluster describe {cluster}"));
            described.is_ok_and(|cluster| text(&cluster, "/status/phase").is_ok_and(|now| now == phase))
        })
    }

    /// Tells a command of the program who asks.
    pub fn set_environment(&self, command: &mut Command) -> Result<()> {
        let no_data = self.release.context.build_dir("kubernetes")?.join("no-data");
        command.env("MILLSTREAM_DATA_DIR", no_data).env("MILLSTREAM_URL", &self.url);
        command.env("MILLSTREAM_CLOUD_API_KEY", &self.key).env("MILLSTREAM_CLOUD_API_SECRET", &self.secret);
        command.env("MILLSTREAM_ENVIRONMENT", &self.environment);
        Ok(())
    }

    pub fn first_key(release: &Release<'_>) -> Result<String> {
        credential(release, "api-key")
    }

    /// A command of the program on this machine, with its answer.
    pub fn run(&self, arguments: &str) -> Result<Value> {
        let answer = run(&mut self.command(arguments)?)?;
        Ok(serde_json::from_str(&answer).unwrap_or(Value::Null))
    }

    /// The same, not yet run.
    pub fn command(&self, arguments: &str) -> Result<Command> {
        let mut command = Command::new(millstream::binary(self.release.context));
        command.args(arguments.split(' ')).args(["--output", "json"]);
        self.set_environment(&mut command)?;
        Ok(command)
    }
}

fn credential(release: &Release<'_>, name: &str) -> Result<String> {
    let template = format!("--template={{{{index .data \"{name}\" | base64decode}}}}");
    let mut command = release.namespace.command();
    run(command.args(["get", "secret", "millstream-first-credentials"]).arg(template))
}

/// A Dedicated cluster, and a key that may do everything on it.
pub struct Dedicated<'a> {
    pub account: &'a Account<'a>,
    pub id: String,
    /// Of the physical cluster, its resource and everything that it consists of.
    pub name: String,
    bootstrap: String,
    pub key: String,
    pub secret: String,
}

impl<'a> Dedicated<'a> {
    pub fn create(account: &'a Account<'a>) -> Result<Self> {
        let cluster = account.run("cluster create dedicated --type dedicated --cku 1")?;
        let cluster_id = id(&cluster)?;
        let bootstrap = text(&cluster, "/spec/kafka_bootstrap_endpoint")?;
        let (host, _) = bootstrap.split_once('.').context("the bootstrap server has no domain")?;
        let name = host.strip_suffix("-bootstrap").unwrap_or(host);
        let (key, secret) = account.administrator_key(&cluster_id)?;
        Ok(Self { account, name: name.to_owned(), key, secret, id: cluster_id, bootstrap })
    }

    /// Starts the pod in which `client` runs its commands.
    pub fn open_client(&self) -> Result<()> {
        let release = self.release();
        let manifest = std::fs::read_to_string(release.context.e2e_dir("kubernetes").join("client.yaml"))?;
        let manifest = manifest.replace("IMAGE", &image::millstream_name());
        release.namespace.apply(&manifest.replace("CONFIG_MAP", &format!("{}-ca", self.name)))?;
        release.kubectl(&format!("wait pod/client --for=condition=Ready --timeout={}s", LIMIT.as_secs())).map(drop)
    }

    /// A command of the program inside of Kubernetes, on this cluster.
    pub fn client(&self, arguments: &str, input: &str) -> Result<String> {
        let Account { url: _, environment, key, secret, .. } = self.account;
        let url = format!("http://millstream.{}.svc:8080", self.release().namespace.name);
        let connection = [
            ["--bootstrap-server", &self.bootstrap],
            ["--tls-ca", "/authority/ca.crt"],
            ["--kafka-api-key", &self.key],
            ["--kafka-api-secret", &self.secret],
            ["--cluster", &self.id],
            ["--url", &url],
            ["--environment", environment],
            ["--cloud-api-key", key],
            ["--cloud-api-secret", secret],
        ];
        let arguments = arguments.split(' ').chain(connection.as_flattened().iter().copied());
        self.release().namespace.millstream("client", arguments, input)
    }

    /// kube-proxy follows the readiness of a pod with up to a second of delay.
    pub fn has(&self, topic: &str, records: &[&str]) -> Result<()> {
        let read = format!("topic consume {topic} --from-beginning --exit-at-end");
        eventually("records", || {
            let lines = self.client(&read, "").unwrap_or_default();
            records.iter().all(|record| lines.lines().any(|line| line == *record))
        })
    }

    /// The uid of its pod.
    pub fn pod(&self) -> Result<String> {
        let pod = format!("get pod {}-broker-0 --output=jsonpath={{.metadata.uid}}", self.name);
        let pod = self.release().kubectl(&pod)?;
        ensure!(!pod.is_empty(), "there is no pod");
        Ok(pod)
    }

    pub fn is_ready(&self) -> Result<()> {
        let ready = "--for=condition=Ready --timeout=90s";
        self.release().kubectl(&format!("wait kafkacluster/{} {ready}", self.name)).map(drop)
    }

    fn release(&self) -> &'a Release<'a> {
        self.account.release
    }
}

pub fn id(object: &Value) -> Result<String> {
    text(object, "/id")
}

pub fn text(object: &Value, pointer: &str) -> Result<String> {
    let found = object.pointer(pointer).and_then(Value::as_str);
    found.map(str::to_owned).with_context(|| format!("{pointer} is not in {object}"))
}
