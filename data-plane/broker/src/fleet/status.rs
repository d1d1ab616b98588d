//! How the broker's streams to the control plane are doing, for readiness and metrics.
//!
//! Promises: reading it never waits. Never decides anything.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

use tokio::sync::Notify;
use uuid::Uuid;

/// The state of the fleet streams of one broker.
pub(crate) struct FleetStatus {
    /// Tells one start of this process from the next.
    pub(crate) boot_id: Uuid,
    configured: AtomicBool,
    config_connected: AtomicBool,
    forward_streams: AtomicU32,
    head_revision: AtomicU64,
    last_heard_ms: AtomicI64,
    image_unsaved: AtomicBool,
    /// Fires when a deletion was said.
    pub(crate) deletions: Notify,
}

/// What the status was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StatusReport {
    /// There is a control plane to connect to.
    pub(crate) configured: bool,
    /// The config stream is up.
    pub(crate) config_connected: bool,
    /// At least one stream of forwarded HTTP requests is up.
    pub(crate) forward_connected: bool,
    /// The newest revision that the control plane spoke of.
    pub(crate) head_revision: u64,
    /// When the control plane was last heard, on this broker's clock; 0 if never.
    pub(crate) last_heard_ms: i64,
    /// The image in use could not be written to disk.
    pub(crate) image_unsaved: bool,
}

/// One stream of forwarded requests that is up.
pub(crate) struct ForwardConnected<'s>(&'s FleetStatus);

impl Drop for ForwardConnected<'_> {
    fn drop(&mut self) {
        self.0.forward_streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for FleetStatus {
    fn default() -> Self {
        Self {
            boot_id: Uuid::new_v4(),
            configured: AtomicBool::new(false),
            config_connected: AtomicBool::new(false),
            forward_streams: AtomicU32::new(0),
            head_revision: AtomicU64::new(0),
            last_heard_ms: AtomicI64::new(0),
            image_unsaved: AtomicBool::new(false),
            deletions: Notify::new(),
        }
    }
}

impl FleetStatus {
    /// What it is now.
    pub(crate) fn report(&self) -> StatusReport {
        StatusReport {
            configured: self.configured.load(Ordering::Relaxed),
            config_connected: self.config_connected.load(Ordering::Relaxed),
            forward_connected: self.forward_streams.load(Ordering::Relaxed) > 0,
            head_revision: self.head_revision.load(Ordering::Relaxed),
            last_heard_ms: self.last_heard_ms.load(Ordering::Relaxed),
            image_unsaved: self.image_unsaved.load(Ordering::Relaxed),
        }
    }

    /// Says that there is a control plane to connect to.
    pub(crate) fn set_configured(&self) {
        self.configured.store(true, Ordering::Relaxed);
    }

    pub(super) fn set_config_connected(&self, connected: bool) {
        self.config_connected.store(connected, Ordering::Relaxed);
    }

    /// Counts a stream of forwarded requests as up, as long as what it returns lives.
    pub(super) fn forward_connected(&self) -> ForwardConnected<'_> {
        self.forward_streams.fetch_add(1, Ordering::Relaxed);
        ForwardConnected(self)
    }

    pub(super) fn heard(&self, now_ms: i64) {
        self.last_heard_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(super) fn saw_revision(&self, revision: u64) {
        self.head_revision.store(revision, Ordering::Relaxed);
    }

    /// Sets whether the image is unsaved and answers what it was.
    pub(super) fn set_image_unsaved(&self, unsaved: bool) -> bool {
        self.image_unsaved.swap(unsaved, Ordering::Relaxed)
    }
}
