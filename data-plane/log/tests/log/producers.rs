use millstream_log::{AppendError, Log, LogConfig, MAX_PRODUCERS};

use crate::support::*;

#[track_caller]
fn check_appended(log: &mut Log, batch: &[u8], offset: i64) {
    let appended = append(log, batch).unwrap();
    assert_eq!((appended.base_offset, appended.duplicate), (offset, false));
}

#[track_caller]
fn check_duplicate(log: &mut Log, batch: &[u8], offset: i64) {
    let end = log.log_end_offset();
    let appended = append(log, batch).unwrap();
    assert_eq!((appended.base_offset, appended.duplicate), (offset, true));
    assert_eq!(log.log_end_offset(), end);
}

#[track_caller]
fn check_out_of_order(log: &mut Log, batch: &[u8], expected_sequence: i32) {
    let error = append(log, batch).unwrap_err();
    assert!(
        matches!(error, AppendError::OutOfOrderSequence { expected, .. } if expected == expected_sequence),
        "{error}"
    );
}

#[test]
fn each_of_the_last_five_batches_is_answered_with_its_first_offset() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    for number in 0..8 {
        check_appended(&mut log, &sequenced(1, 0, number * 2, 2), i64::from(number) * 2);
    }
    for number in 3..8 {
        check_duplicate(&mut log, &sequenced(1, 0, number * 2, 2), i64::from(number) * 2);
    }
    check_out_of_order(&mut log, &sequenced(1, 0, 4, 2), 16);
}

#[test]
fn a_gap_and_an_overlap_are_refused() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    check_appended(&mut log, &sequenced(1, 0, 0, 3), 0);
    check_out_of_order(&mut log, &sequenced(1, 0, 4, 1), 3);
    check_out_of_order(&mut log, &sequenced(1, 0, 2, 2), 3);
    check_appended(&mut log, &sequenced(1, 0, 3, 1), 3);
    check_appended(&mut log, &sequenced(2, 0, 0, 1), 4);
}

#[test]
fn sequences_wrap_to_zero() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    check_appended(&mut log, &sequenced(1, 0, i32::MAX - 2, 2), 0);
    check_appended(&mut log, &sequenced(1, 0, i32::MAX, 3), 2);
    check_duplicate(&mut log, &sequenced(1, 0, i32::MAX, 3), 2);
    check_appended(&mut log, &sequenced(1, 0, 2, 1), 5);
    check_out_of_order(&mut log, &sequenced(1, 0, 0, 1), 3);
}

#[test]
fn a_producer_without_state_may_begin_anywhere() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    check_appended(&mut log, &sequenced(1, 5, 77, 1), 0);
    check_appended(&mut log, &sequenced(1, 5, 78, 1), 1);
}

#[test]
fn a_new_epoch_begins_at_zero_and_fences_the_old() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    check_appended(&mut log, &sequenced(1, 0, 0, 1), 0);
    check_out_of_order(&mut log, &sequenced(1, 1, 1, 1), 0);
    check_appended(&mut log, &sequenced(1, 1, 0, 1), 1);
    let error = append(&mut log, &sequenced(1, 0, 1, 1)).unwrap_err();
    assert!(matches!(error, AppendError::InvalidProducerEpoch { offered: 0, current: 1, .. }), "{error}");
    check_duplicate(&mut log, &sequenced(1, 1, 0, 1), 1);
}

#[test]
fn duplicates_are_known_after_a_restart_of_any_kind() {
    for closed in [true, false] {
        let place = place();
        let mut log = open(&place.directory, small_segments());
        for number in 0..30 {
            append(&mut log, &sequenced(1, 0, number, 1)).unwrap();
            append(&mut log, &sequenced(2, 3, number, 1)).unwrap();
        }
        if closed {
            log.close().unwrap();
        }
        drop(log);
        let mut log = open(&place.directory, small_segments());
        for number in 25..30 {
            check_duplicate(&mut log, &sequenced(1, 0, number, 1), i64::from(number) * 2);
        }
        check_out_of_order(&mut log, &sequenced(2, 3, 31, 1), 30);
        check_appended(&mut log, &sequenced(2, 3, 30, 1), 60);
    }
}

#[test]
fn state_survives_when_the_records_of_a_producer_are_deleted() {
    let place = place();
    let mut log = open(&place.directory, small_segments());
    append(&mut log, &sequenced(1, 0, 0, 1)).unwrap();
    for _ in 0..50 {
        append_values(&mut log, &["filler"]);
    }
    log.delete_records_before(40).unwrap();
    drop(log);
    let mut log = open(&place.directory, small_segments());
    check_out_of_order(&mut log, &sequenced(1, 0, 2, 1), 1);
    check_appended(&mut log, &sequenced(1, 0, 1, 1), 51);
}

#[test]
fn a_silent_producer_expires_and_may_then_begin_anywhere() {
    let place = place();
    let mut log = open(&place.directory, LogConfig { producer_expiration_ms: 1000, ..LogConfig::default() });
    append(&mut log, &sequenced(1, 0, 0, 1)).unwrap();
    log.apply_retention(NOW + 999).unwrap();
    check_out_of_order(&mut log, &sequenced(1, 0, 5, 1), 1);
    log.apply_retention(NOW + 1000).unwrap();
    assert!(log.producers().is_empty());
    check_appended(&mut log, &sequenced(1, 0, 5, 1), 1);
}

#[test]
fn producers_are_bounded_and_the_longest_silent_go_first() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    for producer_id in 0..=MAX_PRODUCERS as i64 {
        append_at(&mut log, &sequenced(producer_id, 0, 0, 1), 0, NOW + producer_id).unwrap();
    }
    let kept = log.producers();
    assert!(kept.len() <= MAX_PRODUCERS);
    assert!(kept.iter().any(|producer| producer.producer_id == MAX_PRODUCERS as i64));
    assert!(!kept.iter().any(|producer| producer.producer_id == 0));
    log.close().unwrap();
    assert_eq!(open(&place.directory, LogConfig::default()).producers().len(), kept.len());
}
