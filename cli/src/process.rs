//! What a command that serves needs of its process: logging, open files, and to be told to stop.

use std::io::IsTerminal;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::command_line::{LogArgs, LogFormat};
use crate::failure::Failure;

/// Allows as many open files as this user may have: every partition keeps some.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Without it the service runs all the same, with fewer partitions.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Logs what passes the filter.
pub fn log_to_stderr(args: &LogArgs) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&args.filter).map_err(|error| {
        Failure::usage(format!("--log {:?} is not a log filter: {error}", args.filter))
            .suggest("write it as a level such as info, or as millstream_broker=debug,warn")
    })?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match args.format {
        LogFormat::Text => {
            let subscriber = subscriber.with_ansi(std::io::stderr().is_terminal());
            tracing::subscriber::set_global_default(subscriber.finish())
        }
        LogFormat::Json => tracing::subscriber::set_global_default(subscriber.json().flatten_event(true).finish()),
    };
    set.map_err(|error| Failure::failed(format!("cannot set up logging: {error}")))
}

/// Ctrl-C, SIGTERM, and the end of the terminal.
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl StopSignals {
    /// From now on they no longer end the process by themselves.
    pub fn install() -> Result<Self, Failure> {
        let install = |kind| signal(kind).map_err(|error| Failure::failed(format!("cannot handle signals: {error}")));
        Ok(Self {
            interrupt: install(SignalKind::interrupt())?,
            terminate: install(SignalKind::terminate())?,
            hang_up: install(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
