//! What one tenant may use, from the plan table.

use millstream_api::ids::LogicalClusterId;
use millstream_api::plan::{self, Limits, Plan};
use millstream_api::rest::cmk::ClusterKind;
use millstream_metadata::decide::TenantLimits;

use crate::tenants::{LogicalCluster, TenantDirectory};

/// The limits of a cluster; those of the smallest one when it is not known.
pub(crate) fn of_cluster(cluster: Option<&LogicalCluster>) -> Limits {
    let smallest = (ClusterKind::Basic, 1);
    let (kind, units) = cluster.map_or(smallest, |cluster| (cluster.kind, cluster.units));
    plan_of(kind).limits(units)
}

/// The limits that decisions about topics need.
pub(crate) fn of_tenant(tenants: &TenantDirectory, tenant: &LogicalClusterId) -> TenantLimits {
    let cluster = tenants.cluster(tenant);
    let kind = cluster.as_ref().map_or(ClusterKind::Basic, |cluster| cluster.kind);
    TenantLimits {
        max_partitions: usize::try_from(of_cluster(cluster.as_deref()).partitions).unwrap_or(usize::MAX),
        max_message_bytes: plan_of(kind).max_message_bytes.into(),
    }
}

/// How many ACLs one tenant may have; none while it is not known.
pub(crate) fn max_acls(tenants: &TenantDirectory, tenant: &LogicalClusterId) -> usize {
    let Some(cluster) = tenants.cluster(tenant) else { return 0 };
    usize::try_from(of_cluster(Some(&cluster)).acls).unwrap_or(usize::MAX)
}

/// The plan of a kind that the tenant image holds: only such with a plan get there.
fn plan_of(kind: ClusterKind) -> &'static Plan {
    plan::of(kind).or_else(|| plan::of(ClusterKind::Basic)).expect("Basic clusters are in the plan table")
}
