//! Both charts installed with helm: what they refuse, that clusters appear and clients reach them, that they roll, grow and go.
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{Checks, LIMIT, feed};
use crate::kube::command::run as run_command;
use crate::{image, millstream};

const NAMESPACE: &str = "millstream";
const CHART: &str = "millstream";
const CRDS: &str = "millstream-crds";
/// How long helm waits for what it installed.
const INSTALL_LIMIT: Duration = Duration::from_secs(180);
/// Development mode, the image that the nodes have, and brokers that fit a small machine.
const VALUES: &str = "development.enabled=true,controlPlane.replicas=1,image.pullPolicy=Never,\
    brokers.shared.storageGib=1,brokers.shared.cpuMillis=50,brokers.shared.memoryMib=256,\
    brokers.perCku.storageGib=1,brokers.perCku.cpuMillis=50,brokers.perCku.memoryMib=256";
/// Kinds of what a physical cluster consists of.
const PARTS: &str =
    "kafkaclusters,statefulsets,pods,services,configmaps,secrets,persistentvolumeclaims,networkpolicies";

impl Checks<'_> {
    /// Everything about the charts, in the order in which a platform team does it.
    pub(super) fn charts(&mut self) -> Result<()> {
        self.check("a value that the chart does not have is refused by its name", |checks| {
            checks.helm_refuses("template millstream CHART --set=developmnt.enabled=true", "developmnt")
        });
        self.check("without a database the chart says which Secret it needs", |checks| {
            let template = "template millstream CHART --kube-version=1.36.0";
            checks.helm_refuses(template, "controlPlane.database.existingSecret")
        });
        self.check("helm installs control plane and operator into a restricted namespace", |checks| {
            checks.release("create namespace millstream")?;
            checks.release("label namespace millstream pod-security.kubernetes.io/enforce=restricted")?;
            checks.helm("install millstream-crds CRDS")?;
            checks.install_or("install")
        });
        self.check("the agent makes a shared physical cluster, and its broker becomes ready", |checks| {
            checks.eventually("a physical cluster that is ready", || {
                checks.release("get kafkaclusters --output=name").is_ok_and(|names| !names.is_empty())
                    && checks.release("wait kafkaclusters --all --for=condition=Ready --timeout=1s").is_ok()
            })
        });
        let account = Account::open(self)?;
        self.check("a Basic cluster needs nothing of Kubernetes", |checks| {
            let before = checks.release("get statefulsets --output=name")?;
            account.run(checks, "cluster create basic")?;
            ensure!(checks.release("get statefulsets --output=name")? == before, "a StatefulSet came");
            Ok(())
        });
        let mut dedicated = None;
        self.check("a Dedicated cluster appears, and records go through it by its name and with TLS", |checks| {
            let cluster = dedicated.insert(Dedicated::create(checks, &account)?);
            cluster.open_client(checks)?;
            cluster.client(checks, &account, "topic create tweets", "")?;
            cluster.client(checks, &account, "topic produce tweets", "one\ntwo\n")?;
            cluster.has_its_records(checks, &account)
        });
        let Some(dedicated) = dedicated else { bail!("there is no Dedicated cluster to go on with") };
        self.check("a restart that is asked for rolls the broker, which comes back with its records", |checks| {
            let before = dedicated.pod(checks)?;
            let asked = r#"{"spec":{"maintenance":{"restartedAt":"2026-01-01T00:00:00Z"}}}"#;
            checks.release(&format!("patch kafkacluster {} --type=merge --patch={asked}", dedicated.name))?;
            checks.eventually("another pod", || dedicated.pod(checks).is_ok_and(|pod| pod != before))?;
            dedicated.is_ready(checks)?;
            dedicated.has_its_records(checks, &account)
        });
        self.check("a second CKU makes its volume grow", |checks| {
            account.run(checks, &format!("cluster update {} --cku 2", dedicated.id))?;
            checks.eventually("2Gi", || {
                let size = "--output=jsonpath={.status.capacity.storage}";
                let claim = format!("get pvc data-{}-broker-0 {size}", dedicated.name);
                checks.release(&claim).is_ok_and(|size| size == "2Gi")
            })?;
            dedicated.is_ready(checks)?;
            dedicated.has_its_records(checks, &account)
        });
        self.check("an upgrade without a change keeps the credentials and every pod", |checks| {
            let pods = "get pods --output=jsonpath={.items[*].metadata.uid}";
            let before = checks.release(pods)?;
            checks.install_or("upgrade")?;
            ensure!(checks.release(pods)? == before, "pods were replaced");
            ensure!(Account::key(checks)? == account.key, "the first key changed");
            Ok(())
        });
        self.check("a deleted Dedicated cluster leaves nothing", |checks| {
            account.run(checks, &format!("cluster delete {} --force", dedicated.id))?;
            checks.release("delete pod client --grace-period=1")?;
            let mut left = String::new();
            let gone = checks.eventually("nothing", || {
                let all =
                    checks.release(&format!("get {PARTS} --output=name")).unwrap_or_else(|error| error.to_string());
                left = all.lines().filter(|name| name.contains(&dedicated.name)).collect::<Vec<_>>().join(", ");
                left.is_empty()
            });
            gone.with_context(|| format!("left: {left}"))
        });
        self.check("uninstalled, the chart leaves resources and what opens the database", |checks| {
            checks.helm("uninstall millstream --wait")?;
            let left = checks.release("get kafkaclusters,secrets --output=name")?;
            for kept in ["kafkacluster.millstream.dev/pkc-", "millstream-installation", "millstream-first-credentials"]
            {
                ensure!(left.contains(kept), "{kept} is not in {left}");
            }
            Ok(())
        });
        Ok(())
    }

    /// `kubectl` in the namespace of the release, the arguments separated by spaces.
    fn release(&self, arguments: &str) -> Result<String> {
        run_command(self.kubernetes.kubectl().args(["--namespace", NAMESPACE]).args(arguments.split(' ')))
    }

    fn helm_command(&self, arguments: &str) -> Command {
        let charts = self.context.repository.join("charts");
        let mut command = self.kubernetes.helm();
        command.args(["--namespace", NAMESPACE]).args(arguments.split(' ').map(|argument| match argument {
            "CHART" => charts.join(CHART).display().to_string(),
            "CRDS" => charts.join(CRDS).display().to_string(),
            other => other.to_owned(),
        }));
        command
    }

    fn helm(&self, arguments: &str) -> Result<String> {
        run_command(&mut self.helm_command(arguments))
    }

    fn install_or(&self, verb: &str) -> Result<()> {
        let limit = INSTALL_LIMIT.as_secs();
        self.helm(&format!("{verb} millstream CHART --set={VALUES} --wait --timeout={limit}s")).map(drop)
    }

    fn helm_refuses(&self, arguments: &str, word: &str) -> Result<()> {
        let output = self.helm_command(arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success(), "it was not refused");
        ensure!(said.contains(word), "{word} is not in {said}");
        Ok(())
    }
}

/// The first organization of the release, by its first key, and an environment in it.
struct Account {
    url: String,
    key: String,
    secret: String,
    environment: String,
}

impl Account {
    fn open(checks: &Checks<'_>) -> Result<Self> {
        let address = checks.release("get service millstream --output=jsonpath={.spec.clusterIP}")?;
        let secret = Self::credential(checks, "api-secret")?;
        let mut account =
            Self { url: format!("http://{address}:8080"), key: Self::key(checks)?, secret, environment: String::new() };
        account.environment = id(&account.run(checks, "environment create charts")?)?;
        Ok(account)
    }

    fn key(checks: &Checks<'_>) -> Result<String> {
        Self::credential(checks, "api-key")
    }

    fn credential(checks: &Checks<'_>, name: &str) -> Result<String> {
        let template = format!("--template={{{{index .data \"{name}\" | base64decode}}}}");
        let mut kubectl = checks.kubernetes.kubectl();
        kubectl.args(["--namespace", NAMESPACE, "get", "secret", "millstream-first-credentials"]);
        run_command(kubectl.arg(template))
    }

    /// A command of the program on this machine, with its answer.
    fn run(&self, checks: &Checks<'_>, arguments: &str) -> Result<Value> {
        let mut command = Command::new(millstream::binary(checks.context));
        command.args(arguments.split(' ')).args(["--output", "json"]);
        command.env("MILLSTREAM_DATA_DIR", checks.context.build_dir("kubernetes")?.join("no-data"));
        command.env("MILLSTREAM_URL", &self.url).env("MILLSTREAM_CLOUD_API_KEY", &self.key);
        command.env("MILLSTREAM_CLOUD_API_SECRET", &self.secret).env("MILLSTREAM_ENVIRONMENT", &self.environment);
        let output = command.output()?;
        ensure!(output.status.success(), "millstream {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout).unwrap_or(Value::Null))
    }
}

/// A Dedicated cluster, and a key that may do everything on it.
struct Dedicated {
    id: String,
    /// Of the physical cluster, its resource and everything that it consists of.
    name: String,
    bootstrap: String,
    key: String,
    secret: String,
}

impl Dedicated {
    fn create(checks: &Checks<'_>, account: &Account) -> Result<Self> {
        let cluster = account.run(checks, "cluster create dedicated --type dedicated --cku 1")?;
        let cluster_id = id(&cluster)?;
        let bootstrap = text(&cluster, "/spec/kafka_bootstrap_endpoint")?;
        let (name, _) = bootstrap.split_once("-bootstrap.").context("the bootstrap server has another name")?;
        let owner = id(&account.run(checks, "service-account create app")?)?;
        let role = format!("role-binding create --principal {owner} --role CloudClusterAdmin --cluster {cluster_id}");
        account.run(checks, &role)?;
        let made = format!("api-key create --resource {cluster_id} --service-account {owner}");
        let made = account.run(checks, &made)?;
        Ok(Self {
            name: name.to_owned(),
            key: id(&made)?,
            secret: text(&made, "/spec/secret")?,
            id: cluster_id,
            bootstrap,
        })
    }

    fn open_client(&self, checks: &Checks<'_>) -> Result<()> {
        let manifest = std::fs::read_to_string(checks.context.e2e_dir("kubernetes").join("client.yaml"))?;
        let manifest = manifest.replace("IMAGE", &image::millstream_name());
        let file = checks.context.build_dir("kubernetes")?.join("client.yaml");
        std::fs::write(&file, manifest.replace("CONFIG_MAP", &format!("{}-ca", self.name)))?;
        run_command(checks.kubernetes.kubectl().args(["--namespace", NAMESPACE, "apply", "--filename"]).arg(&file))?;
        checks.release(&format!("wait pod/client --for=condition=Ready --timeout={}s", LIMIT.as_secs())).map(drop)
    }

    /// A command of the program inside of Kubernetes, on this cluster.
    fn client(&self, checks: &Checks<'_>, account: &Account, arguments: &str, input: &str) -> Result<String> {
        let mut command = checks.kubernetes.kubectl();
        command.args(["--namespace", NAMESPACE, "exec", "--stdin", "client", "--", "/millstream"]);
        command.args(arguments.split(' ')).args([
            "--bootstrap-server",
            &self.bootstrap,
            "--tls-ca",
            "/authority/ca.crt",
        ]);
        command.args(["--kafka-api-key", &self.key, "--kafka-api-secret", &self.secret, "--cluster", &self.id]);
        command.args(["--url", &format!("http://millstream.{NAMESPACE}.svc:8080"), "--environment"]);
        command.args([&account.environment, "--cloud-api-key", &account.key, "--cloud-api-secret", &account.secret]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = feed(&mut command, input)?;
        ensure!(output.status.success(), "millstream {arguments}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// kube-proxy follows the readiness of a pod with up to a second of delay.
    fn has_its_records(&self, checks: &Checks<'_>, account: &Account) -> Result<()> {
        let read = "topic consume tweets --from-beginning --exit-at-end";
        checks.eventually("records", || {
            let lines = self.client(checks, account, read, "").unwrap_or_default();
            ["one", "two"].iter().all(|record| lines.lines().any(|line| line == *record))
        })
    }

    fn pod(&self, checks: &Checks<'_>) -> Result<String> {
        let pod = checks.release(&format!("get pod {}-broker-0 --output=jsonpath={{.metadata.uid}}", self.name))?;
        ensure!(!pod.is_empty(), "there is no pod");
        Ok(pod)
    }

    fn is_ready(&self, checks: &Checks<'_>) -> Result<()> {
        let limit = LIMIT.as_secs();
        checks.release(&format!("wait kafkacluster/{} --for=condition=Ready --timeout={limit}s", self.name)).map(drop)
    }
}

fn id(object: &Value) -> Result<String> {
    text(object, "/id")
}

fn text(object: &Value, pointer: &str) -> Result<String> {
    let found = object.pointer(pointer).and_then(Value::as_str);
    found.map(str::to_owned).with_context(|| format!("{pointer} is not in {object}"))
}
