//! The client suites, one file each. A suite builds its program, starts a server, runs the program and returns what it counted.
use anyhow::Result;

use crate::context::Context;
use crate::need::Need;
use crate::outcome::Outcome;

mod clusters;
mod control_plane;
mod crash;
mod franz_go;
mod hostile;
mod java;
mod kafka_tools;
mod kcat;
pub mod kubernetes;
mod python;
pub mod quotas;
mod readme;
mod sasl_proxy;
mod schemathesis;
mod terraform_contract;
mod tweets;
mod wire;

/// One suite: what it needs and how to run it.
#[derive(Debug, Clone, Copy)]
pub struct Suite {
    pub name: &'static str,
    pub about: &'static str,
    pub needs: &'static [Need],
    pub run: fn(&Context) -> Result<Outcome>,
}

/// In the order in which they run: the quick and telling ones first.
pub const SUITES: &[Suite] = &[
    readme::SUITE,
    terraform_contract::SUITE,
    schemathesis::SUITE,
    clusters::SUITE,
    control_plane::SUITE,
    tweets::SUITE,
    wire::SUITE,
    java::SUITE,
    kcat::SUITE,
    python::CONFLUENT_KAFKA,
    python::ACCESS,
    python::KAFKA_PYTHON,
    franz_go::FRANZ_GO,
    franz_go::KGO,
    kafka_tools::SUITE,
    quotas::SUITE,
    kubernetes::nodes::SUITE,
    kubernetes::operator::SUITE,
    kubernetes::charts::SUITE,
    kubernetes::listeners::SUITE,
    kubernetes::platform::SUITE,
    kubernetes::upgrade::SUITE,
    hostile::SUITE,
    crash::SUITE,
];
