//! Flags of `millstream bucket`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Subcommand)]
pub enum BucketVerb {
    /// Remove everything that a physical cluster has put into its bucket; its brokers have to be gone for good
    Purge {
        /// The configuration file of one of its brokers, broker.toml
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}
