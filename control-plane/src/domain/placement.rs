//! Which physical cluster hosts a new logical cluster.

use millstream_api::ids::PhysicalClusterId;

/// A physical cluster that hosts many logical clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: PhysicalClusterId,
    /// Cloud it serves; empty for every cloud.
    pub cloud: String,
    /// Region it serves; empty for every region.
    pub region: String,
    /// Logical clusters on it.
    pub logical_clusters: i64,
}

/// What to do with a new logical cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// Put it there.
    On(PhysicalClusterId),
    /// No physical cluster exists yet: it waits until an agent brings one.
    Wait,
    /// Physical clusters exist, but none serves the region.
    NotServed {
        /// The places that are served, `CLOUD/region`, sorted.
        served: Vec<String>,
    },
}

/// Chooses the emptiest physical cluster that serves the region; the lower id among equals.
pub fn place(cloud: &str, region: &str, candidates: &[Candidate]) -> Placement {
    if candidates.is_empty() {
        return Placement::Wait;
    }
    let serves = |candidate: &&Candidate| {
        (candidate.cloud.is_empty() || candidate.cloud == cloud)
            && (candidate.region.is_empty() || candidate.region == region)
    };
    let best =
        candidates.iter().filter(serves).min_by_key(|candidate| (candidate.logical_clusters, candidate.id.clone()));
    match best {
        Some(candidate) => Placement::On(candidate.id.clone()),
        None => {
            let mut served: Vec<String> =
                candidates.iter().map(|candidate| format!("{}/{}", candidate.cloud, candidate.region)).collect();
            served.sort();
            served.dedup();
            Placement::NotServed { served }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: &str, cloud: &str, region: &str, logical_clusters: i64) -> Candidate {
        Candidate { id: id.parse().expect("an id"), cloud: cloud.into(), region: region.into(), logical_clusters }
    }

    #[test]
    fn the_emptiest_physical_cluster_of_the_region_is_chosen() {
        let candidates = [
            candidate("pkc-a", "AWS", "us-east-2", 3),
            candidate("pkc-b", "AWS", "us-east-2", 1),
            candidate("pkc-c", "GCP", "us-east-2", 0),
        ];
        assert_eq!(place("AWS", "us-east-2", &candidates), Placement::On(candidates[1].id.clone()));
    }

    #[test]
    fn a_physical_cluster_without_a_region_serves_every_region() {
        let candidates = [candidate("pkc-a", "", "", 9)];
        assert_eq!(place("AZURE", "westeurope", &candidates), Placement::On(candidates[0].id.clone()));
    }

    #[test]
    fn a_region_that_nobody_serves_is_told_apart_from_no_fleet_at_all() {
        assert_eq!(place("AWS", "us-east-2", &[]), Placement::Wait);
        let candidates = [candidate("pkc-a", "AWS", "eu-west-1", 0)];
        let expected = Placement::NotServed { served: vec!["AWS/eu-west-1".into()] };
        assert_eq!(place("AWS", "us-east-2", &candidates), expected);
    }
}
