//! One request to the public listener, as far as its layers and extractors know it.
//!
//! The outermost layer makes it and puts it beside the request; the extractor that authenticates adds who calls.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::authentication::Authenticated;
use crate::domain::token_bucket::Charge;
use crate::server::Peer;

/// What is known about one request.
pub struct Call {
    /// Id of the request, as on the answer.
    pub request_id: String,
    /// Where it came from.
    pub address: IpAddr,
    charge: OnceLock<Charge>,
    authenticated: OnceLock<Authenticated>,
    post: OnceLock<String>,
    client_is_gone: AtomicBool,
}

impl Call {
    /// A request that just arrived.
    pub fn new(peer: Option<&Peer>) -> Self {
        Self {
            request_id: uuid::Uuid::new_v4().to_string(),
            address: peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip().to_canonical()),
            charge: OnceLock::new(),
            authenticated: OnceLock::new(),
            post: OnceLock::new(),
            client_is_gone: AtomicBool::new(false),
        }
    }

    /// Notes what the rate limit said. The first one counts.
    pub fn set_charge(&self, charge: Charge) {
        let _ = self.charge.set(charge);
    }

    /// What the rate limit said, if it was asked.
    pub fn charge(&self) -> Option<Charge> {
        self.charge.get().copied()
    }

    /// Notes who calls.
    pub fn set_authenticated(&self, authenticated: Authenticated) {
        let _ = self.authenticated.set(authenticated);
    }

    /// Who calls, once the credentials were found to be right.
    pub fn authenticated(&self) -> Option<&Authenticated> {
        self.authenticated.get()
    }

    /// Notes the remembered POST that this answer shows the object of: its own, or the one that it repeats.
    pub fn set_post(&self, id: String) {
        let _ = self.post.set(id);
    }

    /// The remembered POST that the answer shows the object of.
    pub fn post(&self) -> Option<&str> {
        self.post.get().map(String::as_str)
    }

    /// Notes that nobody waits for the answer any more.
    pub fn set_client_gone(&self) {
        self.client_is_gone.store(true, Ordering::SeqCst);
    }

    /// Whether nobody waits for the answer any more.
    pub fn client_is_gone(&self) -> bool {
        self.client_is_gone.load(Ordering::SeqCst)
    }
}
