//! The command line: every command, flag and environment variable, in one place.
//!
//! Promises that flags win over environment variables and that secrets from the environment never show up in the
//! help text. Never reads a file and never opens a connection.

pub mod admin;
pub mod api_limits;
pub mod broker;
pub mod bucket;
pub mod control_plane;
pub mod operator;
pub mod session;
pub mod up;
pub mod verify;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use admin::AdminNoun;
use broker::BrokerArgs;
use bucket::BucketVerb;
use control_plane::ControlPlaneArgs;
use operator::OperatorVerb;
pub use session::{LoginArgs, LogoutArgs};
pub use up::UpArgs;
pub use verify::VerifyArgs;

/// Millstream: managed event streaming that speaks the Kafka protocol.
#[derive(Parser)]
#[command(name = "millstream", version, max_term_width = 110)]
#[command(after_help = "`millstream up` starts the whole service on this machine.\n\
    Commands log in with flags, then MILLSTREAM_… variables, then the credentials file of a running `millstream up`.")]
pub struct CommandLine {
    #[command(flatten)]
    pub common: CommonArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Args, Clone)]
pub struct CommonArgs {
    /// How results are printed: tables for people, JSON for programs
    #[arg(short = 'o', long = "output", global = true, value_enum, default_value_t = OutputFormat::Human, env = "MILLSTREAM_OUTPUT")]
    pub output: OutputFormat,

    /// Folder of `millstream up`: its data and its credentials file [default: ~/.millstream]
    #[arg(long, global = true, value_name = "DIR", env = "MILLSTREAM_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Tables and sentences
    Human,
    /// JSON, stable for programs
    Json,
}

#[derive(Subcommand)]
pub enum Command {
    /// Start the whole service on this machine
    Up(UpArgs),
    /// Start one replica of the control plane, without brokers
    ControlPlane(ControlPlaneArgs),
    /// Start one broker, as a configuration file says
    Broker(BrokerArgs),
    /// What a physical cluster has in its bucket
    Bucket {
        #[command(subcommand)]
        verb: BucketVerb,
    },
    /// Physical clusters on Kubernetes: KafkaCluster resources
    Operator {
        #[command(subcommand)]
        verb: OperatorVerb,
    },
    /// Begin a session with a password; commands act as its user for an hour
    Login(LoginArgs),
    /// End the session
    Logout(LogoutArgs),
    /// Environments: groups of clusters
    #[command(visible_alias = "env")]
    Environment(EnvironmentGroup),
    /// Clusters of an environment
    Cluster(ClusterGroup),
    /// Service accounts: who owns API keys
    ServiceAccount(ServiceAccountGroup),
    /// API keys of a cluster or of the cloud API
    ApiKey(ApiKeyGroup),
    /// Role bindings: what users and service accounts may do
    RoleBinding(RoleBindingGroup),
    /// Topics of a cluster, and the records in them
    Topic(TopicGroup),
    /// Ready-made configuration for Kafka clients
    ClientConfig(ClientConfigGroup),
    /// Check that the service works: make a cluster, send a record through it, delete everything
    Verify(VerifyArgs),
    /// For the operator of an installation: changes at its database, also while the service runs
    Admin {
        #[command(subcommand)]
        noun: AdminNoun,
    },
    /// Print the version
    Version,
}

/// Where the service is and who asks.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// Address of the REST API, such as http://127.0.0.1:8080
    #[arg(long, global = true, value_name = "URL", env = "MILLSTREAM_URL")]
    pub url: Option<String>,
    /// Cloud API key: manages environments, clusters, accounts and keys
    #[arg(long, global = true, value_name = "KEY", env = "MILLSTREAM_CLOUD_API_KEY")]
    pub cloud_api_key: Option<String>,
    /// Secret of the cloud API key (prefer the variable: other users can read a command line)
    #[arg(long, global = true, value_name = "SECRET", env = "MILLSTREAM_CLOUD_API_SECRET", hide_env_values = true)]
    pub cloud_api_secret: Option<String>,
    /// Kafka API key: reads and writes one cluster
    #[arg(long, global = true, value_name = "KEY", env = "MILLSTREAM_KAFKA_API_KEY")]
    pub kafka_api_key: Option<String>,
    /// Secret of the Kafka API key (prefer the variable: other users can read a command line)
    #[arg(long, global = true, value_name = "SECRET", env = "MILLSTREAM_KAFKA_API_SECRET", hide_env_values = true)]
    pub kafka_api_secret: Option<String>,
    /// Environment id, env-…
    #[arg(long, global = true, value_name = "ID", env = "MILLSTREAM_ENVIRONMENT")]
    pub environment: Option<String>,
    /// Cluster id, lkc-…
    #[arg(long, global = true, value_name = "ID", env = "MILLSTREAM_CLUSTER")]
    pub cluster: Option<String>,
    /// Kafka bootstrap server, host:port
    #[arg(long, global = true, value_name = "HOST:PORT", env = "MILLSTREAM_BOOTSTRAP_SERVER")]
    pub bootstrap_server: Option<String>,
    /// Certificate authority of the Kafka listener, a PEM file; turns TLS on
    #[arg(long, global = true, value_name = "FILE", env = "MILLSTREAM_TLS_CA")]
    pub tls_ca: Option<PathBuf>,
    /// How the Kafka listener is reached [default: SASL_PLAINTEXT on this machine, else SASL_SSL]
    #[arg(long, global = true, value_enum, ignore_case = true, env = "MILLSTREAM_SECURITY_PROTOCOL")]
    pub security_protocol: Option<SecurityProtocol>,
}

/// How the Kafka listener is reached; named as Kafka names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SecurityProtocol {
    /// Not encrypted
    #[value(name = "SASL_PLAINTEXT")]
    SaslPlaintext,
    /// Encrypted with TLS
    #[value(name = "SASL_SSL")]
    SaslSsl,
}

impl SecurityProtocol {
    /// The protocol of this name, as Kafka writes it.
    pub fn from_name(name: &str) -> Option<Self> {
        <Self as ValueEnum>::from_str(name, true).ok()
    }

    /// The name, as Kafka writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }
}

/// What a command that serves logs to stderr.
#[derive(Args, Clone)]
pub struct LogArgs {
    /// What is logged to stderr, such as info or millstream_broker=debug
    #[arg(long = "log", value_name = "FILTER", default_value = "info,openraft=warn", env = "MILLSTREAM_LOG")]
    pub filter: String,
    /// How it is logged: lines for people, or a JSON object per line
    #[arg(long = "log-format", value_enum, default_value_t = LogFormat::Text, env = "MILLSTREAM_LOG_FORMAT")]
    pub format: LogFormat,
}

/// How a command that serves logs.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// A JSON object per line
    Json,
}

/// Ids to delete, and how to ask.
#[derive(Args)]
pub struct DeleteArgs {
    /// What to delete; several are possible
    #[arg(required = true, value_name = "ID", num_args = 1..)]
    pub ids: Vec<String>,
    /// Do not ask
    #[arg(long)]
    pub force: bool,
}

macro_rules! group {
    ($(#[$doc:meta])* $name:ident, $verbs:ident) => {
        $(#[$doc])*
        #[derive(Args)]
        pub struct $name {
            #[command(flatten)]
            pub connection: ConnectionArgs,
            #[command(subcommand)]
            pub verb: $verbs,
        }
    };
}

group!(
    /// `millstream environment …`
    EnvironmentGroup, EnvironmentVerb
);
group!(
    /// `millstream cluster …`
    ClusterGroup, ClusterVerb
);
group!(
    /// `millstream service-account …`
    ServiceAccountGroup, ServiceAccountVerb
);
group!(
    /// `millstream api-key …`
    ApiKeyGroup, ApiKeyVerb
);
group!(
    /// `millstream role-binding …`
    RoleBindingGroup, RoleBindingVerb
);
group!(
    /// `millstream topic …`
    TopicGroup, TopicVerb
);
group!(
    /// `millstream client-config …`
    ClientConfigGroup, ClientConfigVerb
);

#[derive(Subcommand)]
pub enum EnvironmentVerb {
    /// Create an environment
    Create {
        /// Display name
        name: String,
    },
    /// List all environments
    List,
    /// Show one environment
    Describe {
        /// Environment id, env-…
        id: String,
    },
    /// Rename an environment
    Update {
        /// Environment id, env-…
        id: String,
        /// New display name
        #[arg(long)]
        name: String,
    },
    /// Delete environments that hold no clusters
    Delete(DeleteArgs),
}

/// The product a cluster is.
#[derive(Clone, Copy, ValueEnum)]
pub enum ClusterKind {
    /// Shares brokers with other clusters
    Basic,
    /// Shares brokers, with higher limits
    Standard,
    /// Has brokers of its own
    Dedicated,
}

#[derive(Subcommand)]
pub enum ClusterVerb {
    /// Create a cluster and wait until it is ready
    Create {
        /// Display name
        name: String,
        /// Kind of cluster
        #[arg(long = "type", value_enum, default_value_t = ClusterKind::Basic)]
        kind: ClusterKind,
        /// Cloud: AWS, GCP or AZURE
        #[arg(long, default_value = "AWS")]
        cloud: String,
        /// Region of the cloud
        #[arg(long, default_value = "us-east-1")]
        region: String,
        /// SINGLE_ZONE or MULTI_ZONE
        #[arg(long, default_value = "SINGLE_ZONE")]
        availability: String,
        /// Units of capacity, for dedicated clusters
        #[arg(long)]
        cku: Option<u32>,
        /// The most units that a basic or standard cluster may use
        #[arg(long)]
        max_ecku: Option<u32>,
        /// Refuse deletion until this is switched off; for dedicated clusters
        #[arg(long)]
        deletion_protection: bool,
        /// Return at once, while the cluster is still being provisioned
        #[arg(long)]
        no_wait: bool,
    },
    /// List the clusters of an environment
    List,
    /// Show one cluster
    Describe {
        /// Cluster id, lkc-…
        id: String,
    },
    /// Rename, resize or protect a cluster, or make a basic one standard
    #[command(group(clap::ArgGroup::new("change").multiple(true).required(true)))]
    Update {
        /// Cluster id, lkc-…
        id: String,
        /// New display name
        #[arg(long, group = "change")]
        name: Option<String>,
        /// New kind: standard, for a basic cluster
        #[arg(long = "type", value_enum, group = "change")]
        kind: Option<ClusterKind>,
        /// New capacity of a dedicated cluster
        #[arg(long, group = "change")]
        cku: Option<u32>,
        /// The most units that a basic or standard cluster may use
        #[arg(long, group = "change")]
        max_ecku: Option<u32>,
        /// Whether deletion is refused; for dedicated clusters
        #[arg(long, group = "change")]
        deletion_protection: Option<bool>,
    },
    /// Delete clusters and everything in them
    Delete(DeleteArgs),
}

#[derive(Subcommand)]
pub enum ServiceAccountVerb {
    /// Create a service account
    Create {
        /// Display name, unique in the organization
        name: String,
        /// What the account is for
        #[arg(long)]
        description: Option<String>,
    },
    /// List all service accounts
    List,
    /// Show one service account
    Describe {
        /// Service account id, sa-…
        id: String,
    },
    /// Change name or description of a service account
    Update {
        /// Service account id, sa-…
        id: String,
        /// New display name
        #[arg(long, required_unless_present = "description")]
        name: Option<String>,
        /// New description
        #[arg(long)]
        description: Option<String>,
    },
    /// Delete service accounts and their API keys
    Delete(DeleteArgs),
}

#[derive(Subcommand)]
pub enum RoleBindingVerb {
    /// Give a role on a cluster, or on some of its topics and groups
    Create {
        /// Who gets the role: a service account id (sa-…) or a user id (u-…)
        #[arg(long, value_name = "ID")]
        principal: String,
        /// The role: CloudClusterAdmin, DeveloperRead, DeveloperWrite and so on
        #[arg(long)]
        role: String,
        /// Only these of the cluster: topic=NAME, group=NAME or transactional-id=NAME; NAME* for all that begin so
        #[arg(long, value_name = "TYPE=NAME")]
        resource: Option<String>,
        /// Instead of the cluster, whatever this resource name stands for: an organization, an environment
        #[arg(long, value_name = "CRN", conflicts_with = "resource")]
        crn_pattern: Option<String>,
    },
    /// List role bindings on the cluster and on what is in it
    List {
        /// Only those of this service account or user
        #[arg(long, value_name = "ID")]
        principal: Option<String>,
        /// Instead of the cluster, whatever this resource name stands for
        #[arg(long, value_name = "CRN")]
        crn_pattern: Option<String>,
    },
    /// Take roles away
    Delete(DeleteArgs),
}

#[derive(Subcommand)]
pub enum ApiKeyVerb {
    /// Create an API key; its secret is shown this one time
    Create {
        /// A cluster id (lkc-…) for a Kafka key, or `cloud` for a cloud key
        #[arg(long, value_name = "ID|cloud")]
        resource: String,
        /// Who owns the key: a service account id, sa-…
        #[arg(long, value_name = "ID")]
        service_account: String,
        /// Display name
        #[arg(long)]
        name: Option<String>,
        /// What the key is for
        #[arg(long)]
        description: Option<String>,
    },
    /// List API keys
    List {
        /// Only keys of this resource: a cluster id, or `cloud`
        #[arg(long, value_name = "ID|cloud")]
        resource: Option<String>,
        /// Only keys of this owner
        #[arg(long, value_name = "ID")]
        service_account: Option<String>,
    },
    /// Show one API key, without its secret
    Describe {
        /// API key
        id: String,
    },
    /// Change name or description of an API key
    Update {
        /// API key
        id: String,
        /// New display name
        #[arg(long, required_unless_present = "description")]
        name: Option<String>,
        /// New description
        #[arg(long)]
        description: Option<String>,
    },
    /// Delete API keys; clients that use them are cut off
    Delete(DeleteArgs),
}

#[derive(Subcommand)]
pub enum TopicVerb {
    /// Create a topic
    Create {
        /// Topic name
        name: String,
        /// Number of partitions [default: the cluster's]
        #[arg(long)]
        partitions: Option<u32>,
        /// Setting of the topic, such as retention.ms=3600000; repeatable
        #[arg(long = "config", value_name = "NAME=VALUE")]
        configs: Vec<String>,
        /// Succeed if the topic is there already
        #[arg(long)]
        if_not_exists: bool,
    },
    /// List the topics of the cluster
    List,
    /// Show one topic: partitions and settings
    Describe {
        /// Topic name
        name: String,
    },
    /// Change the settings of a topic, or give it more partitions
    Update {
        /// Topic name
        name: String,
        /// New number of partitions, more than now
        #[arg(long, required_unless_present_any = ["configs", "resets"])]
        partitions: Option<u32>,
        /// Setting to change, such as retention.ms=3600000; repeatable
        #[arg(long = "config", value_name = "NAME=VALUE")]
        configs: Vec<String>,
        /// Setting to put back to its default; repeatable
        #[arg(long = "reset-config", value_name = "NAME")]
        resets: Vec<String>,
    },
    /// Delete topics and their records
    Delete(DeleteArgs),
    /// Write each line of stdin as a record
    Produce(ProduceArgs),
    /// Print the records of a topic
    Consume(ConsumeArgs),
}

/// Compression of record batches.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompressionArg {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// `millstream topic produce`.
#[derive(Args)]
pub struct ProduceArgs {
    /// Topic name
    pub topic: String,
    /// Split each line at the first occurrence of this text into key and value; \t is a tab
    #[arg(long, value_name = "TEXT")]
    pub key_separator: Option<String>,
    /// Header for every record; repeatable
    #[arg(long = "header", value_name = "NAME=VALUE")]
    pub headers: Vec<String>,
    /// Partition to write to [default: by key, else spread]
    #[arg(long)]
    pub partition: Option<i32>,
    /// Compression of the batches
    #[arg(long, value_enum, default_value_t = CompressionArg::None)]
    pub compression: CompressionArg,
}

/// `millstream topic consume`.
#[derive(Args)]
pub struct ConsumeArgs {
    /// Topic name
    pub topic: String,
    /// Begin with the oldest record instead of the next new one
    #[arg(long, short = 'b', conflicts_with = "offset")]
    pub from_beginning: bool,
    /// Begin at this offset of each partition that is read
    #[arg(long)]
    pub offset: Option<i64>,
    /// Only this partition; repeatable
    #[arg(long = "partition")]
    pub partitions: Vec<i32>,
    /// Consume as a member of this group and commit what was printed
    #[arg(long, conflicts_with_all = ["partitions", "offset"])]
    pub group: Option<String>,
    /// Stop after this many records
    #[arg(long, short = 'n', value_name = "COUNT")]
    pub max_messages: Option<u64>,
    /// Stop at the end of the topic instead of waiting for more
    #[arg(long, short = 'e')]
    pub exit_at_end: bool,
    /// Print the key before the value
    #[arg(long)]
    pub print_key: bool,
    /// Print the headers before the key
    #[arg(long)]
    pub print_headers: bool,
    /// Print partition and offset first
    #[arg(long)]
    pub print_offset: bool,
    /// What separates the printed parts; \t is a tab
    #[arg(long, value_name = "TEXT", default_value = "\\t")]
    pub separator: String,
}

/// A client that a configuration is made for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClientLanguage {
    /// Properties of Apache Kafka's Java clients and tools
    Java,
    /// Properties of librdkafka, for kcat -F and its bindings
    Librdkafka,
    /// A program with confluent-kafka
    Python,
    /// A program with franz-go
    Go,
    /// A program with @confluentinc/kafka-javascript
    Nodejs,
    /// A program with the rdkafka crate
    Rust,
}

#[derive(Subcommand)]
pub enum ClientConfigVerb {
    /// Print a configuration with the cluster's address and a key in it
    Create {
        /// The client
        #[arg(value_enum)]
        language: ClientLanguage,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
