//! What rights and quotas cost on the way of records: no allocation, however many roles, ACLs and limits there are.

use allocation_counter::measure;
use futures::FutureExt;
use millstream_api::fleet::config_event::Change;
use millstream_api::fleet::config_item::Item;
use millstream_api::fleet::{ClientQuota, ConfigItem};
use millstream_api::plan::Limits;
use millstream_api::role::{KafkaResource, Operation};
use millstream_metadata::acl::{AccessControlEntry, Acl, AclHost, PatternType, Permission, ResourcePattern};
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};

use super::{Answer, answer};
use crate::front_door::client::{plain_request, produce_to_t, request};
use crate::front_door::{FrontDoor, KEY, PRINCIPAL, TENANT, WHOLE_CLUSTER, id};
use crate::session::Session;

const TOPIC: &str = "t";
/// Every kind of rule this often.
const RULES: usize = 100;
/// Requests of which the cheapest counts: now and then an index grows.
const REQUESTS: usize = 20;
/// Lists of topics and partitions in the request and the response, the bytes of the response and the list of its pieces.
const PRODUCE_ALLOCATIONS: u64 = 9;
/// The same.
const FETCH_ALLOCATIONS: u64 = 10;

fn produce() -> Vec<u8> {
    plain_request(0, 7, &produce_to_t(1))
}

fn fetch() -> Vec<u8> {
    let partition = FetchPartition { partition_max_bytes: 1024, ..Default::default() };
    let topic = FetchTopic { topic: TOPIC.into(), partitions: vec![partition], ..Default::default() };
    let fetch = FetchRequest { max_bytes: 1024, topics: vec![topic], ..Default::default() };
    request(ApiKey::Fetch, 12, |writer| fetch.encode(writer, 12))
}

/// How many allocations the cheapest of some equal requests takes.
fn allocations(door: &FrontDoor, session: &mut Session, frame: &[u8]) -> u64 {
    let mut cheapest = u64::MAX;
    for _ in 0..REQUESTS {
        let mut answered = None;
        let allocated = measure(|| {
            answered = answer(door.broker(), session, &frame[size_of::<i32>()..]).now_or_never();
        });
        let answered = answered.expect("it waits for nothing").unwrap();
        assert!(matches!(answered.answer, Answer::Pieces(_)));
        cheapest = cheapest.min(allocated.count_total);
    }
    cheapest
}

async fn open() -> FrontDoor {
    let door = FrontDoor::open().await;
    door.bind("rb-a", "CloudClusterAdmin", WHOLE_CLUSTER);
    door.create_topic(TENANT, TOPIC).await;
    let limits = Limits {
        ingress_bytes_per_second: u64::MAX,
        egress_bytes_per_second: u64::MAX,
        requests_per_second: u64::MAX,
        storage_bytes: None,
        ..door.quota(TENANT).limits()
    };
    door.quota(TENANT).set_limits(limits, door.broker().tenants.client_quotas(&id(TENANT)));
    door
}

/// Rules about other names and about the topic, a quota for the principal, and limits that are exceeded.
async fn burden(door: &FrontDoor) {
    let mut acls = Vec::new();
    for number in 0..RULES {
        for (name, pattern_type) in [
            (format!("topic-{number}"), PatternType::Literal),
            (format!("prefix-{number}-"), PatternType::Prefixed),
            (format!("{TOPIC}{number}"), PatternType::Prefixed),
        ] {
            for permission in [Permission::Allow, Permission::Deny] {
                acls.push(acl(&name, pattern_type, permission, Operation::Read));
            }
        }
    }
    for (name, pattern_type) in
        [(TOPIC, PatternType::Literal), (TOPIC, PatternType::Prefixed), ("*", PatternType::Literal)]
    {
        acls.push(acl(name, pattern_type, Permission::Allow, Operation::All));
        acls.push(acl(name, pattern_type, Permission::Deny, Operation::AlterConfigs));
    }
    door.set_acls(acls).await;
    for number in 0..RULES {
        let resource = format!("{WHOLE_CLUSTER}/kafka=lkc-a/topic=topic-{number}*");
        door.bind(&format!("rb-{number}"), "DeveloperRead", &resource);
    }
    let quota = ClientQuota {
        id: "cq-a".to_owned(),
        logical_cluster_id: TENANT.to_owned(),
        principals: vec![PRINCIPAL.to_owned()],
        ingress_byte_rate: 1,
        egress_byte_rate: 1,
    };
    door.change(Change::Upsert(ConfigItem { item: Some(Item::ClientQuota(quota)) }));
    let limits = Limits {
        ingress_bytes_per_second: 1,
        egress_bytes_per_second: 1,
        requests_per_second: 1,
        storage_bytes: Some(u64::MAX),
        ..door.quota(TENANT).limits()
    };
    door.quota(TENANT).set_limits(limits, door.broker().tenants.client_quotas(&id(TENANT)));
}

fn acl(name: &str, pattern_type: PatternType, permission: Permission, operation: Operation) -> Acl {
    Acl {
        resource: ResourcePattern { resource_type: KafkaResource::Topic, pattern_type, name: name.to_owned() },
        entry: AccessControlEntry {
            principal: PRINCIPAL.parse().unwrap(),
            host: AclHost::Anywhere,
            operation,
            permission,
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn produce_and_fetch_allocate_no_more_for_a_principal_with_many_rules_and_limits() {
    let door = open().await;
    let mut session = door.session(KEY);
    let count = |door: &FrontDoor, session: &mut Session| {
        (allocations(door, session, &produce()), allocations(door, session, &fetch()))
    };
    let unburdened = count(&door, &mut session);
    burden(&door).await;
    let burdened = count(&door, &mut session);
    assert_eq!(burdened, unburdened, "produce and fetch");
    // More is a reason to look for what allocates; less, to lower the numbers.
    assert_eq!(burdened, (PRODUCE_ALLOCATIONS, FETCH_ALLOCATIONS), "produce and fetch");
    door.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_rights_and_charging_allocate_nothing() {
    let door = open().await;
    burden(&door).await;
    let mut session = door.session(KEY);
    let check = |session: &mut Session| {
        session.quota().unwrap().inherit_debt(ApiKey::Produce);
        session.quota().unwrap().inherit_debt(ApiKey::Fetch);
        let authenticated = session.authenticated().unwrap();
        let (grants, quota) = (authenticated.grants(), &authenticated.quota);
        assert!(grants.allows(Operation::Write, KafkaResource::Topic, TOPIC));
        assert!(grants.allows(Operation::Read, KafkaResource::Topic, TOPIC));
        assert!(!grants.allows(Operation::AlterConfigs, KafkaResource::Topic, TOPIC));
        assert!(grants.allows_somewhere(Operation::Write, KafkaResource::Topic));
        assert!(!quota.charge_request().is_zero());
        assert!(!quota.charge_ingress(1_000).is_zero());
        assert!(!quota.charge_egress(1_000).is_zero());
        assert_eq!(quota.max_fetch_bytes(), 1);
        assert_eq!(quota.reached_storage_limit(), None);
        quota.count_stored(1_000);
    };
    check(&mut session);
    assert_eq!(measure(|| check(&mut session)).count_total, 0);
    door.running.shutdown().await;
}
