//! The broker's side of the fleet protocol: it dials the control plane and never waits for it to serve.
//!
//! Promises: with the control plane away, the broker goes on with its last image; every task here has an
//! owner and ends when it is told to. Never lets a secret into a log.

pub(crate) mod config_stream;
pub(crate) mod dial;
pub(crate) mod forward;
pub mod image_file;
pub(crate) mod replicas;
pub(crate) mod status;
pub(crate) mod tenant_deletion;
#[cfg(test)]
pub(crate) mod test_control_plane;
