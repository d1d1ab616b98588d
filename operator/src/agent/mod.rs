//! The agent: tells this Kubernetes what the control plane wants, and the control plane what is.
//!
//! It dials out, writes `KafkaCluster` resources, and reports their status; the controller does the rest. Promises: what
//! is there goes on without a control plane; a resource is deleted only when its deletion is said, never because nothing
//! is said of it; what somebody else made is left alone. Never talks to a broker.

mod connection;
mod desired;
mod observed;
mod resources;
pub mod settings;
mod stream;

#[cfg(test)]
mod tests;

use std::time::Duration;

use kube::Client;
use tonic::Code;
use tracing::{debug, info, warn};

use resources::Resources;
use settings::AgentSettings;
use stream::SyncError;

/// Shortest pause before the control plane is dialled again.
const MIN_RETRY: Duration = Duration::from_millis(200);
/// Longest pause.
const MAX_RETRY: Duration = Duration::from_secs(20);
/// Pause after another process turned out to be the agent: it is, until it is gone.
const FENCED_RETRY: Duration = Duration::from_secs(30);

/// One agent, to be run.
pub struct Agent {
    settings: AgentSettings,
    resources: Resources,
    /// New with each start of the process.
    boot_id: String,
}

impl Agent {
    /// An agent that keeps its resources in `namespace`.
    pub fn new(settings: AgentSettings, client: Client, namespace: &str) -> Self {
        Self { settings, resources: Resources::new(client, namespace), boot_id: uuid::Uuid::new_v4().to_string() }
    }

    /// Follows the control plane. Ends never: one that is away is dialled again, and one that closes the stream too.
    pub async fn run(self) {
        let mut failures = 0;
        loop {
            let mut got_through = false;
            let Err(error) = stream::sync(&self, &mut got_through).await;
            if got_through {
                failures = 0;
            }
            let is_fenced = matches!(&error, SyncError::Refused(status) if status.code() == Code::FailedPrecondition);
            // Once per outage: the tries in between would only fill the log.
            match failures {
                0 => warn!("agent {}: {error}; what runs goes on, trying again", self.settings.agent_id),
                _ => debug!("agent {}: {error}", self.settings.agent_id),
            }
            failures += 1;
            let pause = if is_fenced { FENCED_RETRY } else { pause(failures) };
            tokio::time::sleep(pause).await;
            info!("agent {}: dialling the control plane again", self.settings.agent_id);
        }
    }
}

/// Doubles with every failure, with full jitter, so that agents which lost their control plane do not come back at once.
fn pause(failures: u32) -> Duration {
    let ceiling = MIN_RETRY.saturating_mul(2_u32.saturating_pow(failures)).min(MAX_RETRY);
    // Without randomness in the system the longest pause still works.
    let random = getrandom::u32().unwrap_or(u32::MAX);
    MIN_RETRY + ceiling.saturating_sub(MIN_RETRY).mul_f64(f64::from(random) / f64::from(u32::MAX))
}
