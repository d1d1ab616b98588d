use millstream_log::{Log, LogConfig};
use millstream_protocol::{
    compression::Compression,
    record_batch::{BatchBuilder, NewRecord, TimestampType},
};
use proptest::prelude::*;

use crate::support::*;

#[track_caller]
fn check_found(log: &Log, timestamp: i64, expected: Option<(i64, i64)>) {
    let found = log.offset_for_timestamp(timestamp).unwrap().map(|found| (found.timestamp, found.offset));
    assert_eq!(found, expected, "timestamp {timestamp}");
}

#[test]
fn the_first_record_at_or_after_a_time_is_found_inside_its_batch() {
    for compression in [Compression::None, Compression::Lz4] {
        let place = place();
        let mut log = open(&place.directory, LogConfig::default());
        for base in [100, 200] {
            let mut builder = BatchBuilder::new().compression(compression);
            for step in [0, 10, 5, 20] {
                builder.append(NewRecord { timestamp: base + step, key: None, value: None, headers: &[] });
            }
            append(&mut log, &builder.build().unwrap()).unwrap();
        }
        check_found(&log, 0, Some((100, 0)));
        check_found(&log, 101, Some((110, 1)));
        check_found(&log, 111, Some((120, 3)));
        check_found(&log, 121, Some((200, 4)));
        check_found(&log, 220, Some((220, 7)));
        check_found(&log, 221, None);
        let newest = log.max_timestamp_offset().unwrap().unwrap();
        assert_eq!((newest.timestamp, newest.offset, newest.leader_epoch), (220, 7, 0));
    }
}

#[test]
fn a_log_append_time_batch_is_found_at_its_first_record() {
    let place = place();
    let mut log =
        open(&place.directory, LogConfig { timestamp_type: TimestampType::LogAppendTime, ..LogConfig::default() });
    append_at(&mut log, &batch_at(1, &["a", "b"]), 0, 500).unwrap();
    append_at(&mut log, &batch_at(9999, &["c", "d"]), 0, 600).unwrap();
    check_found(&log, 1, Some((500, 0)));
    check_found(&log, 501, Some((600, 2)));
    check_found(&log, 601, None);
}

#[test]
fn an_empty_log_and_a_log_without_times_have_no_largest_timestamp() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    assert_eq!(log.max_timestamp_offset().unwrap(), None);
    append(&mut log, &batch_at(-1, &["a"])).unwrap();
    assert_eq!(log.max_timestamp_offset().unwrap(), None);
    check_found(&log, 0, None);
}

#[test]
fn records_below_the_log_start_are_not_found() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    append(&mut log, &batch_at(100, &["a", "b", "c"])).unwrap();
    append(&mut log, &batch_at(50, &["d"])).unwrap();
    log.delete_records_before(2).unwrap();
    check_found(&log, 10, Some((100, 2)));
    log.delete_records_before(3).unwrap();
    check_found(&log, 10, Some((50, 3)));
    check_found(&log, 51, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn times_out_of_order_are_found_as_a_full_scan_finds_them(
        times in proptest::collection::vec(proptest::collection::vec(0_i64..50, 1..5), 1..60),
        interval in 1_usize..400,
        reopen in 0_u8..3,
    ) {
        let place = place();
        let config = LogConfig { segment_bytes: 700, index_interval_bytes: interval, ..LogConfig::default() };
        let mut log = open(&place.directory, config.clone());
        let mut all = Vec::new();
        for batch in &times {
            let mut builder = BatchBuilder::new();
            for timestamp in batch {
                builder.append(NewRecord { timestamp: *timestamp, key: None, value: None, headers: &[] });
                all.push(*timestamp);
            }
            append(&mut log, &builder.build().unwrap()).unwrap();
        }
        if reopen > 0 {
            if reopen == 2 {
                log.close().unwrap();
            }
            drop(log);
            log = open(&place.directory, config);
        }
        for target in 0..51 {
            let expected = all.iter().position(|timestamp| *timestamp >= target).map(|offset| (all[offset], offset as i64));
            let found = log.offset_for_timestamp(target).unwrap().map(|found| (found.timestamp, found.offset));
            prop_assert_eq!(found, expected);
        }
        let largest = *all.iter().max().unwrap();
        let expected = all.iter().position(|timestamp| *timestamp == largest).map(|offset| offset as i64);
        prop_assert_eq!(log.max_timestamp_offset().unwrap().map(|found| found.offset), expected);
    }
}
