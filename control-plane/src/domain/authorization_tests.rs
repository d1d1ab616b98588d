use proptest::prelude::*;

use super::*;

fn environment(number: u8) -> EnvironmentId {
    format!("env-{number}").parse().expect("an id")
}

/// Cluster `n` is in environment `n / 2`.
fn cluster(number: u8) -> (EnvironmentId, LogicalClusterId) {
    (environment(number / 2), format!("lkc-{number}").parse().expect("an id"))
}

fn account(number: u8) -> ServiceAccountId {
    format!("sa-{number}").parse().expect("an id")
}

fn user(number: u8) -> UserId {
    format!("u-{number}").parse().expect("an id")
}

fn topics(number: u8, name: &str, pattern_type: PatternType) -> Scope {
    let (environment, cluster) = cluster(number);
    let resource_type = millstream_api::crn::ResourceType::Topic;
    Scope::KafkaResource(environment, cluster, ResourcePattern { resource_type, name: name.into(), pattern_type })
}

fn grants(principal: Principal, roles: Vec<(Role, Scope)>) -> Grants {
    for (role, scope) in &roles {
        assert!(role.may_be_bound_to(scope), "{role} is never bound to {scope:?}");
    }
    Grants { principal, roles }
}

fn a_program(roles: Vec<(Role, Scope)>) -> Grants {
    grants(Principal::ServiceAccount(account(9)), roles)
}

fn any_scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        Just(Scope::Organization),
        (0_u8..3).prop_map(|number| Scope::ServiceAccount(account(number))),
        (0_u8..3).prop_map(|number| Scope::Environment(environment(number))),
        (0_u8..6).prop_map(|number| {
            let (environment, cluster) = cluster(number);
            Scope::Cluster(environment, cluster)
        }),
        (0_u8..6, "[ab]{0,2}", any::<bool>()).prop_map(|(number, name, prefixed)| {
            let pattern_type = if prefixed { PatternType::Prefixed } else { PatternType::Literal };
            topics(number, &name, pattern_type)
        }),
    ]
}

fn any_principal() -> impl Strategy<Value = Principal> {
    prop_oneof![
        (0_u8..3).prop_map(|number| Principal::ServiceAccount(account(number))),
        (0_u8..3).prop_map(|number| Principal::User(user(number))),
    ]
}

prop_compose! {
    fn any_grants()(
        principal in any_principal(),
        roles in prop::collection::vec((prop::sample::select(Role::ALL.to_vec()), any_scope()), 0..4),
    ) -> Grants {
        let bindable = roles.into_iter().filter(|(role, scope)| role.may_be_bound_to(scope)).collect();
        grants(principal, bindable)
    }
}

fn shown<T: Ord>(visible: &Visible<BTreeSet<T>>, id: &T) -> bool {
    match visible {
        Visible::All => true,
        Visible::Only(ids) => ids.contains(id),
    }
}

proptest! {
    #[test]
    fn a_list_shows_what_a_read_shows(grants in any_grants()) {
        let sees = |action, target: Target<'_>| grants.decide(action, target) == Decision::Allowed;
        for number in 0..3 {
            let (id, account, user) = (environment(number), account(number), user(number));
            let by_read = sees(Action::ViewEnvironment, Target::Environment(&id));
            prop_assert_eq!(shown(&grants.visible_environments(), &id), by_read, "{}", id);
            let by_read = sees(Action::ViewServiceAccount, Target::ServiceAccount(&account));
            prop_assert_eq!(shown(&grants.visible_service_accounts(), &account), by_read, "{}", account);
            let by_read = sees(Action::ViewUser, Target::User(&user));
            prop_assert_eq!(shown(&grants.visible_users(), &user), by_read, "{}", user);
        }
        for number in 0..6 {
            let (environment, cluster) = cluster(number);
            let by_read = sees(Action::ViewCluster, Target::Cluster(&environment, &cluster));
            prop_assert_eq!(shown(&grants.visible_clusters(&environment), &cluster), by_read, "{}", cluster);
        }
    }

    #[test]
    fn a_list_of_keys_shows_what_a_read_shows(grants in any_grants(), owner in any_principal(), number in 0_u8..7) {
        let opened = (number < 6).then(|| cluster(number));
        let target = Target::ApiKey(&owner, opened.as_ref().map(|(environment, cluster)| (environment, cluster)));
        let by_list = match grants.visible_api_keys() {
            Visible::All => true,
            Visible::Only(keys) => {
                let by_owner = match &owner {
                    Principal::ServiceAccount(id) => keys.service_accounts.contains(id),
                    Principal::User(id) => keys.user.as_ref() == Some(id),
                };
                by_owner || opened.as_ref().is_some_and(|(environment, cluster)| {
                    keys.environments.contains(environment) || keys.clusters.contains(cluster)
                })
            }
        };
        prop_assert_eq!(by_list, grants.decide(Action::ViewApiKey, target) == Decision::Allowed);
    }

    #[test]
    fn a_list_of_role_bindings_shows_nothing_that_a_read_hides(
        grants in any_grants(),
        principal in any_principal(),
        scope in any_scope(),
    ) {
        let by_list = match grants.visible_role_bindings() {
            Visible::All => true,
            Visible::Only(bindings) => {
                let on_account = matches!(&scope, Scope::ServiceAccount(id) if bindings.service_accounts.contains(id));
                principal == grants.principal
                    || on_account
                    || environment_of(&scope).is_some_and(|id| bindings.environments.contains(id))
                    || cluster_of(&scope).is_some_and(|id| bindings.clusters.contains(id))
            }
        };
        let by_read = grants.decide(Action::ViewRoleBinding, Target::RoleBinding(&principal, &scope));
        if by_list {
            prop_assert_eq!(by_read, Decision::Allowed);
        }
    }

    #[test]
    fn nobody_gives_a_role_beyond_its_own_scope(grants in any_grants(), scope in any_scope()) {
        let principal = Principal::ServiceAccount(account(9));
        let may = grants.decide(Action::ManageRoleBinding, Target::RoleBinding(&principal, &scope));
        let is_within = |own: &Scope| match (own, &scope) {
            (Scope::Organization, _) => true,
            (Scope::Environment(own), other) => environment_of(other) == Some(own),
            (Scope::Cluster(_, own), other) => cluster_of(other) == Some(own),
            (own @ Scope::ServiceAccount(_), other) => own == other,
            (Scope::KafkaResource(_, own, outer), Scope::KafkaResource(_, other, inner)) => {
                own == other && ["", "a", "b", "ab", "ba", "abc"].iter().all(|name| {
                    !inner.matches(name) || outer.matches(name)
                })
            }
            (Scope::KafkaResource(..), _) => false,
        };
        if may == Decision::Allowed {
            prop_assert!(grants.roles.iter().any(|(_, own)| is_within(own)), "{:?}", scope);
        }
    }
}

#[test]
fn without_a_role_nothing_is_allowed_but_what_is_ones_own() {
    let nobody = a_program(Vec::new());
    let (environment, cluster) = cluster(0);
    let other = Principal::ServiceAccount(account(1));
    assert_eq!(nobody.decide(Action::ViewOrganization, Target::Organization), Decision::Allowed);
    assert_eq!(nobody.decide(Action::CreateEnvironment, Target::Organization), Decision::Forbidden);
    for (action, target) in [
        (Action::ViewEnvironment, Target::Environment(&environment)),
        (Action::DeleteCluster, Target::Cluster(&environment, &cluster)),
        (Action::ViewServiceAccount, Target::ServiceAccount(&account(1))),
        (Action::ViewUser, Target::User(&user(1))),
        (Action::ManageApiKey, Target::ApiKey(&other, None)),
        (Action::ViewRoleBinding, Target::RoleBinding(&other, &Scope::Organization)),
    ] {
        assert_eq!(nobody.decide(action, target), Decision::Hidden, "{action:?}");
    }
    assert_eq!(nobody.decide(Action::ViewServiceAccount, Target::ServiceAccount(&account(9))), Decision::Allowed);
    assert_eq!(nobody.decide(Action::ViewApiKey, Target::ApiKey(&nobody.principal, None)), Decision::Allowed);
    assert_eq!(nobody.decide(Action::ManageApiKey, Target::ApiKey(&nobody.principal, None)), Decision::Forbidden);
}

#[test]
fn an_environment_administrator_rules_its_environment_and_nothing_else() {
    let admin = a_program(vec![(Role::EnvironmentAdmin, Scope::Environment(environment(0)))]);
    let ((own, own_cluster), (other, other_cluster)) = (cluster(1), cluster(2));
    let program = Principal::ServiceAccount(account(1));
    assert_eq!(admin.decide(Action::DeleteCluster, Target::Cluster(&own, &own_cluster)), Decision::Allowed);
    assert_eq!(admin.decide(Action::DeleteCluster, Target::Cluster(&other, &other_cluster)), Decision::Hidden);
    let own_key = Target::ApiKey(&program, Some((&own, &own_cluster)));
    assert_eq!(admin.decide(Action::ManageApiKey, own_key), Decision::Allowed);
    assert_eq!(admin.decide(Action::ManageApiKey, Target::ApiKey(&program, None)), Decision::Hidden, "a Cloud key");
    let human = Principal::User(user(1));
    let key_of_human = Target::ApiKey(&human, Some((&own, &own_cluster)));
    assert_eq!(admin.decide(Action::ManageApiKey, key_of_human), Decision::Forbidden, "it would be that user");
}

#[test]
fn the_owner_of_topics_gives_away_no_more_than_it_has() {
    let owner = a_program(vec![(Role::ResourceOwner, topics(0, "app-", PatternType::Prefixed))]);
    let program = Principal::ServiceAccount(account(1));
    let may = |scope: &Scope| owner.decide(Action::ManageRoleBinding, Target::RoleBinding(&program, scope));
    assert_eq!(may(&topics(0, "app-1", PatternType::Literal)), Decision::Allowed);
    assert_eq!(may(&topics(0, "app-x", PatternType::Prefixed)), Decision::Allowed);
    assert_eq!(may(&topics(0, "app", PatternType::Prefixed)), Decision::Hidden);
    assert_eq!(may(&topics(1, "app-1", PatternType::Literal)), Decision::Hidden, "another cluster");
}

#[test]
fn everybody_sees_where_it_has_a_role() {
    let reader = a_program(vec![(Role::DeveloperRead, topics(0, "orders", PatternType::Literal))]);
    let ((environment, own), (_, other)) = (cluster(0), cluster(1));
    assert_eq!(reader.decide(Action::ViewEnvironment, Target::Environment(&environment)), Decision::Allowed);
    assert_eq!(reader.decide(Action::ViewCluster, Target::Cluster(&environment, &own)), Decision::Allowed);
    assert_eq!(reader.decide(Action::ViewCluster, Target::Cluster(&environment, &other)), Decision::Hidden);
    assert_eq!(reader.decide(Action::ChangeCluster, Target::Cluster(&environment, &own)), Decision::Forbidden);
}

#[test]
fn only_an_organization_administrator_sets_the_password_of_another() {
    let admin = a_program(vec![(Role::OrganizationAdmin, Scope::Organization)]);
    let accounts = a_program(vec![(Role::AccountAdmin, Scope::Organization)]);
    let human = grants(Principal::User(user(0)), Vec::new());
    assert_eq!(admin.decide(Action::SetPassword, Target::User(&user(0))), Decision::Allowed);
    assert_eq!(accounts.decide(Action::ChangeUser, Target::User(&user(0))), Decision::Allowed);
    assert_eq!(accounts.decide(Action::SetPassword, Target::User(&user(0))), Decision::Forbidden);
    assert_eq!(human.decide(Action::SetPassword, Target::User(&user(0))), Decision::Allowed);
    assert_eq!(human.decide(Action::SetPassword, Target::User(&user(1))), Decision::Hidden);
}

#[test]
fn nobody_has_a_key_of_somebody_who_may_do_more() {
    use Role::{
        AccountAdmin, CloudClusterAdmin, DeveloperRead, EnvironmentAdmin, OrganizationAdmin, ResourceKeyAdmin,
        ResourceOwner,
    };
    let (first, second) = (cluster(0), cluster(2));
    let on = |cluster: &(EnvironmentId, LogicalClusterId)| Scope::Cluster(cluster.0.clone(), cluster.1.clone());
    let owner = Principal::ServiceAccount(account(1));
    let check = |caller: (Role, Scope), owner_role: (Role, Scope), cloud: bool, kafka: bool| {
        let roles = [owner_role];
        let caller = a_program(vec![caller]);
        let found = [None, Some((&first.0, &first.1))].map(|cluster| caller.may_have_key_of(&owner, &roles, cluster));
        assert_eq!(found, [cloud, kafka], "{caller:?} with a key of {roles:?}");
    };
    let organization = || Scope::Organization;
    check((AccountAdmin, organization()), (OrganizationAdmin, organization()), false, false);
    check((AccountAdmin, organization()), (EnvironmentAdmin, Scope::Environment(environment(0))), false, false);
    check((AccountAdmin, organization()), (EnvironmentAdmin, Scope::Environment(environment(1))), false, true);
    check((AccountAdmin, organization()), (CloudClusterAdmin, on(&second)), false, true);
    check((AccountAdmin, organization()), (DeveloperRead, topics(0, "t", PatternType::Literal)), false, false);
    check((AccountAdmin, organization()), (AccountAdmin, organization()), true, true);
    check((OrganizationAdmin, organization()), (OrganizationAdmin, organization()), true, true);
    // In its own scope an administrator may do everything, so a key for a cluster there opens nothing new.
    check((CloudClusterAdmin, on(&first)), (OrganizationAdmin, organization()), false, true);
    check((EnvironmentAdmin, Scope::Environment(environment(0))), (CloudClusterAdmin, on(&first)), true, true);
    check((CloudClusterAdmin, on(&second)), (OrganizationAdmin, organization()), false, false);
    // What these roles are for.
    check((ResourceOwner, Scope::ServiceAccount(account(1))), (OrganizationAdmin, organization()), true, true);
    check((ResourceOwner, Scope::ServiceAccount(account(2))), (OrganizationAdmin, organization()), false, false);
    check((ResourceKeyAdmin, organization()), (CloudClusterAdmin, on(&first)), false, true);
    check((ResourceKeyAdmin, on(&second)), (CloudClusterAdmin, on(&first)), false, false);
    let own = a_program(Vec::new());
    assert!(own.may_have_key_of(&own.principal, &[(OrganizationAdmin, organization())], None));
    assert!(own.may_have_key_of(&owner, &[], None), "nobody has less than nothing");
}
