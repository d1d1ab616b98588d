//! The fleet protocol's server: agents and brokers dial in, nothing here dials out.
//!
//! Promises: a stream belongs to the physical cluster whose token it presented; deltas are contiguous; every queue
//! towards a client is bounded and a client that does not keep up is cut. Never tells one physical cluster about the
//! tenants of another.

mod agent_certificate;
pub mod agents;
pub mod connected_agents;
pub mod forward;
pub mod forwarders;
pub mod placing;
pub mod propagation;
pub mod service;
pub mod snapshot;
pub mod subscribe;
pub mod token;
pub mod wait;
