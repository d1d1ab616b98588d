use millstream_log::{Log, LogConfig, MinOneBatch, ReadError};

use crate::support::*;

fn filled(place: &Place, config: LogConfig) -> Log {
    let mut log = open(&place.directory, config);
    for number in 0..60 {
        append_values(&mut log, &[&format!("{number} a"), &format!("{number} b"), &format!("{number} c")]);
    }
    log
}

#[track_caller]
fn check_read(
    log: &Log,
    offset: i64,
    max_bytes: usize,
    min_one: MinOneBatch,
    upper: i64,
    expected: Option<(i64, i64)>,
) {
    let slice = log.read(offset, max_bytes, min_one, upper).unwrap();
    assert_eq!(slice.map(|slice| (slice.base_offset(), slice.end_offset())), expected);
}

#[test]
fn a_read_inside_a_batch_returns_the_whole_batch() {
    let place = place();
    let log = filled(&place, small_segments());
    for offset in 0..180 {
        let base = offset / 3 * 3;
        check_read(&log, offset, 1, MinOneBatch::Yes, i64::MAX, Some((base, base + 3)));
    }
}

#[test]
fn every_offset_can_be_read_with_every_limit() {
    let place = place();
    for config in
        [small_segments(), LogConfig { index_interval_bytes: 1, ..LogConfig::default() }, LogConfig::default()]
    {
        let mut log = filled(&place, config.clone());
        for max_bytes in [1, 90, 100, 250, 1000, 1 << 20] {
            for offset in [0, 1, 2, 3, 50, 99, 177, 179] {
                assert_eq!(consume(&log, offset, max_bytes).len() as i64, 180 - offset);
            }
        }
        log.close().unwrap();
        let log = open(&place.directory, config);
        assert_eq!(consume(&log, 0, 100).len(), 180);
        log.destroy().unwrap();
    }
}

#[test]
fn a_first_batch_over_the_limit_is_only_returned_on_request() {
    let place = place();
    let log = filled(&place, small_segments());
    check_read(&log, 0, 10, MinOneBatch::No, i64::MAX, None);
    check_read(&log, 0, 10, MinOneBatch::Yes, i64::MAX, Some((0, 3)));
}

#[test]
fn nothing_at_or_above_the_upper_bound_is_returned() {
    let place = place();
    let log = filled(&place, LogConfig { index_interval_bytes: 200, ..LogConfig::default() });
    for upper in 0..=180 {
        let whole = upper / 3 * 3;
        check_read(&log, 0, 1 << 20, MinOneBatch::Yes, upper, (whole > 0).then_some((0, whole)));
        check_read(&log, upper, 1 << 20, MinOneBatch::Yes, upper, None);
    }
}

#[test]
fn offsets_outside_of_the_log_are_out_of_range() {
    let place = place();
    let mut log = filled(&place, small_segments());
    check_read(&log, 180, 100, MinOneBatch::Yes, i64::MAX, None);
    log.delete_records_before(70).unwrap();
    for offset in [-1, 0, 69, 181, i64::MAX] {
        let error = log.read(offset, 100, MinOneBatch::Yes, i64::MAX).unwrap_err();
        assert!(matches!(error, ReadError::OutOfRange { log_start_offset: 70, log_end_offset: 180, .. }));
    }
    check_read(&log, 70, 1, MinOneBatch::Yes, i64::MAX, Some((69, 72)));
}

#[test]
fn a_slice_stays_readable_after_its_segment_was_deleted() {
    let place = place();
    let mut log = filled(&place, small_segments());
    let slice = log.read(0, 1 << 20, MinOneBatch::No, i64::MAX).unwrap().unwrap();
    let before = slice.read().unwrap();
    log.delete_records_before(150).unwrap();
    assert_eq!(slice.read().unwrap(), before);
    let mut part = vec![0; 10];
    slice.read_exact_at(5, &mut part).unwrap();
    assert_eq!(part, before[5..15]);
    assert!(slice.read_exact_at(slice.len() - 5, &mut part).is_err());
}

#[test]
fn what_was_just_written_is_read_without_waiting_for_the_disk() {
    let place = place();
    let log = filled(&place, LogConfig::default());
    let slice = log.read(0, 1 << 20, MinOneBatch::No, i64::MAX).unwrap().unwrap();
    let mut bytes = vec![0; slice.len()];
    // Some file systems cannot tell; then the answer is no, never wrong bytes.
    if slice.read_cached(0, &mut bytes).unwrap() {
        assert_eq!(bytes, slice.read().unwrap());
    }
}

#[test]
fn an_index_that_points_anywhere_is_not_believed() {
    let place = place();
    let mut log = filled(&place, LogConfig { index_interval_bytes: 200, ..LogConfig::default() });
    log.close().unwrap();
    drop(log);
    // Entries with good checksums that name wrong positions, but the right end.
    let path = place.directory.join("00000000000000000000.index");
    let mut index = std::fs::read(&path).unwrap();
    let entries = index.len() / 20;
    for entry in 0..entries - 1 {
        let bytes = &mut index[entry * 20..entry * 20 + 20];
        let position = u32::from_be_bytes(bytes[4..8].try_into().unwrap()) + 1;
        bytes[4..8].copy_from_slice(&position.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[..16]);
        bytes[16..].copy_from_slice(&crc.to_be_bytes());
    }
    std::fs::write(&path, &index).unwrap();
    let log = open(&place.directory, LogConfig::default());
    assert_eq!(consume(&log, 0, 500).len(), 180);
    assert_eq!(log.offset_for_timestamp(NOW).unwrap().unwrap().offset, 0);
}

#[test]
fn released_files_are_opened_again() {
    let place = place();
    let log = filled(&place, small_segments());
    log.release_files();
    assert_eq!(consume(&log, 0, 500).len(), 180);
}
