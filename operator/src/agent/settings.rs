//! What the operator of a Kubernetes cluster says about the physical clusters that the agent makes there: `agent.toml`.
//!
//! Its parts are those of the resource, with the same names. Holds no secret, only the paths and names of what holds them.

use std::path::PathBuf;

use serde::Deserialize;

use crate::crd::image::Image;
use crate::crd::listeners::ExternalListener;
use crate::crd::object_store::Credentials;
use crate::crd::reference::SecretKeyRef;
use crate::crd::settings::{Monitoring, Settings};
use crate::crd::tls::Tls;

/// Regions that one agent serves at most, as the control plane has it.
const MAX_REGIONS: usize = 256;
/// Shared physical clusters in one region at most, as the control plane has it.
const MAX_SHARED: u32 = 8;
/// Characters of an agent's id at most, as DNS has it: its certificate names it.
const MAX_AGENT_ID_CHARS: usize = 128;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentSettings {
    /// Who the agent is. With client certificates, the DNS name of its own.
    pub agent_id: String,
    /// How the agent reaches the control plane.
    pub control_plane: ControlPlaneAccess,
    /// What this Kubernetes serves; every region if empty.
    #[serde(default)]
    pub regions: Vec<Place>,
    /// What its brokers are like.
    pub brokers: Brokers,
}

/// How the agent reaches the control plane. All files are read at every dial.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControlPlaneAccess {
    /// `https://host:port`.
    pub url: String,
    /// What agents present.
    pub token_file: PathBuf,
    /// Authorities of the control plane's certificate as PEM; those of the system if left out.
    pub ca_file: Option<PathBuf>,
    /// What the agent shows, as PEM.
    pub client_certificate_file: Option<PathBuf>,
    /// The private key of that certificate, as PEM.
    pub client_key_file: Option<PathBuf>,
    /// Allows `http://`, which shows the token to the network.
    #[serde(default)]
    pub insecure: bool,
}

/// A region of a cloud.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Place {
    /// AWS, GCP or AZURE.
    pub cloud: String,
    /// Name of the region.
    pub region: String,
}

/// What brokers are like here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Brokers {
    /// Version of Millstream; the tag of the image.
    pub version: String,
    /// Where the image comes from.
    pub image: Image,
    /// How brokers reach the control plane; as the agent does if left out.
    pub control_plane_url: Option<String>,
    /// The authority of the control plane for brokers; the public ones if left out.
    pub control_plane_ca: Option<SecretKeyRef>,
    /// StorageClass of their volumes; the default one if left out.
    pub storage_class: Option<String>,
    /// A broker that hosts many logical clusters.
    pub shared: Size,
    /// A broker of a Dedicated cluster, for each CKU.
    pub per_cku: Size,
    /// What logical clusters on a shared one may reserve together; as much as they like if left out.
    #[serde(default)]
    pub shared_capacity: SharedCapacity,
    /// Shared physical clusters in each region at most: another one is made before those that are there are full.
    #[serde(default = "one")]
    pub max_shared: u32,
    /// How clients come in from outside of this Kubernetes.
    #[serde(default)]
    pub external: ExternalListener,
    /// Certificates of the listeners.
    #[serde(default)]
    pub tls: Tls,
    /// Where copies of the cluster metadata are kept, below a prefix for each physical cluster.
    pub object_store: Option<Bucket>,
    /// Defaults of the brokers.
    #[serde(default)]
    pub config: Settings,
    /// What is offered to Prometheus.
    #[serde(default)]
    pub monitoring: Monitoring,
}

/// How large a broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Size {
    /// GiB of its volume.
    pub storage_gib: u32,
    /// Thousandths of a CPU that it is sure to have.
    pub cpu_millis: u32,
    /// MiB of memory that it is sure to have and never exceeds.
    pub memory_mib: u32,
}

/// What logical clusters may reserve together. 0 stands for no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SharedCapacity {
    /// Partitions.
    pub partitions: u64,
    /// Bytes a second that come in.
    pub ingress_bytes_per_second: u64,
    /// Connections.
    pub connections: u64,
}

/// An S3 bucket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bucket {
    /// Its name.
    pub bucket: String,
    /// The region to sign for.
    pub region: String,
    /// URL of the store; that of AWS if left out.
    pub endpoint: Option<String>,
    /// Whether the bucket is part of the path.
    #[serde(default)]
    pub path_style: bool,
    /// Who the brokers are for the store.
    pub credentials: Credentials,
}

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It is not TOML, or has fields that it should not have.
    #[error("{0}")]
    Parse(#[from] toml::de::Error),
    /// A field cannot be used.
    #[error("{field} {problem}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
}

impl AgentSettings {
    /// Reads and checks the text of the file.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let settings: Self = toml::from_str(text)?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let wrong = |field, problem| Err(SettingsError::Field { field, problem });
        let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        let id_is_good = (1..=MAX_AGENT_ID_CHARS).contains(&self.agent_id.len()) && self.agent_id.bytes().all(is_name);
        if !id_is_good {
            return wrong("agentId", "must have 1 to 128 lower-case letters, digits, - and .");
        }
        let access = &self.control_plane;
        let is_open = access.url.starts_with("http://");
        if !is_open && !access.url.starts_with("https://") {
            return wrong("controlPlane.url", "must be https://host:port");
        }
        if is_open && !access.insecure {
            return wrong("controlPlane.url", "would show the token to the network: use https://, or set insecure");
        }
        if access.client_certificate_file.is_some() != access.client_key_file.is_some() {
            return wrong("controlPlane.clientCertificateFile", "and clientKeyFile belong together");
        }
        if self.regions.len() > MAX_REGIONS {
            return wrong("regions", "are more than 256");
        }
        for size in [self.brokers.shared, self.brokers.per_cku] {
            if size.storage_gib == 0 || size.cpu_millis == 0 || size.memory_mib == 0 {
                return wrong("brokers.shared and brokers.perCku", "need storageGib, cpuMillis and memoryMib above 0");
            }
        }
        if !(1..=MAX_SHARED).contains(&self.brokers.max_shared) {
            return wrong("brokers.maxShared", "must be 1 to 8");
        }
        Ok(())
    }
}

fn one() -> u32 {
    1
}
