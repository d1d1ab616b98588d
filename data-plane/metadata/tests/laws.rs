//! Laws that hold for every sequence of records.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use millstream_metadata::delta::MetadataDelta;
use millstream_metadata::image::MetadataImage;
use millstream_metadata::records::{DecodeError, MetadataRecord, decode_frame, encode_frame};
use millstream_metadata::snapshot;
use proptest::prelude::*;
use support::{any_record, image_of, tenant};

fn any_records() -> impl Strategy<Value = Vec<MetadataRecord>> {
    prop::collection::vec(any_record(), 0..120)
}

fn partitions(image: &MetadataImage) -> BTreeSet<(String, uuid::Uuid, usize, String)> {
    let mut all = BTreeSet::new();
    for (tenant, of_tenant) in image.tenants() {
        for topic in of_tenant.topics() {
            for (number, partition) in topic.partitions.iter().enumerate() {
                all.insert((tenant.to_string(), topic.id, number, format!("{partition:?}")));
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn applying_the_records_of_an_image_gives_that_image(records in any_records()) {
        let image = image_of(&records);
        let mut again = MetadataImage::default();
        again.apply_all(&snapshot::records(&image)).unwrap();
        // Everything but the offset, which counts records.
        prop_assert_eq!(snapshot::records(&again), snapshot::records(&image));
        prop_assert!(MetadataDelta::between(&image, &again).is_empty());
        prop_assert_eq!(again.partition_count(), image.partition_count());
    }

    #[test]
    fn a_snapshot_decodes_to_the_image_it_was_made_of(records in any_records()) {
        let image = image_of(&records);
        prop_assert_eq!(snapshot::decode(&snapshot::encode(&image)), Ok(image));
    }

    #[test]
    fn a_snapshot_with_any_byte_changed_is_refused(
        records in any_records(), position in any::<prop::sample::Index>(), flip in 1u8..=255,
    ) {
        let mut bytes = snapshot::encode(&image_of(&records));
        let position = position.index(bytes.len());
        bytes[position] ^= flip;
        prop_assert!(snapshot::decode(&bytes).is_err());
    }

    #[test]
    fn records_decode_to_what_was_encoded(records in any_records()) {
        prop_assert_eq!(decode_frame(&encode_frame(&records)), Ok(records));
    }

    #[test]
    fn a_frame_cut_anywhere_is_refused(records in any_records(), cut in any::<prop::sample::Index>()) {
        let frame = encode_frame(&records);
        prop_assert!(decode_frame(&frame[..cut.index(frame.len())]).is_err());
    }

    #[test]
    fn a_refused_record_leaves_the_image_as_it_was(records in any_records(), record in any_record()) {
        let mut image = image_of(&records);
        let before = image.clone();
        if image.apply(&record).is_err() {
            prop_assert_eq!(image, before);
        } else {
            prop_assert_eq!(image.offset(), before.offset() + 1);
        }
    }

    #[test]
    fn a_delta_names_exactly_the_partitions_that_differ(records in any_records(), more in any_records()) {
        let before = image_of(&records);
        let mut after = before.clone();
        for record in &more {
            // An id is never used twice, so no topic comes back under the id of one that was there before.
            let reuses = matches!(record, MetadataRecord::Topic { tenant, topic_id, .. }
                if before.topic_by_id(tenant, *topic_id).is_some());
            if !reuses {
                let _ = after.apply(record);
            }
        }
        let delta = MetadataDelta::between(&before, &after);
        let mut expected = partitions(&before);
        for removed in &delta.removed_topics {
            expected.retain(|(tenant, topic_id, _, _)| {
                *tenant != removed.tenant.to_string() || *topic_id != removed.topic.id
            });
        }
        for changed in &delta.changed_partitions {
            let key = |partition: &_| {
                (changed.tenant.to_string(), changed.topic.id, changed.partition as usize, format!("{partition:?}"))
            };
            if let Some(before) = &changed.before {
                prop_assert!(expected.remove(&key(before.as_ref())));
            }
            prop_assert!(expected.insert(key(changed.after.as_ref())));
        }
        prop_assert_eq!(expected, partitions(&after));
        for number in 0..3 {
            let acls = |image: &MetadataImage| image.tenant(&tenant(number)).map(|tenant| tenant.acls().clone());
            let differ = acls(&before).unwrap_or_default() != acls(&after).unwrap_or_default();
            prop_assert_eq!(delta.changed_acls.contains(&tenant(number)), differ);
        }
        prop_assert_eq!(delta.is_empty(), snapshot::records(&before) == snapshot::records(&after)
            || only_producer_ids_differ(&before, &after));
    }

    #[test]
    fn counts_are_those_of_the_partitions_and_the_acls(records in any_records()) {
        let image = image_of(&records);
        prop_assert_eq!(image.partition_count(), partitions(&image).len());
        for (tenant, of_tenant) in image.tenants() {
            let count = partitions(&image).iter().filter(|entry| entry.0 == tenant.to_string()).count();
            prop_assert_eq!(of_tenant.partition_count(), count);
            let acls: usize = of_tenant.acls().by_resource().map(|(_, entries)| entries.len()).sum();
            prop_assert_eq!(of_tenant.acls().len(), acls);
            prop_assert_eq!(of_tenant.acls().is_empty(), acls == 0);
        }
    }
}

fn only_producer_ids_differ(before: &MetadataImage, after: &MetadataImage) -> bool {
    let without_ids = |image: &MetadataImage| {
        let mut records = snapshot::records(image);
        records.retain(|record| !matches!(record, MetadataRecord::ProducerIds { .. }));
        records
    };
    without_ids(before) == without_ids(after)
}

#[test]
fn a_record_of_an_unknown_kind_is_refused() {
    let mut frame = vec![1, 0, 0, 0, 0, 1, 200, 1, 0];
    let checksum = crc32c::crc32c(&frame[5..]).to_be_bytes();
    frame[1..5].copy_from_slice(&checksum);
    assert_eq!(decode_frame(&frame), Err(DecodeError::UnknownRecord { kind: 200, version: 1 }));
}

#[test]
fn a_record_of_a_newer_version_is_refused() {
    let mut frame = vec![1, 0, 0, 0, 0, 1, 1, 2, 0];
    let checksum = crc32c::crc32c(&frame[5..]).to_be_bytes();
    frame[1..5].copy_from_slice(&checksum);
    assert_eq!(decode_frame(&frame), Err(DecodeError::UnknownRecord { kind: 1, version: 2 }));
}

#[test]
fn a_frame_of_a_newer_version_is_refused() {
    assert_eq!(decode_frame(&[2, 0, 0, 0, 0, 0]), Err(DecodeError::UnknownFrameVersion { version: 2 }));
}

#[test]
fn bytes_that_claim_many_records_allocate_nothing() {
    let mut frame = vec![1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f];
    let checksum = crc32c::crc32c(&frame[5..]).to_be_bytes();
    frame[1..5].copy_from_slice(&checksum);
    assert!(matches!(decode_frame(&frame), Err(DecodeError::TooLong { field: "records", .. })));
}

#[test]
fn decoding_any_bytes_ends_without_a_panic_and_what_decodes_encodes_to_the_same_bytes() {
    bolero::check!().with_type::<Vec<u8>>().for_each(|bytes| {
        check_decoding(bytes);
        // With a right checksum, so that the fields behind it are reached.
        let mut sealed = vec![1, 0, 0, 0, 0];
        sealed.extend_from_slice(bytes);
        let checksum = crc32c::crc32c(&sealed[5..]).to_be_bytes();
        sealed[1..5].copy_from_slice(&checksum);
        check_decoding(&sealed);
        let _ = snapshot::decode(bytes);
    });
}

fn check_decoding(bytes: &[u8]) {
    if let Ok(records) = decode_frame(bytes) {
        assert_eq!(encode_frame(&records), bytes);
    }
}
