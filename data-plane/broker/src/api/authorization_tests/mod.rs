//! Who may do what, API by API, through the front door of a connection: every request goes through its frame.

mod cases;
mod roles;

use millstream_api::fleet::config_event::Change;
use millstream_api::fleet::{ConfigItemKey, config_item_key};
use millstream_api::role::{KafkaResource, Operation};
use millstream_metadata::acl::{
    AccessControlEntry, Acl, AclHost, AclPrincipal, CLUSTER_NAME, PatternType, Permission, ResourcePattern,
};
use millstream_metadata::decide::TopicSelector;
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::frame;
use millstream_protocol::version_table::SERVED;
use uuid::Uuid;

use super::authorization_tests::cases::{AUTO_CREATE, CASES, Case, Names, Need, TRANSACTIONAL};
use super::{Answer, answer, denied};
use crate::front_door::client::request;
use crate::front_door::{FrontDoor, KEY, OTHER_KEY, PRINCIPAL, TENANT, id};
use crate::groups::offsets::CommittedOffset;
use crate::groups::shard::{Commit, NewOffset};
use crate::network::output::Piece;
use crate::session::Session;
use crate::topics;

/// The name of a topic and a group of the first cluster.
const EXISTS: &str = "exists";
/// A name as long as that, which nothing has.
const ABSENT: &str = "absent";
/// What is answered before there is a principal.
const BEFORE_LOGIN: [ApiKey; 3] = [ApiKey::ApiVersions, ApiKey::SaslHandshake, ApiKey::SaslAuthenticate];

impl FrontDoor {
    /// Puts a topic, a group with an offset and nothing else into the first cluster.
    async fn fill(&self) -> Names {
        let (broker, tenant) = (self.broker(), id(TENANT));
        if broker.metadata.image().topic_by_name(&tenant, EXISTS).is_none() {
            self.create_topic(TENANT, EXISTS).await;
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

    fn connect(&self, key: &str) -> Client<'_> {
        Client { door: self, session: self.session(key) }
    }
}

struct Client<'a> {
    door: &'a FrontDoor,
    session: Session,
}

impl Client<'_> {
    /// The bytes of the answer, without its length.
    async fn ask(&mut self, case: &Case, names: &Names) -> Vec<u8> {
        let request = request(case.api, case.version, |writer| (case.encode)(names, writer));
        let answered = answer(self.door.broker(), &mut self.session, &request[size_of::<i32>()..]).await.unwrap();
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
    let door = FrontDoor::open().await;
    let mut client = door.connect(KEY);
    for case in CASES {
        let api = case.api;
        for (index, missing) in case.needs.iter().enumerate() {
            let mut others = case.needs.to_vec();
            others.remove(index);
            let names = door.fill().await;
            door.set_acls(allow(&others)).await;
            let error = client.error(case, &names).await;
            assert_eq!(error, denied_by(case, missing), "{api} without {:?}", missing.operation);

            // What is denied is denied although everything is allowed.
            let mut acls = allow(case.needs);
            acls.push(acl(Permission::Allow, Operation::All, missing.resource));
            acls.push(acl(Permission::Deny, missing.operation, missing.resource));
            if let Some((operation, resource)) = missing.or {
                acls.push(acl(Permission::Deny, operation, resource));
            }
            door.set_acls(acls).await;
            let error = client.error(case, &names).await;
            assert_eq!(error, denied_by(case, missing), "{api} with {:?} denied", missing.operation);

            if let Some((operation, resource)) = missing.or {
                let names = door.fill().await;
                let mut acls = allow(&others);
                acls.push(acl(Permission::Allow, operation, resource));
                door.set_acls(acls).await;
                let error = client.error(case, &names).await;
                assert!(!is_refusal(error), "{api} with {operation:?} on {resource:?}: {error:?}");
            }
        }
        let names = door.fill().await;
        door.set_acls(allow(case.needs)).await;
        let error = client.error(case, &names).await;
        assert!(!is_refusal(error), "{api} with all it needs: {error:?}");
    }
    door.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_made_on_request_only_by_who_may_see_and_create_it() {
    let door = FrontDoor::open().await;
    let mut client = door.connect(KEY);
    let describe = about(acl(Permission::Allow, Operation::Describe, KafkaResource::Topic), ABSENT);
    let create = about(acl(Permission::Allow, Operation::Create, KafkaResource::Topic), ABSENT);
    let create_any = acl(Permission::Allow, Operation::Create, KafkaResource::Cluster);
    for missing in [vec![], vec![describe.clone()], vec![create.clone()], vec![create_any.clone()]] {
        door.set_acls(missing).await;
        assert_eq!(client.error(&AUTO_CREATE, &absent()).await, ErrorCode::TopicAuthorizationFailed);
    }
    for enough in [create, create_any] {
        door.set_acls(vec![describe.clone(), enough]).await;
        assert_eq!(client.error(&AUTO_CREATE, &absent()).await, ErrorCode::None);
        let selector = TopicSelector::Name(ABSENT.to_owned());
        topics::delete(door.broker(), &id(TENANT), selector).await.expect("the topic was made");
    }
    door.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_takes_back_acls_that_deny_everything_to_everybody() {
    let door = FrontDoor::open().await;
    let names = door.fill().await;
    let mut client = door.connect(KEY);
    let case_of = |api| CASES.iter().find(|case| case.api == api).unwrap();
    let everything =
        [KafkaResource::Topic, KafkaResource::Group, KafkaResource::TransactionalId, KafkaResource::Cluster];
    let deny = |resource| {
        let mut acl = acl(Permission::Deny, Operation::All, resource);
        acl.entry.principal = AclPrincipal::Everyone;
        acl
    };
    for (role, scope) in [
        ("OrganizationAdmin", ""),
        ("EnvironmentAdmin", "/environment=env-a"),
        ("CloudClusterAdmin", "/environment=env-a/cloud-cluster=lkc-a"),
        ("Operator", "/environment=env-a/cloud-cluster=lkc-a"),
        ("CloudClusterAdmin", "/environment=env-a/cloud-cluster=lkc-b"),
    ] {
        door.bind("rb-a", role, scope);
        door.set_acls(everything.map(deny).to_vec()).await;
        let administers = role.ends_with("Admin") && !scope.ends_with("lkc-b");
        for api in [ApiKey::DescribeAcls, ApiKey::CreateAcls, ApiKey::DeleteAcls] {
            let error = client.error(case_of(api), &names).await;
            let expected = if administers { ErrorCode::None } else { ErrorCode::ClusterAuthorizationFailed };
            assert_eq!(error, expected, "{api} as {role} of {scope:?}");
        }
        for api in [ApiKey::Produce, ApiKey::CreateTopics, ApiKey::DescribeGroups, ApiKey::FindCoordinator] {
            let error = client.error(case_of(api), &names).await;
            assert!(is_refusal(error), "{api} as {role} of {scope:?} although it is denied: {error:?}");
        }
    }
    door.running.shutdown().await;
}

/// The error for a missing right: the producer id is the cluster's affair, although writing to a topic would do.
fn denied_by(case: &Case, missing: &Need) -> ErrorCode {
    if case.api == ApiKey::InitProducerId { ErrorCode::ClusterAuthorizationFailed } else { denied(missing.resource) }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_rights_an_answer_does_not_tell_what_exists() {
    let door = FrontDoor::open().await;
    let names = door.fill().await;
    let mut client = door.connect(KEY);
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
    door.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_cluster_has_does_not_exist_even_for_an_administrator() {
    let door = FrontDoor::open().await;
    let names = door.fill().await;
    let mut client = door.connect(OTHER_KEY);
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
    let partition = door.partition(TENANT, EXISTS);
    assert_eq!(partition.log().log_end_offset(), 0, "nobody else writes to it");
    door.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_what_may_be_seen() {
    let door = FrontDoor::open().await;
    let names = door.fill().await;
    let mut client = door.connect(KEY);
    let list_of = |api| CASES.iter().find(|case| case.api == api && case.needs.is_empty()).unwrap();
    for (api, acl, is_shown) in [
        (ApiKey::Metadata, acl(Permission::Allow, Operation::Write, KafkaResource::Topic), true),
        (ApiKey::Metadata, acl(Permission::Allow, Operation::Create, KafkaResource::Topic), false),
        (ApiKey::Metadata, acl(Permission::Allow, Operation::Describe, KafkaResource::Cluster), false),
        (ApiKey::ListGroups, acl(Permission::Allow, Operation::Read, KafkaResource::Group), true),
        (ApiKey::ListGroups, acl(Permission::Allow, Operation::Describe, KafkaResource::Cluster), true),
        (ApiKey::ListGroups, acl(Permission::Allow, Operation::All, KafkaResource::Topic), false),
    ] {
        door.set_acls(vec![acl.clone()]).await;
        let answer = client.ask(list_of(api), &names).await;
        assert_eq!(contains(&answer, EXISTS.as_bytes()), is_shown, "{api} with {acl:?}");
    }
    door.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_offsets_of_a_group_are_those_of_topics_that_may_be_seen() {
    let door = FrontDoor::open().await;
    let names = door.fill().await;
    let mut client = door.connect(KEY);
    let all = CASES.iter().find(|case| case.api == ApiKey::OffsetFetch && case.needs.len() == 1).unwrap();
    let times_named = |answer: &[u8]| answer.windows(EXISTS.len()).filter(|part| *part == EXISTS.as_bytes()).count();
    door.set_acls(allow(all.needs)).await;
    let hidden = client.ask(all, &names).await;
    assert_eq!(times_named(&hidden), 1, "the group alone");
    let mut acls = allow(all.needs);
    acls.push(acl(Permission::Allow, Operation::Describe, KafkaResource::Topic));
    door.set_acls(acls).await;
    let shown = client.ask(all, &names).await;
    assert_eq!(times_named(&shown), 2, "the group and its topic");
    door.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_come_and_go_on_an_open_connection() {
    let door = FrontDoor::open().await;
    let names = door.fill().await;
    let mut client = door.connect(KEY);
    let case = CASES.iter().find(|case| case.api == ApiKey::ListOffsets).unwrap();
    assert_eq!(client.error(case, &names).await, ErrorCode::TopicAuthorizationFailed);
    let reader = "/environment=env-a/cloud-cluster=lkc-a/kafka=lkc-a/topic=ex*";
    door.bind("rb-a", "DeveloperRead", reader);
    assert_eq!(client.error(case, &names).await, ErrorCode::None);
    door.set_acls(vec![acl(Permission::Deny, Operation::Describe, KafkaResource::Topic)]).await;
    assert_eq!(client.error(case, &names).await, ErrorCode::TopicAuthorizationFailed);
    door.set_acls(Vec::new()).await;
    assert_eq!(client.error(case, &names).await, ErrorCode::None);
    let key = Some(config_item_key::Key::RoleBindingId("rb-a".to_owned()));
    door.change(Change::Delete(ConfigItemKey { key }));
    assert_eq!(client.error(case, &names).await, ErrorCode::TopicAuthorizationFailed);
    door.set_acls(vec![acl(Permission::Allow, Operation::Read, KafkaResource::Topic)]).await;
    assert_eq!(client.error(case, &names).await, ErrorCode::None);
    door.running.shutdown().await;
}
