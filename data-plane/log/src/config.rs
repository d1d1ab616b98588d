//! The settings of one log, as the topic's configuration gives them.

use millstream_protocol::record_batch::TimestampType;

/// No segment grows beyond what a signed 32-bit file position reaches, whatever `segment_bytes` says.
pub(crate) const MAX_SEGMENT_BYTES: u64 = i32::MAX as u64;

/// `Default` is Kafka's defaults. -1 switches a retention limit off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment that would grow beyond it is closed.
    pub segment_bytes: u64,
    /// `segment.ms`: a segment is closed this long after its first batch, by the batches' own timestamps.
    pub segment_ms: i64,
    /// `index.interval.bytes`: the log bytes between two index entries.
    pub index_interval_bytes: usize,
    /// `segment.index.bytes`: a segment whose index reaches it is closed.
    pub segment_index_bytes: usize,
    /// `retention.ms`, counted from a segment's largest timestamp.
    pub retention_ms: i64,
    /// `retention.bytes`, for the whole log.
    pub retention_bytes: i64,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `producer.id.expiration.ms`: an idempotent producer that was silent so long is forgotten.
    pub producer_expiration_ms: i64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 60 * 60 * 1000,
            index_interval_bytes: 4096,
            segment_index_bytes: 10 << 20,
            retention_ms: 7 * 24 * 60 * 60 * 1000,
            retention_bytes: -1,
            timestamp_type: TimestampType::CreateTime,
            producer_expiration_ms: 24 * 60 * 60 * 1000,
        }
    }
}

impl LogConfig {
    pub(crate) fn max_segment_bytes(&self) -> u64 {
        self.segment_bytes.min(MAX_SEGMENT_BYTES)
    }
}
