//! What can be measured. Each scenario starts its systems afresh, so that none inherits the heap of another.
mod control_plane;
mod idle;
mod keys;
mod kubernetes;
mod latency;
mod neighbour;
mod quotas;
mod requests;
mod start;
mod table;
mod throughput;

use anyhow::Result;

use crate::report::Report;
use crate::workbench::Workbench;

/// Partitions of every load topic.
const PARTITIONS: i32 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    Start,
    Idle,
    LargeBatches,
    SmallRecords,
    RequestBound,
    FixedRate,
    Keys,
    ControlPlane,
    Quotas,
    Neighbour,
    Kubernetes,
}

impl Scenario {
    pub const ALL: [Self; 11] = [
        Self::Start,
        Self::Idle,
        Self::LargeBatches,
        Self::SmallRecords,
        Self::RequestBound,
        Self::FixedRate,
        Self::Keys,
        Self::ControlPlane,
        Self::Quotas,
        Self::Neighbour,
        Self::Kubernetes,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Idle => "idle",
            Self::LargeBatches => "w1",
            Self::SmallRecords => "w2",
            Self::RequestBound => "w3",
            Self::FixedRate => "w4",
            Self::Keys => "keys",
            Self::ControlPlane => "control-plane",
            Self::Quotas => "quotas",
            Self::Neighbour => "neighbour",
            Self::Kubernetes => "kubernetes",
        }
    }

    pub fn about(self) -> &'static str {
        match self {
            Self::Start => "process start to the first acknowledged record",
            Self::Idle => "memory and CPU of a system that nobody uses",
            Self::LargeBatches => "throughput with records of 1 KiB in large batches",
            Self::SmallRecords => "throughput with records of 100 bytes in default batches",
            Self::RequestBound => "one small record per request, 64 connections with one request in flight",
            Self::FixedRate => "end-to-end latency at a fixed rate",
            Self::Keys => "API keys: from the REST call to the broker's door",
            Self::ControlPlane => "the control plane on SQLite and PostgreSQL: changes, calls, memory",
            Self::Quotas => "what clients get of a cluster's rates",
            Self::Neighbour => "what a cluster notices of another one that wants more than it may have",
            Self::Kubernetes => "a real Kubernetes: installation, clusters, and what the operator costs",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    pub fn run(self, workbench: &Workbench, report: &mut Report) -> Result<()> {
        match self {
            Self::Start => start::run(workbench, report),
            Self::Idle => idle::run(workbench, report),
            Self::LargeBatches => throughput::run_large_batches(workbench, report),
            Self::SmallRecords => throughput::run_small_records(workbench, report),
            Self::RequestBound => requests::run(workbench, report),
            Self::FixedRate => latency::run(workbench, report),
            Self::Keys => keys::run(workbench, report),
            Self::ControlPlane => control_plane::run(workbench, report),
            Self::Quotas => quotas::run(workbench, report),
            Self::Neighbour => neighbour::run(workbench, report),
            Self::Kubernetes => kubernetes::run(workbench, report),
        }
    }
}
