//! Commands of `millstream admin`, which work at the database beside the running service.

use clap::Subcommand;

/// What `millstream admin` changes.
#[derive(Subcommand)]
pub enum AdminNoun {
    /// Limits on numbers of objects
    Quota {
        #[command(subcommand)]
        verb: QuotaVerb,
    },
}

/// `millstream admin quota …`
#[derive(Subcommand)]
pub enum QuotaVerb {
    /// Set the limit of a quota
    Set {
        /// The organization, a UUID
        #[arg(long, value_name = "ID")]
        organization: String,
        /// The quota, such as iam.max_environments.per_org
        #[arg(long)]
        code: String,
        /// Only for this environment, cluster, service account or user [default: for each]
        #[arg(long, value_name = "ID")]
        object: Option<String>,
        /// The limit
        #[arg(long)]
        limit: u32,
        /// Database of the control plane [default: that of `millstream up`]
        #[arg(long, value_name = "URL", env = "MILLSTREAM_DATABASE_URL", hide_env_values = true)]
        database_url: Option<String>,
    },
    /// Put the default limit of a quota back
    Reset {
        /// The organization, a UUID
        #[arg(long, value_name = "ID")]
        organization: String,
        /// The quota, such as iam.max_environments.per_org
        #[arg(long)]
        code: String,
        /// Only for this environment, cluster, service account or user [default: for each]
        #[arg(long, value_name = "ID")]
        object: Option<String>,
        /// Database of the control plane [default: that of `millstream up`]
        #[arg(long, value_name = "URL", env = "MILLSTREAM_DATABASE_URL", hide_env_values = true)]
        database_url: Option<String>,
    },
}
