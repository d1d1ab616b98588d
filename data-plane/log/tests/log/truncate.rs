use millstream_log::{Log, LogConfig};

use crate::support::*;

fn filled(place: &Place) -> Log {
    let mut log = open(&place.directory, small_segments());
    for number in 0..40 {
        append_at(&mut log, &sequenced(1, 0, number * 2, 2), number / 10, NOW).unwrap();
    }
    log
}

#[test]
fn truncation_removes_every_batch_that_holds_the_offset_or_more() {
    for (offset, expected_end) in [(79, 78), (78, 78), (41, 40), (40, 40), (3, 2), (1, 0)] {
        for flushed in [true, false] {
            let place = place();
            let mut log = filled(&place);
            if flushed {
                log.flush().unwrap();
            }
            log.truncate_to(offset, NOW).unwrap();
            assert_eq!(log.log_end_offset(), expected_end);
            assert_eq!(values(&log).len() as i64, expected_end);
            drop(log);
            let mut log = open(&place.directory, small_segments());
            assert_eq!(log.log_end_offset(), expected_end);
            // Producer state is what it was then: the next sequence fits, the one that was cut is no duplicate.
            let appended = append_at(&mut log, &sequenced(1, 0, expected_end as i32, 2), 4, NOW).unwrap();
            assert_eq!((appended.base_offset, appended.duplicate), (expected_end, false));
        }
    }
}

#[test]
fn truncation_at_or_above_the_end_changes_nothing() {
    let place = place();
    let mut log = filled(&place);
    log.truncate_to(80, NOW).unwrap();
    log.truncate_to(1000, NOW).unwrap();
    assert_eq!(log.log_end_offset(), 80);
}

#[test]
fn leader_epochs_that_began_above_are_forgotten() {
    let place = place();
    let mut log = filled(&place);
    log.truncate_to(30, NOW).unwrap();
    assert_eq!(log.latest_leader_epoch(), Some(1));
    append_at(&mut log, &batch(&["x"]), 9, NOW).unwrap();
    assert_eq!(log.epoch_end_offset(5).map(|end| (end.epoch, end.end_offset)), Some((1, 30)));
}

#[test]
fn a_log_can_be_emptied_and_start_elsewhere() {
    let place = place();
    let mut log = filled(&place);
    log.truncate_fully_and_start_at(1000).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset(), log.size_bytes()), (1000, 1000, 0));
    assert!(log.producers().is_empty());
    drop(log);
    let mut log = open(&place.directory, LogConfig::default());
    assert_eq!(append_values(&mut log, &["x"]), 1000);
    drop(log);
    let log = open(&place.directory, LogConfig::default());
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (1000, 1001));
}

#[test]
fn truncation_inside_the_batch_that_holds_the_log_start_leaves_nothing() {
    let place = place();
    let mut log = open(&place.directory, small_segments());
    append_values(&mut log, &["a", "b", "c", "d"]);
    append_values(&mut log, &["e"]);
    log.delete_records_before(1).unwrap();
    log.truncate_to(3, NOW).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (1, 1));
    assert_eq!(append_values(&mut log, &["x"]), 1);
    drop(log);
    assert_eq!(values(&open(&place.directory, small_segments())), ["x"]);
}
