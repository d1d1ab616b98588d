//! Which ACLs of a request are added.

use std::collections::BTreeSet;

use millstream_api::ids::LogicalClusterId;

use crate::acl::{Acl, AclError};
use crate::decide::Decision;
use crate::image::{AclImage, MetadataImage};
use crate::records::MetadataRecord;

/// The most ACLs of one request, as Kafka bounds the records of one.
pub const MAX_ACLS_PER_REQUEST: usize = 10_000;

/// Decides to add those ACLs that are legal, as long as the tenant has no more than `limit`. The outcome has one
/// result per ACL, in their order. One that exists already is created without a change.
pub fn create_acls(
    image: &MetadataImage,
    tenant: &LogicalClusterId,
    acls: Vec<Result<Acl, AclError>>,
    limit: usize,
) -> Result<Decision<Vec<Result<(), AclError>>>, AclError> {
    if acls.len() > MAX_ACLS_PER_REQUEST {
        return Err(AclError::TooLarge { what: "ACLs", limit: MAX_ACLS_PER_REQUEST });
    }
    let nothing = AclImage::default();
    let existing = image.tenant(tenant).map_or(&nothing, |tenant| tenant.acls());
    let mut added = BTreeSet::new();
    let mut outcome = Vec::with_capacity(acls.len());
    for acl in acls {
        outcome.push(acl.and_then(|acl| {
            let count = existing.len() + added.len();
            let is_new = !existing.contains(&acl) && !added.contains(&acl);
            if is_new && count >= limit {
                return Err(AclError::TooMany { count, limit });
            }
            if is_new {
                added.insert(acl);
            }
            Ok(())
        }));
    }
    let records = added.into_iter().map(|acl| MetadataRecord::AddAcl { tenant: tenant.clone(), acl }).collect();
    Ok(Decision { records, outcome })
}

/// Decides to add all of these ACLs, or none and to say why.
pub fn create_all_acls(
    image: &MetadataImage,
    tenant: &LogicalClusterId,
    acls: Vec<Acl>,
    limit: usize,
) -> Result<Decision<()>, AclError> {
    let decision = create_acls(image, tenant, acls.into_iter().map(Ok).collect(), limit)?;
    decision.outcome.into_iter().collect::<Result<(), AclError>>()?;
    Ok(Decision { records: decision.records, outcome: () })
}
