//! Crashes, simulated by changing a copy of the files: the batches before the damage are all there, nothing else is.

use std::{fs, path::Path};

use millstream_log::{Log, LogConfig, MinOneBatch, OpenMode};
use millstream_protocol::record_batch::BatchIterator;

use crate::support::*;

fn config() -> LogConfig {
    LogConfig { segment_bytes: 400, index_interval_bytes: 100, ..LogConfig::default() }
}

/// A log of a few small segments, with producers, two leader epochs, and nothing flushed.
fn unflushed(place: &Place) -> Log {
    let mut log = open(&place.directory, config());
    for number in 0..8 {
        append_at(&mut log, &sequenced(1, 0, number, 1), number / 5, NOW).unwrap();
    }
    log
}

/// The offset after each batch in a log file, by the position after it.
fn batch_ends(directory: &Path, name: &str) -> Vec<(usize, i64)> {
    let bytes = fs::read(directory.join(name)).unwrap();
    let mut position = 0;
    BatchIterator::new(&bytes)
        .map(|batch| {
            let batch = batch.unwrap();
            position += batch.bytes.len();
            (position, batch.header.next_offset())
        })
        .collect()
}

fn log_names(directory: &Path) -> Vec<String> {
    names(directory).into_iter().filter(|name| name.ends_with(".log")).collect()
}

fn base_of(name: &str) -> i64 {
    name.trim_end_matches(".log").parse().unwrap()
}

/// Opens a damaged copy and checks that exactly the records below `expected_end` are there and appends go on.
#[track_caller]
fn check_recovers(directory: &Path, expected_end: i64, context: &str) {
    let mut log = open(directory, config());
    assert_eq!(log.log_end_offset(), expected_end, "{context}");
    assert_eq!(values(&log).len() as i64, expected_end, "{context}");
    if expected_end > 0 {
        let repeated = append_at(&mut log, &sequenced(1, 0, expected_end as i32 - 1, 1), 7, NOW).unwrap();
        assert!(repeated.duplicate, "{context}");
    }
    let appended = append_at(&mut log, &sequenced(1, 0, expected_end as i32, 1), 7, NOW).unwrap();
    assert_eq!((appended.base_offset, appended.duplicate), (expected_end, false), "{context}");
    drop(log);
    let log = open(directory, config());
    assert_eq!(values(&log).len() as i64, expected_end + 1, "{context}");
}

fn on_a_copy(original: &Path, change: impl FnOnce(&Path), check: impl FnOnce(&Path)) {
    let copy = place();
    copy_directory(original, &copy.directory);
    change(&copy.directory);
    check(&copy.directory);
}

#[test]
fn a_log_cut_at_any_byte_keeps_exactly_the_batches_before_the_cut() {
    let place = place();
    drop(unflushed(&place));
    let files = log_names(&place.directory);
    assert!(files.len() >= 2);
    for name in &files {
        let ends = batch_ends(&place.directory, name);
        let size = fs::metadata(place.directory.join(name)).unwrap().len() as usize;
        for cut in 0..size {
            let expected =
                ends.iter().rev().find(|(position, _)| *position <= cut).map_or(base_of(name), |(_, end)| *end);
            on_a_copy(
                &place.directory,
                |copy| fs::File::options().write(true).open(copy.join(name)).unwrap().set_len(cut as u64).unwrap(),
                |copy| check_recovers(copy, expected, &format!("{name} cut at {cut}")),
            );
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_ends_the_log_before_its_batch() {
    let place = place();
    drop(unflushed(&place));
    for name in &log_names(&place.directory) {
        let ends = batch_ends(&place.directory, name);
        let sound = fs::read(place.directory.join(name)).unwrap();
        for position in 0..sound.len() {
            let start = ends.iter().rev().find(|(end, _)| *end <= position).map_or((0, base_of(name)), |end| *end);
            let within = position - start.0;
            // The epoch is not under the checksum. Too small is noticed, a larger one could be true.
            let is_epoch = (12..16).contains(&within);
            let bit = position % 8;
            if is_epoch {
                continue;
            }
            on_a_copy(
                &place.directory,
                |copy| {
                    let mut damaged = sound.clone();
                    damaged[position] ^= 1 << bit;
                    fs::write(copy.join(name), damaged).unwrap();
                },
                |copy| check_recovers(copy, start.1, &format!("{name} bit {bit} of byte {position}")),
            );
        }
    }
}

#[test]
fn derived_files_cut_or_damaged_anywhere_lose_no_record() {
    let place = place();
    let mut log = unflushed(&place);
    log.flush().unwrap();
    log.roll().unwrap();
    drop(log);
    for name in names(&place.directory).iter().filter(|name| !name.ends_with(".log") && *name != "checkpoint") {
        let sound = fs::read(place.directory.join(name)).unwrap();
        for position in 0..sound.len() {
            on_a_copy(
                &place.directory,
                |copy| fs::write(copy.join(name), &sound[..position]).unwrap(),
                |copy| check_recovers(copy, 8, &format!("{name} cut at {position}")),
            );
            on_a_copy(
                &place.directory,
                |copy| {
                    let mut damaged = sound.clone();
                    damaged[position] ^= 1 << (position % 8);
                    fs::write(copy.join(name), damaged).unwrap();
                },
                |copy| check_recovers(copy, 8, &format!("{name} damaged at {position}")),
            );
        }
    }
}

#[test]
fn garbage_after_the_last_batch_is_cut_off() {
    for garbage in [vec![0; 1], vec![0; 5000], vec![0xff; 61], vec![2; 300]] {
        let place = place();
        drop(unflushed(&place));
        let last = log_names(&place.directory).pop().unwrap();
        let path = place.directory.join(last);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(&garbage);
        fs::write(&path, bytes).unwrap();
        check_recovers(&place.directory, 8, &format!("{} bytes of garbage", garbage.len()));
    }
}

#[test]
fn a_repeated_batch_at_the_end_is_no_batch() {
    let place = place();
    drop(unflushed(&place));
    let first = log_names(&place.directory).remove(0);
    let ends = batch_ends(&place.directory, &first);
    let last = log_names(&place.directory).pop().unwrap();
    let mut bytes = fs::read(place.directory.join(&last)).unwrap();
    let old = fs::read(place.directory.join(&first)).unwrap();
    bytes.extend_from_slice(&old[..ends[0].0]);
    fs::write(place.directory.join(&last), bytes).unwrap();
    check_recovers(&place.directory, 8, "an old batch after the last");
}

#[test]
fn a_lost_segment_ends_the_log_before_it() {
    let place = place();
    drop(unflushed(&place));
    let files = log_names(&place.directory);
    for name in &files[1..] {
        on_a_copy(
            &place.directory,
            |copy| fs::remove_file(copy.join(name)).unwrap(),
            |copy| check_recovers(copy, base_of(name), name),
        );
    }
}

#[test]
fn a_log_start_that_outlived_its_records_begins_an_empty_log() {
    let place = place();
    let mut log = unflushed(&place);
    log.delete_records_before(6).unwrap();
    drop(log);
    for name in log_names(&place.directory) {
        fs::File::options().write(true).open(place.directory.join(name)).unwrap().set_len(0).unwrap();
    }
    let mut log = open(&place.directory, config());
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (6, 6));
    assert_eq!(append_at(&mut log, &batch(&["x"]), 7, NOW).unwrap().base_offset, 6);
}

#[test]
fn a_directory_of_hostile_files_opens_or_is_refused() {
    let place = place();
    drop(unflushed(&place));
    let sound: Vec<(String, Vec<u8>)> = names(&place.directory)
        .into_iter()
        .map(|name| (name.clone(), fs::read(place.directory.join(name)).unwrap()))
        .collect();
    // Which file is replaced, by what, and with which recovery point and log start in the checkpoint.
    bolero::check!().with_iterations(300).with_type::<(u8, Vec<u8>, i64, i64)>().for_each(
        |(file, bytes, start, point)| {
            for (name, content) in &sound {
                fs::write(place.directory.join(name), content).unwrap();
            }
            let (name, _) = &sound[usize::from(*file) % sound.len()];
            fs::write(place.directory.join(name), bytes).unwrap();
            fs::write(place.directory.join("checkpoint"), checkpoint(*start, *point)).unwrap();
            if let Ok((mut log, _)) = Log::open(&place.directory, config(), OpenMode::Unclean, NOW) {
                let _ = log.offset_for_timestamp(0);
                let _ = append_at(&mut log, &batch(&["x"]), 99, NOW);
                let _ = log.read(log.log_start_offset(), 1000, MinOneBatch::Yes, i64::MAX);
                let _ = log.close();
            }
        },
    );
}

fn checkpoint(log_start_offset: i64, recovery_point: i64) -> Vec<u8> {
    let mut bytes = [b"MSCK".as_slice(), &1_u16.to_be_bytes()].concat();
    bytes.extend_from_slice(&log_start_offset.to_be_bytes());
    bytes.extend_from_slice(&recovery_point.to_be_bytes());
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}
