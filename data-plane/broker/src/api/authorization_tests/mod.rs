//! Who may do what, API by API, through the front door of a connection: every request goes through its frame.

mod cases;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use aws_lc_rs::hmac;
use millstream_api::fleet::config_event::Change;
use millstream_api::fleet::config_item::Item;
use millstream_api::fleet::{self, ConfigEvent, ConfigItem, ConfigItemKey, Delta, SnapshotBegin, config_item_key};
use millstream_api::ids::LogicalClusterId;
use millstream_api::role::{KafkaResource, Operation};
use millstream_metadata::acl::{
    ANY_CODE, AccessControlEntry, Acl, AclHost, CLUSTER_NAME, PatternType, Permission, ResourcePattern, UncheckedFilter,
};
use millstream_metadata::decide::{Mode, TopicSelector};
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::frame;
use millstream_protocol::version_table::SERVED;
use tempfile::TempDir;
use uuid::Uuid;

use super::authorization_tests::cases::{AUTO_CREATE, CASES, Case, Names, Need, TRANSACTIONAL};
use super::{Answer, answer, denied};
use crate::acls;
use crate::config::BrokerConfig;
use crate::groups::offsets::CommittedOffset;
use crate::groups::shard::{Commit, NewOffset};
use crate::network::output::Piece;
use crate::session::Session;
use crate::start::{self, RunningBroker};
use crate::topics::{self, NewTopic};

const PEPPER: [u8; 32] = [5; 32];
const ORGANIZATION: &str = "00000000-0000-7000-8000-000000000001";
const OTHER_ORGANIZATION: &str = "00000000-0000-7000-8000-000000000002";
const TENANT: &str = "lkc-a";
const OTHER_TENANT: &str = "lkc-b";
const KEY: &str = "AAAAAAAAAAAAAAAA";
/// A key of the same principal in the other cluster, where it administers.
const OTHER_KEY: &str = "BBBBBBBBBBBBBBBB";
const PRINCIPAL: &str = "User:sa-a";
/// The name of a topic and a group of the first cluster.
const EXISTS: &str = "exists";
/// A name as long as that, which nothing has.
const ABSENT: &str = "absent";
/// What is answered before there is a principal.
const BEFORE_LOGIN: [ApiKey; 3] = [ApiKey::ApiVersions, ApiKey::SaslHandshake, ApiKey::SaslAuthenticate];

struct Fixture {
    running: RunningBroker,
    _dir: TempDir,
}

impl Fixture {
    /// Two clusters of two organizations with a key each. The principal administers the second one.
    async fn start() -> Self {
        let _already_installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = TempDir::new().unwrap();
        let config = BrokerConfig {
            physical_cluster_id: "pkc-a".parse().unwrap(),
            broker_id: 0,
            data_dir: dir.path().join("data"),
            kafka_listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            advertised_host: "localhost".to_owned(),
            advertised_port: 9092,
            tls: None,
            http_listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            fleet: None,
            object_store: None,
            default_partitions: 1,
            auto_create_topics: true,
            initial_rebalance_delay_ms: 0,
        };
        let fixture = Self { running: start::start(config).await.unwrap(), _dir: dir };
        let items = vec![
            cluster(TENANT, ORGANIZATION),
            cluster(OTHER_TENANT, OTHER_ORGANIZATION),
            key(KEY, TENANT),
            key(OTHER_KEY, OTHER_TENANT),
            member(PRINCIPAL, ORGANIZATION),
            member("User:sa-x", ORGANIZATION),
            binding("rb-b", OTHER_ORGANIZATION, "CloudClusterAdmin", "/environment=env-a/cloud-cluster=lkc-b"),
        ];
        let begin = SnapshotBegin { epoch: 1, revision: 1, pepper: PEPPER.to_vec().into() };
        fixture.running.broker.tenants.apply_snapshot(&begin, items).unwrap();
        fixture
    }

    fn change(&self, change: Change) {
        let tenants = &self.running.broker.tenants;
        let from_revision = tenants.position().revision;
        let to_revision = from_revision + 1;
        let events = vec![ConfigEvent { revision: to_revision, change: Some(change) }];
        tenants.apply_delta(Delta { epoch: 1, from_revision, to_revision, events }).unwrap();
    }

    /// Puts a topic, a group with an offset and nothing else into the first cluster.
    async fn fill(&self) -> Names {
        let broker = &self.running.broker;
        let tenant: LogicalClusterId = TENANT.parse().unwrap();
        if broker.metadata.image().topic_by_name(&tenant, EXISTS).is_none() {
            topics::create(broker, &tenant, new_topic(EXISTS)).await.unwrap();
        }
        let topic_id = broker.metadata.image().topic_by_name(&tenant, EXISTS).unwrap().id;
        let committed = CommittedOffset {
            offset: 0,
            leader_epoch: -1,
            metadata: String::new(),
            committed_at_ms: 0,
            expires_at_ms: None,
            topic_id,
        };
        let offsets = vec![NewOffset { topic: EXISTS.to_owned(), partition: 0, committed }];
        let commit = Commit { member_id: String::new(), group_instance_id: None, generation_id: -1, offsets };
        broker.groups.commit(&tenant, EXISTS, &commit).unwrap();
        Names { name: EXISTS, topic_id }
    }

    /// Makes these the ACLs of the first cluster.
    async fn set_acls(&self, acls: Vec<Acl>) {
        let tenant: LogicalClusterId = TENANT.parse().unwrap();
        let everything = UncheckedFilter {
            resource_type: ANY_CODE,
            resource_name: None,
            pattern_type: ANY_CODE,
            principal: None,
            host: None,
            operation: ANY_CODE,
            permission: ANY_CODE,
        };
        acls::delete(&self.running.broker, &tenant, vec![everything.check().unwrap()]).await.unwrap();
        acls::create_all(&self.running.broker, &tenant, acls).await.unwrap();
    }

    fn connect(&self, key: &str) -> Client<'_> {
        let broker = &self.running.broker;
        let peer = SocketAddr::from(([10, 0, 0, 1], 4711));
        let mut session = Session::new(Arc::clone(broker), peer, broker.connections.admit().unwrap());
        session.handshake("PLAIN", 1).unwrap();
        session.authenticate(format!("\0{key}\0secret").as_bytes()).unwrap();
        Client { fixture: self, session }
    }
}

struct Client<'a> {
    fixture: &'a Fixture,
    session: Session,
}

impl Client<'_> {
    /// The bytes of the answer, without its length.
    async fn ask(&mut self, case: &Case, names: &Names) -> Vec<u8> {
        let request =
            frame::encode_request(case.api, case.version, 7, Some("client"), |writer| (case.encode)(names, writer));
        let request = request.unwrap().concat();
        let broker = &self.fixture.running.broker;
        let answered = answer(broker, &mut self.session, &request[size_of::<i32>()..]).await.unwrap();
        let Answer::Pieces(pieces) = answered.answer else { panic!("{} was not answered", case.api) };
        let bytes = pieces.into_iter().flat_map(|piece| match piece {
            Piece::Bytes(bytes) => bytes.to_vec(),
            Piece::Log(slice) => slice.read().unwrap().to_vec(),
        });
        bytes.skip(size_of::<i32>()).collect()
    }

    async fn error(&mut self, case: &Case, names: &Names) -> ErrorCode {
        let answer = self.ask(case, names).await;
        let (_, mut reader) = frame::decode_response(case.api, case.version, &answer).unwrap();
        ErrorCode::from_code((case.error)(&mut reader)).unwrap()
    }
}

fn cluster(id: &str, organization: &str) -> ConfigItem {
    let cluster = fleet::LogicalCluster {
        id: id.to_owned(),
        organization_id: organization.to_owned(),
        environment_id: "env-a".to_owned(),
        kind: "Standard".to_owned(),
        units: 0,
    };
    ConfigItem { item: Some(Item::LogicalCluster(cluster)) }
}

fn key(id: &str, cluster: &str) -> ConfigItem {
    let pepper = hmac::Key::new(hmac::HMAC_SHA256, &PEPPER);
    let key = fleet::ApiKey {
        id: id.to_owned(),
        logical_cluster_id: cluster.to_owned(),
        principal: PRINCIPAL.to_owned(),
        secret_hmac: hmac::sign(&pepper, format!("{id}:secret").as_bytes()).as_ref().to_vec().into(),
    };
    ConfigItem { item: Some(Item::ApiKey(key)) }
}

fn member(principal: &str, organization: &str) -> ConfigItem {
    let (principal, organization_id) = (principal.to_owned(), organization.to_owned());
    ConfigItem { item: Some(Item::Principal(fleet::PrincipalOfOrganization { principal, organization_id })) }
}

fn binding(id: &str, organization: &str, role: &str, rest: &str) -> ConfigItem {
    let binding = fleet::RoleBinding {
        id: id.to_owned(),
        organization_id: organization.to_owned(),
        principal: PRINCIPAL.to_owned(),
        role_name: role.to_owned(),
        crn_pattern: format!("crn://confluent.cloud/organization={organization}{rest}"),
    };
    ConfigItem { item: Some(Item::RoleBinding(binding)) }
}

fn new_topic(name: &str) -> NewTopic {
    NewTopic {
        name: name.to_owned(),
        partition_count: 1,
        replication_factor: 1,
        assignments: Default::default(),
        configs: Default::default(),
        mode: Mode::Apply,
    }
}

fn acl(permission: Permission, operation: Operation, resource_type: KafkaResource) -> Acl {
    let name = if resource_type == KafkaResource::Cluster { CLUSTER_NAME } else { EXISTS };
    Acl {
        resource: ResourcePattern { resource_type, pattern_type: PatternType::Literal, name: name.to_owned() },
        entry: AccessControlEntry {
            principal: PRINCIPAL.parse().unwrap(),
            host: AclHost::Anywhere,
            operation,
            permission,
        },
    }
}

fn about(mut acl: Acl, name: &str) -> Acl {
    acl.resource.name = name.to_owned();
    acl
}

fn allow(needs: &[Need]) -> Vec<Acl> {
    let mut acls: Vec<_> = needs.iter().map(|need| acl(Permission::Allow, need.operation, need.resource)).collect();
    acls.sort();
    acls.dedup();
    acls
}

fn is_refusal(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::TopicAuthorizationFailed
            | ErrorCode::GroupAuthorizationFailed
            | ErrorCode::ClusterAuthorizationFailed
            | ErrorCode::TransactionalIdAuthorizationFailed
    )
}

fn absent() -> Names {
    Names { name: ABSENT, topic_id: Uuid::from_u128(42) }
}

/// An answer as if it had been about something absent: names, ids and what is random in it replaced.
fn as_if_absent(answer: &[u8], asked: &Names) -> Vec<u8> {
    let mut bytes = replace(answer, asked.name.as_bytes(), ABSENT.as_bytes());
    bytes = replace(&bytes, asked.topic_id.as_bytes(), absent().topic_id.as_bytes());
    mask_member_ids(&mut bytes);
    bytes
}

fn replace(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut replaced = bytes.to_vec();
    for start in 0..replaced.len().saturating_sub(old.len() - 1) {
        if replaced[start..].starts_with(old) {
            replaced[start..start + old.len()].copy_from_slice(new);
        }
    }
    replaced
}

/// A member id ends in a random UUID as text.
fn mask_member_ids(bytes: &mut [u8]) {
    const UUID_CHARS: usize = 36;
    for start in 0..bytes.len().saturating_sub(UUID_CHARS - 1) {
        let window = &mut bytes[start..start + UUID_CHARS];
        if std::str::from_utf8(window).is_ok_and(|text| Uuid::try_parse(text).is_ok()) {
            window.fill(b'u');
        }
    }
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn every_served_api_has_a_row() {
    for served in SERVED {
        let has_row = CASES.iter().any(|case| case.api == served.key) || BEFORE_LOGIN.contains(&served.key);
        assert!(has_row, "say in cases.rs what {} needs", served.key);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_that_an_api_needs_is_needed_and_all_together_are_enough() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect(KEY);
    for case in CASES {
        let api = case.api;
        for (index, missing) in case.needs.iter().enumerate() {
            let mut others = case.needs.to_vec();
            others.remove(index);
            let names = fixture.fill().await;
            fixture.set_acls(allow(&others)).await;
            let error = client.error(case, &names).await;
            assert_eq!(error, denied_by(case, missing), "{api} without {:?}", missing.operation);

            // What is denied is denied although everything is allowed.
            let mut acls = allow(case.needs);
            acls.push(acl(Permission::Allow, Operation::All, missing.resource));
            acls.push(acl(Permission::Deny, missing.operation, missing.resource));
            if let Some((operation, resource)) = missing.or {
                acls.push(acl(Permission::Deny, operation, resource));
            }
            fixture.set_acls(acls).await;
            let error = client.error(case, &names).await;
            assert_eq!(error, denied_by(case, missing), "{api} with {:?} denied", missing.operation);

            if let Some((operation, resource)) = missing.or {
                let names = fixture.fill().await;
                let mut acls = allow(&others);
                acls.push(acl(Permission::Allow, operation, resource));
                fixture.set_acls(acls).await;
                let error = client.error(case, &names).await;
                assert!(!is_refusal(error), "{api} with {operation:?} on {resource:?}: {error:?}");
            }
        }
        let names = fixture.fill().await;
        fixture.set_acls(allow(case.needs)).await;
        let error = client.error(case, &names).await;
        assert!(!is_refusal(error), "{api} with all it needs: {error:?}");
    }
    fixture.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_made_on_request_only_by_who_may_see_and_create_it() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect(KEY);
    let describe = about(acl(Permission::Allow, Operation::Describe, KafkaResource::Topic), ABSENT);
    let create = about(acl(Permission::Allow, Operation::Create, KafkaResource::Topic), ABSENT);
    let create_any = acl(Permission::Allow, Operation::Create, KafkaResource::Cluster);
    for missing in [vec![], vec![describe.clone()], vec![create.clone()], vec![create_any.clone()]] {
        fixture.set_acls(missing).await;
        assert_eq!(client.error(&AUTO_CREATE, &absent()).await, ErrorCode::TopicAuthorizationFailed);
    }
    for enough in [create, create_any] {
        fixture.set_acls(vec![describe.clone(), enough]).await;
        assert_eq!(client.error(&AUTO_CREATE, &absent()).await, ErrorCode::None);
        let broker = &fixture.running.broker;
        let selector = TopicSelector::Name(ABSENT.to_owned());
        topics::delete(broker, &TENANT.parse().unwrap(), selector).await.expect("the topic was made");
    }
    fixture.running.shutdown().await;
}

/// The error for a missing right: the producer id is the cluster's affair, although writing to a topic would do.
fn denied_by(case: &Case, missing: &Need) -> ErrorCode {
    if case.api == ApiKey::InitProducerId { ErrorCode::ClusterAuthorizationFailed } else { denied(missing.resource) }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_rights_an_answer_does_not_tell_what_exists() {
    let fixture = Fixture::start().await;
    let names = fixture.fill().await;
    let mut client = fixture.connect(KEY);
    for case in CASES.iter().chain([&TRANSACTIONAL, &AUTO_CREATE]) {
        // An id is no secret: who has it learned it from somebody who might tell.
        let by_name = Names { topic_id: absent().topic_id, ..names.clone() };
        let existing = client.ask(case, &by_name).await;
        let missing = client.ask(case, &absent()).await;
        assert_eq!(as_if_absent(&existing, &by_name), as_if_absent(&missing, &absent()), "{}", case.api);
        assert!(!contains(&missing, EXISTS.as_bytes()), "{} shows a name", case.api);
        let by_id = client.ask(case, &Names { name: ABSENT, topic_id: names.topic_id }).await;
        assert!(!contains(&by_id, EXISTS.as_bytes()), "{} shows the name of an id", case.api);
    }
    fixture.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_cluster_has_does_not_exist_even_for_an_administrator() {
    let fixture = Fixture::start().await;
    let names = fixture.fill().await;
    let mut client = fixture.connect(OTHER_KEY);
    for case in CASES.iter().chain([&TRANSACTIONAL, &AUTO_CREATE]) {
        if case.api == ApiKey::InitProducerId {
            // The answer holds a new producer id, and the request names nothing.
            continue;
        }
        let foreign = client.ask(case, &names).await;
        let missing = client.ask(case, &absent()).await;
        assert_eq!(as_if_absent(&foreign, &names), as_if_absent(&missing, &absent()), "{}", case.api);
        assert!(!contains(&missing, EXISTS.as_bytes()), "{} shows a name", case.api);
        if case.version >= 6 {
            let by_id = client.ask(case, &Names { name: ABSENT, topic_id: names.topic_id }).await;
            assert!(!contains(&by_id, EXISTS.as_bytes()), "{} shows the name of an id", case.api);
        }
    }
    let tenant: LogicalClusterId = TENANT.parse().unwrap();
    let image = fixture.running.broker.metadata.image();
    let topic = image.topic_by_name(&tenant, EXISTS).expect("nobody else deletes it");
    let partition = fixture.running.broker.partitions.get(topic.id, 0).unwrap();
    assert_eq!(partition.log().log_end_offset(), 0, "nobody else writes to it");
    fixture.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_what_may_be_seen() {
    let fixture = Fixture::start().await;
    let names = fixture.fill().await;
    let mut client = fixture.connect(KEY);
    let list_of = |api| CASES.iter().find(|case| case.api == api && case.needs.is_empty()).unwrap();
    for (api, acl, is_shown) in [
        (ApiKey::Metadata, acl(Permission::Allow, Operation::Write, KafkaResource::Topic), true),
        (ApiKey::Metadata, acl(Permission::Allow, Operation::Create, KafkaResource::Topic), false),
        (ApiKey::Metadata, acl(Permission::Allow, Operation::Describe, KafkaResource::Cluster), false),
        (ApiKey::ListGroups, acl(Permission::Allow, Operation::Read, KafkaResource::Group), true),
        (ApiKey::ListGroups, acl(Permission::Allow, Operation::Describe, KafkaResource::Cluster), true),
        (ApiKey::ListGroups, acl(Permission::Allow, Operation::All, KafkaResource::Topic), false),
    ] {
        fixture.set_acls(vec![acl.clone()]).await;
        let answer = client.ask(list_of(api), &names).await;
        assert_eq!(contains(&answer, EXISTS.as_bytes()), is_shown, "{api} with {acl:?}");
    }
    fixture.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_offsets_of_a_group_are_those_of_topics_that_may_be_seen() {
    let fixture = Fixture::start().await;
    let names = fixture.fill().await;
    let mut client = fixture.connect(KEY);
    let all = CASES.iter().find(|case| case.api == ApiKey::OffsetFetch && case.needs.len() == 1).unwrap();
    let times_named = |answer: &[u8]| answer.windows(EXISTS.len()).filter(|part| *part == EXISTS.as_bytes()).count();
    fixture.set_acls(allow(all.needs)).await;
    let hidden = client.ask(all, &names).await;
    assert_eq!(times_named(&hidden), 1, "the group alone");
    let mut acls = allow(all.needs);
    acls.push(acl(Permission::Allow, Operation::Describe, KafkaResource::Topic));
    fixture.set_acls(acls).await;
    let shown = client.ask(all, &names).await;
    assert_eq!(times_named(&shown), 2, "the group and its topic");
    fixture.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_come_and_go_on_an_open_connection() {
    let fixture = Fixture::start().await;
    let names = fixture.fill().await;
    let mut client = fixture.connect(KEY);
    let case = CASES.iter().find(|case| case.api == ApiKey::ListOffsets).unwrap();
    assert_eq!(client.error(case, &names).await, ErrorCode::TopicAuthorizationFailed);
    let reader = "/environment=env-a/cloud-cluster=lkc-a/kafka=lkc-a/topic=ex*";
    fixture.change(Change::Upsert(binding("rb-a", ORGANIZATION, "DeveloperRead", reader)));
    assert_eq!(client.error(case, &names).await, ErrorCode::None);
    fixture.set_acls(vec![acl(Permission::Deny, Operation::Describe, KafkaResource::Topic)]).await;
    assert_eq!(client.error(case, &names).await, ErrorCode::TopicAuthorizationFailed);
    fixture.set_acls(Vec::new()).await;
    assert_eq!(client.error(case, &names).await, ErrorCode::None);
    let key = Some(config_item_key::Key::RoleBindingId("rb-a".to_owned()));
    fixture.change(Change::Delete(ConfigItemKey { key }));
    assert_eq!(client.error(case, &names).await, ErrorCode::TopicAuthorizationFailed);
    fixture.set_acls(vec![acl(Permission::Allow, Operation::Read, KafkaResource::Topic)]).await;
    assert_eq!(client.error(case, &names).await, ErrorCode::None);
    fixture.running.shutdown().await;
}
