//! The process dies in the middle of its work, for real.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

use millstream_log::LogConfig;

use crate::support::*;

const CHILD: &str = "MILLSTREAM_LOG_KILL_CHILD";

#[test]
fn a_killed_process_loses_nothing_that_append_returned_for() {
    let place = place();
    for acknowledgements in [1, 10, 500, 3000] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child_that_appends_until_it_is_killed", "--nocapture"])
            .env(CHILD, &place.directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let last: i64 = lines
            .map(|line| line.unwrap())
            .filter_map(|line| line.strip_prefix("acknowledged ").map(|offset| offset.parse().unwrap()))
            .take(acknowledgements)
            .last()
            .unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let log = open(&place.directory, small_segments());
        assert!(log.log_end_offset() > last);
        let records = consume(&log, 0, 1 << 20);
        assert_eq!(records.len() as i64, log.log_end_offset());
        assert!(records.iter().all(|(offset, value)| *value == offset.to_string()));
    }
}

#[test]
fn child_that_appends_until_it_is_killed() {
    let Some(directory) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let mut log = open(&directory, LogConfig { segment_bytes: 20_000, ..small_segments() });
    println!();
    loop {
        let offset = log.log_end_offset();
        append_values(&mut log, &[&offset.to_string()]);
        println!("acknowledged {offset}");
        std::io::stdout().flush().unwrap();
    }
}
