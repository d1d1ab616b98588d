//! How far the brokers are that must know an object.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the service says of an object that brokers must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PropagationStatus {
    /// Whether the brokers know it.
    pub propagation: Propagation,
}

/// Whether the brokers know an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Propagation {
    /// `READY` when every live broker knows it.
    pub state: PropagationState,
    /// Live brokers that do not know it yet.
    pub pending_brokers: u32,
}

/// Whether every live broker knows an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PropagationState {
    /// Some do not.
    Pending,
    /// All do, or none must.
    Ready,
}

/// What an answer can be held back for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WaitFor {
    /// Until every live broker knows the object, or a while is over.
    Ready,
}
