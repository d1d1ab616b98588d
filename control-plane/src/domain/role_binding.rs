//! Rules of role bindings: which role may be bound to what.

use millstream_api::crn::Scope;
use millstream_api::plan::Plan;
use millstream_api::role::Role;

/// Why a role cannot be bound there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoleBindingError {
    /// The role is for other things.
    #[error("the role {role} cannot be bound to {what}: use another role or another crn_pattern")]
    Scope {
        /// The role.
        role: Role,
        /// What the pattern names.
        what: &'static str,
    },
    /// The cluster's kind has ACLs only.
    #[error("{kind} clusters have no role {role}: use ACLs, or upgrade the cluster to Standard")]
    Kind {
        /// The role.
        role: Role,
        /// The kind.
        kind: &'static str,
    },
}

/// Checks that a role may be bound to a scope.
pub fn check_scope(role: Role, scope: &Scope) -> Result<(), RoleBindingError> {
    if role.may_be_bound_to(scope) {
        return Ok(());
    }
    let what = match scope {
        Scope::Organization => "an organization",
        Scope::ServiceAccount(_) => "a service account",
        Scope::Environment(_) => "an environment",
        Scope::Cluster(..) => "a cluster",
        Scope::KafkaResource(..) => "topics, groups or transactional ids",
    };
    Err(RoleBindingError::Scope { role, what })
}

/// Checks that a role may be bound in a cluster of a kind.
pub fn check_kind(role: Role, plan: &Plan) -> Result<(), RoleBindingError> {
    let names_resources =
        matches!(role, Role::ResourceOwner | Role::DeveloperManage | Role::DeveloperRead | Role::DeveloperWrite);
    if names_resources && !plan.resource_role_bindings {
        return Err(RoleBindingError::Kind { role, kind: plan.kind.as_str() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_api::plan;
    use millstream_api::rest::cmk::ClusterKind;

    #[test]
    fn a_role_is_bound_only_to_what_it_is_for() {
        assert_eq!(check_scope(Role::OrganizationAdmin, &Scope::Organization), Ok(()));
        let environment = Scope::Environment("env-1".parse().expect("an id"));
        assert_eq!(check_scope(Role::EnvironmentAdmin, &environment), Ok(()));
        let error = check_scope(Role::OrganizationAdmin, &environment).expect_err("too narrow");
        assert_eq!(error, RoleBindingError::Scope { role: Role::OrganizationAdmin, what: "an environment" });
    }

    #[test]
    fn basic_clusters_know_no_roles_inside_of_a_cluster() {
        let basic = plan::of(ClusterKind::Basic).expect("a plan");
        let standard = plan::of(ClusterKind::Standard).expect("a plan");
        for role in Role::ALL {
            assert_eq!(check_kind(role, standard), Ok(()), "{role}");
        }
        assert_eq!(check_kind(Role::CloudClusterAdmin, basic), Ok(()));
        let error = check_kind(Role::DeveloperRead, basic).expect_err("not in the plan");
        assert!(error.to_string().contains("Basic") && error.to_string().contains("ACLs"), "{error}");
    }
}
