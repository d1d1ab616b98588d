//! The configs of a topic as values, parsed once when they change instead of with every request.

use millstream_log::LogConfig;
use millstream_metadata::image::ConfigValues;
use millstream_metadata::topic_config;
use millstream_protocol::record_batch::{ProduceLimits, TimestampType};

/// How far a batch may expand when it has to be decompressed to look at its records.
const MAX_DECOMPRESSED_BYTES: usize = 64 * 1024 * 1024;

/// What the hot path needs of a topic's configs.
#[derive(Debug, Clone)]
pub(crate) struct TopicSettings {
    /// For the log.
    pub(crate) log: LogConfig,
    max_message_bytes: usize,
    timestamp_type: TimestampType,
    timestamp_before_max_ms: i64,
    timestamp_after_max_ms: i64,
}

impl TopicSettings {
    /// Of the configs that were set; what is absent has its default.
    pub(crate) fn new(configs: &ConfigValues) -> Self {
        let timestamp_type = if text(configs, "message.timestamp.type") == "LogAppendTime" {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        };
        let log = LogConfig {
            segment_bytes: unsigned(configs, "segment.bytes"),
            segment_ms: integer(configs, "segment.ms"),
            index_interval_bytes: usize::try_from(integer(configs, "index.interval.bytes")).unwrap_or(4096),
            retention_ms: integer(configs, "retention.ms"),
            retention_bytes: integer(configs, "retention.bytes"),
            timestamp_type,
            ..LogConfig::default()
        };
        Self {
            log,
            max_message_bytes: usize::try_from(integer(configs, "max.message.bytes")).unwrap_or(0),
            timestamp_type,
            timestamp_before_max_ms: integer(configs, "message.timestamp.before.max.ms"),
            timestamp_after_max_ms: integer(configs, "message.timestamp.after.max.ms"),
        }
    }

    /// What a produce request of this version may carry.
    pub(crate) fn produce_limits(&self, produce_version: i16, now_ms: i64) -> ProduceLimits {
        ProduceLimits {
            produce_version,
            max_message_bytes: self.max_message_bytes,
            require_keys: false,
            max_decompressed_bytes: MAX_DECOMPRESSED_BYTES,
            timestamp_type: self.timestamp_type,
            timestamp_before_max_ms: self.timestamp_before_max_ms,
            timestamp_after_max_ms: self.timestamp_after_max_ms,
            now_ms,
        }
    }
}

fn text<'a>(configs: &'a ConfigValues, name: &str) -> &'a str {
    match configs.get(name) {
        Some(value) => value,
        None => topic_config::definition(name).map_or("", |definition| definition.default),
    }
}

fn integer(configs: &ConfigValues, name: &str) -> i64 {
    let default = topic_config::definition(name).and_then(|definition| definition.default.parse().ok());
    text(configs, name).parse().ok().or(default).unwrap_or(0)
}

fn unsigned(configs: &ConfigValues, name: &str) -> u64 {
    u64::try_from(integer(configs, name)).unwrap_or(0)
}
