//! The role bindings of every organization that has a logical cluster here, found by principal.
//!
//! Promises: looking up a principal's bindings takes as long however many others there are; equal pointers mean equal
//! bindings. Pure. Never decides what a role allows.

use std::collections::HashMap;
use std::sync::Arc;

use millstream_api::crn::{CrnPattern, Scope};
use millstream_api::fleet;
use millstream_api::ids::{OrganizationId, Principal, RoleBindingId};
use millstream_api::role::Role;

/// A role of one principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleBinding {
    /// `rb-…`
    pub(crate) id: RoleBindingId,
    /// The organization that the principal and the scope belong to.
    pub(crate) organization: OrganizationId,
    /// Who has the role.
    pub(crate) principal: Principal,
    /// The role.
    pub(crate) role: Role,
    /// For what.
    pub(crate) scope: Scope,
}

impl RoleBinding {
    /// Reads what the control plane said; anything that is not understood completely is refused.
    pub(super) fn parse(wire: &fleet::RoleBinding) -> Result<Self, String> {
        let organization = wire.organization_id.parse().map_err(|error| format!("organization_id: {error}"))?;
        let pattern: CrnPattern = wire.crn_pattern.parse().map_err(|error| format!("crn_pattern: {error}"))?;
        if pattern.organization != organization {
            return Err("crn_pattern: it is of another organization".to_owned());
        }
        let role: Role = wire.role_name.parse().map_err(|error| format!("role_name: {error}"))?;
        if !role.may_be_bound_to(&pattern.scope) {
            return Err(format!("crn_pattern: {role} cannot be bound to such a resource"));
        }
        Ok(Self {
            id: wire.id.parse().map_err(|error| format!("id: {error}"))?,
            organization,
            principal: wire.principal.parse().map_err(|error| format!("principal: {error}"))?,
            role,
            scope: pattern.scope,
        })
    }

    /// As the control plane says it.
    pub(super) fn to_wire(&self) -> fleet::RoleBinding {
        let pattern = CrnPattern { organization: self.organization, scope: self.scope.clone() };
        fleet::RoleBinding {
            id: self.id.to_string(),
            organization_id: self.organization.to_string(),
            principal: self.principal.to_string(),
            role_name: self.role.to_string(),
            crn_pattern: pattern.to_string(),
        }
    }
}

/// All role bindings.
#[derive(Default, PartialEq, Eq)]
pub(super) struct RoleBindings {
    by_principal: HashMap<Principal, Arc<Vec<RoleBinding>>>,
    principals: HashMap<RoleBindingId, Principal>,
}

impl RoleBindings {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.principals.len()
    }

    /// Those of one principal. The same pointer means the same bindings.
    pub(super) fn of(&self, principal: &Principal) -> Option<&Arc<Vec<RoleBinding>>> {
        self.by_principal.get(principal)
    }

    /// Every binding.
    pub(super) fn iter(&self) -> impl Iterator<Item = &RoleBinding> {
        self.by_principal.values().flat_map(|bindings| bindings.iter())
    }

    /// Adds a binding in place of the one with its id. Says whether that changed anything.
    pub(super) fn insert(&mut self, binding: RoleBinding) -> bool {
        let known = self.principals.get(&binding.id).and_then(|principal| self.by_principal.get(principal));
        if known.is_some_and(|known| known.contains(&binding)) {
            return false;
        }
        self.remove(&binding.id);
        self.principals.insert(binding.id.clone(), binding.principal.clone());
        Arc::make_mut(self.by_principal.entry(binding.principal.clone()).or_default()).push(binding);
        true
    }

    /// Removes the binding of this id. Says whether there was one.
    pub(super) fn remove(&mut self, id: &RoleBindingId) -> bool {
        let Some(principal) = self.principals.remove(id) else { return false };
        if let Some(bindings) = self.by_principal.get_mut(&principal) {
            Arc::make_mut(bindings).retain(|binding| binding.id != *id);
            if bindings.is_empty() {
                self.by_principal.remove(&principal);
            }
        }
        true
    }

    /// Removes those of organizations that are not to be kept. Says whether there were any.
    pub(super) fn retain_organizations(&mut self, is_kept: impl Fn(OrganizationId) -> bool) -> bool {
        let stale = self.iter().filter(|binding| !is_kept(binding.organization)).map(|binding| binding.id.clone());
        let stale: Vec<_> = stale.collect();
        for id in &stale {
            self.remove(id);
        }
        !stale.is_empty()
    }
}
