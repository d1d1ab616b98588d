//! Builds batches and reads logs back in a form that tests can compare.

use std::path::{Path, PathBuf};

use millstream_log::{AppendError, Appended, Log, LogConfig, MinOneBatch, OpenMode, Recovery};
use millstream_protocol::record_batch::{
    BatchBuilder, BatchIterator, NewRecord, ProduceLimits, parse_header, validate_produced,
};
use tempfile::TempDir;

pub const NOW: i64 = 1_000_000;

/// A directory that does not exist yet, below one that is removed after the test.
pub struct Place {
    _root: TempDir,
    pub directory: PathBuf,
}

pub fn place() -> Place {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("topic").join("0");
    Place { _root: root, directory }
}

pub fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 1000, index_interval_bytes: 200, ..LogConfig::default() }
}

pub fn open(directory: &Path, config: LogConfig) -> Log {
    open_with(directory, config, OpenMode::Unclean).0
}

pub fn open_with(directory: &Path, config: LogConfig, mode: OpenMode) -> (Log, Recovery) {
    Log::open(directory, config, mode, NOW).unwrap()
}

/// A batch of records with these values, `NOW` as their time.
pub fn batch(values: &[&str]) -> Vec<u8> {
    batch_at(NOW, values)
}

pub fn batch_at(timestamp: i64, values: &[&str]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    fill(&mut builder, timestamp, values);
    builder.build().unwrap()
}

pub fn fill(builder: &mut BatchBuilder, timestamp: i64, values: &[&str]) {
    for value in values {
        builder.append(NewRecord { timestamp, key: None, value: Some(value.as_bytes()), headers: &[] });
    }
}

/// One record of a producer.
pub fn sequenced(producer_id: i64, epoch: i16, sequence: i32, records: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new().producer(producer_id, epoch, sequence);
    fill(&mut builder, NOW, &vec!["v"; records]);
    builder.build().unwrap()
}

pub fn transactional(producer_id: i64, epoch: i16, sequence: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new().producer(producer_id, epoch, sequence).transactional();
    fill(&mut builder, NOW, &["v"]);
    builder.build().unwrap()
}

/// Validates as the broker does and appends in leader epoch 0.
pub fn append(log: &mut Log, batch: &[u8]) -> Result<Appended, AppendError> {
    append_at(log, batch, 0, NOW)
}

pub fn append_at(log: &mut Log, batch: &[u8], leader_epoch: i32, now_ms: i64) -> Result<Appended, AppendError> {
    let limits = ProduceLimits { timestamp_after_max_ms: i64::MAX, now_ms, ..ProduceLimits::default() };
    let header = parse_header(batch).unwrap();
    let header = if header.is_control() { header } else { validate_produced(batch, &limits).unwrap() };
    log.append(batch, &header, leader_epoch, now_ms)
}

pub fn append_values(log: &mut Log, values: &[&str]) -> i64 {
    append(log, &batch(values)).unwrap().base_offset
}

/// All records from `offset` on as (offset, value), read like a consumer does: slice after slice.
pub fn consume(log: &Log, mut offset: i64, max_bytes: usize) -> Vec<(i64, String)> {
    let mut records = Vec::new();
    while let Some(slice) = log.read(offset, max_bytes, MinOneBatch::Yes, i64::MAX).unwrap() {
        let bytes = slice.read().unwrap();
        assert_eq!(bytes.len(), slice.len());
        let mut batches = BatchIterator::new(&bytes);
        let mut end = slice.base_offset();
        for batch in batches.by_ref() {
            let batch = batch.unwrap();
            batch.verify_checksum().unwrap();
            assert_eq!(batch.header.base_offset, end);
            end = batch.header.next_offset();
            let payload = batch.payload(1 << 20).unwrap();
            for record in batch.records(&payload) {
                let record = record.unwrap();
                if record.offset >= offset {
                    records
                        .push((record.offset, String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned()));
                }
            }
        }
        assert!(batches.remaining().is_empty(), "a slice holds whole batches");
        assert_eq!(end, slice.end_offset());
        assert!(end > offset, "a slice brings the reader forward");
        offset = end;
    }
    records
}

/// All values in the log, in order.
pub fn values(log: &Log) -> Vec<String> {
    consume(log, log.log_start_offset(), 1 << 20).into_iter().map(|(_, value)| value).collect()
}

pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

/// Copies the files as a crash of the process would leave them.
pub fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in names(from) {
        std::fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}
