//! The operator: one process per Kubernetes cluster that turns `KafkaCluster` resources into running physical clusters.
//!
//! Promises that `kubectl apply` is enough: nothing here needs a control plane. Never reads a record, never deletes a
//! volume that its resource does not say to delete.
pub mod agent;
pub mod controller;
pub mod crd;
pub mod definition;
pub mod kubernetes;
pub mod lease;
pub mod metrics;
pub mod operator;
pub mod rights;

#[cfg(test)]
mod simulation;
