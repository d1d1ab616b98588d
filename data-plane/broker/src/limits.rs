//! What each tier of logical cluster may use. One table; everything that enforces a limit reads it here.

use millstream_api::ids::LogicalClusterId;
use millstream_api::{plan, rest::cmk};
use millstream_metadata::decide::TenantLimits;

use crate::tenants::{ClusterKind, TenantDirectory};

/// Partitions of a Basic cluster.
const BASIC_MAX_PARTITIONS: usize = 1_500;
/// Partitions of a Standard cluster.
const STANDARD_MAX_PARTITIONS: usize = 2_500;
/// Partitions of a Dedicated cluster.
const DEDICATED_MAX_PARTITIONS: usize = 100_000;
/// Largest message of a Basic or Standard cluster.
const SHARED_MAX_MESSAGE_BYTES: i64 = 8 * 1024 * 1024;
/// Largest message of a Dedicated cluster.
const DEDICATED_MAX_MESSAGE_BYTES: i64 = 20 * 1024 * 1024;

/// The limits of one tenant; those of the smallest tier when its tier is not known.
pub(crate) fn of_tenant(tenants: &TenantDirectory, tenant: &LogicalClusterId) -> TenantLimits {
    let kind = tenants.cluster(tenant).map_or(ClusterKind::Basic, |cluster| cluster.kind);
    match kind {
        ClusterKind::Basic => {
            TenantLimits { max_partitions: BASIC_MAX_PARTITIONS, max_message_bytes: SHARED_MAX_MESSAGE_BYTES }
        }
        ClusterKind::Standard => {
            TenantLimits { max_partitions: STANDARD_MAX_PARTITIONS, max_message_bytes: SHARED_MAX_MESSAGE_BYTES }
        }
        ClusterKind::Dedicated => {
            TenantLimits { max_partitions: DEDICATED_MAX_PARTITIONS, max_message_bytes: DEDICATED_MAX_MESSAGE_BYTES }
        }
    }
}

/// How many ACLs one tenant may have; none while its tier is not known.
pub(crate) fn max_acls(tenants: &TenantDirectory, tenant: &LogicalClusterId) -> usize {
    let Some(cluster) = tenants.cluster(tenant) else { return 0 };
    let kind = match cluster.kind {
        ClusterKind::Basic => cmk::ClusterKind::Basic,
        ClusterKind::Standard => cmk::ClusterKind::Standard,
        ClusterKind::Dedicated => cmk::ClusterKind::Dedicated,
    };
    let limit = plan::of(kind).map_or(0, |plan| plan.limits(cluster.units).acls);
    usize::try_from(limit).unwrap_or(usize::MAX)
}
