//! Turns role bindings and ACLs into the grants of one principal in one logical cluster: pure.

use millstream_api::crn::{PatternType, Scope};
use millstream_api::role::{KafkaResource, Operation, Operations, Role};
use millstream_metadata::acl::{self, AccessControlEntry, AclHost, AclPrincipal, Permission, WILDCARD};
use millstream_metadata::image::AclImage;

use super::Who;
use super::grants::{Grants, GrantsBuilder, Names};
use crate::tenants::LogicalCluster;
use crate::tenants::role_bindings::RoleBinding;

/// The grants of `who` in its cluster. What is about others or for other clusters is passed over.
pub(super) fn compile<'a>(
    who: &Who,
    cluster: &LogicalCluster,
    role_bindings: impl Iterator<Item = &'a RoleBinding>,
    acls: Option<&AclImage>,
) -> Grants {
    let mut builder = GrantsBuilder::default();
    for binding in role_bindings {
        let is_for_them = binding.principal == who.principal && binding.organization == cluster.organization;
        if is_for_them {
            add_role(&mut builder, binding.role, &binding.scope, cluster);
        }
    }
    for (resource, entries) in acls.iter().flat_map(|acls| acls.by_resource()) {
        for entry in entries.iter().filter(|entry| is_about(entry, who)) {
            add_entry(&mut builder, resource, entry);
        }
    }
    builder.build()
}

/// Whether an ACL is about requests of `who`. Where it is not known from where they come, they might come from any
/// denied address, and come from no allowed one.
fn is_about(entry: &AccessControlEntry, who: &Who) -> bool {
    let is_theirs = match &entry.principal {
        AclPrincipal::Everyone => true,
        AclPrincipal::One(principal) => *principal == who.principal,
    };
    let is_from_there = match (entry.host, who.host) {
        (AclHost::Anywhere, _) => true,
        (AclHost::Address(address), Some(host)) => address == host,
        (AclHost::Address(_), None) => entry.permission == Permission::Deny,
    };
    is_theirs && is_from_there
}

fn add_entry(builder: &mut GrantsBuilder, resource: &acl::ResourcePattern, entry: &AccessControlEntry) {
    let names = match resource.pattern_type {
        acl::PatternType::Literal if resource.name == WILDCARD => Names::Every,
        acl::PatternType::Literal => Names::Exactly(&resource.name),
        acl::PatternType::Prefixed => Names::BeginningWith(&resource.name),
    };
    let operations = match entry.operation {
        Operation::All => Operations::ALL,
        operation => Operations::of(&[operation]),
    };
    match entry.permission {
        Permission::Allow => builder.allow(resource.resource_type, names, operations),
        Permission::Deny => builder.deny(resource.resource_type, names, operations),
    }
}

fn add_role(builder: &mut GrantsBuilder, role: Role, scope: &Scope, cluster: &LogicalCluster) {
    match scope {
        Scope::Organization => add_everywhere(builder, role),
        Scope::Environment(environment) if *environment == cluster.environment => add_everywhere(builder, role),
        Scope::Cluster(environment, id) if *environment == cluster.environment && *id == cluster.id => {
            if names_only_the_cluster(role) {
                let operations = role.kafka_operations(KafkaResource::Cluster);
                builder.allow(KafkaResource::Cluster, Names::Every, operations);
            } else {
                add_everywhere(builder, role);
            }
        }
        Scope::KafkaResource(environment, id, pattern) if *environment == cluster.environment && *id == cluster.id => {
            let resource = KafkaResource::from(pattern.resource_type);
            let names = match pattern.pattern_type {
                PatternType::Literal => Names::Exactly(&pattern.name),
                PatternType::Prefixed => Names::BeginningWith(&pattern.name),
            };
            builder.allow(resource, names, role.kafka_operations(resource));
        }
        Scope::ServiceAccount(_) | Scope::Environment(_) | Scope::Cluster(..) | Scope::KafkaResource(..) => {}
    }
}

/// A developer's role for a cluster is for the cluster itself, not for what is in it.
fn names_only_the_cluster(role: Role) -> bool {
    matches!(role, Role::DeveloperManage | Role::DeveloperRead | Role::DeveloperWrite)
}

fn add_everywhere(builder: &mut GrantsBuilder, role: Role) {
    if role.administers_clusters() {
        builder.administer();
    }
    for resource in [KafkaResource::Topic, KafkaResource::Group, KafkaResource::TransactionalId, KafkaResource::Cluster]
    {
        builder.allow(resource, Names::Every, role.kafka_operations(resource));
    }
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
