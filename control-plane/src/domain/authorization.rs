//! Who may do what in the control plane: one table of roles and actions, and what the scope of a role covers.
//!
//! Promises: nothing is allowed that no row allows. What a caller may not even see is told apart from what it sees and
//! may not do, so that the former is answered like something that does not exist. What roles allow inside a Kafka
//! cluster is decided by brokers.

use std::collections::BTreeSet;

use millstream_api::crn::{PatternType, ResourcePattern, Scope};
use millstream_api::ids::{EnvironmentId, LogicalClusterId, Principal, ServiceAccountId, UserId};
use millstream_api::role::{KafkaResource, Operations, Role};

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// See the organization. Everybody in it may.
    ViewOrganization,
    /// See limits and how much of them is used.
    ViewQuotas,
    /// See who did what.
    ViewAuditLog,
    /// Make an environment.
    CreateEnvironment,
    /// See an environment.
    ViewEnvironment,
    /// Rename an environment.
    ChangeEnvironment,
    /// Delete an environment.
    DeleteEnvironment,
    /// Make a cluster in an environment.
    CreateCluster,
    /// See a cluster.
    ViewCluster,
    /// Rename, resize or upgrade a cluster.
    ChangeCluster,
    /// Delete a cluster.
    DeleteCluster,
    /// See how a cluster does.
    ViewMetrics,
    /// See the client quotas of a cluster.
    ViewClientQuota,
    /// Make, change and delete client quotas of a cluster.
    ManageClientQuota,
    /// Make a service account.
    CreateServiceAccount,
    /// See a service account.
    ViewServiceAccount,
    /// Rename a service account.
    ChangeServiceAccount,
    /// Delete a service account.
    DeleteServiceAccount,
    /// Make a user.
    CreateUser,
    /// See a user.
    ViewUser,
    /// Rename a user.
    ChangeUser,
    /// Set the password of a user.
    SetPassword,
    /// Delete a user.
    DeleteUser,
    /// See a key, without its secret.
    ViewApiKey,
    /// Make, change and delete a key.
    ManageApiKey,
    /// See a role binding.
    ViewRoleBinding,
    /// Make and delete a role binding.
    ManageRoleBinding,
}

/// What something is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// The organization of the caller.
    Organization,
    /// An environment.
    Environment(&'a EnvironmentId),
    /// A Kafka cluster.
    Cluster(&'a EnvironmentId, &'a LogicalClusterId),
    /// A service account.
    ServiceAccount(&'a ServiceAccountId),
    /// A user.
    User(&'a UserId),
    /// An API key: of whom, and for which cluster; for none if it is a Cloud key.
    ApiKey(&'a Principal, Option<(&'a EnvironmentId, &'a LogicalClusterId)>),
    /// A role binding: of whom, and on what.
    RoleBinding(&'a Principal, &'a Scope),
}

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Do it.
    Allowed,
    /// The caller sees it, but may not.
    Forbidden,
    /// The caller does not see it.
    Hidden,
}

/// Whose call it is, and which roles it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    /// Who.
    pub principal: Principal,
    /// Roles and where they are bound.
    pub roles: Vec<(Role, Scope)>,
}

/// Which objects of a kind are seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visible<T> {
    /// Each.
    All,
    /// These.
    Only(T),
}

/// Which API keys are seen, when not each is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VisibleKeys {
    /// Those of these service accounts.
    pub service_accounts: BTreeSet<ServiceAccountId>,
    /// Those of this user.
    pub user: Option<UserId>,
    /// Those for clusters of these environments.
    pub environments: BTreeSet<EnvironmentId>,
    /// Those for these clusters.
    pub clusters: BTreeSet<LogicalClusterId>,
}

/// Which role bindings are seen, when not each is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VisibleRoleBindings {
    /// Those on these environments and in them.
    pub environments: BTreeSet<EnvironmentId>,
    /// Those on these clusters and in them.
    pub clusters: BTreeSet<LogicalClusterId>,
    /// Those on these service accounts.
    pub service_accounts: BTreeSet<ServiceAccountId>,
}

impl Grants {
    /// Decides.
    pub fn decide(&self, action: Action, target: Target<'_>) -> Decision {
        if self.allow(action, target) {
            return Decision::Allowed;
        }
        let view = match target {
            Target::Organization => return Decision::Forbidden,
            Target::Environment(_) => Action::ViewEnvironment,
            Target::Cluster(..) => Action::ViewCluster,
            Target::ServiceAccount(_) => Action::ViewServiceAccount,
            Target::User(_) => Action::ViewUser,
            Target::ApiKey(..) => Action::ViewApiKey,
            Target::RoleBinding(..) => Action::ViewRoleBinding,
        };
        if self.allow(view, target) { Decision::Forbidden } else { Decision::Hidden }
    }

    fn allow(&self, action: Action, target: Target<'_>) -> bool {
        everybody_may(action)
            || self.is_own(action, target)
            || self.roles.iter().any(|(role, scope)| {
                (allows(*role, action) && covers(*role, scope, action, target)) || shows(scope, action, target)
            })
    }

    /// What everybody may do with what is its own.
    fn is_own(&self, action: Action, target: Target<'_>) -> bool {
        match (action, target, &self.principal) {
            (Action::ViewUser | Action::ChangeUser | Action::SetPassword, Target::User(id), Principal::User(own)) => {
                id == own
            }
            (Action::ViewServiceAccount, Target::ServiceAccount(id), Principal::ServiceAccount(own)) => id == own,
            (Action::ViewApiKey, Target::ApiKey(owner, _), own) => owner == own,
            (Action::ManageApiKey, Target::ApiKey(owner, _), own @ Principal::User(_)) => owner == own,
            (Action::ViewRoleBinding, Target::RoleBinding(principal, _), own) => principal == own,
            _ => false,
        }
    }

    /// Whether one of the roles allows something wherever it is.
    fn allow_everywhere(&self, action: Action) -> bool {
        self.roles.iter().any(|(role, scope)| allows(*role, action) && *scope == Scope::Organization)
    }

    fn sees_principals(&self) -> bool {
        self.roles.iter().any(|(role, _)| sees_principals(*role))
    }

    /// The environments that a list shows.
    pub fn visible_environments(&self) -> Visible<BTreeSet<EnvironmentId>> {
        if self.allow_everywhere(Action::ViewEnvironment) {
            return Visible::All;
        }
        Visible::Only(self.roles.iter().filter_map(|(_, scope)| environment_of(scope).cloned()).collect())
    }

    /// The clusters that a list of an environment shows.
    pub fn visible_clusters(&self, environment: &EnvironmentId) -> Visible<BTreeSet<LogicalClusterId>> {
        let all = self.roles.iter().any(|(role, scope)| {
            allows(*role, Action::ViewCluster)
                && (*scope == Scope::Organization || *scope == Scope::Environment(environment.clone()))
        });
        if all {
            return Visible::All;
        }
        let clusters = self.roles.iter().filter(|(_, scope)| environment_of(scope) == Some(environment));
        Visible::Only(clusters.filter_map(|(_, scope)| cluster_of(scope).cloned()).collect())
    }

    /// The service accounts that a list shows.
    pub fn visible_service_accounts(&self) -> Visible<BTreeSet<ServiceAccountId>> {
        if self.allow_everywhere(Action::ViewServiceAccount) || self.sees_principals() {
            return Visible::All;
        }
        Visible::Only(self.own_and_owned_service_accounts())
    }

    /// The users that a list shows.
    pub fn visible_users(&self) -> Visible<BTreeSet<UserId>> {
        if self.allow_everywhere(Action::ViewUser) || self.sees_principals() {
            return Visible::All;
        }
        Visible::Only(self.own_user().into_iter().collect())
    }

    /// The API keys that a list shows.
    pub fn visible_api_keys(&self) -> Visible<VisibleKeys> {
        if self.allow_everywhere(Action::ViewApiKey) {
            return Visible::All;
        }
        let mut visible = VisibleKeys {
            service_accounts: self.own_and_owned_service_accounts(),
            user: self.own_user(),
            ..VisibleKeys::default()
        };
        for (_, scope) in self.roles.iter().filter(|(role, _)| allows(*role, Action::ViewApiKey)) {
            match scope {
                Scope::Environment(id) => drop(visible.environments.insert(id.clone())),
                Scope::Cluster(_, id) => drop(visible.clusters.insert(id.clone())),
                Scope::Organization | Scope::ServiceAccount(_) | Scope::KafkaResource(..) => {}
            }
        }
        Visible::Only(visible)
    }

    /// The role bindings that a list shows, beside the caller's own. Those on single topics, groups or transactional
    /// ids are listed for who administers the whole cluster.
    pub fn visible_role_bindings(&self) -> Visible<VisibleRoleBindings> {
        if self.allow_everywhere(Action::ViewRoleBinding) {
            return Visible::All;
        }
        let mut visible = VisibleRoleBindings::default();
        for (_, scope) in self.roles.iter().filter(|(role, _)| allows(*role, Action::ViewRoleBinding)) {
            match scope {
                Scope::Environment(id) => drop(visible.environments.insert(id.clone())),
                Scope::Cluster(_, id) => drop(visible.clusters.insert(id.clone())),
                Scope::ServiceAccount(id) => drop(visible.service_accounts.insert(id.clone())),
                Scope::Organization | Scope::KafkaResource(..) => {}
            }
        }
        Visible::Only(visible)
    }

    /// Whether the caller may have a key of an owner with these roles: one for a Kafka cluster, or a Cloud key.
    ///
    /// Whoever has a key of somebody may do what that one may. Confluent lets the owner of a service account, and for
    /// Kafka clusters who administers resource keys, make keys whatever the account may do: it is what these roles are
    /// for. For anybody else the owner must not have more than the caller, where the key opens something.
    pub fn may_have_key_of(
        &self,
        owner: &Principal,
        owner_roles: &[(Role, Scope)],
        cluster: Option<(&EnvironmentId, &LogicalClusterId)>,
    ) -> bool {
        let makes_any_key = |role: Role, scope: &Scope| match (role, scope) {
            (Role::ResourceOwner, Scope::ServiceAccount(account)) => {
                *owner == Principal::ServiceAccount(account.clone())
            }
            (Role::ResourceKeyAdmin, Scope::Organization) => cluster.is_some(),
            (Role::ResourceKeyAdmin, Scope::Cluster(_, id)) => cluster.is_some_and(|(_, cluster)| cluster == id),
            _ => false,
        };
        if *owner == self.principal || self.roles.iter().any(|(role, scope)| makes_any_key(*role, scope)) {
            return true;
        }
        owner_roles.iter().all(|(role, scope)| match cluster {
            None => self.has(*role, scope),
            Some(cluster) => opened_by_kafka_key(*role, scope, cluster).is_none_or(|scope| self.has(*role, &scope)),
        })
    }

    /// Whether the caller has this role, or administers everything that it reaches.
    fn has(&self, role: Role, scope: &Scope) -> bool {
        self.roles.iter().any(|(own_role, own_scope)| {
            let administers = match (own_role, own_scope) {
                (Role::OrganizationAdmin, _) => true,
                (Role::EnvironmentAdmin, Scope::Environment(id)) => environment_of(scope) == Some(id),
                (Role::CloudClusterAdmin, Scope::Cluster(_, id)) => cluster_of(scope) == Some(id),
                _ => false,
            };
            administers || (*own_role == role && own_scope == scope)
        })
    }

    fn own_user(&self) -> Option<UserId> {
        match &self.principal {
            Principal::User(id) => Some(id.clone()),
            Principal::ServiceAccount(_) => None,
        }
    }

    fn own_and_owned_service_accounts(&self) -> BTreeSet<ServiceAccountId> {
        let owned = self.roles.iter().filter_map(|(_, scope)| match scope {
            Scope::ServiceAccount(id) => Some(id.clone()),
            _ => None,
        });
        let own = match &self.principal {
            Principal::ServiceAccount(id) => Some(id.clone()),
            Principal::User(_) => None,
        };
        owned.chain(own).collect()
    }
}

/// What a role opens to a key for a Kafka cluster: only what is in that cluster, and nothing if the role is about other
/// things than Kafka.
fn opened_by_kafka_key(role: Role, scope: &Scope, cluster: (&EnvironmentId, &LogicalClusterId)) -> Option<Scope> {
    let resources =
        [KafkaResource::Topic, KafkaResource::Group, KafkaResource::TransactionalId, KafkaResource::Cluster];
    let is_about_kafka = resources.iter().any(|resource| role.kafka_operations(*resource) != Operations::NONE);
    let (environment, id) = cluster;
    let reaches_cluster = match scope {
        Scope::Organization => true,
        Scope::Environment(own) => own == environment,
        Scope::Cluster(_, own) | Scope::KafkaResource(_, own, _) => own == id,
        Scope::ServiceAccount(_) => false,
    };
    (is_about_kafka && reaches_cluster).then(|| match scope {
        Scope::KafkaResource(..) => scope.clone(),
        _ => Scope::Cluster(environment.clone(), id.clone()),
    })
}

fn everybody_may(action: Action) -> bool {
    matches!(action, Action::ViewOrganization)
}

/// The table: what a role allows within its scope.
fn allows(role: Role, action: Action) -> bool {
    use Action::{
        ChangeCluster, ChangeEnvironment, ChangeServiceAccount, ChangeUser, CreateCluster, CreateServiceAccount,
        CreateUser, DeleteCluster, DeleteEnvironment, DeleteServiceAccount, DeleteUser, ManageApiKey,
        ManageClientQuota, ManageRoleBinding, ViewApiKey, ViewClientQuota, ViewCluster, ViewEnvironment, ViewMetrics,
        ViewQuotas, ViewRoleBinding, ViewServiceAccount, ViewUser,
    };
    let actions: &[Action] = match role {
        Role::OrganizationAdmin => return true,
        Role::EnvironmentAdmin => &[
            ViewQuotas,
            ViewEnvironment,
            ChangeEnvironment,
            DeleteEnvironment,
            CreateCluster,
            ViewCluster,
            ChangeCluster,
            DeleteCluster,
            ViewMetrics,
            ViewClientQuota,
            ManageClientQuota,
            ViewServiceAccount,
            ViewUser,
            ViewApiKey,
            ManageApiKey,
            ViewRoleBinding,
            ManageRoleBinding,
        ],
        Role::CloudClusterAdmin => &[
            ViewQuotas,
            ViewCluster,
            ChangeCluster,
            DeleteCluster,
            ViewMetrics,
            ViewClientQuota,
            ManageClientQuota,
            ViewServiceAccount,
            ViewUser,
            ViewApiKey,
            ManageApiKey,
            ViewRoleBinding,
            ManageRoleBinding,
        ],
        Role::AccountAdmin => &[
            ViewQuotas,
            CreateServiceAccount,
            ViewServiceAccount,
            ChangeServiceAccount,
            DeleteServiceAccount,
            CreateUser,
            ViewUser,
            ChangeUser,
            DeleteUser,
            ViewApiKey,
            ManageApiKey,
        ],
        Role::ResourceKeyAdmin => {
            &[ViewEnvironment, ViewCluster, ViewServiceAccount, ViewUser, ViewApiKey, ManageApiKey]
        }
        Role::BillingAdmin => &[],
        Role::NetworkAdmin => &[ViewEnvironment, ViewCluster],
        Role::MetricsViewer => &[ViewEnvironment, ViewCluster, ViewMetrics],
        Role::Operator => &[ViewQuotas, ViewEnvironment, ViewCluster, ViewMetrics, ViewClientQuota],
        Role::ResourceOwner => &[
            ViewServiceAccount,
            ChangeServiceAccount,
            DeleteServiceAccount,
            ViewApiKey,
            ManageApiKey,
            ViewRoleBinding,
            ManageRoleBinding,
        ],
        Role::DeveloperManage | Role::DeveloperRead | Role::DeveloperWrite => &[],
    };
    actions.contains(&action)
}

/// Roles that give keys and roles to service accounts and users, who must be seen for that.
fn sees_principals(role: Role) -> bool {
    matches!(role, Role::EnvironmentAdmin | Role::CloudClusterAdmin | Role::ResourceKeyAdmin)
}

/// Whether a role bound to a scope reaches a target.
fn covers(role: Role, scope: &Scope, action: Action, target: Target<'_>) -> bool {
    if matches!(action, Action::ViewServiceAccount | Action::ViewUser) && sees_principals(role) {
        return true;
    }
    if matches!(action, Action::ViewQuotas) {
        return true;
    }
    // Whoever has the key of a user is that user: only who may do everything makes one for another.
    let is_key_of_user = matches!(target, Target::ApiKey(Principal::User(_), _)) && action == Action::ManageApiKey;
    if is_key_of_user && role != Role::OrganizationAdmin {
        return false;
    }
    match scope {
        Scope::Organization => true,
        Scope::ServiceAccount(own) => match target {
            Target::ServiceAccount(id) => id == own,
            Target::ApiKey(Principal::ServiceAccount(owner), _) => owner == own,
            Target::RoleBinding(_, Scope::ServiceAccount(id)) => id == own,
            _ => false,
        },
        Scope::Environment(own) => match target {
            Target::Environment(id) | Target::Cluster(id, _) | Target::ApiKey(_, Some((id, _))) => id == own,
            Target::RoleBinding(_, bound) => environment_of(bound) == Some(own),
            _ => false,
        },
        Scope::Cluster(_, own) => match target {
            Target::Cluster(_, id) | Target::ApiKey(_, Some((_, id))) => id == own,
            Target::RoleBinding(_, bound) => cluster_of(bound) == Some(own),
            _ => false,
        },
        Scope::KafkaResource(_, own, pattern) => match target {
            Target::RoleBinding(_, Scope::KafkaResource(_, id, bound)) => id == own && contains(pattern, bound),
            _ => false,
        },
    }
}

/// Whoever has any role inside of an environment or cluster sees that it is there.
fn shows(scope: &Scope, action: Action, target: Target<'_>) -> bool {
    match (action, target) {
        (Action::ViewEnvironment, Target::Environment(id)) => environment_of(scope) == Some(id),
        (Action::ViewCluster, Target::Cluster(_, id)) => cluster_of(scope) == Some(id),
        _ => false,
    }
}

fn environment_of(scope: &Scope) -> Option<&EnvironmentId> {
    match scope {
        Scope::Environment(id) | Scope::Cluster(id, _) | Scope::KafkaResource(id, ..) => Some(id),
        Scope::Organization | Scope::ServiceAccount(_) => None,
    }
}

fn cluster_of(scope: &Scope) -> Option<&LogicalClusterId> {
    match scope {
        Scope::Cluster(_, id) | Scope::KafkaResource(_, id, _) => Some(id),
        Scope::Organization | Scope::ServiceAccount(_) | Scope::Environment(_) => None,
    }
}

/// Whether every name of the one pattern is a name of the other.
fn contains(outer: &ResourcePattern, inner: &ResourcePattern) -> bool {
    let names = match outer.pattern_type {
        PatternType::Literal => inner.pattern_type == PatternType::Literal && inner.name == outer.name,
        PatternType::Prefixed => inner.name.starts_with(&outer.name),
    };
    names && inner.resource_type == outer.resource_type
}

#[cfg(test)]
#[path = "authorization_tests.rs"]
mod tests;
