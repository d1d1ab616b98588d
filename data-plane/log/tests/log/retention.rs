use millstream_log::{Deleted, DeletionReason, Log, LogConfig, ReadError};

use crate::support::*;

/// Ten segments of one record each, an hour apart.
fn ten_segments(place: &Place, config: LogConfig) -> Log {
    let mut log = open(&place.directory, config);
    for number in 0..10 {
        append(&mut log, &batch_at(hour(number), &["v"])).unwrap();
        if number < 9 {
            log.roll().unwrap();
        }
    }
    log
}

fn hour(number: i64) -> i64 {
    number * 3_600_000
}

fn no_retention() -> LogConfig {
    LogConfig { retention_ms: -1, retention_bytes: -1, segment_ms: i64::MAX, ..LogConfig::default() }
}

#[track_caller]
fn check_deleted(deleted: &[Deleted], expected: &[(i64, DeletionReason)]) {
    let deleted: Vec<_> = deleted.iter().map(|deleted| (deleted.base_offset, deleted.reason)).collect();
    assert_eq!(deleted, expected);
}

#[test]
fn segments_older_than_the_retention_time_go() {
    let place = place();
    let mut log = ten_segments(&place, LogConfig { retention_ms: hour(6), ..no_retention() });
    check_deleted(&log.apply_retention(hour(6)).unwrap(), &[]);
    let deleted = log.apply_retention(hour(7) + 1).unwrap();
    check_deleted(&deleted, &[(0, DeletionReason::Time), (1, DeletionReason::Time)]);
    assert_eq!((log.log_start_offset(), log.segment_count()), (2, 8));
    drop(log);
    let log = open(&place.directory, no_retention());
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (2, 10));
}

#[test]
fn segments_go_while_the_rest_is_large_enough() {
    let place = place();
    let mut log = ten_segments(&place, no_retention());
    let one = log.size_bytes() / 10;
    log.update_config(LogConfig { retention_bytes: (one * 7) as i64, ..no_retention() });
    check_deleted(
        &log.apply_retention(0).unwrap(),
        &[(0, DeletionReason::Size), (1, DeletionReason::Size), (2, DeletionReason::Size)],
    );
    assert_eq!(log.size_bytes(), one * 7);
    check_deleted(&log.apply_retention(0).unwrap(), &[]);
}

#[test]
fn the_last_segment_goes_too_when_all_of_it_is_old_and_offsets_go_on() {
    let place = place();
    let mut log = ten_segments(&place, LogConfig { retention_ms: 1, ..no_retention() });
    assert_eq!(log.apply_retention(hour(100)).unwrap().len(), 10);
    assert_eq!((log.log_start_offset(), log.log_end_offset(), log.size_bytes()), (10, 10, 0));
    assert!(log.apply_retention(hour(200)).unwrap().is_empty());
    drop(log);
    let mut log = open(&place.directory, no_retention());
    assert_eq!(append_values(&mut log, &["next"]), 10);
}

#[test]
fn nothing_above_the_high_watermark_goes() {
    let place = place();
    let mut log = ten_segments(&place, LogConfig { retention_ms: 1, ..no_retention() });
    assert_eq!(log.apply_retention_below(hour(100), 4).unwrap().len(), 4);
    assert_eq!(log.log_start_offset(), 4);
}

#[test]
fn a_young_segment_protects_the_old_ones_after_it() {
    let place = place();
    let mut log = open(&place.directory, LogConfig { retention_ms: hour(1), ..no_retention() });
    for time in [hour(10), hour(1), hour(2)] {
        append(&mut log, &batch_at(time, &["v"])).unwrap();
        log.roll().unwrap();
    }
    assert!(log.apply_retention(hour(11)).unwrap().is_empty());
}

#[test]
fn deleting_records_moves_the_start_into_a_batch_and_survives_a_crash() {
    let place = place();
    let mut log = open(&place.directory, no_retention());
    append_values(&mut log, &["a", "b", "c", "d"]);
    assert!(log.delete_records_before(2).unwrap().is_empty());
    assert_eq!(values(&log), ["c", "d"]);
    drop(log);
    let mut log = open(&place.directory, no_retention());
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (2, 4));
    assert_eq!(values(&log), ["c", "d"]);
    assert!(log.delete_records_before(1).unwrap().is_empty());
    assert!(log.delete_records_before(2).unwrap().is_empty());
    assert_eq!(log.log_start_offset(), 2);
    assert!(matches!(log.delete_records_before(5), Err(ReadError::OutOfRange { .. })));
}

#[test]
fn deleting_records_frees_whole_segments() {
    let place = place();
    let mut log = ten_segments(&place, no_retention());
    let reason = DeletionReason::LogStart;
    check_deleted(&log.delete_records_before(3).unwrap(), &[(0, reason), (1, reason), (2, reason)]);
    assert_eq!(log.delete_records_before(10).unwrap().len(), 7);
    assert_eq!((log.log_start_offset(), log.log_end_offset(), log.size_bytes()), (10, 10, 0));
    drop(log);
    let mut log = open(&place.directory, no_retention());
    assert_eq!(append_values(&mut log, &["next"]), 10);
    assert_eq!(values(&log), ["next"]);
}

#[test]
fn leader_epochs_follow_the_log_start() {
    let place = place();
    let mut log = open(&place.directory, no_retention());
    for epoch in 0..5 {
        append_at(&mut log, &batch(&["v", "w"]), epoch, NOW).unwrap();
    }
    log.delete_records_before(5).unwrap();
    assert_eq!(log.epoch_end_offset(0).map(|end| end.end_offset), Some(5));
    assert_eq!(log.leader_epoch_at(5), Some(2));
    drop(log);
    assert_eq!(open(&place.directory, no_retention()).epoch_end_offset(2).map(|end| end.end_offset), Some(6));
}

#[test]
fn an_interrupted_deletion_is_finished_when_the_log_opens() {
    let (place, copy) = (place(), crate::support::place());
    let mut log = ten_segments(&place, no_retention());
    copy_directory(&place.directory, &copy.directory);
    log.delete_records_before(5).unwrap();
    // The start is durable before files go, so a crash leaves the new checkpoint with the old segments.
    std::fs::copy(place.directory.join("checkpoint"), copy.directory.join("checkpoint")).unwrap();
    let log = open(&copy.directory, no_retention());
    assert_eq!((log.log_start_offset(), log.segment_count()), (5, 5));
    assert_eq!(names(&copy.directory).iter().filter(|name| name.ends_with(".log")).count(), 5);
}
