//! Which agents are connected, and how their streams are woken when there is something for them to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tracing::warn;

use crate::app::App;
use crate::store::agent_sessions;

/// The agents of this replica.
pub struct ConnectedAgents {
    streams: Mutex<BTreeMap<String, usize>>,
    changes: watch::Sender<u64>,
}

impl Default for ConnectedAgents {
    fn default() -> Self {
        Self { streams: Mutex::default(), changes: watch::channel(0).0 }
    }
}

/// One stream of an agent. Dropped, the agent counts as gone unless it has another.
pub struct AgentStream {
    agents: Arc<ConnectedAgents>,
    agent_id: String,
}

impl ConnectedAgents {
    /// Counts a stream until the answer is dropped.
    pub fn join(self: &Arc<Self>, agent_id: &str) -> AgentStream {
        *self.streams.lock().unwrap_or_else(PoisonError::into_inner).entry(agent_id.to_owned()).or_default() += 1;
        AgentStream { agents: Arc::clone(self), agent_id: agent_id.to_owned() }
    }

    /// Has every stream of this replica look for what its agent has to do.
    pub fn look_again(&self) {
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    /// Changes whenever streams must look.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn here(&self) -> BTreeSet<String> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

impl Drop for AgentStream {
    fn drop(&mut self) {
        let mut streams = self.agents.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = streams.get_mut(&self.agent_id) {
            *count -= 1;
            if *count == 0 {
                streams.remove(&self.agent_id);
            }
        }
    }
}

/// The agents that are connected to any replica.
pub async fn connected(app: &App) -> BTreeSet<String> {
    let mut agents = app.agents.here();
    if let Some(pool) = app.database.shared_pool() {
        match agent_sessions::live(pool).await {
            Ok(elsewhere) => agents.extend(elsewhere),
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "cannot read which agents other replicas have");
            }
        }
    }
    agents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_gone_with_its_last_stream() {
        let agents = Arc::new(ConnectedAgents::default());
        let (first, second) = (agents.join("a"), agents.join("a"));
        drop(first);
        assert!(agents.here().contains("a"));
        drop(second);
        assert!(agents.here().is_empty());
    }
}
