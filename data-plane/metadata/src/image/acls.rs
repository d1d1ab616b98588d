//! The ACLs of one tenant, by resource.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::acl::{AccessControlEntry, Acl, AclFilter, ResourcePattern};

/// All ACLs of one tenant. The same ACL is in it once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AclImage {
    by_resource: BTreeMap<ResourcePattern, Arc<BTreeSet<AccessControlEntry>>>,
    count: usize,
}

impl AclImage {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether this one is there.
    pub fn contains(&self, acl: &Acl) -> bool {
        self.by_resource.get(&acl.resource).is_some_and(|entries| entries.contains(&acl.entry))
    }

    /// Every resource that has ACLs, with them, in the order of resources.
    pub fn by_resource(&self) -> impl Iterator<Item = (&ResourcePattern, &BTreeSet<AccessControlEntry>)> {
        self.by_resource.iter().map(|(resource, entries)| (resource, entries.as_ref()))
    }

    /// Those that the filter means, in the order of resources.
    pub fn matching<'a>(&'a self, filter: &'a AclFilter) -> impl Iterator<Item = Acl> + 'a {
        let resources = self.by_resource().filter(|(resource, _)| filter.matches_resource(resource));
        resources.flat_map(move |(resource, entries)| {
            let entries = entries.iter().filter(|entry| filter.matches_entry(entry));
            entries.map(|entry| Acl { resource: resource.clone(), entry: entry.clone() })
        })
    }

    /// Adds one, if it is not there.
    pub(super) fn add(&mut self, acl: &Acl) {
        let entries = Arc::make_mut(self.by_resource.entry(acl.resource.clone()).or_default());
        self.count += usize::from(entries.insert(acl.entry.clone()));
    }

    /// Removes one, if it is there.
    pub(super) fn remove(&mut self, acl: &Acl) {
        let Some(entries) = self.by_resource.get_mut(&acl.resource).map(Arc::make_mut) else { return };
        self.count -= usize::from(entries.remove(&acl.entry));
        if entries.is_empty() {
            self.by_resource.remove(&acl.resource);
        }
    }
}
