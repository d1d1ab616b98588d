//! What each role and each ACL comes to.

use std::net::IpAddr;

use millstream_api::crn::CrnPattern;
use millstream_metadata::acl::Acl;
use millstream_metadata::image::MetadataImage;
use millstream_metadata::records::MetadataRecord;

use super::*;
use millstream_api::rest::cmk::ClusterKind;

const ORGANIZATION: &str = "00000000-0000-7000-8000-000000000001";
const OTHER_ORGANIZATION: &str = "00000000-0000-7000-8000-000000000002";
const CLUSTER: &str = "/environment=env-a/cloud-cluster=lkc-a";

fn cluster() -> LogicalCluster {
    LogicalCluster {
        id: "lkc-a".parse().unwrap(),
        organization: ORGANIZATION.parse().unwrap(),
        environment: "env-a".parse().unwrap(),
        kind: ClusterKind::Basic,
        units: 0,
    }
}

fn who(host: Option<&str>) -> Who {
    Who {
        tenant: "lkc-a".parse().unwrap(),
        principal: "User:sa-a".parse().unwrap(),
        host: host.map(|host| host.parse::<IpAddr>().unwrap()),
    }
}

fn binding(organization: &str, principal: &str, role: Role, rest: &str) -> RoleBinding {
    let pattern: CrnPattern = format!("crn://confluent.cloud/organization={organization}{rest}").parse().unwrap();
    RoleBinding {
        id: "rb-a".parse().unwrap(),
        organization: pattern.organization,
        principal: principal.parse().unwrap(),
        role,
        scope: pattern.scope,
    }
}

fn grants_of_role(role: Role, rest: &str) -> Grants {
    compile(&who(None), &cluster(), [binding(ORGANIZATION, "User:sa-a", role, rest)].iter(), None)
}

/// A rule about every topic that begins with `a`.
fn acl(permission: Permission, principal: &str, host: &str, operation: Operation) -> Acl {
    Acl {
        resource: acl::ResourcePattern {
            resource_type: KafkaResource::Topic,
            pattern_type: acl::PatternType::Prefixed,
            name: "a".to_owned(),
        },
        entry: AccessControlEntry {
            principal: principal.parse().unwrap(),
            host: host.parse().unwrap(),
            operation,
            permission,
        },
    }
}

fn grants_of_acls(host: Option<&str>, acls: &[Acl]) -> Grants {
    let mut image = MetadataImage::default();
    for acl in acls {
        image.apply(&MetadataRecord::AddAcl { tenant: "lkc-a".parse().unwrap(), acl: acl.clone() }).unwrap();
    }
    let acls = image.tenant(&"lkc-a".parse().unwrap()).unwrap().acls();
    compile(&who(host), &cluster(), [].iter(), Some(acls))
}

fn reads(grants: &Grants) -> bool {
    grants.allows(Operation::Read, KafkaResource::Topic, "abc")
}

#[test]
fn an_administrator_may_do_everything_in_the_clusters_of_the_scope() {
    let all = |grants: &Grants| {
        [KafkaResource::Topic, KafkaResource::Group, KafkaResource::TransactionalId, KafkaResource::Cluster]
            .into_iter()
            .all(|resource| grants.operations(resource, "any") == Operations::ALL)
    };
    for (role, scope) in [
        (Role::OrganizationAdmin, ""),
        (Role::EnvironmentAdmin, "/environment=env-a"),
        (Role::CloudClusterAdmin, CLUSTER),
    ] {
        assert!(all(&grants_of_role(role, scope)), "{role}");
    }
    for (role, scope) in [
        (Role::EnvironmentAdmin, "/environment=env-b"),
        (Role::CloudClusterAdmin, "/environment=env-a/cloud-cluster=lkc-b"),
        (Role::CloudClusterAdmin, "/environment=env-b/cloud-cluster=lkc-a"),
        (Role::AccountAdmin, ""),
        (Role::MetricsViewer, ""),
        (Role::ResourceOwner, "/service-account=sa-a"),
    ] {
        assert_eq!(grants_of_role(role, scope), Grants::none(), "{role} {scope}");
    }
}

#[test]
fn a_role_is_for_its_principal_in_its_organization() {
    for (organization, principal) in [(ORGANIZATION, "User:sa-b"), (OTHER_ORGANIZATION, "User:sa-a")] {
        let binding = binding(organization, principal, Role::OrganizationAdmin, "");
        assert_eq!(compile(&who(None), &cluster(), [binding].iter(), None), Grants::none());
    }
}

#[test]
fn a_developer_role_for_a_resource_is_for_the_names_of_its_pattern() {
    let exact = grants_of_role(Role::DeveloperRead, &format!("{CLUSTER}/kafka=lkc-a/topic=abc"));
    assert!(reads(&exact));
    assert!(!exact.allows(Operation::Read, KafkaResource::Topic, "abcd"));
    assert!(!exact.allows(Operation::Write, KafkaResource::Topic, "abc"));
    assert!(!exact.allows(Operation::Read, KafkaResource::Group, "abc"));
    let prefixed = grants_of_role(Role::DeveloperWrite, &format!("{CLUSTER}/kafka=lkc-a/topic=a*"));
    assert!(prefixed.allows(Operation::Write, KafkaResource::Topic, "abcd"));
    assert!(!prefixed.allows(Operation::Write, KafkaResource::Topic, "b"));
    assert!(reads(&grants_of_role(Role::DeveloperRead, &format!("{CLUSTER}/kafka=lkc-a/topic=*"))));
}

#[test]
fn a_developer_role_for_a_cluster_is_for_the_cluster_itself() {
    let grants = grants_of_role(Role::DeveloperManage, CLUSTER);
    assert!(grants.allows_on_cluster(Operation::Create));
    assert!(!grants.allows_somewhere(Operation::Create, KafkaResource::Topic));
    assert!(grants_of_role(Role::Operator, CLUSTER).allows(Operation::Describe, KafkaResource::Topic, "abc"));
}

#[test]
fn an_acl_is_for_its_principal_or_for_everyone() {
    let check = |principal, expected| {
        let acl = acl(Permission::Allow, principal, "*", Operation::Read);
        assert_eq!(reads(&grants_of_acls(None, &[acl])), expected, "{principal}");
    };
    check("User:sa-a", true);
    check("User:*", true);
    check("User:sa-b", false);
    check("User:u-a", false);
}

#[test]
fn an_acl_for_every_operation_is_for_each() {
    let grants = grants_of_acls(None, &[acl(Permission::Allow, "User:*", "*", Operation::All)]);
    assert_eq!(grants.operations(KafkaResource::Topic, "abc"), Operations::ALL);
    assert_eq!(grants.operations(KafkaResource::Topic, "bc"), Operations::NONE);
    let denied = acl(Permission::Deny, "User:*", "*", Operation::All);
    let allowed = acl(Permission::Allow, "User:*", "*", Operation::Read);
    assert_eq!(grants_of_acls(None, &[denied, allowed]).operations(KafkaResource::Topic, "abc"), Operations::NONE);
}

#[test]
fn an_acl_denies_what_a_role_allows() {
    let binding = binding(ORGANIZATION, "User:sa-a", Role::OrganizationAdmin, "");
    let mut image = MetadataImage::default();
    let acl = acl(Permission::Deny, "User:sa-a", "*", Operation::Read);
    image.apply(&MetadataRecord::AddAcl { tenant: "lkc-a".parse().unwrap(), acl }).unwrap();
    let acls = image.tenant(&"lkc-a".parse().unwrap()).unwrap().acls();
    let grants = compile(&who(None), &cluster(), [binding].iter(), Some(acls));
    assert!(!reads(&grants));
    assert!(grants.allows(Operation::Write, KafkaResource::Topic, "abc"));
    assert!(grants.allows(Operation::Read, KafkaResource::Topic, "b"));
}

#[test]
fn an_address_must_match_and_an_unknown_one_may_be_any_that_is_denied() {
    let allow = acl(Permission::Allow, "User:*", "10.0.0.1", Operation::Read);
    assert!(reads(&grants_of_acls(Some("10.0.0.1"), std::slice::from_ref(&allow))));
    assert!(!reads(&grants_of_acls(Some("10.0.0.2"), std::slice::from_ref(&allow))));
    assert!(!reads(&grants_of_acls(None, &[allow])));
    let everywhere = acl(Permission::Allow, "User:*", "*", Operation::Read);
    let deny = acl(Permission::Deny, "User:*", "10.0.0.1", Operation::Read);
    let both = [everywhere, deny];
    assert!(!reads(&grants_of_acls(Some("10.0.0.1"), &both)));
    assert!(reads(&grants_of_acls(Some("10.0.0.2"), &both)));
    assert!(!reads(&grants_of_acls(None, &both)));
}
