//! A running `millstream up`, and what a measurement needs of it: callers, owners of keys, a topic.
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use millstream_e2e::millstream::Millstream;
use millstream_e2e::postgres::Postgres;
use millstream_e2e::rest::{Rest, text_at};
use millstream_e2e::server::{RestAccess, Server as _};
use serde_json::json;

use crate::connection::{Credentials, Endpoint};
use crate::workbench::Workbench;

/// A key of the service.
#[derive(Clone)]
pub struct Key {
    pub id: String,
    pub secret: String,
}

pub struct Installation {
    server: Millstream,
    access: RestAccess,
    pub organization_crn: String,
    names: AtomicU64,
}

impl Installation {
    pub fn start(postgres: Option<&Postgres>, name: &str, workbench: &Workbench) -> Result<Self> {
        let mut arguments = Vec::new();
        if let Some(postgres) = postgres {
            arguments.extend(["--database-url".to_owned(), postgres.create_database(name)?]);
        }
        let server = start(&workbench.binary, &arguments, &workbench.context.log)?;
        let access = server.access().rest.clone().context("the server has no REST API")?;
        let mut installation = Self { server, access, organization_crn: String::new(), names: AtomicU64::new(0) };
        let organizations = installation.rest()?.call("GET", "/org/v2/organizations", None)?;
        let organization = text_at(&organizations, "/data/0/id")?;
        installation.organization_crn = format!("crn://confluent.cloud/organization={organization}");
        Ok(installation)
    }

    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    pub fn environment(&self) -> &str {
        &self.access.environment_id
    }

    pub fn cluster(&self) -> &str {
        &self.access.cluster_id
    }

    pub fn cluster_crn(&self, cluster: &str) -> String {
        format!("{}/environment={}/cloud-cluster={cluster}", self.organization_crn, self.environment())
    }

    /// A connection with the first Cloud key.
    pub fn rest(&self) -> Result<Rest> {
        Rest::connect(&self.access.url, &self.access.cloud_api_key, &self.access.cloud_api_secret)
    }

    pub fn rest_with(&self, key: &Key) -> Result<Rest> {
        Rest::connect(&self.access.url, &key.id, &key.secret)
    }

    pub fn kafka(&self, key: &Key) -> Endpoint {
        let credentials = Credentials { key: key.id.clone(), secret: key.secret.clone() };
        Endpoint { address: self.server.access().bootstrap_servers.clone(), credentials: Some(credentials) }
    }

    /// The key that `up` printed, for the first cluster.
    pub fn first_kafka(&self) -> Endpoint {
        let access = self.server.access();
        self.kafka(&Key { id: access.api_key.clone(), secret: access.api_secret.clone() })
    }

    /// A name that nothing has yet.
    pub fn name(&self, what: &str) -> String {
        format!("{what}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    pub fn create_account(&self, rest: &mut Rest) -> Result<String> {
        let body = json!({"display_name": self.name("account"), "description": ""});
        text_at(&rest.call("POST", "/iam/v2/service-accounts", Some(&body))?, "/id")
    }

    pub fn bind(&self, rest: &mut Rest, account: &str, role: &str, crn: &str) -> Result<String> {
        let body = json!({"principal": format!("User:{account}"), "role_name": role, "crn_pattern": crn});
        text_at(&rest.call("POST", "/iam/v2/role-bindings", Some(&body))?, "/id")
    }

    /// A Kafka key, or a Cloud key without `cluster`.
    pub fn create_key(&self, rest: &mut Rest, account: &str, cluster: Option<&str>) -> Result<Key> {
        let mut body = json!({"spec": {"display_name": self.name("key"), "owner": {"id": account}}});
        if let Some(cluster) = cluster {
            body["spec"]["resource"] = json!({"id": cluster, "environment": self.environment()});
        }
        let made = rest.call("POST", "/iam/v2/api-keys", Some(&body))?;
        Ok(Key { id: text_at(&made, "/id")?, secret: text_at(&made, "/spec/secret")? })
    }

    /// Cloud keys of an administrator: each has a rate of its own.
    pub fn create_callers(&self, count: usize) -> Result<Vec<Key>> {
        let mut rest = self.rest()?;
        let account = self.create_account(&mut rest)?;
        self.bind(&mut rest, &account, "OrganizationAdmin", &self.organization_crn)?;
        (0..count).map(|_| self.create_key(&mut rest, &account, None)).collect()
    }
}

fn start(binary: &Path, arguments: &[String], log: &Path) -> Result<Millstream> {
    Millstream::start_binary_with(binary, arguments, log)
}
