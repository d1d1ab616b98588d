//! What an append and a read cost: `cargo run --release -p millstream-log --example append`.
//! Counts the CPU time of this thread, so that other work on the machine disturbs little. Writes up to a GiB at a
//! time below the system's directory for temporary files and removes it again.

use std::{hint::black_box, path::Path, time::Duration};

use anyhow::{Context, Result};
use millstream_log::{Log, LogConfig, MinOneBatch, OpenMode};
use millstream_protocol::record_batch::{BatchBuilder, NewRecord, ProduceLimits, validate_produced};

const NOW: i64 = 1_700_000_000_000;

struct Case {
    name: &'static str,
    records: usize,
    value_bytes: usize,
    producer: bool,
    appends: usize,
}

const CASES: [Case; 4] = [
    Case { name: "1 record of 100 B", records: 1, value_bytes: 100, producer: false, appends: 500_000 },
    Case { name: "1 record of 100 B, idempotent", records: 1, value_bytes: 100, producer: true, appends: 500_000 },
    Case { name: "100 records of 100 B", records: 100, value_bytes: 100, producer: false, appends: 50_000 },
    Case { name: "64 records of 1 KiB", records: 64, value_bytes: 1024, producer: false, appends: 16_000 },
];

fn main() -> Result<()> {
    let root = tempfile::tempdir()?;
    for (number, case) in CASES.iter().enumerate() {
        run(case, &root.path().join(number.to_string()))?;
    }
    Ok(())
}

fn run(case: &Case, directory: &Path) -> Result<()> {
    let (mut log, _) = Log::open(directory, LogConfig::default(), OpenMode::Clean, NOW)?;
    let batch = build(case)?;
    let limits = ProduceLimits { now_ms: NOW, max_message_bytes: 1 << 21, ..ProduceLimits::default() };
    let header = validate_produced(&batch, &limits)?;

    let validating = time(case.appends, |_| {
        black_box(validate_produced(black_box(&batch), &limits)?);
        Ok(())
    })?;
    report(case.name, "validate", validating, case.appends, batch.len());

    let appending = time(case.appends, |number| {
        let mut header = header;
        if case.producer {
            header.base_sequence = number as i32 * case.records as i32;
        }
        log.append(&batch, &header, 0, NOW)?;
        Ok(())
    })?;
    report(case.name, "append", appending, case.appends, batch.len());

    let end = log.log_end_offset();
    let locating = time(case.appends, |number| {
        let offset = (number as i64).wrapping_mul(7_919_777).rem_euclid(end);
        black_box(log.read(offset, 1 << 20, MinOneBatch::Yes, end)?);
        Ok(())
    })?;
    report(case.name, "find 1 MiB", locating, case.appends, 0);

    let tail = time(case.appends, |_| {
        black_box(log.read(end - 1, 1 << 20, MinOneBatch::Yes, end)?);
        Ok(())
    })?;
    report(case.name, "find newest", tail, case.appends, 0);

    let begin = cpu_time()?;
    let (mut offset, mut bytes, mut reads) = (0, 0, 0);
    let mut buffer = vec![0; 256 << 10];
    while let Some(slice) = log.read(offset, 1 << 20, MinOneBatch::Yes, end)? {
        for start in (0..slice.len()).step_by(buffer.len()) {
            let length = buffer.len().min(slice.len() - start);
            slice.read_exact_at(start, &mut buffer[..length])?;
        }
        offset = slice.end_offset();
        bytes += slice.len();
        reads += 1;
    }
    report(case.name, "read all by 1 MiB", cpu_time()? - begin, reads, bytes / reads);

    drop(log);
    let begin = cpu_time()?;
    let (log, recovery) = Log::open(directory, LogConfig::default(), OpenMode::Unclean, NOW)?;
    let scanned = recovery.scanned_bytes as usize;
    report(case.name, "recover all", cpu_time()? - begin, 1, scanned);
    log.destroy()?;
    Ok(())
}

fn build(case: &Case) -> Result<Vec<u8>> {
    let value = vec![b'x'; case.value_bytes];
    let mut builder = BatchBuilder::new();
    if case.producer {
        builder = builder.producer(1, 0, 0);
    }
    for _ in 0..case.records {
        builder.append(NewRecord { timestamp: NOW, key: None, value: Some(&value), headers: &[] });
    }
    Ok(builder.build()?)
}

fn time(rounds: usize, mut step: impl FnMut(usize) -> Result<()>) -> Result<Duration> {
    let begin = cpu_time()?;
    for number in 0..rounds {
        step(number)?;
    }
    Ok(cpu_time()? - begin)
}

/// The time this thread has run, as the scheduler counts it.
fn cpu_time() -> Result<Duration> {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").context("cannot read the CPU time")?;
    let nanoseconds = statistics.split(' ').next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}

fn report(case: &str, what: &str, taken: Duration, rounds: usize, bytes_each: usize) {
    let nanoseconds = taken.as_nanos() as f64 / rounds as f64;
    let gibibytes = (bytes_each * rounds) as f64 / taken.as_secs_f64() / f64::from(1 << 30);
    let rate = if bytes_each == 0 { String::new() } else { format!("{gibibytes:>9.2} GiB/s") };
    println!("{case:<32} {what:<18} {nanoseconds:>12.0} ns {rate}");
}
