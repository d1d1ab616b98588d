//! Flags of `millstream operator`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::LogArgs;

#[derive(Subcommand)]
pub enum OperatorVerb {
    /// Take care of the KafkaCluster resources of a namespace; one of several replicas acts
    Run(OperatorArgs),
    /// Print the definition of the KafkaCluster resource, as kubectl apply -f - takes it
    Crd,
}

/// How one replica of the operator runs.
#[derive(Args)]
pub struct OperatorArgs {
    /// Namespace of the resources [default: that of its pod, or of the kubeconfig]
    #[arg(long, value_name = "NAMESPACE", env = "MILLSTREAM_OPERATOR_NAMESPACE")]
    pub namespace: Option<String>,
    /// Where health and metrics are served
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8080",
        env = "MILLSTREAM_OPERATOR_HTTP_LISTEN"
    )]
    pub http_listen: SocketAddr,
    /// Be an agent of a control plane too, as this file says, agent.toml
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_AGENT_CONFIG")]
    pub agent_config: Option<PathBuf>,
    #[command(flatten)]
    pub log: LogArgs,
}
