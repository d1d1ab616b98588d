//! Clusters of every kind, and Kafka's Java client on them: as a Job inside of Kubernetes, and on this machine, which finds the
//! load balancers of the brokers by a hosts file, as others would by DNS.
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::site::{DOMAIN, Site};
use crate::context::Context;
use crate::image::Image;
use crate::suites::java::{build_jar, java_class};
use crate::suites::kubernetes::account::{Account, id, text};
use crate::suites::kubernetes::eventually;

const IMAGE: &str = "millstream.dev/java-checks:1";
const KINDS: &[&str] = &["basic", "standard", "dedicated"];
const RUN_LIMIT: Duration = Duration::from_secs(120);
/// The file with the authorities that a client trusts, beside its properties.
const AUTHORITY: &str = "ca.crt";

/// Clients of the clusters, and where their files are.
pub struct Clients<'a> {
    site: &'a Site<'a>,
    context: &'a Context,
    jar: PathBuf,
    pub folder: PathBuf,
    pub tenants: Vec<Tenant>,
}

/// A cluster with a key that may do everything on it. No `Debug`: it holds a secret.
pub struct Tenant {
    pub kind: &'static str,
    pub id: String,
    /// Of the physical cluster, its resource and everything that it consists of.
    pub physical_cluster: String,
    bootstrap: String,
    key: String,
    secret: String,
}

impl<'a> Clients<'a> {
    /// Makes a cluster of each kind and brings the Java program into the nodes.
    pub fn prepare(context: &'a Context, site: &'a Site<'a>, account: &Account<'_>) -> Result<Self> {
        let jar = build_jar(context, "java", "checks.jar")?;
        let folder = context.build_dir("platform")?;
        let archive = folder.join("java.tar");
        Image::of_java(IMAGE, &jar, &folder)?.write_archive(&archive)?;
        site.kubernetes.load_image(&archive)?;
        let tenants = KINDS.iter().map(|kind| Tenant::create(account, kind)).collect::<Result<_>>()?;
        Ok(Self { site, context, jar, folder, tenants })
    }

    pub fn dedicated(&self) -> Result<&Tenant> {
        self.tenants.iter().find(|tenant| tenant.kind == "dedicated").context("there is one of each kind")
    }

    /// Records through every cluster, by the names that Services have.
    pub fn round_trip_inside(&self) -> Result<()> {
        let release = &self.site.release;
        let (mut files, mut arguments) =
            (Vec::new(), json!(["-cp", "/checks/checks.jar", "io.millstream.e2e.RoundTrip"]));
        for tenant in &self.tenants {
            let Tenant { kind, physical_cluster, .. } = tenant;
            let bootstrap = format!("{physical_cluster}-bootstrap.{}.svc:9092", release.namespace.name);
            files.push((format!("{kind}.properties"), tenant.properties(&bootstrap, &format!("/clients/{kind}.crt"))));
            files.push((format!("{kind}.crt"), self.authority(tenant)?));
            arguments.as_array_mut().context("it is one")?.push(json!(format!("/clients/{kind}.properties")));
        }
        let entries: Vec<_> = files.iter().map(|(name, content)| (name.as_str(), content.as_str())).collect();
        self.site.write_secret("java-clients", &entries)?;
        let manifest = std::fs::read_to_string(self.context.e2e_dir("kubernetes").join("java.yaml"))?;
        release.namespace.apply(&manifest.replace("IMAGE", IMAGE).replace("ARGUMENTS", &arguments.to_string()))?;
        let conditions = "get job java --output=jsonpath={.status.conditions[*].type}";
        let ended = eventually("end of the Job", || {
            let conditions = release.kubectl(conditions).unwrap_or_default();
            ["Complete", "Failed"].iter().any(|end| conditions.contains(end))
        });
        let said = release.kubectl("logs job/java").unwrap_or_default();
        ended.with_context(|| said.clone())?;
        ensure!(self.tenants.iter().all(|tenant| said.contains(&format!("ok /clients/{}", tenant.kind))), "{said}");
        release.kubectl("delete job/java secret/java-clients").map(drop)
    }

    /// The same from outside, by the name that the REST API tells.
    pub fn round_trip_outside(&self) -> Result<()> {
        let mut command = self.java("RoundTrip")?;
        for tenant in &self.tenants {
            command.arg(self.write_files(tenant)?);
        }
        self.context.step("Java clients outside", &mut command, RUN_LIMIT)
    }

    /// A program of the checks on this machine, which knows the brokers of all clusters by name.
    pub fn java(&self, class: &str) -> Result<Command> {
        let hosts = self.folder.join("hosts");
        std::fs::write(&hosts, self.hosts()?)?;
        let mut command = java_class(&self.jar, class);
        command.env("JAVA_TOOL_OPTIONS", format!("-Djdk.net.hosts.file={}", hosts.display()));
        Ok(command)
    }

    /// Writes what a client of this cluster needs; its properties file.
    pub fn write_files(&self, tenant: &Tenant) -> Result<PathBuf> {
        let folder = self.folder.join(tenant.kind);
        std::fs::create_dir_all(&folder)?;
        let (authority, properties) = (folder.join(AUTHORITY), folder.join("client.properties"));
        std::fs::write(&authority, self.authority(tenant)?)?;
        ensure!(tenant.bootstrap.contains(DOMAIN), "{} is not below {DOMAIN}", tenant.bootstrap);
        std::fs::write(&properties, tenant.properties(&tenant.bootstrap, &authority.display().to_string()))?;
        Ok(properties)
    }

    fn authority(&self, tenant: &Tenant) -> Result<String> {
        let config_map = format!("get configmap {}-ca --output=jsonpath={{.data.ca\\.crt}}", tenant.physical_cluster);
        self.site.release.kubectl(&config_map)
    }

    /// What somebody's DNS would have: the addresses that the resources ask for.
    fn hosts(&self) -> Result<String> {
        let resources = self.site.release.kubectl("get kafkaclusters --output=json")?;
        let resources: Value = serde_json::from_str(&resources)?;
        let mut hosts = String::new();
        for resource in resources["items"].as_array().into_iter().flatten() {
            for (name, addresses) in resource["status"]["endpoints"]["addresses"].as_object().into_iter().flatten() {
                let address = addresses.get(0).unwrap_or(addresses).as_str();
                hosts += &format!("{} {name}\n", address.with_context(|| format!("{name} has no address"))?);
            }
        }
        Ok(hosts)
    }
}

impl Tenant {
    fn create(account: &Account<'_>, kind: &'static str) -> Result<Self> {
        let cluster = account.run(&format!("cluster create {kind} --type {kind}"))?;
        ensure!(text(&cluster, "/status/phase")? == "PROVISIONED", "{cluster}");
        let bootstrap = text(&cluster, "/spec/kafka_bootstrap_endpoint")?;
        let (physical_cluster, _) = bootstrap.split_once('.').context("the bootstrap server has another name")?;
        let id = id(&cluster)?;
        let (key, secret) = account.administrator_key(&id)?;
        Ok(Self { kind, id, physical_cluster: physical_cluster.to_owned(), bootstrap, key, secret })
    }

    fn properties(&self, bootstrap: &str, authority: &str) -> String {
        let Self { key, secret, .. } = self;
        format!(
            "bootstrap.servers={bootstrap}\nsecurity.protocol=SASL_SSL\nsasl.mechanism=PLAIN\n\
             ssl.truststore.type=PEM\nssl.truststore.location={authority}\n\
             sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
             username=\"{key}\" password=\"{secret}\";\n"
        )
    }
}
