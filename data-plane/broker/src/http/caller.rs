//! Who makes a kafka/v3 request, verified before any handler sees it.

use std::net::IpAddr;

use millstream_api::ids::{LogicalClusterId, Principal};

/// The identity behind a request: from the broker's own Basic authentication, or from the control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The only logical cluster that the request may touch.
    pub(crate) tenant: LogicalClusterId,
    /// On whose behalf.
    pub(crate) principal: Principal,
    /// From where, if the request came directly.
    pub(crate) host: Option<IpAddr>,
}

/// Scheme and authority that the caller used, for links in answers. Without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl(pub(crate) String);
