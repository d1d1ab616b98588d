//! One request to the public listener, as far as its layers and extractors know it.
//!
//! The outermost layer makes it and puts it beside the request; the extractor that authenticates adds who calls.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;

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
}

impl Call {
    /// A request that just arrived.
    pub fn new(peer: Option<&Peer>) -> Self {
        Self {
            request_id: uuid::Uuid::new_v4().to_string(),
            address: peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip().to_canonical()),
            charge: OnceLock::new(),
            authenticated: OnceLock::new(),
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
}
