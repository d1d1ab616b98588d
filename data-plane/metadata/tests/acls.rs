//! ACLs: which are legal, which a filter means, and what is decided about them.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use millstream_metadata::acl::{
    Acl, AclError, AclFilter, OPERATIONS, PATTERN_TYPES, PERMISSIONS, PatternType, Permission, RESOURCE_TYPES,
    UncheckedAcl, UncheckedFilter,
};
use millstream_metadata::decide::{self, MAX_ACLS_PER_REQUEST, MAX_FILTERS_PER_REQUEST};
use millstream_metadata::image::MetadataImage;
use millstream_metadata::records::MetadataRecord;
use millstream_metadata::snapshot;
use proptest::prelude::*;
use support::{any_acl, create_request, image_with_brokers, read_acl, tenant};

const INVALID_REQUEST: i16 = 42;
const POLICY_VIOLATION: i16 = 44;

const ANY: i8 = 1;
const MATCH: i8 = 2;
const LITERAL: i8 = 3;
const PREFIXED: i8 = 4;

/// An ACL that is legal; the tests change one field of it.
const LEGAL: UncheckedAcl<'static> = UncheckedAcl {
    resource_type: 2,
    resource_name: "orders",
    pattern_type: LITERAL,
    principal: "User:sa-a",
    host: "*",
    operation: 3,
    permission: 3,
};

const EVERYTHING: UncheckedFilter<'static> = UncheckedFilter {
    resource_type: ANY,
    resource_name: None,
    pattern_type: ANY,
    principal: None,
    host: None,
    operation: ANY,
    permission: ANY,
};

fn check_refused(acl: UncheckedAcl<'_>, field: &str) {
    match acl.check() {
        Err(AclError::Invalid { field: named, .. }) => assert_eq!(named, field, "{acl:?}"),
        other => panic!("{acl:?} gave {other:?}"),
    }
}

#[test]
fn a_legal_acl_is_what_was_asked_for() {
    let acl = LEGAL.check().unwrap();
    assert_eq!(acl, read_acl(PatternType::Literal, "orders", "User:sa-a", Permission::Allow));
    assert_eq!(acl.entry.principal.to_string(), "User:sa-a");
    assert_eq!(acl.entry.host.to_string(), "*");
}

#[test]
fn each_field_is_checked_and_named() {
    for number in [i8::MIN, -1, 0, 1, 6, 7, 8, i8::MAX] {
        check_refused(UncheckedAcl { resource_type: number, ..LEGAL }, "resource_type");
    }
    for number in [i8::MIN, 0, ANY, MATCH, 5, i8::MAX] {
        check_refused(UncheckedAcl { pattern_type: number, ..LEGAL }, "pattern_type");
    }
    for number in [i8::MIN, 0, ANY, 13, 14, 15, 16, i8::MAX] {
        check_refused(UncheckedAcl { operation: number, ..LEGAL }, "operation");
    }
    for number in [i8::MIN, 0, ANY, 4, i8::MAX] {
        check_refused(UncheckedAcl { permission: number, ..LEGAL }, "permission");
    }
    for principal in ["", "User", "User:", "User:alice", "Group:g", "sa-a", "User:sa-", "User:sa-A", "user:sa-a"] {
        check_refused(UncheckedAcl { principal, ..LEGAL }, "principal");
    }
    for host in ["", "localhost", "10.0.0.1/8", "10.0.0", "::g", "* "] {
        check_refused(UncheckedAcl { host, ..LEGAL }, "host");
    }
    check_refused(UncheckedAcl { resource_name: "", ..LEGAL }, "resource_name");
    check_refused(UncheckedAcl { resource_name: &"a".repeat(1_025), ..LEGAL }, "resource_name");
    check_refused(UncheckedAcl { resource_type: 4, ..LEGAL }, "resource_name");
    UncheckedAcl { resource_type: 4, resource_name: "kafka-cluster", ..LEGAL }.check().unwrap();
}

#[test]
fn one_address_is_one_host_however_it_is_written() {
    let host = |host| UncheckedAcl { host, ..LEGAL }.check().unwrap().entry.host;
    assert_eq!(host("::ffff:10.0.0.1"), host("10.0.0.1"));
    assert_eq!(host("0:0:0:0:0:0:0:1"), host("::1"));
    assert_ne!(host("::1"), host("*"));
}

fn image_of(acls: &[Acl]) -> MetadataImage {
    let mut image = MetadataImage::default();
    let records = acls.iter().map(|acl| MetadataRecord::AddAcl { tenant: tenant(1), acl: acl.clone() });
    image.apply_all(&records.collect::<Vec<_>>()).unwrap();
    image
}

fn meant(image: &MetadataImage, filter: &UncheckedFilter<'_>) -> Vec<String> {
    let filter = filter.check().unwrap();
    let acls = image.tenant(&tenant(1)).unwrap().acls().clone();
    acls.matching(&filter).map(|acl| format!("{} {}", acl.pattern_type_name(), acl.resource.name)).collect()
}

#[test]
fn names_match_as_in_kafka() {
    let acl = |pattern_type, name| read_acl(pattern_type, name, "User:sa-a", Permission::Allow);
    let image = image_of(&[
        acl(PatternType::Literal, "*"),
        acl(PatternType::Literal, "pay"),
        acl(PatternType::Literal, "payments"),
        acl(PatternType::Prefixed, "pay"),
        acl(PatternType::Prefixed, "payments-eu"),
        acl(PatternType::Prefixed, "*"),
    ]);
    let check = |pattern_type, resource_name, expected: &[&str]| {
        let filter = UncheckedFilter { pattern_type, resource_name, ..EVERYTHING };
        assert_eq!(meant(&image, &filter), expected, "{filter:?}");
    };
    check(LITERAL, Some("payments"), &["LITERAL payments"]);
    check(LITERAL, Some("*"), &["LITERAL *"]);
    check(PREFIXED, Some("payments"), &[]);
    check(PREFIXED, Some("pay"), &["PREFIXED pay"]);
    check(ANY, Some("pay"), &["LITERAL pay", "PREFIXED pay"]);
    check(MATCH, Some("payments"), &["LITERAL *", "LITERAL payments", "PREFIXED pay"]);
    check(MATCH, Some("other"), &["LITERAL *"]);
    check(MATCH, Some("*"), &["LITERAL *", "PREFIXED *"]);
    check(LITERAL, None, &["LITERAL *", "LITERAL pay", "LITERAL payments"]);
    check(PREFIXED, None, &["PREFIXED *", "PREFIXED pay", "PREFIXED payments-eu"]);
    check(MATCH, Some(""), &["LITERAL *"]);
    check(ANY, Some(""), &[]);
}

#[test]
fn a_filter_for_what_no_tenant_has_means_nothing() {
    let image = image_of(&[LEGAL.check().unwrap()]);
    let check = |filter: UncheckedFilter<'_>| assert_eq!(meant(&image, &filter), Vec::<String>::new(), "{filter:?}");
    check(UncheckedFilter { resource_type: 6, ..EVERYTHING });
    check(UncheckedFilter { resource_type: 7, ..EVERYTHING });
    check(UncheckedFilter { operation: 13, ..EVERYTHING });
    check(UncheckedFilter { principal: Some("User:alice"), ..EVERYTHING });
    check(UncheckedFilter { principal: Some(""), ..EVERYTHING });
    check(UncheckedFilter { principal: Some("User:*"), ..EVERYTHING });
    check(UncheckedFilter { host: Some("10.0.0.1"), ..EVERYTHING });
    check(UncheckedFilter { host: Some("nowhere"), ..EVERYTHING });
    assert_eq!(meant(&image, &EVERYTHING).len(), 1);
}

#[test]
fn numbers_that_kafka_does_not_have_are_refused_in_a_filter() {
    for number in [i8::MIN, -1, 0, i8::MAX] {
        for filter in [
            UncheckedFilter { resource_type: number, ..EVERYTHING },
            UncheckedFilter { pattern_type: number, ..EVERYTHING },
            UncheckedFilter { operation: number, ..EVERYTHING },
            UncheckedFilter { permission: number, ..EVERYTHING },
        ] {
            assert_eq!(filter.check().unwrap_err().kafka_error_code(), INVALID_REQUEST, "{filter:?}");
        }
    }
}

/// Kafka's ResourcePatternFilter and AccessControlEntryFilter, line by line, on texts and numbers.
fn kafka_matches(filter: &UncheckedFilter<'_>, acl: &Acl) -> bool {
    let (resource_type, pattern_type) = (acl.resource_type_code(), acl.pattern_type_code());
    if filter.resource_type != ANY && filter.resource_type != resource_type {
        return false;
    }
    if filter.pattern_type != ANY && filter.pattern_type != MATCH && filter.pattern_type != pattern_type {
        return false;
    }
    let name_matches = match filter.resource_name {
        None => true,
        Some(name) if filter.pattern_type == ANY || filter.pattern_type == pattern_type => name == acl.resource.name,
        Some(name) if pattern_type == LITERAL => name == acl.resource.name || acl.resource.name == "*",
        Some(name) => name.starts_with(&acl.resource.name),
    };
    name_matches
        && filter.principal.is_none_or(|principal| principal == acl.entry.principal.to_string())
        && filter.host.is_none_or(|host| host == acl.entry.host.to_string())
        && (filter.operation == ANY || filter.operation == acl.operation_code())
        && (filter.permission == ANY || filter.permission == acl.permission_code())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn filters_mean_what_they_mean_in_kafka(
        acls in prop::collection::btree_set(any_acl(), 0..40),
        resource_type in prop::sample::select(vec![ANY, 2, 3, 4, 5, 6]),
        pattern_type in prop::sample::select(vec![ANY, MATCH, LITERAL, PREFIXED]),
        name in prop::option::of(prop::sample::select(vec!["*", "a", "ab", "aba", "", "kafka-cluster"])),
        principal in prop::option::of(prop::sample::select(vec!["User:*", "User:sa-a", "User:u-a", "x"])),
        host in prop::option::of(prop::sample::select(vec!["*", "10.0.0.1", "x"])),
        operation in prop::sample::select(vec![ANY, ANY, 2, 3, 13]),
        permission in prop::sample::select(vec![ANY, ANY, 2, 3]),
    ) {
        let unchecked =
            UncheckedFilter { resource_type, resource_name: name, pattern_type, principal, host, operation, permission };
        let image = image_of(&acls.iter().cloned().collect::<Vec<_>>());
        let decision = decide::delete_acls(&image, &tenant(1), &[unchecked.check().unwrap()]).unwrap();
        let expected: BTreeSet<Acl> = acls.iter().filter(|acl| kafka_matches(&unchecked, acl)).cloned().collect();
        prop_assert_eq!(&decision.outcome[0].iter().cloned().collect::<BTreeSet<_>>(), &expected);
        let mut after = image.clone();
        after.apply_all(&decision.records).unwrap();
        let kept: BTreeSet<Acl> = acls.difference(&expected).cloned().collect();
        let left = after.tenant(&tenant(1)).map(|tenant| tenant.acls().clone()).unwrap_or_default();
        prop_assert_eq!(left.matching(&AclFilter::everything()).collect::<BTreeSet<_>>(), kept);
    }

    #[test]
    fn creating_and_deleting_any_acls_ends_with_nothing(acls in prop::collection::vec(any_acl(), 0..40)) {
        let mut image = MetadataImage::default();
        let asked = acls.iter().cloned().map(Ok).collect();
        let created = decide::create_acls(&image, &tenant(1), asked, 1_000).unwrap();
        prop_assert!(created.outcome.iter().all(Result::is_ok));
        image.apply_all(&created.records).unwrap();
        prop_assert_eq!(created.records.len(), acls.iter().collect::<BTreeSet<_>>().len());
        let again = decide::create_acls(&image, &tenant(1), acls.into_iter().map(Ok).collect(), 0).unwrap();
        prop_assert!(again.records.is_empty() && again.outcome.iter().all(Result::is_ok));
        let deleted = decide::delete_acls(&image, &tenant(1), &[AclFilter::everything()]).unwrap();
        image.apply_all(&deleted.records).unwrap();
        prop_assert!(image.tenant(&tenant(1)).is_none());
    }
}

#[test]
fn the_plan_bounds_acls_and_duplicates_do_not_count() {
    let acl = |name: &str| read_acl(PatternType::Literal, name, "User:sa-a", Permission::Allow);
    let image = image_of(&[acl("a")]);
    let asked = ["a", "b", "b", "c", "d", "c"].map(|name| Ok(acl(name))).to_vec();
    let decision = decide::create_acls(&image, &tenant(1), asked, 3).unwrap();
    let codes: Vec<i16> =
        decision.outcome.iter().map(|result| result.as_ref().map_or_else(AclError::kafka_error_code, |()| 0)).collect();
    assert_eq!(codes, [0, 0, 0, 0, POLICY_VIOLATION, 0]);
    assert_eq!(decision.records.len(), 2);
    let refused = decide::create_all_acls(&image, &tenant(1), vec![acl("b"), acl("c"), acl("d")], 3);
    assert_eq!(refused.unwrap_err(), AclError::TooMany { count: 3, limit: 3 });
    // Another tenant counts for itself.
    assert_eq!(decide::create_all_acls(&image, &tenant(2), vec![acl("a")], 1).unwrap().records.len(), 1);
}

#[test]
fn an_illegal_acl_does_not_hold_up_the_others() {
    let legal = LEGAL.check();
    let illegal = UncheckedAcl { host: "", ..LEGAL }.check();
    let decision = decide::create_acls(&MetadataImage::default(), &tenant(1), vec![illegal, legal], 10).unwrap();
    assert!(decision.outcome[0].is_err() && decision.outcome[1].is_ok());
    assert_eq!(decision.records.len(), 1);
}

#[test]
fn one_request_has_a_bound() {
    let acls = vec![LEGAL.check(); MAX_ACLS_PER_REQUEST + 1];
    let refused = decide::create_acls(&MetadataImage::default(), &tenant(1), acls, usize::MAX).unwrap_err();
    assert_eq!(refused.kafka_error_code(), POLICY_VIOLATION);
    let image = image_of(&[LEGAL.check().unwrap()]);
    let filters = vec![AclFilter::everything(); MAX_FILTERS_PER_REQUEST + 1];
    assert_eq!(decide::delete_acls(&image, &tenant(1), &filters).unwrap_err().kafka_error_code(), POLICY_VIOLATION);
    let names: Vec<Acl> = (0..100)
        .map(|number| read_acl(PatternType::Literal, &number.to_string(), "User:sa-a", Permission::Allow))
        .collect();
    let filters = vec![AclFilter::everything(); MAX_ACLS_PER_REQUEST / 100];
    let image = image_of(&names);
    let decision = decide::delete_acls(&image, &tenant(1), &filters).unwrap();
    assert_eq!(decision.records.len(), 100, "an ACL that many filters mean is deleted once");
    let filters = vec![AclFilter::everything(); MAX_ACLS_PER_REQUEST / 100 + 1];
    assert_eq!(decide::delete_acls(&image, &tenant(1), &filters).unwrap_err().kafka_error_code(), POLICY_VIOLATION);
}

#[test]
fn a_tenant_takes_its_acls_with_it_and_no_others() {
    let mut image = image_with_brokers(1);
    let acl = LEGAL.check().unwrap();
    for number in [1, 2] {
        image.apply(&MetadataRecord::AddAcl { tenant: tenant(number), acl: acl.clone() }).unwrap();
        let created = decide::create_topic(&image, &tenant(number), &create_request("orders", 1, 1)).unwrap();
        image.apply_all(&created.records).unwrap();
    }
    let decision = decide::delete_tenant(&image, &tenant(1), 10);
    assert!(!decision.outcome);
    image.apply_all(&decision.records).unwrap();
    assert!(image.tenant(&tenant(1)).is_none());
    assert_eq!(image.tenant(&tenant(2)).unwrap().acls().len(), 1);
}

#[test]
fn the_log_names_every_value_by_kafkas_number() {
    for resource_type in RESOURCE_TYPES {
        for pattern_type in PATTERN_TYPES {
            for operation in OPERATIONS {
                for permission in PERMISSIONS {
                    let acl = UncheckedAcl {
                        resource_type: resource_type.code,
                        resource_name: "kafka-cluster",
                        pattern_type: pattern_type.code,
                        operation: operation.code,
                        permission: permission.code,
                        ..LEGAL
                    };
                    let image = image_of(&[acl.check().unwrap()]);
                    assert_eq!(snapshot::decode(&snapshot::encode(&image)).as_ref(), Ok(&image));
                }
            }
        }
    }
}

/// A snapshot that a release without ACLs wrote: one broker, one topic with one partition and one config.
const SNAPSHOT_WITHOUT_ACLS: &str = "\
    4d534d4554410001000000000000000400000001e48cbf61000000a90145a5112e040601310000000000000000000000\
    0000000000010201067261636b2d61010845585445524e414c096c6f63616c686f737484470001011d056c6b632d3100\
    000000000000000000000000000090066f726465727303011f056c6b632d310000000000000000000000000000009000\
    010001000100000005012a01056c6b632d31000000000000000000000000000000900c726574656e74696f6e2e6d7301\
    0431303030";

#[test]
fn a_snapshot_of_a_release_without_acls_is_read() {
    let bytes: Vec<u8> = SNAPSHOT_WITHOUT_ACLS
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let mut image = snapshot::decode(&bytes).unwrap();
    let owner = image.tenant(&tenant(1)).unwrap();
    assert!(owner.topic_by_name("orders").is_some() && owner.acls().is_empty());
    assert_eq!(snapshot::encode(&image), bytes);
    image.apply(&MetadataRecord::AddAcl { tenant: tenant(1), acl: LEGAL.check().unwrap() }).unwrap();
    assert_eq!(image.tenant(&tenant(1)).unwrap().acls().len(), 1);
}
