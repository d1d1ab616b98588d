//! Which APIs this broker serves, and in which versions.
//!
//! What is listed here is advertised by ApiVersions and accepted by the dispatcher; nothing else is. Versions that
//! carry features which this broker lacks (transactions across brokers, the new consumer protocol, share groups) are
//! left out, so that clients negotiate down instead of failing.

use crate::api_key::ApiKey;

/// One API as this broker serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServedApi {
    pub key: ApiKey,
    /// The lowest version in the ApiVersions response.
    pub min: i16,
    pub max: i16,
    /// The lowest version that is answered. Above `min` only for Produce: librdkafka takes the absence of Produce 0
    /// as the absence of compression and would silently send everything uncompressed, so Kafka advertises versions
    /// that it refuses, and so do we.
    pub min_accepted: i16,
}

const fn served(key: ApiKey, min: i16, max: i16) -> ServedApi {
    ServedApi { key, min, max, min_accepted: min }
}

/// Everything this broker serves, in the order of the keys.
pub const SERVED: &[ServedApi] = &[
    ServedApi { key: ApiKey::Produce, min: 0, max: 11, min_accepted: 3 },
    served(ApiKey::Fetch, 4, 16),
    served(ApiKey::ListOffsets, 1, 7),
    served(ApiKey::Metadata, 0, 12),
    served(ApiKey::OffsetCommit, 2, 9),
    served(ApiKey::OffsetFetch, 1, 9),
    served(ApiKey::FindCoordinator, 0, 4),
    served(ApiKey::JoinGroup, 0, 9),
    served(ApiKey::Heartbeat, 0, 4),
    served(ApiKey::LeaveGroup, 0, 5),
    served(ApiKey::SyncGroup, 0, 5),
    served(ApiKey::DescribeGroups, 0, 6),
    served(ApiKey::ListGroups, 0, 5),
    served(ApiKey::SaslHandshake, 0, 1),
    served(ApiKey::ApiVersions, 0, 4),
    served(ApiKey::CreateTopics, 2, 7),
    served(ApiKey::DeleteTopics, 1, 6),
    served(ApiKey::DeleteRecords, 0, 2),
    served(ApiKey::InitProducerId, 0, 5),
    served(ApiKey::OffsetForLeaderEpoch, 2, 4),
    served(ApiKey::DescribeAcls, 1, 3),
    served(ApiKey::CreateAcls, 1, 3),
    served(ApiKey::DeleteAcls, 1, 3),
    served(ApiKey::DescribeConfigs, 1, 4),
    served(ApiKey::AlterConfigs, 0, 2),
    served(ApiKey::SaslAuthenticate, 0, 2),
    served(ApiKey::CreatePartitions, 0, 3),
    served(ApiKey::DeleteGroups, 0, 2),
    served(ApiKey::IncrementalAlterConfigs, 0, 1),
    served(ApiKey::OffsetDelete, 0, 0),
    served(ApiKey::DescribeCluster, 0, 2),
];

/// How this broker serves the API, if it does.
pub fn served_api(key: ApiKey) -> Option<&'static ServedApi> {
    SERVED.iter().find(|api| api.key == key)
}

/// Whether a request of this API and version is answered.
pub fn is_served(key: ApiKey, version: i16) -> bool {
    served_api(key).is_some_and(|api| (api.min_accepted..=api.max).contains(&version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_keys_without_repeats() {
        for pair in SERVED.windows(2) {
            assert!(pair[0].key < pair[1].key, "{} stands before {}", pair[0].key, pair[1].key);
        }
    }

    #[test]
    fn every_accepted_version_has_a_schema() {
        for api in SERVED {
            let schema = api.key.schema_versions();
            assert!(schema.contains(&api.min_accepted) && schema.contains(&api.max), "{}", api.key);
            assert!(api.min <= api.min_accepted && api.min_accepted <= api.max, "{}", api.key);
        }
    }

    #[test]
    fn produce_is_advertised_from_version_0_and_answered_from_version_3() {
        assert_eq!(served_api(ApiKey::Produce).map(|api| api.min), Some(0));
        assert!(!is_served(ApiKey::Produce, 2));
        assert!(is_served(ApiKey::Produce, 3));
        assert!(!is_served(ApiKey::Produce, 12));
    }
}
