//! `millstream topic produce`: each line of stdin becomes a record.
//!
//! Promises that exit code 0 means every line was acknowledged. Lines that are there already travel together; a line
//! typed by a person goes out at once.

use std::io::{self, BufRead, IsTerminal};
use std::time::{SystemTime, UNIX_EPOCH};

use millstream_protocol::compression::Compression;
use serde_json::json;
use tokio::sync::mpsc;

use super::super::Context;
use super::record_text::{split_line, unescape};
use super::split_assignment;
use crate::command_line::{CompressionArg, ProduceArgs};
use crate::failure::Failure;
use crate::kafka_client::cluster::Cluster;
use crate::kafka_client::producer::{OutgoingRecord, Producer};

/// Bytes of lines that travel together.
const MAX_BATCH_BYTES: usize = 512 * 1024;
/// Lines that travel together.
const MAX_BATCH_LINES: usize = 20_000;
/// Lines that may wait between the reading thread and the producer.
const MAX_WAITING_LINES: usize = 4_096;

/// Runs the command.
pub async fn run(context: &Context, args: ProduceArgs) -> Result<(), Failure> {
    let headers = args.headers.iter().map(|header| {
        let (name, value) = split_assignment("--header", header)?;
        Ok((name.to_string(), value.as_bytes().to_vec()))
    });
    let headers = headers.collect::<Result<Vec<_>, Failure>>()?;
    let separator = args.key_separator.as_deref().map(unescape);
    if separator.as_ref().is_some_and(String::is_empty) {
        return Err(Failure::usage("--key-separator is empty"));
    }
    let cluster = Cluster::connect(&context.login.kafka_target().await?).await?;
    let compression = compression(args.compression);
    let mut producer = Producer::new(cluster, &args.topic, compression, headers, args.partition).await?;

    if io::stdin().is_terminal() {
        eprintln!("Each line becomes a record; Ctrl-D ends");
    }
    let mut lines = read_lines();
    let mut written: u64 = 0;
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let first = tokio::select! {
            line = lines.recv() => line,
            _ = &mut interrupted => None,
        };
        let Some(first) = first else { break };
        let batch = gather(first?, &mut lines)?;
        let records = batch.iter().map(|line| outgoing(line, separator.as_deref())).collect::<Vec<_>>();
        tokio::select! {
            sent = producer.send(&records) => sent?,
            _ = &mut interrupted => {
                return Err(Failure::failed(format!("stopped early: only {written} lines are known to be written")));
            }
        }
        written += records.len() as u64;
    }
    if context.output.is_json() {
        return context.output.json(&json!({ "records": written }));
    }
    eprintln!("{written} {} written to {}", if written == 1 { "record" } else { "records" }, args.topic);
    Ok(())
}

fn compression(chosen: CompressionArg) -> Compression {
    match chosen {
        CompressionArg::None => Compression::None,
        CompressionArg::Gzip => Compression::Gzip,
        CompressionArg::Snappy => Compression::Snappy,
        CompressionArg::Lz4 => Compression::Lz4,
        CompressionArg::Zstd => Compression::Zstd,
    }
}

/// Reads stdin on a thread of its own, which blocks as long as nobody types.
fn read_lines() -> mpsc::Receiver<Result<Vec<u8>, Failure>> {
    let (sender, receiver) = mpsc::channel(MAX_WAITING_LINES);
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let item = match stdin.read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => {
                    if line.last() == Some(&b'\n') {
                        line.pop();
                    }
                    Ok(line)
                }
                Err(error) => Err(Failure::failed(format!("cannot read stdin: {error}"))),
            };
            if sender.blocking_send(item).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The first line and all that wait behind it, within the limits of a batch.
fn gather(first: Vec<u8>, lines: &mut mpsc::Receiver<Result<Vec<u8>, Failure>>) -> Result<Vec<Vec<u8>>, Failure> {
    let mut bytes = first.len();
    let mut batch = vec![first];
    while bytes < MAX_BATCH_BYTES && batch.len() < MAX_BATCH_LINES {
        let Ok(line) = lines.try_recv() else { break };
        let line = line?;
        bytes += line.len();
        batch.push(line);
    }
    Ok(batch)
}

fn outgoing(line: &[u8], separator: Option<&str>) -> OutgoingRecord {
    let (key, value) = split_line(line, separator.map(str::as_bytes));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    OutgoingRecord { key, value: Some(value), timestamp_ms: now.as_millis() as i64 }
}
