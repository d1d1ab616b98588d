//! `millstream broker`: one broker alone, as its configuration file says.
//!
//! Promises: what it prints is printed once clients can connect; Ctrl-C and SIGTERM let requests in flight finish,
//! write everything to disk and end with 0; certificates that change in their files are used without a restart.

pub mod config_file;

use std::net::SocketAddr;
use std::time::Duration;

use millstream_broker::config::BrokerConfig;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::command_line::broker::BrokerArgs;
use crate::failure::{Failure, chain};
use crate::output::{Column, Output, column};
use crate::process::{StopSignals, log_to_stderr, raise_file_limit};
use crate::server_tls::ServerTls;

/// How long the whole stop may take before the process ends anyway. Give the process longer than this before kill -9.
const STOP_LIMIT: Duration = Duration::from_secs(30);

const COLUMNS: &[Column] = &[
    column("Physical cluster", "/physical_cluster_id"),
    column("Broker", "/broker_id"),
    column("Kafka", "/kafka_addresses"),
    column("HTTP", "/http_address"),
];

/// Runs the broker until it is told to stop.
pub fn run(runtime: &Runtime, args: BrokerArgs, output: Output) -> Result<(), Failure> {
    log_to_stderr(&args.log)?;
    let file = config_file::load(&args.config)?;
    let certificates = config_file::load_certificates(&file)?;
    config_file::check_secrets(&file)?;
    if args.check {
        return output.object(&[column("Configuration", "/configuration")], &json!({ "configuration": "ok" }));
    }
    for listener in file.listeners.iter().filter(|listener| listener.tls.is_none()) {
        if !listener.bind.ip().is_loopback() {
            warn!("keys travel unencrypted to listener {} at {}: give it tls", listener.name, listener.bind);
        }
    }
    raise_file_limit();
    let config = config_file::open(file, &certificates)?;
    runtime.block_on(serve(config, certificates, output))
}

async fn serve(config: BrokerConfig, certificates: Vec<Option<ServerTls>>, output: Output) -> Result<(), Failure> {
    let mut signals = StopSignals::install()?;
    let address = |socket: &std::net::TcpListener| -> Result<SocketAddr, Failure> {
        socket.local_addr().map_err(|error| Failure::failed(format!("cannot ask for a port: {error}")))
    };
    let mut kafka_addresses = serde_json::Map::new();
    for listener in &config.listeners {
        kafka_addresses.insert(listener.name.clone(), json!(address(&listener.socket)?.to_string()));
    }
    let ready = json!({
        "physical_cluster_id": config.physical_cluster_id,
        "broker_id": config.broker_id,
        "kafka_addresses": kafka_addresses,
        "http_address": address(&config.http_listener)?.to_string(),
    });
    // Ends with this function.
    let mut reloading = JoinSet::new();
    for tls in certificates.into_iter().flatten() {
        reloading.spawn(tls.follow_files());
    }
    let broker = tokio::select! {
        started = millstream_broker::start::start(config) => {
            started.map_err(|error| Failure::failed(format!("cannot start the broker: {}", chain(&error))))?
        }
        // What was started so far ends with the process, as after kill -9.
        () = signals.next() => return Ok(()),
    };
    let printed = output.object(COLUMNS, &ready);
    if printed.is_ok() {
        signals.next().await;
        info!("stopping");
    }
    match tokio::time::timeout(STOP_LIMIT, broker.shutdown()).await {
        Ok(()) => printed,
        Err(_) => Err(Failure::failed("the broker did not stop in time; its next start checks all logs")),
    }
}
