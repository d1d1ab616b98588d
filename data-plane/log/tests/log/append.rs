use millstream_log::{AppendError, LogConfig};
use millstream_protocol::record_batch::{
    BatchBuilder, BatchIterator, NewRecord, ProduceLimits, TimestampType, parse_header, validate_produced,
};

use crate::support::*;

#[test]
fn offsets_follow_one_another_over_segments() {
    let place = place();
    let mut log = open(&place.directory, small_segments());
    let mut expected = Vec::new();
    for number in 0..100 {
        let value = format!("value {number}");
        let appended = append(&mut log, &batch(&[&value, "second"])).unwrap();
        assert_eq!(
            (appended.base_offset, appended.last_offset, appended.duplicate),
            (number * 2, number * 2 + 1, false)
        );
        expected.extend([value, "second".to_owned()]);
    }
    assert!(log.segment_count() > 5);
    assert_eq!(log.log_end_offset(), 200);
    assert_eq!(values(&log), expected);
}

#[test]
fn nothing_is_on_disk_before_the_first_append() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    assert_eq!((log.log_start_offset(), log.log_end_offset(), log.size_bytes()), (0, 0, 0));
    log.flush().unwrap();
    log.close().unwrap();
    assert!(!place.directory.exists());
}

#[test]
fn a_batch_is_stored_as_it_came_except_for_offset_and_leader_epoch() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    append_values(&mut log, &["first"]);
    let sent = batch(&["second", "third"]);
    append_at(&mut log, &sent, 7, NOW).unwrap();
    let slice = log.read(1, 1 << 20, millstream_log::MinOneBatch::No, i64::MAX).unwrap().unwrap();
    let stored = slice.read().unwrap();
    assert_eq!(stored[16..], sent[16..]);
    let header = parse_header(&stored).unwrap();
    assert_eq!((header.base_offset, header.partition_leader_epoch), (1, 7));
}

#[test]
fn log_append_time_replaces_the_records_times_and_keeps_the_checksum_good() {
    let place = place();
    let config = LogConfig { timestamp_type: TimestampType::LogAppendTime, ..LogConfig::default() };
    let mut log = open(&place.directory, config);
    let appended = append_at(&mut log, &batch_at(5, &["a", "b"]), 0, NOW + 9).unwrap();
    assert_eq!(appended.log_append_time_ms, NOW + 9);
    let bytes = log.read(0, 1 << 20, millstream_log::MinOneBatch::No, i64::MAX).unwrap().unwrap().read().unwrap();
    let stored = BatchIterator::new(&bytes).next().unwrap().unwrap();
    stored.verify_checksum().unwrap();
    let payload = stored.payload(1 << 20).unwrap();
    assert!(stored.records(&payload).all(|record| record.unwrap().timestamp == NOW + 9));
}

#[test]
fn a_max_timestamp_that_was_corrected_by_validation_is_stored_with_a_good_checksum() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    let mut lying = batch_at(100, &["a"]);
    lying[35..43].copy_from_slice(&500_i64.to_be_bytes());
    let crc = crc32c::crc32c(&lying[21..]);
    lying[17..21].copy_from_slice(&crc.to_be_bytes());
    let header = validate_produced(&lying, &ProduceLimits { now_ms: 600, ..ProduceLimits::default() }).unwrap();
    log.append(&lying, &header, 0, 600).unwrap();
    let bytes = log.read(0, 1 << 20, millstream_log::MinOneBatch::No, i64::MAX).unwrap().unwrap().read().unwrap();
    let stored = BatchIterator::new(&bytes).next().unwrap().unwrap();
    stored.verify_checksum().unwrap();
    assert_eq!(stored.header.max_timestamp, 100);
    assert_eq!(log.max_timestamp_offset().unwrap().unwrap().timestamp, 100);
}

#[test]
fn a_segment_is_closed_when_it_is_old_by_the_time_of_its_batches() {
    let place = place();
    let mut log = open(&place.directory, LogConfig { segment_ms: 1000, ..LogConfig::default() });
    append_at(&mut log, &batch_at(NOW, &["a"]), 0, NOW).unwrap();
    append_at(&mut log, &batch_at(NOW + 999, &["b"]), 0, NOW).unwrap();
    assert_eq!(log.segment_count(), 1);
    append_at(&mut log, &batch_at(NOW + 1000, &["c"]), 0, NOW).unwrap();
    assert_eq!(log.segment_count(), 2);
    drop(log);
    let mut log = open(&place.directory, LogConfig { segment_ms: 1000, ..LogConfig::default() });
    append_at(&mut log, &batch_at(NOW + 2000, &["d"]), 0, NOW).unwrap();
    assert_eq!(log.segment_count(), 3);
    assert_eq!(values(&log), ["a", "b", "c", "d"]);
}

#[test]
fn a_segment_is_closed_when_its_index_is_full() {
    let place = place();
    let config = LogConfig { index_interval_bytes: 1, segment_index_bytes: 100, ..LogConfig::default() };
    let mut log = open(&place.directory, config);
    for _ in 0..20 {
        append_values(&mut log, &["x"]);
    }
    assert!(log.segment_count() >= 4);
    assert_eq!(values(&log).len(), 20);
}

#[test]
fn a_segment_is_closed_before_its_offsets_exceed_31_bits() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    append_values(&mut log, &["x"]);
    // Offsets may have gaps for a reader, so a batch may claim a large range without holding its records.
    let mut wide = batch(&["y"]);
    wide[23..27].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
    let crc = crc32c::crc32c(&wide[21..]);
    wide[17..21].copy_from_slice(&crc.to_be_bytes());
    let header = parse_header(&wide).unwrap();
    log.append(&wide, &header, 0, NOW).unwrap();
    assert_eq!(log.segment_count(), 1);
    log.append(&wide, &header, 0, NOW).unwrap();
    assert_eq!(log.segment_count(), 2);
    assert_eq!(log.log_end_offset(), 1 + 2 * i64::from(i32::MAX));
    drop(log);
    assert_eq!(open(&place.directory, LogConfig::default()).log_end_offset(), 1 + 2 * i64::from(i32::MAX));
}

#[test]
fn a_batch_larger_than_a_segment_is_refused_and_changes_nothing() {
    let place = place();
    let mut log = open(&place.directory, small_segments());
    append_values(&mut log, &["x"]);
    let large = "y".repeat(2000);
    let error = append(&mut log, &batch(&[&large])).unwrap_err();
    assert!(matches!(error, AppendError::TooLargeForSegment { segment_bytes: 1000, .. }), "{error:?}");
    assert_eq!((log.log_end_offset(), log.segment_count()), (1, 1));
}

#[test]
fn a_batch_that_does_not_fit_its_header_is_refused() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    let good = batch(&["x"]);
    let header = parse_header(&good).unwrap();
    for bad in [&good[..good.len() - 1], &good[..20], &[]] {
        assert!(matches!(log.append(bad, &header, 0, NOW), Err(AppendError::Malformed { .. })));
    }
    let mut negative = header;
    negative.last_offset_delta = -1;
    assert!(matches!(log.append(&good, &negative, 0, NOW), Err(AppendError::Malformed { .. })));
}

#[test]
fn an_older_leader_epoch_is_fenced() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    append_at(&mut log, &batch(&["a"]), 3, NOW).unwrap();
    let error = append_at(&mut log, &batch(&["b"]), 2, NOW).unwrap_err();
    assert!(matches!(error, AppendError::StaleLeaderEpoch { offered: 2, current: 3 }));
    drop(log);
    let mut log = open(&place.directory, LogConfig::default());
    assert_eq!(log.latest_leader_epoch(), Some(3));
    assert!(append_at(&mut log, &batch(&["b"]), 2, NOW).is_err());
}

#[test]
fn a_leader_epoch_without_a_batch_has_an_end() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    append_at(&mut log, &batch(&["a", "b"]), 1, NOW).unwrap();
    log.begin_leader_epoch(4).unwrap();
    let end = |log: &millstream_log::Log, epoch| log.epoch_end_offset(epoch).map(|end| (end.epoch, end.end_offset));
    assert_eq!(end(&log, 1), Some((1, 2)));
    assert_eq!(end(&log, 4), Some((4, 2)));
    assert_eq!(end(&log, 5), None);
    append_at(&mut log, &batch(&["c"]), 4, NOW).unwrap();
    assert_eq!(end(&log, 3), Some((1, 2)));
    assert_eq!((log.leader_epoch_at(1), log.leader_epoch_at(2)), (Some(1), Some(4)));
}

#[test]
fn a_closed_log_refuses_appends_and_can_still_be_read() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    append_values(&mut log, &["a"]);
    log.close().unwrap();
    log.close().unwrap();
    assert!(append(&mut log, &batch(&["b"])).is_err());
    assert_eq!(values(&log), ["a"]);
}

#[test]
fn a_destroyed_log_leaves_nothing() {
    let place = place();
    let mut log = open(&place.directory, small_segments());
    for _ in 0..30 {
        append_values(&mut log, &["a"]);
    }
    log.destroy().unwrap();
    assert!(names(place.directory.parent().unwrap()).is_empty());
    open(&place.directory, small_segments()).destroy().unwrap();
}

#[test]
fn compressed_batches_pass_through() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    let mut builder = BatchBuilder::new().compression(millstream_protocol::compression::Compression::Zstd);
    builder.append(NewRecord { timestamp: NOW, key: None, value: Some(b"zipped"), headers: &[] });
    append(&mut log, &builder.build().unwrap()).unwrap();
    assert_eq!(values(&log), ["zipped"]);
}
