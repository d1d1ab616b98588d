//! `millstream operator`: physical clusters on Kubernetes.
//!
//! Promises: Ctrl-C and SIGTERM let go of the Lease, so that another replica takes over at once; a replica that loses it
//! ends with an error and is started anew by whoever started it.

use std::net::TcpListener;
use std::path::Path;

use millstream_operator::agent::settings::AgentSettings;
use millstream_operator::crd::manifest;
use millstream_operator::operator::{self, Options};
use tokio::runtime::Runtime;

use crate::command_line::operator::{OperatorArgs, OperatorVerb};
use crate::failure::{Failure, chain};
use crate::output::Output;
use crate::process::{StopSignals, log_to_stderr};
use crate::secret_file::read;

/// Runs one command.
pub fn run(runtime: &Runtime, verb: OperatorVerb, output: &Output) -> Result<(), Failure> {
    match verb {
        OperatorVerb::Crd => output.say(manifest::definition_yaml().trim_end()),
        OperatorVerb::Run(args) => serve(runtime, args),
    }
}

fn serve(runtime: &Runtime, args: OperatorArgs) -> Result<(), Failure> {
    log_to_stderr(&args.log)?;
    let http_listener = TcpListener::bind(args.http_listen).map_err(|error| {
        Failure::failed(format!("cannot listen on {} for health and metrics: {error}", args.http_listen))
            .suggest("choose another address with --http-listen")
    })?;
    let agent = args.agent_config.as_deref().map(read_agent_settings).transpose()?;
    runtime.block_on(async {
        let mut signals = StopSignals::install()?;
        let client = kube::Client::try_default().await.map_err(|error| {
            Failure::failed(format!("cannot find the API server of Kubernetes: {}", chain(&error)))
                .suggest("run it in a pod with a ServiceAccount, or set KUBECONFIG")
        })?;
        let namespace = args.namespace.unwrap_or_else(|| client.default_namespace().to_owned());
        let options = Options { namespace, identity: identity(), http_listener };
        let ran = match agent {
            Some(settings) => operator::run_with_agent(client, options, settings, signals.next()).await,
            None => operator::run(client, options, signals.next()).await,
        };
        ran.map_err(|error| Failure::failed(format!("the operator ended: {}", chain(&error))))
    })
}

fn read_agent_settings(path: &Path) -> Result<AgentSettings, Failure> {
    AgentSettings::parse(&read(path)?).map_err(|error| {
        Failure::usage(format!("cannot use {}: {}", path.display(), chain(&error)))
            .suggest("docs/agent.md lists the fields of this file")
    })
}

/// The host name is that of the pod; the rest tells a container that was started anew from the one before.
fn identity() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}_{}", uuid::Uuid::new_v4())
}
