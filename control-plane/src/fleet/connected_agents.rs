//! Which agents are connected, and how their streams are woken when there is something for them to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tracing::warn;

use crate::app::App;
use crate::store::agent_sessions::{self, Session};

/// The agents of this replica.
pub struct ConnectedAgents {
    /// Ids of the open streams of each agent. One that was displaced is open until it has noticed.
    streams: Mutex<BTreeMap<String, BTreeSet<String>>>,
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
    session: Session,
}

impl ConnectedAgents {
    /// Counts a stream until the answer is dropped.
    pub fn join(self: &Arc<Self>, session: &Session) -> AgentStream {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.entry(session.agent_id.clone()).or_default().insert(session.stream_id.clone());
        AgentStream { agents: Arc::clone(self), session: session.clone() }
    }

    /// Whether this stream of the agent is open here.
    pub fn has(&self, agent_id: &str, stream_id: &str) -> bool {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.get(agent_id).is_some_and(|open| open.contains(stream_id))
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
        if let Some(open) = streams.get_mut(&self.session.agent_id) {
            open.remove(&self.session.stream_id);
            if open.is_empty() {
                streams.remove(&self.session.agent_id);
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
        let session =
            |stream_id: &str| Session { agent_id: "a".into(), boot_id: String::new(), stream_id: stream_id.into() };
        let (first, second) = (agents.join(&session("1")), agents.join(&session("2")));
        assert!(agents.has("a", "1") && agents.has("a", "2") && !agents.has("b", "1"));
        drop(first);
        assert!(!agents.has("a", "1"));
        assert!(agents.here().contains("a"));
        drop(second);
        assert!(agents.here().is_empty());
    }
}
