//! A person with the program on this machine, the first key of the installation, and the names of Kubernetes.
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use millstream_e2e::kube::Kubernetes;
use millstream_e2e::kube::command::run_with_input;
use millstream_e2e::kube::names::Names;
use millstream_e2e::suites::kubernetes::account::{Account, id, text};
use millstream_e2e::suites::kubernetes::release::Release;

use super::millis_since;

const LIMIT: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(50);
const TOPIC: &str = "first";
/// Of the control plane in development mode.
const DATABASE: &str = "sqlite:/var/lib/millstream/control-plane.sqlite";

pub struct Client<'a> {
    pub release: &'a Release<'a>,
    account: Account<'a>,
    names: Names,
    folder: PathBuf,
    /// Files with the certificate authorities of physical clusters.
    authorities: RefCell<BTreeMap<String, PathBuf>>,
}

/// A cluster that took a record, and the milliseconds from just before its POST.
pub struct Made {
    pub id: String,
    /// Of the physical cluster and its resource.
    pub physical: String,
    pub provisioned: u64,
    pub first_record: u64,
}

impl<'a> Client<'a> {
    pub fn new(release: &'a Release<'a>, kubernetes: &Kubernetes) -> Result<Self> {
        Ok(Self {
            release,
            account: Account::open(release)?,
            names: Names::new(kubernetes.layout())?,
            folder: release.context.build_dir("kubernetes")?,
            authorities: RefCell::default(),
        })
    }

    /// Makes a cluster of this type, which waits until it is PROVISIONED, and all that a first record needs.
    pub fn first_record(&self, kind: &str, started: Instant) -> Result<Made> {
        let size = if kind == "dedicated" { " --cku 1" } else { "" };
        let cluster = self.account.run(&format!("cluster create {kind} --type {kind}{size}"))?;
        let provisioned = millis_since(started);
        let id_of_cluster = id(&cluster)?;
        let owner = id(&self.account.run("service-account create writer")?)?;
        let role =
            format!("role-binding create --principal {owner} --role CloudClusterAdmin --cluster {id_of_cluster}");
        self.account.run(&role)?;
        let key = self.account.run(&format!("api-key create --resource {id_of_cluster} --service-account {owner}"))?;
        let (key, secret) = (id(&key)?, text(&key, "/spec/secret")?);
        let bootstrap = text(&cluster, "/spec/kafka_bootstrap_endpoint")?;
        let (physical, _) = bootstrap.split_once("-bootstrap.").context("the bootstrap server has another name")?;
        let physical = physical.rsplit('/').next().unwrap_or(physical).to_owned();
        let authority = self.authority(&physical)?;
        let kafka = |arguments: &str, input: &str| {
            let mut command = self.account.command(arguments)?;
            command.args(["--bootstrap-server", &bootstrap, "--cluster", &id_of_cluster, "--tls-ca"]).arg(&authority);
            command.args(["--kafka-api-key", &key, "--kafka-api-secret", &secret]);
            run_with_input(&mut self.names.for_command(&command), input)
        };
        until(started, || kafka(&format!("topic create {TOPIC} --partitions 1 --if-not-exists"), "").map(drop))?;
        until(started, || kafka(&format!("topic produce {TOPIC}"), "a record\n").map(drop))?;
        let first_record = millis_since(started);
        self.account.run(&format!("service-account delete {owner} --force"))?;
        Ok(Made { id: id_of_cluster, physical, provisioned, first_record })
    }

    /// Asks for a Dedicated cluster and does not wait for it.
    pub fn ask_for_dedicated(&self, name: &str) -> Result<()> {
        self.account.run(&format!("cluster create {name} --type dedicated --cku 1 --no-wait")).map(drop)
    }

    /// Lets the organization have this much of what its quotas count, as the operator of an installation may.
    pub fn raise_quotas(&self, codes: &[&str], limit: usize) -> Result<()> {
        let environments = self.account.run("environment list")?;
        let name = text(&environments, "/0/metadata/resource_name")?;
        let (_, organization) = name.split_once("organization=").context("a CRN names the organization")?;
        let organization = organization.split('/').next().unwrap_or(organization);
        let limit = limit.to_string();
        for code in codes {
            let arguments =
                ["admin", "quota", "set", "--organization", organization, "--code", code, "--limit", &limit];
            let arguments = arguments.into_iter().chain(["--database-url", DATABASE]);
            self.release.namespace.millstream("deployment/millstream-control-plane", arguments, "")?;
        }
        Ok(())
    }

    /// Deletes a cluster and waits until its resource is gone, if it has one of its own.
    pub fn delete(&self, made: &Made, is_own: bool) -> Result<u64> {
        let started = Instant::now();
        self.account.run(&format!("cluster delete {} --force", made.id))?;
        if is_own {
            until(started, || {
                let left = self.release.kubectl("get kafkaclusters,pods,persistentvolumeclaims --output=name")?;
                ensure!(!left.contains(&made.physical), "left: {left}");
                Ok(())
            })?;
        }
        Ok(millis_since(started))
    }

    fn authority(&self, physical: &str) -> Result<PathBuf> {
        if let Some(known) = self.authorities.borrow().get(physical) {
            return Ok(known.clone());
        }
        let map = format!(r"get configmap {physical}-ca --output=jsonpath={{.data.ca\.crt}}");
        let file = self.folder.join(format!("{physical}.crt"));
        std::fs::write(&file, self.release.kubectl(&map)?)?;
        self.authorities.borrow_mut().insert(physical.to_owned(), file.clone());
        Ok(file)
    }
}

/// Tries until it works.
pub fn until(started: Instant, mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(error) if started.elapsed() > LIMIT => {
                return Err(error.context(format!("not within {} s", LIMIT.as_secs())));
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}
