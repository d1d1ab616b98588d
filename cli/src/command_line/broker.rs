//! Flags of `millstream broker`.

use std::path::PathBuf;

use clap::Args;

use super::LogArgs;

/// How one broker runs. What it is comes from its configuration file.
#[derive(Args)]
pub struct BrokerArgs {
    /// Its configuration file, broker.toml
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_BROKER_CONFIG")]
    pub config: PathBuf,
    /// Only say whether the file and the files that it names can be used
    #[arg(long)]
    pub check: bool,
    #[command(flatten)]
    pub log: LogArgs,
}
