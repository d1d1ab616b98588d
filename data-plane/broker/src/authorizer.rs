//! Who may do what on this broker: role bindings and ACLs of a principal, compiled and kept current.
//!
//! Promises: nothing is allowed that neither a role nor an ACL allows, and what an ACL denies is denied whatever else
//! allows it; a change holds for the next request of every open connection. While nothing changed, a request costs
//! two loads of an atomic. Never looks at requests: handlers ask.

mod compile;
pub(crate) mod grants;
mod prefix_map;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_api::ids::{LogicalClusterId, Principal};
use millstream_metadata::image::{AclImage, MetadataImage};
use tokio::sync::watch;

use crate::authorizer::grants::Grants;
use crate::tenants::role_bindings::RoleBinding;
use crate::tenants::{LogicalCluster, TenantDirectory};

/// Compiled grants that are kept at most; with more all are forgotten, and compiled again as they are needed.
const MAX_COMPILED: usize = 10_000;

/// Whose rights.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Who {
    /// The logical cluster in which they act.
    pub(crate) tenant: LogicalClusterId,
    /// Who acts.
    pub(crate) principal: Principal,
    /// From where; `None` if that is not known.
    pub(crate) host: Option<IpAddr>,
}

/// Everything that grants are made of. Compared by pointer: each part is replaced as a whole when it changes.
struct Sources {
    cluster: Option<Arc<LogicalCluster>>,
    role_bindings: Option<Arc<Vec<RoleBinding>>>,
    acls: Option<Arc<AclImage>>,
}

type Compiled = HashMap<Who, (Sources, Arc<Grants>)>;

/// Compiles grants, and shares them among the connections and requests of a principal.
pub(crate) struct Authorizer {
    tenants: Arc<TenantDirectory>,
    images: watch::Receiver<Arc<MetadataImage>>,
    compiled: Mutex<Compiled>,
}

impl Authorizer {
    pub(crate) fn new(tenants: Arc<TenantDirectory>, images: watch::Receiver<Arc<MetadataImage>>) -> Self {
        Self { tenants, images, compiled: Mutex::default() }
    }

    /// What `who` may do now.
    pub(crate) fn grants(&self, who: &Who) -> Arc<Grants> {
        let (cluster, role_bindings) = self.tenants.cluster_and_role_bindings(&who.tenant, &who.principal);
        let acls = self.images.borrow().tenant(&who.tenant).map(|tenant| Arc::clone(tenant.acls()));
        let sources = Sources { cluster, role_bindings, acls };
        if let Some((known, grants)) = self.compiled().get(who)
            && known.is_same_as(&sources)
        {
            return Arc::clone(grants);
        }
        // Not under the lock: thousands of ACLs take a while.
        let grants = Arc::new(sources.compile(who));
        let mut compiled = self.compiled();
        if compiled.len() >= MAX_COMPILED {
            compiled.clear();
        }
        compiled.insert(who.clone(), (sources, Arc::clone(&grants)));
        grants
    }

    fn compiled(&self) -> MutexGuard<'_, Compiled> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `who` may do, for a connection that will ask again with every request.
    pub(crate) fn follow(&self, who: Who) -> LiveGrants {
        let mut live =
            LiveGrants { rights_version: 0, images: self.images.clone(), grants: Arc::new(Grants::none()), who };
        live.update(self);
        live
    }
}

impl Sources {
    fn is_same_as(&self, other: &Self) -> bool {
        same_pointer(self.cluster.as_ref(), other.cluster.as_ref())
            && same_pointer(self.role_bindings.as_ref(), other.role_bindings.as_ref())
            && same_pointer(self.acls.as_ref(), other.acls.as_ref())
    }

    fn compile(&self, who: &Who) -> Grants {
        let Some(cluster) = &self.cluster else { return Grants::none() };
        let role_bindings = self.role_bindings.iter().flat_map(|bindings| bindings.iter());
        compile::compile(who, cluster, role_bindings, self.acls.as_deref())
    }
}

fn same_pointer<T>(left: Option<&Arc<T>>, right: Option<&Arc<T>>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => Arc::ptr_eq(left, right),
        (None, None) => true,
        _ => false,
    }
}

/// The grants of one connection, which notice that they are out of date.
pub(crate) struct LiveGrants {
    who: Who,
    rights_version: u64,
    images: watch::Receiver<Arc<MetadataImage>>,
    grants: Arc<Grants>,
}

impl LiveGrants {
    /// What was allowed when [`refresh`](Self::refresh) was last called.
    pub(crate) fn grants(&self) -> &Arc<Grants> {
        &self.grants
    }

    /// Takes over whatever changed since. Call it once per request.
    pub(crate) fn refresh(&mut self, authorizer: &Authorizer) {
        // An error means that the broker stops.
        let is_current =
            self.rights_version == authorizer.tenants.rights_version() && !self.images.has_changed().unwrap_or(false);
        if !is_current {
            self.update(authorizer);
        }
    }

    fn update(&mut self, authorizer: &Authorizer) {
        // Marked first: what changes while the grants are made is seen at the next request.
        self.rights_version = authorizer.tenants.rights_version();
        self.images.mark_unchanged();
        self.grants = authorizer.grants(&self.who);
    }
}

#[cfg(test)]
mod tests;
