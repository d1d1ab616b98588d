//! The chart in production mode, with the PostgreSQL and the S3 that it uses: those run beside Kubernetes, on this machine.
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};

use anyhow::Result;

use crate::certificates::Certificates;
use crate::context::Context;
use crate::kube::Kubernetes;
use crate::kube::layout::HOST_ADDRESS;
use crate::object_store::{self, ObjectStore};
use crate::postgres::{self, Network, Postgres};
use crate::suites::kubernetes::release::Release;
use crate::suites::kubernetes::{LIMIT, eventually};

const DATABASE: &str = "millstream";
const DATABASE_PASSWORD: &str = "the-password-of-the-suite";
/// Where the chart mounts the Secret of the database.
const DATABASE_FOLDER: &str = "/run/millstream/database";
const OBJECT_STORE_PORT: u16 = 7070;
pub const CONTROL_PLANE: &str = "millstream-control-plane";
pub const OPERATOR: &str = "millstream-operator";
pub const CONTROL_PLANE_PODS: &str = "--selector=app.kubernetes.io/component=control-plane";
pub const OPERATOR_PODS: &str = "--selector=app.kubernetes.io/component=operator";
/// Below which clients outside find brokers.
pub const DOMAIN: &str = "kafka.example.com";

pub struct Site<'a> {
    pub release: Release<'a>,
    pub kubernetes: &'a Kubernetes,
    /// Stopped and started again while clients know the site.
    pub postgres: RefCell<Postgres>,
    pub store: RefCell<ObjectStore>,
    network: Network,
}

impl<'a> Site<'a> {
    /// Everything but the charts and the Secrets that they are told of.
    pub fn start(context: &'a Context, kubernetes: &'a Kubernetes) -> Result<Self> {
        let address: IpAddr = HOST_ADDRESS.parse()?;
        let certificates = Certificates::for_address(address)?;
        let network = Network { address, certificates, password: DATABASE_PASSWORD.to_owned() };
        let postgres = Postgres::start_on(&network, &context.log)?;
        postgres.create_database(DATABASE)?;
        let store = ObjectStore::start(context, SocketAddr::new(address, OBJECT_STORE_PORT))?;
        let values = format!(
            "controlPlane.database.existingSecret=database,\
             objectStore.bucket={},objectStore.endpoint={},objectStore.pathStyle=true,\
             objectStore.existingSecret=object-store,\
             brokers.external.type=loadBalancer,brokers.external.domain={DOMAIN}",
            object_store::BUCKET,
            store.url()
        );
        let release = Release::new(context, kubernetes, &values);
        release.namespace.create_restricted()?;
        Ok(Self { release, kubernetes, postgres: postgres.into(), store: store.into(), network })
    }

    /// The Secret with the way to the database.
    pub fn write_database_secret(&self, password: Password) -> Result<()> {
        let url = postgres::url_on(&self.network, DATABASE, DATABASE_FOLDER);
        let url = match password {
            Password::Right => url,
            Password::Wrong => url.replace(DATABASE_PASSWORD, WRONG),
        };
        self.write_secret("database", &[("url", &url), ("ca.crt", &self.network.certificates.authority)])
    }

    /// The Secret with the key of the object store.
    pub fn write_object_store_secret(&self, password: Password) -> Result<()> {
        let secret = match password {
            Password::Right => object_store::SECRET_ACCESS_KEY,
            Password::Wrong => WRONG,
        };
        let entries = [("access-key-id", object_store::ACCESS_KEY_ID), ("secret-access-key", secret)];
        self.write_secret("object-store", &entries)
    }

    /// The resources of the physical clusters, as `kafkacluster.millstream.dev/NAME`.
    pub fn physical_clusters(&self) -> Result<Vec<String>> {
        let names = self.release.kubectl("get kafkaclusters --output=name")?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// A physical cluster is as it was asked for and serves.
    pub fn wait_until_ready(&self, cluster: &str) -> Result<()> {
        let generations = "--output=jsonpath={.metadata.generation}/{.status.observedGeneration}";
        let generations = format!("get kafkacluster {cluster} {generations}");
        eventually("resource that was looked at", || {
            let seen = self.release.kubectl(&generations).unwrap_or_default();
            seen.split_once('/').is_some_and(|(wanted, observed)| wanted == observed)
        })?;
        let ready = format!("wait kafkacluster/{cluster} --for=condition=Ready --timeout={}s", LIMIT.as_secs());
        self.release.kubectl(&ready).map(drop)
    }

    /// Whether nothing is being done to a physical cluster that serves.
    pub fn is_settled(&self, cluster: &str) -> bool {
        let conditions =
            r#"{.status.conditions[?(@.type=="Ready")].status}{.status.conditions[?(@.type=="Progressing")].status}"#;
        let conditions = format!("get kafkacluster {cluster} --output=jsonpath={conditions}");
        self.release.kubectl(&conditions).is_ok_and(|conditions| conditions == "TrueFalse")
    }

    /// The uid of the pod of a physical cluster; empty while there is none.
    pub fn broker(&self, cluster: &str) -> String {
        let pod = format!("get pod {} --output=jsonpath={{.metadata.uid}}", broker_pod(cluster));
        self.release.kubectl(&pod).unwrap_or_default()
    }

    /// Kills these pods without a warning.
    pub fn kill_pods(&self, pods: &str) -> Result<()> {
        self.release.kubectl(&format!("delete pods {pods} --grace-period=0 --force")).map(drop)
    }

    pub fn scale(&self, deployment: &str, replicas: u8) -> Result<()> {
        self.release.kubectl(&format!("scale deployment/{deployment} --replicas={replicas}"))?;
        self.wait_until_rolled_out(deployment)
    }

    pub fn wait_until_rolled_out(&self, deployment: &str) -> Result<()> {
        let status = format!("rollout status deployment/{deployment} --timeout={}s", LIMIT.as_secs());
        self.release.kubectl(&status).map(drop)
    }

    pub fn write_secret(&self, name: &str, entries: &[(&str, &str)]) -> Result<()> {
        let data: serde_json::Map<_, _> = entries.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let secret = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": data,
        });
        self.release.namespace.apply(&secret.to_string())
    }
}

/// The only pod of a physical cluster.
pub fn broker_pod(cluster: &str) -> String {
    format!("{cluster}-broker-0")
}

/// What a Secret says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Password {
    Right,
    Wrong,
}

/// No log may have it.
pub const WRONG: &str = "a-password-that-is-wrong";
