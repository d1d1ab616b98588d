//! What one principal may do in one logical cluster: pure, and quick to ask.
//!
//! Rules are collected with [`GrantsBuilder`]. A deny beats every allow, whatever their patterns; an allowed Read, Write,
//! Delete or Alter allows Describe, and AlterConfigs allows DescribeConfigs; a deny denies only what it names. What no
//! deny takes away is that administrators describe and alter ACLs.

use std::collections::{BTreeMap, HashMap};

use millstream_api::role::{KafkaResource, Operation, Operations};
use millstream_metadata::acl::CLUSTER_NAME;

use super::prefix_map::PrefixMap;

/// Kinds of resources, in the order of their rules.
const RESOURCES: [KafkaResource; 4] =
    [KafkaResource::Topic, KafkaResource::Group, KafkaResource::TransactionalId, KafkaResource::Cluster];

/// Which names a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names<'a> {
    /// All.
    Every,
    /// This one.
    Exactly(&'a str),
    /// Those that begin so.
    BeginningWith(&'a str),
}

/// Operations that some rules allow and deny.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Rights {
    allowed: Operations,
    denied: Operations,
}

impl Rights {
    fn with(self, other: Self) -> Self {
        Self { allowed: self.allowed.with(other.allowed), denied: self.denied.with(other.denied) }
    }

    /// What remains.
    fn effective(self) -> Operations {
        Operations(implied(self.allowed).0 & !self.denied.0)
    }
}

/// Adds what Kafka takes as allowed along with what is allowed.
fn implied(allowed: Operations) -> Operations {
    const IMPLY_DESCRIBE: Operations =
        Operations::of(&[Operation::Read, Operation::Write, Operation::Delete, Operation::Alter]);
    let mut all = allowed;
    if allowed.0 & IMPLY_DESCRIBE.0 != 0 {
        all = all.with(Operations::of(&[Operation::Describe]));
    }
    if allowed.contains(Operation::AlterConfigs) {
        all = all.with(Operations::of(&[Operation::DescribeConfigs]));
    }
    all
}

/// The rules for one kind of resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rules {
    every: Rights,
    exact: HashMap<Box<str>, Rights>,
    /// With the rights of shorter prefixes in those of longer ones.
    prefixed: PrefixMap<Rights>,
    /// What is allowed for at least one name.
    somewhere: Operations,
}

impl Rules {
    fn operations(&self, name: &str) -> Operations {
        let mut rights = self.every;
        if let Some(exact) = self.exact.get(name) {
            rights = rights.with(*exact);
        }
        if let Some(prefixed) = self.prefixed.longest(name) {
            rights = rights.with(*prefixed);
        }
        rights.effective()
    }
}

/// What one principal may do in one logical cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Grants {
    rules: [Rules; RESOURCES.len()],
    administers: bool,
}

impl Grants {
    /// Nothing.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// Whether an operation is allowed.
    pub(crate) fn allows(&self, operation: Operation, resource: KafkaResource, name: &str) -> bool {
        self.operations(resource, name).contains(operation)
    }

    /// Whether an operation on the cluster is allowed.
    pub(crate) fn allows_on_cluster(&self, operation: Operation) -> bool {
        self.allows(operation, KafkaResource::Cluster, CLUSTER_NAME)
    }

    /// Whether ACLs may be seen.
    pub(crate) fn may_describe_acls(&self) -> bool {
        self.administers || self.allows_on_cluster(Operation::Describe)
    }

    /// Whether ACLs may be made and deleted.
    pub(crate) fn may_alter_acls(&self) -> bool {
        self.administers || self.allows_on_cluster(Operation::Alter)
    }

    /// Whether an operation is allowed for at least one name, as Kafka's `authorizeByResourceType`.
    pub(crate) fn allows_somewhere(&self, operation: Operation, resource: KafkaResource) -> bool {
        self.rules[index(resource)].somewhere.contains(operation)
    }

    /// Every operation that is allowed.
    pub(crate) fn operations(&self, resource: KafkaResource, name: &str) -> Operations {
        self.rules[index(resource)].operations(name)
    }
}

fn index(resource: KafkaResource) -> usize {
    match resource {
        KafkaResource::Topic => 0,
        KafkaResource::Group => 1,
        KafkaResource::TransactionalId => 2,
        KafkaResource::Cluster => 3,
    }
}

/// Collects rules.
#[derive(Default)]
pub(super) struct GrantsBuilder {
    rules: [CollectedRules; RESOURCES.len()],
    administers: bool,
}

#[derive(Default)]
struct CollectedRules {
    every: Rights,
    exact: HashMap<Box<str>, Rights>,
    prefixed: BTreeMap<Box<str>, Rights>,
}

impl GrantsBuilder {
    /// Allows operations.
    pub(super) fn allow(&mut self, resource: KafkaResource, names: Names<'_>, operations: Operations) {
        self.add(resource, names, Rights { allowed: operations, denied: Operations::NONE });
    }

    /// Denies operations.
    pub(super) fn deny(&mut self, resource: KafkaResource, names: Names<'_>, operations: Operations) {
        self.add(resource, names, Rights { allowed: Operations::NONE, denied: operations });
    }

    /// Lets them describe and alter ACLs whatever ACLs say: an ACL that denied it to everybody could not be taken back.
    pub(super) fn administer(&mut self) {
        self.administers = true;
    }

    fn add(&mut self, resource: KafkaResource, names: Names<'_>, rights: Rights) {
        let rules = &mut self.rules[index(resource)];
        let place = match names {
            Names::Every | Names::BeginningWith("") => &mut rules.every,
            Names::Exactly(name) => rules.exact.entry(name.into()).or_default(),
            Names::BeginningWith(prefix) => rules.prefixed.entry(prefix.into()).or_default(),
        };
        *place = place.with(rights);
    }

    /// The rules as they are asked.
    pub(super) fn build(self) -> Grants {
        Grants { rules: self.rules.map(CollectedRules::build), administers: self.administers }
    }
}

impl CollectedRules {
    fn build(self) -> Rules {
        let prefixed = PrefixMap::new(self.prefixed.into_iter(), |outer: &Rights, own| outer.with(own));
        let mut rules = Rules { every: self.every, exact: self.exact, prefixed, somewhere: Operations::NONE };
        // A name that no rule names, one that begins like a prefix and nothing else names, and every name of a rule.
        let every = std::iter::once(rules.every.effective());
        let prefixed = rules.prefixed.values().map(|rights| rules.every.with(*rights).effective());
        let exact = rules.exact.keys().map(|name| rules.operations(name));
        rules.somewhere = every.chain(prefixed).chain(exact).fold(Operations::NONE, Operations::with);
        rules
    }
}

#[cfg(test)]
#[path = "grants_tests.rs"]
mod tests;
