//! The open connections of a broker, so that revoking a key closes what it opened.
//!
//! Promises: a connection that registered is told to close when its key or its tenant goes away, also when
//! that happens while it registers. Counts connections against the broker's bound. Never touches a socket.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::tenants::Credential;

/// Connections that one broker holds at most, authenticated or not.
pub(crate) const MAX_CONNECTIONS: usize = 20_000;

/// All open connections of this broker.
#[derive(Default)]
pub(crate) struct ConnectionRegistry {
    open: AtomicUsize,
    next_id: AtomicU64,
    authenticated: Mutex<HashMap<u64, Entry>>,
}

struct Entry {
    credential: Arc<Credential>,
    close: CancellationToken,
}

impl ConnectionRegistry {
    /// Counts a new connection, or refuses it when the broker is full.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Admission> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        if before >= MAX_CONNECTIONS {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        Some(Admission { registry: Arc::clone(self), id, close: CancellationToken::new() })
    }

    /// Connections that are open now.
    pub(crate) fn open_count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Closes every authenticated connection whose credential matches.
    pub(crate) fn close_where(&self, matches: impl Fn(&Credential) -> bool) {
        let entries = self.authenticated.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries.values().filter(|entry| matches(&entry.credential)) {
            entry.close.cancel();
        }
    }
}

/// One admitted connection; gives its place back when dropped.
pub(crate) struct Admission {
    registry: Arc<ConnectionRegistry>,
    id: u64,
    close: CancellationToken,
}

impl Admission {
    /// Fires when the connection must close.
    pub(crate) fn closed(&self) -> &CancellationToken {
        &self.close
    }

    /// Ties the connection to a credential. The caller must check the credential again afterwards: a key that
    /// was revoked between the check and this call would otherwise stay connected.
    pub(crate) fn authenticate(&self, credential: Arc<Credential>) {
        let entry = Entry { credential, close: self.close.clone() };
        self.registry.authenticated.lock().unwrap_or_else(PoisonError::into_inner).insert(self.id, entry);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.registry.authenticated.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        self.registry.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(key: &str, tenant: &str) -> Arc<Credential> {
        Arc::new(Credential {
            tenant: tenant.parse().unwrap(),
            principal: "User:sa-abc".parse().unwrap(),
            api_key: key.parse().unwrap(),
        })
    }

    #[test]
    fn revoking_a_key_closes_its_connections_and_no_others() {
        let registry = Arc::new(ConnectionRegistry::default());
        let revoked = registry.admit().unwrap();
        let kept = registry.admit().unwrap();
        revoked.authenticate(credential("AAAAAAAAAAAAAAAA", "lkc-a"));
        kept.authenticate(credential("BBBBBBBBBBBBBBBB", "lkc-a"));
        registry.close_where(|credential| credential.api_key.as_str() == "AAAAAAAAAAAAAAAA");
        assert!(revoked.closed().is_cancelled());
        assert!(!kept.closed().is_cancelled());
        registry.close_where(|credential| credential.tenant.as_str() == "lkc-a");
        assert!(kept.closed().is_cancelled());
    }

    #[test]
    fn a_dropped_connection_gives_its_place_back() {
        let registry = Arc::new(ConnectionRegistry::default());
        let admission = registry.admit().unwrap();
        assert_eq!(registry.open_count(), 1);
        drop(admission);
        assert_eq!(registry.open_count(), 0);
    }
}
