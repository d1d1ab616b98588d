use millstream_log::{AppendError, Log, LogConfig};
use millstream_protocol::record_batch::{ControlKind, ControlMarker};

use crate::support::*;

fn end(log: &mut Log, producer_id: i64, epoch: i16, kind: ControlKind) {
    let marker = ControlMarker { kind, coordinator_epoch: 0 }.to_batch(producer_id, epoch, NOW).unwrap();
    append(log, &marker).unwrap();
}

#[test]
fn the_last_stable_offset_is_the_start_of_the_oldest_open_transaction() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    append_values(&mut log, &["plain"]);
    assert_eq!(log.last_stable_offset(), 1);
    append(&mut log, &transactional(1, 0, 0)).unwrap();
    append(&mut log, &transactional(2, 0, 0)).unwrap();
    append(&mut log, &transactional(1, 0, 1)).unwrap();
    assert_eq!(log.last_stable_offset(), 1);
    end(&mut log, 1, 0, ControlKind::Commit);
    assert_eq!(log.last_stable_offset(), 2);
    end(&mut log, 2, 0, ControlKind::Abort);
    assert_eq!(log.last_stable_offset(), log.log_end_offset());
}

#[test]
fn aborted_transactions_are_listed_for_the_range_they_overlap() {
    for restart in 0..4 {
        let place = place();
        let mut log = open(&place.directory, small_segments());
        for round in 0..10 {
            append(&mut log, &transactional(1, 0, round)).unwrap();
            append(&mut log, &transactional(2, 0, round)).unwrap();
            end(&mut log, 1, 0, ControlKind::Abort);
            end(&mut log, 2, 0, ControlKind::Commit);
        }
        match restart {
            1 => log.close().unwrap(),
            2 => log.flush().unwrap(),
            _ => {}
        }
        if restart > 0 {
            drop(log);
            log = open(&place.directory, small_segments());
        }
        assert_eq!(log.aborted_transactions(0, 4).unwrap(), [(1, 0)]);
        assert_eq!(log.aborted_transactions(4, 9).unwrap(), [(1, 4), (1, 8)]);
        assert_eq!(log.aborted_transactions(3, 4).unwrap(), []);
        assert_eq!(log.aborted_transactions(0, 40).unwrap().len(), 10);
        assert_eq!(log.last_stable_offset(), 40);
    }
}

#[test]
fn the_list_is_in_the_order_of_first_offsets() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    for producer_id in [1, 2, 3] {
        append(&mut log, &transactional(producer_id, 0, 0)).unwrap();
    }
    for producer_id in [2, 3, 1] {
        end(&mut log, producer_id, 0, ControlKind::Abort);
    }
    assert_eq!(log.aborted_transactions(0, 6).unwrap(), [(1, 0), (2, 1), (3, 2)]);
}

#[test]
fn an_open_transaction_is_open_after_a_restart() {
    for closed in [true, false] {
        let place = place();
        let mut log = open(&place.directory, small_segments());
        append(&mut log, &transactional(1, 0, 0)).unwrap();
        for _ in 0..30 {
            append_values(&mut log, &["filler"]);
        }
        if closed {
            log.close().unwrap();
        }
        drop(log);
        let mut log = open(&place.directory, small_segments());
        assert_eq!(log.last_stable_offset(), 0);
        end(&mut log, 1, 0, ControlKind::Abort);
        assert_eq!(log.last_stable_offset(), 32);
        assert_eq!(log.aborted_transactions(0, 32).unwrap(), [(1, 0)]);
    }
}

#[test]
fn deleted_records_keep_no_transaction_open() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    append(&mut log, &transactional(1, 0, 0)).unwrap();
    append_values(&mut log, &["filler"]);
    log.delete_records_before(1).unwrap();
    assert_eq!(log.last_stable_offset(), 2);
    drop(log);
    assert_eq!(open(&place.directory, LogConfig::default()).last_stable_offset(), 2);
}

#[test]
fn a_marker_of_an_old_producer_or_an_old_coordinator_is_fenced() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    append(&mut log, &transactional(1, 4, 0)).unwrap();
    let marker = |epoch, coordinator_epoch| {
        ControlMarker { kind: ControlKind::Commit, coordinator_epoch }.to_batch(1, epoch, NOW).unwrap()
    };
    let error = append(&mut log, &marker(3, 9)).unwrap_err();
    assert!(matches!(error, AppendError::InvalidProducerEpoch { .. }), "{error}");
    append(&mut log, &marker(5, 9)).unwrap();
    let error = append(&mut log, &marker(5, 8)).unwrap_err();
    assert!(matches!(error, AppendError::CoordinatorFenced { offered: 8, current: 9, .. }), "{error}");
    // The marker carried a new epoch, so the producer begins again.
    append(&mut log, &transactional(1, 5, 0)).unwrap();
}
