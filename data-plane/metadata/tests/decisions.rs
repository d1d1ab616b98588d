//! The decisions of the metadata controller, as tables.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use millstream_metadata::decide::{
    self, BrokerError, BrokerRequest, ConfigAlteration, ConfigOperation, CreatePartitionsRequest, CreateTopicRequest,
    Mode, PRODUCER_ID_BLOCK, TopicError, TopicSelector,
};
use millstream_metadata::image::MetadataImage;
use millstream_metadata::records::{Endpoint, MetadataRecord};
use millstream_metadata::topic_config::{self, Access, DEFINITIONS};
use support::{LIMITS, create_request, image_with_brokers, register, tenant, topic_id};
use uuid::Uuid;

const INVALID_TOPIC: i16 = 17;
const TOPIC_EXISTS: i16 = 36;
const INVALID_PARTITIONS: i16 = 37;
const INVALID_REPLICATION_FACTOR: i16 = 38;
const INVALID_REPLICA_ASSIGNMENT: i16 = 39;
const INVALID_CONFIG: i16 = 40;
const INVALID_REQUEST: i16 = 42;
const POLICY_VIOLATION: i16 = 44;
const UNKNOWN_TOPIC: i16 = 3;
const UNKNOWN_TOPIC_ID: i16 = 100;

/// Creates a topic in tenant 1 of the image.
fn create(image: &mut MetadataImage, request: &CreateTopicRequest) -> Result<decide::CreatedTopic, TopicError> {
    let decision = decide::create_topic(image, &tenant(1), request)?;
    image.apply_all(&decision.records).expect("what was decided applies");
    Ok(decision.outcome)
}

fn image_with_topic(brokers: i32, name: &str, partitions: i32) -> MetadataImage {
    let mut image = image_with_brokers(brokers);
    create(&mut image, &create_request(name, partitions, -1)).unwrap();
    image
}

fn with_assignments(partitions: &[(i32, &[i32])]) -> CreateTopicRequest {
    let mut request = create_request("assigned", -1, -1);
    request.assignments = partitions.iter().map(|(partition, replicas)| (*partition, replicas.to_vec())).collect();
    request
}

fn with_configs(configs: &[(&str, &str)]) -> CreateTopicRequest {
    let mut request = create_request("configured", 1, 1);
    request.configs = configs.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect();
    request
}

/// What a topic gets, as (partitions, replicas), or the error's number.
fn check_create(brokers: i32, request: &CreateTopicRequest, expected: Result<(i32, i16), i16>) {
    let mut image = image_with_brokers(brokers);
    let outcome = create(&mut image, request);
    let summary = outcome
        .as_ref()
        .map(|created| (created.partition_count, created.replication_factor))
        .map_err(TopicError::kafka_error_code);
    assert_eq!(summary, expected, "{outcome:?} for {request:?} with {brokers} brokers");
}

#[test]
fn a_topic_gets_the_partitions_and_replicas_it_asks_for() {
    check_create(1, &create_request("t", 3, 1), Ok((3, 1)));
    check_create(1, &create_request("t", -1, -1), Ok((6, 1)));
    check_create(3, &create_request("t", 2, -1), Ok((2, 3)));
    check_create(3, &create_request("t", 2, 2), Ok((2, 2)));
    check_create(5, &create_request("t", 2, 5), Ok((2, 5)));
}

#[test]
fn three_replicas_mean_the_plan_also_where_fewer_brokers_live() {
    check_create(1, &create_request("t", 1, 3), Ok((1, 1)));
    check_create(2, &create_request("t", 1, 3), Ok((1, 2)));
    check_create(5, &create_request("t", 1, 3), Ok((1, 3)));
}

#[test]
fn other_counts_of_replicas_are_refused() {
    for (brokers, factor) in [(1, 2), (1, 4), (3, 4), (1, 0), (1, -2), (0, 1), (0, -1)] {
        check_create(brokers, &create_request("t", 1, factor), Err(INVALID_REPLICATION_FACTOR));
    }
}

#[test]
fn counts_of_partitions_have_bounds() {
    for count in [0, -2, i32::MIN, 10_001, i32::MAX] {
        check_create(1, &create_request("t", count, 1), Err(INVALID_PARTITIONS));
    }
    check_create(1, &create_request("t", 100, 1), Ok((100, 1)));
    check_create(1, &create_request("t", 101, 1), Err(POLICY_VIOLATION));
}

#[test]
fn the_partition_limit_counts_all_topics_of_the_tenant_and_no_other() {
    let mut image = image_with_topic(1, "first", 60);
    let refused = create(&mut image, &create_request("second", 41, 1)).unwrap_err();
    assert_eq!(refused.kafka_error_code(), POLICY_VIOLATION);
    create(&mut image, &create_request("second", 40, 1)).unwrap();
    assert_eq!(image.tenant(&tenant(1)).unwrap().partition_count(), 100);
    decide::create_topic(&image, &tenant(2), &create_request("first", 100, 1)).unwrap();
}

#[test]
fn names_are_checked_within_the_tenant() {
    let image = image_with_topic(1, "a.b", 1);
    let check = |tenant_number, name: &str, expected: Result<(), i16>| {
        let mut request = create_request(name, 1, 1);
        request.topic_id = topic_id(200);
        let outcome = decide::create_topic(&image, &tenant(tenant_number), &request);
        let summary = outcome.map(|_| ()).map_err(|error| error.kafka_error_code());
        assert_eq!(summary, expected, "{name:?} of tenant {tenant_number}");
    };
    check(1, "a.b", Err(TOPIC_EXISTS));
    check(1, "a_b", Err(INVALID_TOPIC));
    check(1, "a-b", Ok(()));
    check(2, "a.b", Ok(()));
    check(2, "a_b", Ok(()));
    check(1, "", Err(INVALID_TOPIC));
    check(1, "..", Err(INVALID_TOPIC));
    check(1, "a b", Err(INVALID_TOPIC));
    check(1, &"a".repeat(249), Ok(()));
    check(1, &"a".repeat(250), Err(INVALID_TOPIC));
}

#[test]
fn assignments_must_be_whole_and_name_brokers_that_exist() {
    check_create(3, &with_assignments(&[(0, &[2, 1]), (1, &[0, 2])]), Ok((2, 2)));
    for wrong in [
        &[(0, &[7][..])][..],
        &[(0, &[1, 1])],
        &[(0, &[])],
        &[(1, &[1])],
        &[(0, &[1]), (2, &[1])],
        &[(0, &[1]), (1, &[1, 2])],
        &[(-1, &[1])],
    ] {
        check_create(3, &with_assignments(wrong), Err(INVALID_REPLICA_ASSIGNMENT));
    }
    let mut with_counts = with_assignments(&[(0, &[1])]);
    with_counts.partition_count = 1;
    check_create(3, &with_counts, Err(INVALID_REQUEST));
}

#[test]
fn the_first_live_broker_of_an_assignment_leads() {
    let mut image = image_with_brokers(2);
    image.apply(&register(2, 9, true)).unwrap();
    create(&mut image, &with_assignments(&[(0, &[2, 1, 0])])).unwrap();
    let topic = image.topic_by_name(&tenant(1), "assigned").unwrap();
    let partition = topic.partition(0).unwrap();
    assert_eq!(partition.leader, Some(1));
    assert_eq!(partition.in_sync_replicas, [1, 0]);
    assert_eq!(partition.replicas, [2, 1, 0]);
    let refused = create(&mut image, &{
        let mut request = with_assignments(&[(0, &[2])]);
        request.name = "other".to_owned();
        request
    });
    assert_eq!(refused.unwrap_err().kafka_error_code(), INVALID_REPLICA_ASSIGNMENT);
}

#[test]
fn partitions_and_leaders_spread_evenly() {
    let mut image = image_with_brokers(4);
    for name in ["a", "b", "c", "d"] {
        create(&mut image, &create_request(name, 6, 2)).unwrap();
    }
    let mut replicas: BTreeMap<i32, i32> = BTreeMap::new();
    let mut leaders: BTreeMap<i32, i32> = BTreeMap::new();
    for topic in image.tenant(&tenant(1)).unwrap().topics() {
        for partition in &topic.partitions {
            partition.replicas.iter().for_each(|broker| *replicas.entry(*broker).or_default() += 1);
            *leaders.entry(partition.leader.unwrap()).or_default() += 1;
        }
    }
    assert!(replicas.values().all(|count| *count == 12), "{replicas:?}");
    assert!(leaders.values().all(|count| (5..=7).contains(count)), "{leaders:?}");
}

#[test]
fn a_request_that_only_validates_writes_nothing() {
    let image = image_with_brokers(1);
    let mut request = create_request("t", 3, 1);
    request.mode = Mode::ValidateOnly;
    let decision = decide::create_topic(&image, &tenant(1), &request).unwrap();
    assert_eq!(decision.outcome.partition_count, 3);
    assert_eq!(decision.records, []);
}

#[test]
fn configs_are_judged_when_a_topic_is_created() {
    let cases: &[(&str, &str, Result<(), i16>)] = &[
        ("retention.ms", "86400000", Ok(())),
        ("retention.ms", "-1", Ok(())),
        ("retention.ms", " 1000 ", Ok(())),
        ("retention.ms", "-2", Err(INVALID_CONFIG)),
        ("retention.ms", "soon", Err(INVALID_CONFIG)),
        ("retention.ms", "", Err(INVALID_CONFIG)),
        ("retention.ms", "9223372036854775808", Err(INVALID_CONFIG)),
        ("segment.bytes", "1048576", Ok(())),
        ("segment.bytes", "1048575", Err(INVALID_CONFIG)),
        ("segment.bytes", "1073741825", Err(INVALID_CONFIG)),
        ("segment.ms", "599999", Err(INVALID_CONFIG)),
        ("max.message.bytes", "8388608", Ok(())),
        ("max.message.bytes", "8388609", Err(POLICY_VIOLATION)),
        ("max.message.bytes", "20971521", Err(INVALID_CONFIG)),
        ("cleanup.policy", "delete", Ok(())),
        ("cleanup.policy", "compact", Err(INVALID_CONFIG)),
        ("cleanup.policy", "compact,delete", Err(INVALID_CONFIG)),
        ("cleanup.policy", "", Err(INVALID_CONFIG)),
        ("message.timestamp.type", "LogAppendTime", Ok(())),
        ("message.timestamp.type", "never", Err(INVALID_CONFIG)),
        ("min.insync.replicas", "1", Ok(())),
        ("min.insync.replicas", "3", Err(INVALID_CONFIG)),
        ("compression.type", "producer", Ok(())),
        ("compression.type", "zstd", Err(POLICY_VIOLATION)),
        ("unclean.leader.election.enable", "FALSE", Ok(())),
        ("unclean.leader.election.enable", "true", Err(POLICY_VIOLATION)),
        ("unclean.leader.election.enable", "maybe", Err(INVALID_CONFIG)),
        ("no.such.config", "1", Err(INVALID_CONFIG)),
        ("min.compaction.lag.ms", "9223372036854775807", Ok(())),
    ];
    for (name, value, expected) in cases {
        let expected = expected.map(|()| (1, 1));
        check_create(1, &with_configs(&[(name, value)]), expected);
    }
    let contradiction = [("min.compaction.lag.ms", "21600001"), ("max.compaction.lag.ms", "21600000")];
    check_create(1, &with_configs(&contradiction), Err(INVALID_CONFIG));
}

#[test]
fn compaction_is_refused_with_a_clear_message() {
    let mut image = image_with_brokers(1);
    let refused = create(&mut image, &with_configs(&[("cleanup.policy", "compact")])).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "invalid value \"compact\" for config cleanup.policy: compaction is not available yet, use \"delete\""
    );
}

#[test]
fn only_what_was_set_and_may_be_set_is_stored() {
    let mut image = image_with_brokers(1);
    let configs = [("compression.type", "producer"), ("retention.ms", " 5 ")];
    create(&mut image, &with_configs(&configs)).unwrap();
    let topic = image.topic_by_name(&tenant(1), "configured").unwrap();
    assert_eq!(*topic.configs, BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]));
}

#[test]
fn defaults_of_the_table_pass_their_own_rules() {
    for definition in DEFINITIONS {
        definition.accept(definition.default).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(topic_config::definition(definition.name), Some(definition));
    }
    assert!(DEFINITIONS.is_sorted_by(|left, right| left.name < right.name));
    assert_eq!(DEFINITIONS.iter().filter(|definition| definition.access == Access::Editable).count(), 13);
}

fn alteration(name: &str, operation: ConfigOperation, value: Option<&str>) -> ConfigAlteration {
    ConfigAlteration { name: name.to_owned(), operation, value: value.map(str::to_owned) }
}

/// Alters the configs of a topic that has retention.ms 5, and gives what is set then.
fn check_alter(alterations: &[ConfigAlteration], expected: Result<&[(&str, &str)], i16>) {
    let mut image = image_with_brokers(1);
    create(&mut image, &with_configs(&[("retention.ms", "5")])).unwrap();
    let decision = decide::alter_topic_configs(&image, &tenant(1), "configured", alterations, LIMITS, Mode::Apply);
    let outcome = decision.map(|decision| {
        image.apply_all(&decision.records).unwrap();
        let topic = image.topic_by_name(&tenant(1), "configured").unwrap();
        topic.configs.iter().map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>()
    });
    let expected = expected.map(|configs| {
        configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
    });
    assert_eq!(outcome.map_err(|error| error.kafka_error_code()), expected, "{alterations:?}");
}

#[test]
fn configs_change_one_by_one() {
    use ConfigOperation::{Append, Delete, Set, Subtract};
    check_alter(&[], Ok(&[("retention.ms", "5")]));
    check_alter(&[alteration("retention.ms", Set, Some("6"))], Ok(&[("retention.ms", "6")]));
    check_alter(&[alteration("retention.ms", Delete, None)], Ok(&[]));
    check_alter(
        &[alteration("retention.ms", Delete, None), alteration("segment.bytes", Set, Some("2097152"))],
        Ok(&[("segment.bytes", "2097152")]),
    );
    let appended = [("cleanup.policy", "delete"), ("retention.ms", "5")];
    check_alter(&[alteration("cleanup.policy", Append, Some("delete"))], Ok(&appended));
    check_alter(&[alteration("cleanup.policy", Append, Some("compact"))], Err(INVALID_CONFIG));
    check_alter(&[alteration("cleanup.policy", Subtract, Some("delete"))], Err(INVALID_CONFIG));
    check_alter(&[alteration("cleanup.policy", Subtract, Some("compact"))], Ok(&appended));
    check_alter(&[alteration("retention.ms", Append, Some("6"))], Err(INVALID_REQUEST));
    check_alter(&[alteration("retention.ms", Set, None)], Err(INVALID_REQUEST));
    check_alter(&[alteration("retention.ms", Set, Some("x"))], Err(INVALID_CONFIG));
    check_alter(&[alteration("nothing", Delete, None)], Err(INVALID_CONFIG));
    check_alter(&[alteration("compression.type", Set, Some("gzip"))], Err(POLICY_VIOLATION));
    check_alter(&[alteration("compression.type", Set, Some("producer"))], Ok(&[("retention.ms", "5")]));
    let twice = [alteration("retention.ms", Set, Some("1")), alteration("retention.ms", Set, Some("2"))];
    check_alter(&twice, Err(INVALID_REQUEST));
}

#[test]
fn one_bad_config_changes_none() {
    let alterations = [
        alteration("retention.ms", ConfigOperation::Set, Some("6")),
        alteration("segment.bytes", ConfigOperation::Set, Some("1")),
    ];
    check_alter(&alterations, Err(INVALID_CONFIG));
}

#[test]
fn configs_can_be_replaced_as_a_whole() {
    let mut image = image_with_brokers(1);
    create(&mut image, &with_configs(&[("retention.ms", "5"), ("segment.bytes", "2097152")])).unwrap();
    let wanted = BTreeMap::from([("segment.ms".to_owned(), Some("600000".to_owned()))]);
    let decision =
        decide::replace_topic_configs(&image, &tenant(1), "configured", &wanted, LIMITS, Mode::Apply).unwrap();
    image.apply_all(&decision.records).unwrap();
    let topic = image.topic_by_name(&tenant(1), "configured").unwrap();
    assert_eq!(*topic.configs, BTreeMap::from([("segment.ms".to_owned(), "600000".to_owned())]));
    let unknown = decide::replace_topic_configs(&image, &tenant(2), "configured", &wanted, LIMITS, Mode::Apply);
    assert_eq!(unknown.unwrap_err(), TopicError::UnknownTopic);
}

#[test]
fn a_topic_grows_and_never_shrinks() {
    let image = image_with_topic(3, "t", 4);
    let check = |name: &str, count, assignments: Option<Vec<Vec<i32>>>, expected: Result<usize, i16>| {
        let limits = LIMITS;
        let request = CreatePartitionsRequest {
            name: name.to_owned(),
            partition_count: count,
            assignments: assignments.clone(),
            limits,
            mode: Mode::Apply,
        };
        let outcome = decide::create_partitions(&image, &tenant(1), &request);
        let mut grown = image.clone();
        let added = outcome.map_err(|error| error.kafka_error_code()).map(|decision| {
            grown.apply_all(&decision.records).unwrap();
            decision.records.len()
        });
        assert_eq!(added, expected, "{name} to {count} with {assignments:?}");
    };
    check("t", 6, None, Ok(2));
    check("t", 4, None, Err(INVALID_PARTITIONS));
    check("t", 3, None, Err(INVALID_PARTITIONS));
    check("t", 0, None, Err(INVALID_PARTITIONS));
    check("t", -1, None, Err(INVALID_PARTITIONS));
    check("t", i32::MAX, None, Err(INVALID_PARTITIONS));
    check("t", 101, None, Err(POLICY_VIOLATION));
    check("other", 6, None, Err(UNKNOWN_TOPIC));
    check("t", 6, Some(vec![vec![0, 1, 2], vec![2, 1, 0]]), Ok(2));
    check("t", 6, Some(vec![vec![0, 1, 2]]), Err(INVALID_REPLICA_ASSIGNMENT));
    check("t", 5, Some(vec![vec![0]]), Err(INVALID_REPLICA_ASSIGNMENT));
    check("t", 5, Some(vec![vec![0, 1, 9]]), Err(INVALID_REPLICA_ASSIGNMENT));
}

#[test]
fn a_topic_is_deleted_by_its_tenant_only() {
    let mut image = image_with_topic(1, "t", 2);
    let id = image.topic_by_name(&tenant(1), "t").unwrap().id;
    let delete = |tenant_number, selector: &TopicSelector| {
        decide::delete_topic(&image, &tenant(tenant_number), selector)
            .map(|decision| decision.records)
            .map_err(|error| error.kafka_error_code())
    };
    let by_name = TopicSelector::Name("t".to_owned());
    let by_id = TopicSelector::Id(id);
    assert_eq!(delete(2, &by_name), Err(UNKNOWN_TOPIC));
    assert_eq!(delete(2, &by_id), Err(UNKNOWN_TOPIC_ID));
    assert_eq!(delete(1, &TopicSelector::Id(Uuid::from_u128(77))), Err(UNKNOWN_TOPIC_ID));
    assert_eq!(delete(1, &by_name), delete(1, &by_id));
    let records = delete(1, &by_id).unwrap();
    image.apply_all(&records).unwrap();
    assert!(image.tenant(&tenant(1)).is_none());
    assert_eq!(image.partition_count(), 0);
}

#[test]
fn a_tenant_is_deleted_in_bounded_steps() {
    let mut image = image_with_brokers(1);
    for name in ["a", "b", "c"] {
        create(&mut image, &create_request(name, 1, 1)).unwrap();
    }
    let mut steps = 0;
    loop {
        let decision = decide::delete_tenant(&image, &tenant(1), 2);
        image.apply_all(&decision.records).unwrap();
        steps += 1;
        if !decision.outcome {
            break;
        }
    }
    assert_eq!(steps, 2);
    assert!(image.tenant(&tenant(1)).is_none());
}

#[test]
fn no_producer_id_is_given_twice() {
    let mut image = MetadataImage::default();
    let mut next = 0;
    for broker_id in [0, 1, 0] {
        let decision = decide::allocate_producer_ids(&image, broker_id).unwrap();
        image.apply_all(&decision.records).unwrap();
        assert_eq!((decision.outcome.first, decision.outcome.count), (next, PRODUCER_ID_BLOCK));
        next += PRODUCER_ID_BLOCK;
    }
    image.apply(&MetadataRecord::ProducerIds { broker_id: 0, next_producer_id: i64::MAX }).unwrap();
    assert!(decide::allocate_producer_ids(&image, 0).is_err());
}

fn broker_request(broker_id: i32, incarnation: u128) -> BrokerRequest {
    BrokerRequest {
        broker_id,
        incarnation_id: Uuid::from_u128(incarnation),
        rack: None,
        endpoints: vec![Endpoint { listener: "EXTERNAL".to_owned(), host: "localhost".to_owned(), port: 9092 }],
    }
}

fn start_broker(image: &mut MetadataImage, broker_id: i32, incarnation: u128) -> i64 {
    let decision = decide::register_broker(image, &broker_request(broker_id, incarnation)).unwrap();
    image.apply_all(&decision.records).unwrap();
    let broker_epoch = decision.outcome.broker_epoch;
    let decision = decide::unfence_broker(image, broker_id, broker_epoch).unwrap();
    image.apply_all(&decision.records).unwrap();
    broker_epoch
}

#[test]
fn a_broker_starts_fenced_and_each_incarnation_has_a_higher_epoch() {
    let mut image = MetadataImage::default();
    let decision = decide::register_broker(&image, &broker_request(1, 1)).unwrap();
    image.apply_all(&decision.records).unwrap();
    assert!(!image.is_live(1));
    let first_epoch = decision.outcome.broker_epoch;
    let repeated = decide::register_broker(&image, &broker_request(1, 1)).unwrap();
    assert_eq!((repeated.records.len(), repeated.outcome.broker_epoch), (0, first_epoch));
    let second_epoch = start_broker(&mut image, 1, 2);
    assert!(second_epoch > first_epoch);
    assert!(image.is_live(1));
    let stale = decide::fence_broker(&image, 1, first_epoch).unwrap_err();
    assert_eq!(stale, BrokerError::StaleEpoch { broker_id: 1, stated: first_epoch, current: second_epoch });
    assert_eq!(decide::fence_broker(&image, 7, 1).unwrap_err(), BrokerError::NotRegistered { broker_id: 7 });
    assert!(decide::register_broker(&image, &broker_request(-1, 1)).is_err());
}

#[test]
fn a_single_broker_that_restarts_leads_again_under_a_new_epoch() {
    let mut image = MetadataImage::default();
    start_broker(&mut image, 1, 1);
    create(&mut image, &create_request("t", 1, 1)).unwrap();
    let topic_id = image.topic_by_name(&tenant(1), "t").unwrap().id;
    let leader = |image: &MetadataImage| {
        let partition = image.partition(&tenant(1), topic_id, 0).unwrap();
        (partition.leader, partition.leader_epoch, partition.in_sync_replicas.clone())
    };
    assert_eq!(leader(&image), (Some(1), 0, vec![1]));
    let decision = decide::register_broker(&image, &broker_request(1, 2)).unwrap();
    image.apply_all(&decision.records).unwrap();
    assert_eq!(leader(&image), (None, 1, vec![1]));
    let decision = decide::unfence_broker(&image, 1, decision.outcome.broker_epoch).unwrap();
    image.apply_all(&decision.records).unwrap();
    assert_eq!(leader(&image), (Some(1), 2, vec![1]));
}

#[test]
fn a_fenced_broker_hands_over_to_the_next_live_replica() {
    let mut image = MetadataImage::default();
    let epochs: Vec<i64> = (0..3).map(|broker_id| start_broker(&mut image, broker_id, 1)).collect();
    create(&mut image, &with_assignments(&[(0, &[0, 1, 2])])).unwrap();
    let topic_id = image.topic_by_name(&tenant(1), "assigned").unwrap().id;
    let state = |image: &MetadataImage| {
        let partition = image.partition(&tenant(1), topic_id, 0).unwrap();
        (partition.leader, partition.in_sync_replicas.clone())
    };
    let mut fence = |broker_id: i32| {
        let decision = decide::fence_broker(&image, broker_id, epochs[broker_id as usize]).unwrap();
        image.apply_all(&decision.records).unwrap();
        state(&image)
    };
    assert_eq!(fence(0), (Some(1), vec![1, 2]));
    assert_eq!(fence(2), (Some(1), vec![1]));
    // The last in-sync replica stays in sync: it alone has everything.
    assert_eq!(fence(1), (None, vec![1]));
    let decision = decide::unfence_broker(&image, 0, epochs[0]).unwrap();
    image.apply_all(&decision.records).unwrap();
    assert_eq!(state(&image), (None, vec![1]), "a broker that is not in sync must not lead");
    let decision = decide::unfence_broker(&image, 1, epochs[1]).unwrap();
    image.apply_all(&decision.records).unwrap();
    assert_eq!(state(&image), (Some(1), vec![1]));
    assert_eq!(
        decide::unregister_broker(&image, 1, epochs[1]).unwrap_err(),
        BrokerError::HoldsReplicas { broker_id: 1 }
    );
}

#[test]
fn a_broker_without_replicas_may_leave() {
    let mut image = MetadataImage::default();
    let broker_epoch = start_broker(&mut image, 1, 1);
    let decision = decide::unregister_broker(&image, 1, broker_epoch).unwrap();
    image.apply_all(&decision.records).unwrap();
    assert!(image.broker(1).is_none());
}
