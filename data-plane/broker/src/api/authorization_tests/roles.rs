//! Every predefined role at every scope that it can be bound to, against every API: what may be done is what the pure
//! table of roles says.

use millstream_api::crn::{CrnPattern, PatternType, Scope};
use millstream_api::role::{Operations, Role};

use super::*;
use crate::front_door::ORGANIZATION;

/// Scopes that cover the cluster or what the requests are about, and others beside them.
const SCOPES: &[&str] = &[
    "",
    "/environment=env-a",
    "/environment=env-b",
    "/environment=env-a/cloud-cluster=lkc-a",
    "/environment=env-a/cloud-cluster=lkc-c",
    "/environment=env-b/cloud-cluster=lkc-a",
    "/service-account=sa-a",
    "/environment=env-a/cloud-cluster=lkc-a/kafka=lkc-a/topic=exists",
    "/environment=env-a/cloud-cluster=lkc-a/kafka=lkc-a/topic=ex*",
    "/environment=env-a/cloud-cluster=lkc-a/kafka=lkc-a/topic=*",
    "/environment=env-a/cloud-cluster=lkc-a/kafka=lkc-a/topic=exist",
    "/environment=env-a/cloud-cluster=lkc-a/kafka=lkc-a/topic=other*",
    "/environment=env-a/cloud-cluster=lkc-a/kafka=lkc-a/group=exists",
    "/environment=env-a/cloud-cluster=lkc-a/kafka=lkc-a/group=ex*",
    "/environment=env-a/cloud-cluster=lkc-a/kafka=lkc-a/group=other",
    "/environment=env-a/cloud-cluster=lkc-a/kafka=lkc-a/transactional-id=exists",
    "/environment=env-a/cloud-cluster=lkc-a/kafka=lkc-a/transactional-id=other*",
    "/environment=env-a/cloud-cluster=lkc-c/kafka=lkc-c/topic=exists",
];

/// What the table allows on this kind of resource: on the one that requests are about, and on any.
fn allowed(role: Role, scope: &Scope, resource: KafkaResource) -> (Operations, Operations) {
    let of_role = with_implied(role.kafka_operations(resource));
    let is_developer = matches!(role, Role::DeveloperManage | Role::DeveloperRead | Role::DeveloperWrite);
    let everywhere = (of_role, of_role);
    let nothing = (Operations::NONE, Operations::NONE);
    match scope {
        Scope::Organization => everywhere,
        Scope::Environment(environment) if environment.as_str() == "env-a" => everywhere,
        Scope::Cluster(environment, id) if environment.as_str() == "env-a" && id.as_str() == TENANT => {
            // A developer's role for a cluster is for nothing in it.
            if is_developer && resource != KafkaResource::Cluster { nothing } else { everywhere }
        }
        Scope::KafkaResource(environment, id, pattern) if environment.as_str() == "env-a" && id.as_str() == TENANT => {
            if KafkaResource::from(pattern.resource_type) != resource {
                return nothing;
            }
            let names_it = match pattern.pattern_type {
                PatternType::Literal => pattern.name == EXISTS,
                PatternType::Prefixed => EXISTS.starts_with(&pattern.name),
            };
            (if names_it { of_role } else { Operations::NONE }, of_role)
        }
        _ => nothing,
    }
}

fn with_implied(operations: Operations) -> Operations {
    let mut all = operations;
    for (sufficient, implied) in [
        (Operation::Read, Operation::Describe),
        (Operation::Write, Operation::Describe),
        (Operation::Delete, Operation::Describe),
        (Operation::Alter, Operation::Describe),
        (Operation::AlterConfigs, Operation::DescribeConfigs),
    ] {
        if operations.contains(sufficient) {
            all = all.with(Operations::of(&[implied]));
        }
    }
    all
}

fn is_met(need: &Need, case: &Case, role: Role, scope: &Scope) -> bool {
    let is_allowed = |operation, resource| {
        let (here, somewhere) = allowed(role, scope, resource);
        // Who may write to some topic gets a producer id.
        let operations = if case.api == ApiKey::InitProducerId { somewhere } else { here };
        operations.contains(operation)
    };
    is_allowed(need.operation, need.resource)
        || need.or.is_some_and(|(operation, resource)| is_allowed(operation, resource))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_at_each_scope_may_do_what_the_table_of_roles_says() {
    let door = FrontDoor::open().await;
    let mut client = door.connect(KEY);
    for role in Role::ALL {
        let mut bound = 0;
        for rest in SCOPES {
            let pattern = format!("crn://confluent.cloud/organization={ORGANIZATION}{rest}");
            let scope = pattern.parse::<CrnPattern>().unwrap().scope;
            if !role.may_be_bound_to(&scope) {
                continue;
            }
            bound += 1;
            door.bind("rb-a", role.as_str(), rest);
            for case in CASES {
                let names = door.fill().await;
                let error = client.error(case, &names).await;
                match case.needs.iter().find(|need| !is_met(need, case, role, &scope)) {
                    Some(missing) => assert_eq!(error, denied_by(case, missing), "{} as {role} of {rest:?}", case.api),
                    None => assert!(!is_refusal(error), "{} as {role} of {rest:?}: {error:?}", case.api),
                }
            }
        }
        assert!(bound > 0, "no scope for {role}");
    }
    door.running.shutdown().await;
}
