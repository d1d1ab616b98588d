//! Which physical cluster hosts a new logical cluster, or which agent makes it one of its own.
//!
//! A logical cluster on a shared physical cluster reserves what one unit of its kind gives. It may use more, up to its
//! limits: brokers hold it to those, and capacity is overcommitted by the difference.

use std::collections::BTreeSet;

use millstream_api::ids::PhysicalClusterId;
use millstream_api::plan;
use millstream_api::rest::cmk::ClusterKind;

use super::lifecycle::PhysicalPhase;
use super::regions;

/// One in so many of what a shared physical cluster holds is kept free while another can be made.
const SPARE_PART: i64 = 10;
/// Places that a refusal names at most.
const MAX_NAMED_PLACES: usize = 12;

/// A physical cluster that hosts many logical clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: PhysicalClusterId,
    /// The agent that runs it.
    pub agent_id: String,
    /// Cloud it serves; empty for every cloud.
    pub cloud: String,
    /// Region it serves; empty for every region that is known.
    pub region: String,
    /// Partitions that logical clusters have reserved on it.
    pub reserved_partitions: i64,
    /// Whether it is ready for clients; otherwise it is being made.
    pub is_ready: bool,
}

/// What a logical cluster takes of its host, or what a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// Partitions.
    pub partitions: i64,
    /// Bytes produced per second.
    pub ingress_bytes_per_second: i64,
    /// Connections.
    pub connections: i64,
}

impl Room {
    /// What a logical cluster of a kind reserves; nothing on a host of its own, or for a kind that is not offered.
    pub fn reserved_by(kind: ClusterKind) -> Self {
        let shares_its_host = kind != ClusterKind::Dedicated;
        let Some(plan) = plan::of(kind).filter(|_| shares_its_host) else { return Self::default() };
        let unit = plan.limits(1);
        let signed = |figure: u64| i64::try_from(figure).unwrap_or(i64::MAX);
        Self {
            partitions: signed(unit.partitions),
            ingress_bytes_per_second: signed(unit.ingress_bytes_per_second),
            connections: signed(unit.connections),
        }
    }

    /// The most that one logical cluster reserves.
    fn of_the_largest() -> Self {
        plan::PLANS.iter().map(|plan| Self::reserved_by(plan.kind)).fold(Self::default(), |most, room| Self {
            partitions: most.partitions.max(room.partitions),
            ingress_bytes_per_second: most.ingress_bytes_per_second.max(room.ingress_bytes_per_second),
            connections: most.connections.max(room.connections),
        })
    }

    /// What is left after taking `other` away; less than nothing where `other` is more.
    pub fn minus(self, other: Self) -> Self {
        Self {
            partitions: self.partitions - other.partitions,
            ingress_bytes_per_second: self.ingress_bytes_per_second - other.ingress_bytes_per_second,
            connections: self.connections - other.connections,
        }
    }
}

/// A shared physical cluster of one agent, with what is taken of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Cloud it serves; empty for every cloud.
    pub cloud: String,
    /// Region it serves; empty for every region that is known.
    pub region: String,
    /// Tells those of one place apart.
    pub ordinal: i64,
    /// Where it is in its life.
    pub phase: PhysicalPhase,
    /// What logical clusters have reserved on it.
    pub reserved: Room,
    /// What they may reserve together; 0 for no bound.
    pub capacity: Room,
}

/// The next shared physical cluster of a place: its ordinal, and what it will hold. None while one of those that are there
/// has room to spare, or when there are `max` of them, in whatever phase. There is none before the first.
pub fn next_shared(of_place: &[&Shared], max: usize) -> Option<(i64, Room)> {
    let can_host = |shared: &&&Shared| matches!(shared.phase, PhysicalPhase::Provisioning | PhysicalPhase::Ready);
    let last = of_place.iter().max_by_key(|shared| shared.ordinal)?;
    let has_spare_room = of_place.iter().filter(can_host).any(|shared| shared.has_spare_room());
    let may_grow = of_place.len() < max && !has_spare_room;
    may_grow.then_some((last.ordinal + 1, last.capacity))
}

impl Shared {
    /// Whether the next few clusters fit: the largest that there is, and a tenth of what it holds.
    fn has_spare_room(&self) -> bool {
        let largest = Room::of_the_largest();
        let is_spare = |capacity: i64, reserved: i64, largest: i64| {
            let spare = largest.max(capacity / SPARE_PART).min(capacity);
            capacity == 0 || capacity - reserved >= spare
        };
        let (capacity, reserved) = (self.capacity, self.reserved);
        is_spare(capacity.partitions, reserved.partitions, largest.partitions)
            && is_spare(
                capacity.ingress_bytes_per_second,
                reserved.ingress_bytes_per_second,
                largest.ingress_bytes_per_second,
            )
            && is_spare(capacity.connections, reserved.connections, largest.connections)
    }
}

/// What to do with a new logical cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement<T> {
    /// Put it there.
    On(T),
    /// It waits until an agent brings a place for it.
    Wait {
        /// What it waits for, for its owner.
        reason: String,
    },
    /// Agents serve places, but not this one.
    NotServed {
        /// Some of the places that are served, `CLOUD/region`, sorted.
        served: Vec<String>,
    },
}

/// The physical clusters that may host a cluster in the region: those that are ready first, for one that is being made may
/// belong to an agent that is gone; the emptiest first among these, and the lower id among equals.
pub fn rank_shared(cloud: &str, region: &str, candidates: &[Candidate]) -> Placement<Vec<PhysicalClusterId>> {
    let mut serving = match serving(cloud, region, candidates) {
        Placement::On(serving) => serving,
        Placement::Wait { reason } => return Placement::Wait { reason },
        Placement::NotServed { served } => return Placement::NotServed { served },
    };
    serving.sort_by_key(|candidate| (!candidate.is_ready, candidate.reserved_partitions, candidate.id.clone()));
    Placement::On(serving.into_iter().map(|candidate| candidate.id.clone()).collect())
}

/// The agent that makes a physical cluster for one logical cluster: a connected one that serves the region, with the
/// fewest `dedicated` physical clusters.
pub fn choose_agent(
    cloud: &str,
    region: &str,
    candidates: &[Candidate],
    connected: &BTreeSet<String>,
    dedicated: impl Fn(&str) -> i64,
) -> Placement<String> {
    let serving = match serving(cloud, region, candidates) {
        Placement::On(serving) => serving,
        Placement::Wait { reason } => return Placement::Wait { reason },
        Placement::NotServed { served } => return Placement::NotServed { served },
    };
    let agents: BTreeSet<&str> = serving.iter().map(|candidate| candidate.agent_id.as_str()).collect();
    let live = agents.into_iter().filter(|agent| connected.contains(*agent));
    match live.min_by_key(|agent| (dedicated(agent), (*agent).to_owned())) {
        Some(agent) => Placement::On(agent.to_owned()),
        None => Placement::Wait { reason: format!("no agent that serves {cloud}/{region} is connected") },
    }
}

fn serving<'a>(cloud: &str, region: &str, candidates: &'a [Candidate]) -> Placement<Vec<&'a Candidate>> {
    if candidates.is_empty() {
        return Placement::Wait { reason: "no agent has brought a physical cluster yet".to_owned() };
    }
    let serving: Vec<&Candidate> = candidates.iter().filter(|candidate| serves(candidate, cloud, region)).collect();
    if serving.is_empty() {
        return Placement::NotServed { served: served_places(cloud, candidates) };
    }
    Placement::On(serving)
}

fn serves(candidate: &Candidate, cloud: &str, region: &str) -> bool {
    match candidate.region.as_str() {
        "" => regions::is_known(cloud, region),
        served => candidate.cloud == cloud && served == region,
    }
}

/// Places that are served: those of the wanted cloud if there are any.
fn served_places(cloud: &str, candidates: &[Candidate]) -> Vec<String> {
    let mut places = BTreeSet::new();
    for candidate in candidates {
        match candidate.region.as_str() {
            "" => places.extend(regions::known(cloud).map(|region| format!("{cloud}/{region}"))),
            region => _ = places.insert(format!("{}/{region}", candidate.cloud)),
        }
    }
    let in_cloud = format!("{cloud}/");
    if places.iter().any(|place| place.starts_with(&in_cloud)) {
        places.retain(|place| place.starts_with(&in_cloud));
    }
    places.into_iter().take(MAX_NAMED_PLACES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: &str, cloud: &str, region: &str, reserved_partitions: i64) -> Candidate {
        let agent_id = format!("agent of {id}");
        Candidate {
            id: id.parse().expect("an id"),
            agent_id,
            cloud: cloud.into(),
            region: region.into(),
            reserved_partitions,
            is_ready: true,
        }
    }

    fn ranked(cloud: &str, region: &str, candidates: &[Candidate]) -> Vec<String> {
        match rank_shared(cloud, region, candidates) {
            Placement::On(ids) => ids.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_cluster_reserves_what_one_unit_of_its_kind_gives() {
        let basic = Room { partitions: 30, ingress_bytes_per_second: 5_000_000, connections: 20 };
        assert_eq!(Room::reserved_by(ClusterKind::Basic), basic);
        assert_eq!(Room::reserved_by(ClusterKind::Standard).minus(basic).partitions, 220);
        assert_eq!(Room::reserved_by(ClusterKind::Dedicated), Room::default());
        assert_eq!(Room::reserved_by(ClusterKind::Freight), Room::default());
    }

    #[test]
    fn the_emptiest_physical_cluster_of_the_region_comes_first() {
        let candidates = [
            candidate("pkc-a", "AWS", "us-east-2", 3),
            candidate("pkc-b", "AWS", "us-east-2", 1),
            candidate("pkc-c", "GCP", "us-east-2", 0),
            candidate("pkc-d", "AWS", "us-east-2", 1),
        ];
        assert_eq!(ranked("AWS", "us-east-2", &candidates), ["pkc-b", "pkc-d", "pkc-a"]);
    }

    #[test]
    fn one_that_is_being_made_comes_after_those_that_are_ready() {
        let candidates = [
            Candidate { is_ready: false, ..candidate("pkc-a", "AWS", "us-east-2", 0) },
            candidate("pkc-b", "AWS", "us-east-2", 5),
        ];
        assert_eq!(ranked("AWS", "us-east-2", &candidates), ["pkc-b", "pkc-a"]);
    }

    #[test]
    fn a_physical_cluster_without_a_region_serves_every_known_region() {
        let candidates = [candidate("pkc-a", "", "", 9)];
        assert_eq!(ranked("AZURE", "westeurope", &candidates), ["pkc-a"]);
        let Placement::NotServed { served } = rank_shared("AZURE", "eu-west-1", &candidates) else {
            panic!("that is a region of another cloud");
        };
        assert_eq!(served.len(), MAX_NAMED_PLACES);
        assert!(served.iter().all(|place| place.starts_with("AZURE/")), "{served:?}");
    }

    #[test]
    fn a_region_that_nobody_serves_is_told_apart_from_no_fleet_at_all() {
        assert!(matches!(rank_shared("AWS", "us-east-2", &[]), Placement::Wait { .. }));
        let candidates = [candidate("pkc-a", "AWS", "eu-west-1", 0), candidate("pkc-b", "GCP", "europe-west1", 0)];
        let expected = Placement::NotServed { served: vec!["AWS/eu-west-1".into()] };
        assert_eq!(rank_shared("AWS", "us-east-2", &candidates), expected);
        let expected = Placement::NotServed { served: vec!["AWS/eu-west-1".into(), "GCP/europe-west1".into()] };
        assert_eq!(rank_shared("AZURE", "westeurope", &candidates), expected);
    }

    fn shared(ordinal: i64, phase: PhysicalPhase, reserved: i64, capacity: i64) -> Shared {
        let room = |partitions| Room { partitions, ..Room::default() };
        let (reserved, capacity) = (room(reserved), room(capacity));
        Shared { cloud: "AWS".into(), region: "eu-west-1".into(), ordinal, phase, reserved, capacity }
    }

    #[test]
    fn another_shared_one_is_made_before_those_that_are_there_are_full_and_never_above_the_bound() {
        use PhysicalPhase::{Deleting, Failed, Provisioning, Ready};
        let check = |there: &[Shared], max: usize, expected: Option<i64>| {
            let of_place: Vec<&Shared> = there.iter().collect();
            let next = next_shared(&of_place, max);
            assert_eq!(next.map(|(ordinal, _)| ordinal), expected, "{there:?}");
            assert!(next.is_none_or(|(_, capacity)| capacity == there[there.len() - 1].capacity));
        };
        check(&[], 8, None);
        check(&[shared(0, Ready, 0, 0)], 8, None);
        check(&[shared(0, Ready, 9_000, 10_000)], 8, None);
        check(&[shared(0, Ready, 9_001, 10_000)], 8, Some(1));
        check(&[shared(0, Ready, 9_001, 10_000)], 1, None);
        // One that is being made counts as room; one that came to nothing does not, and still counts for the bound.
        check(&[shared(0, Ready, 9_001, 10_000), shared(1, Provisioning, 0, 10_000)], 8, None);
        check(&[shared(0, Ready, 9_001, 10_000), shared(1, Failed, 0, 10_000)], 8, Some(2));
        check(&[shared(0, Ready, 9_001, 10_000), shared(1, Deleting, 0, 10_000)], 2, None);
        // One that is too small for the largest still takes smaller ones.
        check(&[shared(0, Ready, 0, 60)], 8, None);
        check(&[shared(0, Ready, 30, 60)], 8, Some(1));
        // Any of the three may be what is scarce.
        let mut full = shared(0, Ready, 0, 0);
        full.capacity.connections = 1_000;
        full.reserved.connections = 1_000;
        check(&[full], 8, Some(1));
    }

    #[test]
    fn the_connected_agent_with_the_fewest_dedicated_clusters_is_chosen() {
        let candidates = ["pkc-a", "pkc-b", "pkc-c"].map(|id| candidate(id, "AWS", "us-east-2", 0));
        let all: BTreeSet<String> = candidates.iter().map(|candidate| candidate.agent_id.clone()).collect();
        let choose = |connected: &BTreeSet<String>, busy: &str| {
            let dedicated = |agent: &str| i64::from(agent == busy);
            choose_agent("AWS", "us-east-2", &candidates, connected, dedicated)
        };
        assert_eq!(choose(&all, "agent of pkc-a"), Placement::On("agent of pkc-b".into()));
        assert_eq!(choose(&all, "agent of pkc-b"), Placement::On("agent of pkc-a".into()));
        let one = BTreeSet::from(["agent of pkc-c".to_owned()]);
        assert_eq!(choose(&one, "agent of pkc-c"), Placement::On("agent of pkc-c".into()));
        let Placement::Wait { reason } = choose(&BTreeSet::new(), "") else { panic!("nobody is there") };
        assert!(reason.contains("AWS/us-east-2"), "{reason}");
    }
}
