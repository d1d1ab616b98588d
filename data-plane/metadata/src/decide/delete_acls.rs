//! Which ACLs some filters delete.

use std::collections::BTreeSet;

use millstream_api::ids::LogicalClusterId;

use crate::acl::{Acl, AclError, AclFilter};
use crate::decide::{Decision, MAX_ACLS_PER_REQUEST};
use crate::image::MetadataImage;
use crate::records::MetadataRecord;

/// The most filters of one request: each is compared with every ACL of the tenant.
pub const MAX_FILTERS_PER_REQUEST: usize = 1_000;

/// Decides to delete every ACL that one of the filters means. The outcome has the ACLs of each filter, in the order of
/// filters; one that two filters mean is in both, as in Kafka.
pub fn delete_acls(
    image: &MetadataImage,
    tenant: &LogicalClusterId,
    filters: &[AclFilter],
) -> Result<Decision<Vec<Vec<Acl>>>, AclError> {
    if filters.len() > MAX_FILTERS_PER_REQUEST {
        return Err(AclError::TooLarge { what: "filters", limit: MAX_FILTERS_PER_REQUEST });
    }
    let Some(existing) = image.tenant(tenant).map(|tenant| tenant.acls()) else {
        return Ok(Decision { records: Vec::new(), outcome: vec![Vec::new(); filters.len()] });
    };
    let mut outcome: Vec<Vec<Acl>> = Vec::with_capacity(filters.len());
    // Many filters may mean the same many ACLs: what is answered has a bound too.
    let mut room = MAX_ACLS_PER_REQUEST;
    for filter in filters {
        let meant: Vec<Acl> = existing.matching(filter).take(room + 1).collect();
        let Some(left) = room.checked_sub(meant.len()) else {
            return Err(AclError::TooLarge { what: "ACLs", limit: MAX_ACLS_PER_REQUEST });
        };
        room = left;
        outcome.push(meant);
    }
    let deleted: BTreeSet<&Acl> = outcome.iter().flatten().collect();
    let records =
        deleted.into_iter().map(|acl| MetadataRecord::RemoveAcl { tenant: tenant.clone(), acl: acl.clone() }).collect();
    Ok(Decision { records, outcome })
}
