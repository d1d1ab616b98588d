//! A file size limit stands for a full disk: the kernel refuses the write in the same place and as partially.
//! The limit is for a whole process, so the test runs itself again in a shell that sets it.

use std::process::Command;

use millstream_log::{AppendError, LogConfig, StorageError};

use crate::support::*;

const CHILD: &str = "MILLSTREAM_LOG_DISK_FULL_CHILD";

#[test]
fn a_full_disk_refuses_the_append_and_damages_nothing() {
    let test = std::env::current_exe().unwrap();
    let name = "disk_full::child_with_a_file_size_limit";
    // An ignored signal stays ignored in the program that the shell becomes; else the limit would kill it.
    let script = format!("trap '' XFSZ; ulimit -f 64; exec '{}' --exact {name}", test.display());
    let output = Command::new("sh").args(["-c", &script]).env(CHILD, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn child_with_a_file_size_limit() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let place = place();
    let mut log = open(&place.directory, LogConfig::default());
    let value = "x".repeat(1000);
    let mut appended = 0;
    let error = loop {
        match append(&mut log, &batch(&[&value])) {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AppendError::Storage(StorageError::DiskFull(_))), "{error}");
    assert!(appended > 10);
    assert_eq!((log.log_end_offset(), values(&log).len()), (appended, appended as usize));
    let size = std::fs::metadata(place.directory.join("00000000000000000000.log")).unwrap().len();
    assert_eq!(size, log.size_bytes(), "the torn tail was cut off");

    // A new segment stands for room on the disk: the log goes on where it was.
    log.roll().unwrap();
    assert_eq!(append_values(&mut log, &["fits"]), appended);
    drop(log);
    let log = open(&place.directory, LogConfig::default());
    assert_eq!(values(&log).len() as i64, appended + 1);
}
