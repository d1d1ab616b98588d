//! The classic group protocol of one group: a state machine without a clock, randomness, disk or network.
//!
//! `Group::step` takes an event and the instant and returns effects: replies addressed to waiting requests, whether
//! the group must be written down before those replies leave, and the next instant at which `on_time` is wanted.
//!
//! ```text
//!            join                    all joined, or time up             leader's sync
//!   Empty ────────▶ PreparingRebalance ────────────────▶ CompletingRebalance ────────▶ Stable
//!     ▲                 ▲    │ last member gone               │ join, leave, timeout    │
//!     └─────────────────┼────┘                                │                         │
//!                       └─────────────────────────────────────┴─────────────────────────┘
//! ```
//!
//! Promises: the generation rises with every completed rebalance; a generation has one leader; an assignment reaches
//! exactly the member the leader named; every waiting request is answered, by its rebalance timeout at the latest.
//! Never decides where a group lives or whether its offsets expire.

pub mod event;
pub mod group;
mod join;
mod leave;
pub mod member;
mod rebalance;
#[cfg(test)]
mod simulation;
mod sync;
#[cfg(test)]
mod tests;
mod timers;
