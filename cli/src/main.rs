//! `millstream`: the command line, and the whole service on one machine with `millstream up`.
//!
//! Parses, runs, and turns a failure into a message and an exit code. Everything else is in the modules.

mod broker;
mod bucket;
mod client_config;
mod command_line;
mod commands;
mod control_plane;
mod credentials;
mod failure;
mod kafka_client;
mod login;
mod operator;
mod output;
mod process;
mod rest_client;
mod secret_file;
mod server_tls;
mod session;
mod up;

use std::process::ExitCode;

use clap::Parser;

use command_line::{Command, CommandLine, ConnectionArgs, OutputFormat};
use commands::Context;
use failure::Failure;
use login::Login;
use output::Output;

/// Worker threads of the runtime on a machine with one processor: one may wait for a disk while the other goes on.
const MIN_WORKERS: usize = 2;

fn main() -> ExitCode {
    // First of all: whatever speaks TLS panics without a provider.
    let installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    installed.expect("nothing installed a TLS provider before the first line of main");

    let command_line = CommandLine::parse();
    let format = command_line.common.output;
    match run(command_line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure, format);
            failure.exit_code()
        }
    }
}

fn run(command_line: CommandLine) -> Result<(), Failure> {
    let CommandLine { common, command } = command_line;
    let output = Output::new(common.output);
    let data_dir = login::data_dir(common.data_dir.as_deref());
    let runtime = runtime()?;
    match command {
        Command::Version => commands::version::run(&output),
        Command::Admin { noun } => runtime.block_on(commands::admin::run(noun, &data_dir?, &output)),
        Command::Up(args) => up::run(&runtime, args, &data_dir?, output),
        Command::ControlPlane(args) => control_plane::run(&runtime, args, output),
        Command::Broker(args) => broker::run(&runtime, args, output),
        Command::Bucket { verb } => bucket::run(&runtime, verb, &output),
        Command::Operator { verb } => operator::run(&runtime, verb, &output),
        Command::Login(args) => runtime.block_on(commands::session::log_in(args, &data_dir?, &output)),
        Command::Logout(args) => runtime.block_on(commands::session::log_out(args, &data_dir?, &output)),
        Command::Verify(args) => runtime.block_on(commands::verify::run(args, &data_dir?, &output)),
        Command::Environment(group) => {
            let context = context(&group.connection, &data_dir?, output)?;
            runtime.block_on(commands::environment::run(&context, group.verb))
        }
        Command::Cluster(group) => {
            let context = context(&group.connection, &data_dir?, output)?;
            runtime.block_on(commands::cluster::run(&context, group.verb))
        }
        Command::ServiceAccount(group) => {
            let context = context(&group.connection, &data_dir?, output)?;
            runtime.block_on(commands::service_account::run(&context, group.verb))
        }
        Command::ApiKey(group) => {
            let context = context(&group.connection, &data_dir?, output)?;
            runtime.block_on(commands::api_key::run(&context, group.verb))
        }
        Command::RoleBinding(group) => {
            let context = context(&group.connection, &data_dir?, output)?;
            runtime.block_on(commands::role_binding::run(&context, group.verb))
        }
        Command::Topic(group) => {
            let context = context(&group.connection, &data_dir?, output)?;
            runtime.block_on(commands::topic::run(&context, group.verb))
        }
        Command::ClientConfig(group) => {
            let context = context(&group.connection, &data_dir?, output)?;
            runtime.block_on(commands::client_config::run(&context, group.verb))
        }
    }
}

fn context(connection: &ConnectionArgs, data_dir: &std::path::Path, output: Output) -> Result<Context, Failure> {
    Ok(Context { login: Login::resolve(connection, data_dir)?, output })
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let workers = std::thread::available_parallelism().map_or(MIN_WORKERS, |count| count.get().max(MIN_WORKERS));
    let built = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    built.map_err(|error| Failure::failed(format!("cannot start threads: {error}")))
}

fn report(failure: &Failure, format: OutputFormat) {
    match format {
        OutputFormat::Human => eprintln!("{failure}"),
        OutputFormat::Json => eprintln!("{}", failure.to_json()),
    }
}
