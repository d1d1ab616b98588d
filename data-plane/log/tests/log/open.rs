use millstream_log::{Log, LogConfig, OpenError, OpenMode};

use crate::support::*;

fn value(number: usize) -> String {
    format!("value {number}")
}

fn fill_log(log: &mut Log, count: usize) {
    for number in 0..count {
        append_values(log, &[&value(number)]);
    }
}

#[test]
fn a_closed_log_opens_without_reading_a_batch() {
    let place = place();
    for config in [LogConfig::default(), small_segments()] {
        let mut log = open(&place.directory, config.clone());
        fill_log(&mut log, 50);
        let before = values(&log);
        log.close().unwrap();
        for mode in [OpenMode::Clean, OpenMode::Unclean] {
            let (mut log, recovery) = open_with(&place.directory, config.clone(), mode);
            assert_eq!((recovery.scanned_bytes, recovery.truncated_bytes), (0, 0));
            assert_eq!(values(&log), before);
            log.close().unwrap();
        }
        log.destroy().unwrap();
    }
}

#[test]
fn appends_go_on_after_a_closed_log_was_opened() {
    let place = place();
    let mut expected = Vec::new();
    for round in 0..10 {
        let (mut log, _) = open_with(&place.directory, small_segments(), OpenMode::Clean);
        assert_eq!(values(&log), expected);
        for number in 0..7 {
            let value = value(round * 10 + number);
            append_values(&mut log, &[&value]);
            expected.push(value);
        }
        assert_eq!(values(&log), expected);
        log.close().unwrap();
    }
    // Snapshots of earlier closings are not kept: one per segment begun, and the newest.
    let snapshots = names(&place.directory).iter().filter(|name| name.ends_with(".snapshot")).count();
    let segments = names(&place.directory).iter().filter(|name| name.ends_with(".log")).count();
    assert!(snapshots <= segments + 1, "{snapshots} snapshots for {segments} segments");
}

#[test]
fn only_what_was_not_flushed_is_checked_after_the_process_died() {
    let place = place();
    let mut log = open(&place.directory, small_segments());
    fill_log(&mut log, 50);
    log.flush().unwrap();
    assert_eq!(log.recovery_point(), 50);
    fill_log(&mut log, 3);
    drop(log);
    let (log, recovery) = open_with(&place.directory, small_segments(), OpenMode::Unclean);
    assert_eq!(log.log_end_offset(), 53);
    assert!(recovery.scanned_bytes < 1500, "{recovery:?}");
}

#[test]
fn a_flush_in_three_steps_lets_appends_happen_in_between() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    fill_log(&mut log, 5);
    let task = log.begin_flush().unwrap().unwrap();
    fill_log(&mut log, 5);
    let result = task.run();
    log.finish_flush(&task, result).unwrap();
    assert_eq!((log.recovery_point(), log.log_end_offset()), (5, 10));
    log.flush().unwrap();
    assert!(log.begin_flush().unwrap().is_none());
}

#[test]
fn flushing_closed_segments_leaves_only_the_active_one_to_check() {
    let place = place();
    let mut log = open(&place.directory, small_segments());
    fill_log(&mut log, 50);
    let task = log.begin_flush_closed().unwrap().unwrap();
    let result = task.run();
    log.finish_flush(&task, result).unwrap();
    assert!(log.begin_flush_closed().unwrap().is_none());
    let newest = names(&place.directory).into_iter().rfind(|name| name.ends_with(".log")).unwrap();
    assert_eq!(format!("{:020}.log", log.recovery_point()), newest);
    drop(log);
    let (log, recovery) = open_with(&place.directory, small_segments(), OpenMode::Unclean);
    assert_eq!(log.log_end_offset(), 50);
    assert!(recovery.scanned_bytes <= 1000, "{recovery:?}");
}

#[test]
fn a_flush_that_began_before_a_truncation_claims_nothing() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    fill_log(&mut log, 5);
    let task = log.begin_flush().unwrap().unwrap();
    log.truncate_to(2, NOW).unwrap();
    fill_log(&mut log, 3);
    let result = task.run();
    log.finish_flush(&task, result).unwrap();
    assert_eq!(log.recovery_point(), 0);
}

#[test]
fn a_failed_flush_takes_the_log_offline() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    fill_log(&mut log, 5);
    let task = log.begin_flush().unwrap().unwrap();
    log.finish_flush(&task, Err(std::io::Error::other("the disk is on fire"))).unwrap_err();
    let error = append(&mut log, &batch(&["x"])).unwrap_err();
    assert!(error.to_string().contains("offline"), "{error}");
    assert!(log.flush().is_err());
    assert!(log.close().is_err());
    drop(log);
    assert_eq!(values(&open(&place.directory, LogConfig::default())).len(), 5);
}

#[test]
fn derived_files_are_rebuilt_when_they_are_gone() {
    for suffix in [".index", ".snapshot", "leader-epochs", "checkpoint"] {
        for closed in [true, false] {
            let place = place();
            let mut log = open(&place.directory, small_segments());
            for number in 0..40 {
                append_at(&mut log, &sequenced(9, 0, number, 1), number / 10, NOW).unwrap();
            }
            if closed {
                log.close().unwrap();
            }
            let (before, epochs) = (values(&log), (0..5).map(|epoch| log.epoch_end_offset(epoch)).collect::<Vec<_>>());
            drop(log);
            for name in names(&place.directory).iter().filter(|name| name.ends_with(suffix)) {
                std::fs::remove_file(place.directory.join(name)).unwrap();
            }
            let mut log = open(&place.directory, small_segments());
            assert_eq!(values(&log), before, "{suffix}");
            assert_eq!((0..5).map(|epoch| log.epoch_end_offset(epoch)).collect::<Vec<_>>(), epochs);
            assert!(append_at(&mut log, &sequenced(9, 0, 39, 1), 4, NOW).unwrap().duplicate);
            assert!(!append_at(&mut log, &sequenced(9, 0, 40, 1), 4, NOW).unwrap().duplicate);
        }
    }
}

#[test]
fn damage_below_the_recovery_point_is_refused_until_repair_is_asked_for() {
    let place = place();
    let mut log = open(&place.directory, small_segments());
    fill_log(&mut log, 50);
    log.close().unwrap();
    drop(log);
    let middle = names(&place.directory).into_iter().filter(|name| name.ends_with(".log")).nth(1).unwrap();
    let base: i64 = middle.trim_end_matches(".log").parse().unwrap();
    std::fs::remove_file(place.directory.join(&middle)).unwrap();
    for mode in [OpenMode::Clean, OpenMode::Unclean] {
        let error = Log::open(&place.directory, small_segments(), mode, NOW).unwrap_err();
        assert!(
            matches!(error, OpenError::Damaged { end_offset, recovery_point: 50, .. } if end_offset == base),
            "{error}"
        );
    }
    let (mut log, recovery) = open_with(&place.directory, small_segments(), OpenMode::Repair);
    assert_eq!(log.log_end_offset(), base);
    assert!(recovery.truncated_bytes > 0);
    append_values(&mut log, &["goes on"]);
    drop(log);
    assert_eq!(open(&place.directory, small_segments()).log_end_offset(), base + 1);
}

#[test]
fn records_that_were_flushed_and_are_gone_are_noticed_wherever_the_cut_is() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    fill_log(&mut log, 10);
    log.close().unwrap();
    drop(log);
    let path = place.directory.join("00000000000000000000.log");
    let sound = std::fs::read(&path).unwrap();
    // 10 batches of equal size, so some of these cuts are between batches.
    for cut in (0..sound.len()).step_by(sound.len() / 20) {
        std::fs::write(&path, &sound[..cut]).unwrap();
        let error = Log::open(&place.directory, LogConfig::default(), OpenMode::Unclean, NOW).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { recovery_point: 10, .. }), "{error}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(Log::open(&place.directory, LogConfig::default(), OpenMode::Unclean, NOW).is_err());
    std::fs::write(&path, &sound).unwrap();
    assert_eq!(open(&place.directory, LogConfig::default()).log_end_offset(), 10);
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    fill_log(&mut log, 1);
    log.close().unwrap();
    let path = place.directory.join("checkpoint");
    let mut checkpoint = std::fs::read(&path).unwrap();
    checkpoint[4..6].copy_from_slice(&9_u16.to_be_bytes());
    let crc = crc32c::crc32c(&checkpoint[..22]);
    checkpoint[22..].copy_from_slice(&crc.to_be_bytes());
    std::fs::write(&path, &checkpoint).unwrap();
    let error = Log::open(&place.directory, LogConfig::default(), OpenMode::Repair, NOW).unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { found: 9, .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), checkpoint);
}

#[test]
fn what_a_failed_roll_left_behind_is_not_taken_for_damage() {
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    fill_log(&mut log, 10);
    drop(log);
    std::fs::write(place.directory.join("00000000000000000004.log"), b"").unwrap();
    std::fs::write(place.directory.join("leader-epochs.tmp"), b"half").unwrap();
    let log = open(&place.directory, LogConfig::default());
    assert_eq!(log.log_end_offset(), 10);
    assert!(!names(&place.directory).iter().any(|name| name.ends_with(".tmp")));
}
