//! Finds a host for a logical cluster, inside of the transaction that stores where it is.
//!
//! A Basic or Standard cluster reserves room on a physical cluster that is there. A Dedicated one gets its own: a row, which an
//! agent is told of once the transaction is committed.

use std::collections::{BTreeMap, BTreeSet};

use millstream_api::ids::{LogicalClusterId, PhysicalClusterId};
use millstream_api::rest::cmk::ClusterKind;

use crate::domain::lifecycle::PhysicalPhase;
use crate::domain::placement::{Candidate, Placement, Room, choose_agent, rank_shared};
use crate::domain::timestamp::Timestamp;
use crate::random::{self, RandomError};
use crate::store::Transaction;
use crate::store::error::StoreError;
use crate::store::physical_clusters::{self, PhysicalCluster};

/// Physical clusters that are asked for room at most, the emptiest first.
const MAX_HOSTS_TRIED: usize = 8;

/// A logical cluster that needs a host.
pub struct Wanted<'a> {
    /// Its id.
    pub id: &'a LogicalClusterId,
    /// Its kind: a Dedicated one needs a physical cluster of its own.
    pub kind: ClusterKind,
    /// Its CKUs, if it is a Dedicated one.
    pub units: i64,
    /// As in JSON.
    pub cloud: &'a str,
    /// As in JSON.
    pub region: &'a str,
}

/// Why no host was found.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No randomness for an id.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Finds a host, and makes it if it must be the cluster's own. `connected` are the agents that are there.
pub async fn place(
    transaction: &mut Transaction,
    wanted: &Wanted<'_>,
    connected: &BTreeSet<String>,
    now: Timestamp,
) -> Result<Placement<PhysicalClusterId>, PlaceError> {
    let candidates = physical_clusters::candidates(transaction).await?;
    if wanted.kind == ClusterKind::Dedicated {
        return make_own(transaction, wanted, &candidates, connected, now).await;
    }
    let ranked = match rank_shared(wanted.cloud, wanted.region, &candidates) {
        Placement::On(ranked) => ranked,
        Placement::Wait { reason } => return Ok(Placement::Wait { reason }),
        Placement::NotServed { served } => return Ok(Placement::NotServed { served }),
    };
    let room = Room::reserved_by(wanted.kind);
    for candidate in ranked.into_iter().take(MAX_HOSTS_TRIED) {
        if physical_clusters::reserve(transaction, &candidate, room).await? {
            return Ok(Placement::On(candidate));
        }
    }
    Ok(Placement::Wait { reason: format!("no physical cluster in {}/{} has room", wanted.cloud, wanted.region) })
}

async fn make_own(
    transaction: &mut Transaction,
    wanted: &Wanted<'_>,
    candidates: &[Candidate],
    connected: &BTreeSet<String>,
    now: Timestamp,
) -> Result<Placement<PhysicalClusterId>, PlaceError> {
    let dedicated: BTreeMap<String, i64> =
        physical_clusters::dedicated_per_agent(transaction).await?.into_iter().collect();
    let dedicated_of = |agent: &str| dedicated.get(agent).copied().unwrap_or(0);
    let agent = match choose_agent(wanted.cloud, wanted.region, candidates, connected, dedicated_of) {
        Placement::On(agent) => agent,
        Placement::Wait { reason } => return Ok(Placement::Wait { reason }),
        Placement::NotServed { served } => return Ok(Placement::NotServed { served }),
    };
    let own = PhysicalCluster {
        id: PhysicalClusterId::from_random(random::bytes()?),
        cloud: wanted.cloud.to_owned(),
        region: wanted.region.to_owned(),
        generation: 1,
        dedicated_to: wanted.id.to_string(),
        ckus: wanted.units,
        phase: PhysicalPhase::Provisioning,
        ordinal: 0,
    };
    physical_clusters::insert_if_absent(transaction, &agent, &own, now).await?;
    physical_clusters::notify_agents(transaction).await?;
    Ok(Placement::On(own.id))
}
