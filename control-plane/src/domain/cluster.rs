//! Rules of logical clusters: which kinds exist, what may change, and when one is ready.

use millstream_api::rest::cmk::ClusterKind;

/// Why a change to a cluster was refused. Each names its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// A kind that this service does not offer.
    #[error("spec.config.kind {} is not offered by this service: use Basic", .kind.as_str())]
    KindNotOffered {
        /// The kind that was asked for.
        kind: ClusterKind,
    },
    /// A change of a field that is fixed at creation.
    #[error("{field} cannot be changed after creation: leave it out, or create another cluster")]
    Immutable {
        /// The field, as a path.
        field: &'static str,
    },
}

/// Checks that a kind can be created.
pub fn check_kind(kind: ClusterKind) -> Result<(), ClusterError> {
    match kind {
        ClusterKind::Basic => Ok(()),
        ClusterKind::Standard | ClusterKind::Enterprise | ClusterKind::Freight | ClusterKind::Dedicated => {
            Err(ClusterError::KindNotOffered { kind })
        }
    }
}

/// Checks that a field fixed at creation keeps its value.
pub fn check_unchanged<T: PartialEq>(
    field: &'static str,
    present: &T,
    requested: Option<&T>,
) -> Result<(), ClusterError> {
    match requested {
        Some(requested) if requested != present => Err(ClusterError::Immutable { field }),
        _ => Ok(()),
    }
}

/// Whether a cluster whose creation is config revision `revision` is ready: all live brokers know it, and clients can
/// be told where to connect.
pub fn is_provisioned(revision: u64, acknowledged_by_all: Option<u64>, bootstrap_endpoint: &str) -> bool {
    let known_to_brokers = acknowledged_by_all.is_some_and(|acknowledged| acknowledged >= revision);
    known_to_brokers && !bootstrap_endpoint.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_basic_clusters_can_be_created() {
        assert_eq!(check_kind(ClusterKind::Basic), Ok(()));
        let error = check_kind(ClusterKind::Dedicated).expect_err("not offered");
        assert!(error.to_string().contains("spec.config.kind"));
    }

    #[test]
    fn a_cluster_is_ready_when_all_live_brokers_know_it_and_its_address_is_known() {
        assert!(is_provisioned(5, Some(5), "host:9092"));
        assert!(!is_provisioned(5, Some(4), "host:9092"));
        assert!(!is_provisioned(5, None, "host:9092"));
        assert!(!is_provisioned(5, Some(5), ""));
    }
}
