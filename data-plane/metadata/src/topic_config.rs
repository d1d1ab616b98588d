//! The configs a topic can have: names, types, defaults, rules and documentation, as Kafka 4.3 has them.
//!
//! Defaults are those of Confluent Cloud. What a user may change is Confluent's list; the rest is shown, and a change
//! to it is refused by policy unless it says what already holds. Rules that need two configs are checked on the whole.
//! A topic stores only what was set.

use crate::image::ConfigValues;

/// The largest `max.message.bytes` of any plan.
pub const MAX_MESSAGE_BYTES_LIMIT: i64 = 20_971_520;
/// The smallest segment: below it the files of a partition would outnumber its records.
pub const MIN_SEGMENT_BYTES: i64 = 1_048_576;
/// The largest segment: positions in a segment are 31-bit.
pub const MAX_SEGMENT_BYTES: i64 = 1_073_741_824;
/// The shortest time after which a segment rolls.
pub const MIN_SEGMENT_MS: i64 = 600_000;
/// The longest time that tombstones are kept: 701 days.
pub const MAX_DELETE_RETENTION_MS: i64 = 60_566_400_000;
/// The shortest bound on compaction lag.
pub const MIN_MAX_COMPACTION_LAG_MS: i64 = 21_600_000;
/// The longest value of a config.
pub const MAX_CONFIG_VALUE_CHARS: usize = 8_192;

/// The type of a config, with its number in DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigType {
    /// `true` or `false`.
    Boolean = 1,
    /// Text.
    String = 2,
    /// 32-bit integer.
    Int = 3,
    /// 64-bit integer.
    Long = 5,
    /// Floating point.
    Double = 6,
    /// Comma-separated texts.
    List = 7,
}

/// Who may change a config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Whoever may alter the topic.
    Editable,
    /// Nobody.
    ReadOnly,
}

/// Which values a config takes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rule {
    Boolean,
    Integer { min: i64, max: i64 },
    Fraction,
    OneOf(&'static [&'static str]),
    CleanupPolicy,
    AnyList,
}

/// One config that topics have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub config_type: ConfigType,
    /// Its default, as text.
    pub default: &'static str,
    /// Who may change it.
    pub access: Access,
    /// What it does.
    pub documentation: &'static str,
    rule: Rule,
}

/// Why a config is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// There is no such config.
    #[error("unknown topic config name: {name}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The value does not parse or is out of its range.
    #[error("invalid value {value:?} for config {name}: {reason}")]
    InvalidValue {
        /// The name.
        name: &'static str,
        /// The value, cut to a length that is safe to print.
        value: String,
        /// What it must be.
        reason: String,
    },
    /// Two configs contradict each other.
    #[error("config {name} contradicts config {other}: {reason}")]
    Contradiction {
        /// One of them.
        name: &'static str,
        /// The other.
        other: &'static str,
        /// What must hold.
        reason: &'static str,
    },
    /// A user may not change this one.
    #[error("config {name} is read-only, its value is {value:?}")]
    ReadOnly {
        /// The name.
        name: &'static str,
        /// What it is.
        value: &'static str,
    },
    /// The value is legal but above what the plan of the cluster allows.
    #[error("value {value} for config {name} is above the limit of this cluster, {limit}")]
    AbovePlanLimit {
        /// The name.
        name: &'static str,
        /// The value.
        value: i64,
        /// The limit.
        limit: i64,
    },
}

const UNBOUNDED: &str = "9223372036854775807";
const ANY_NATURAL: Rule = Rule::Integer { min: 0, max: i64::MAX };
const ANY_OR_UNLIMITED: Rule = Rule::Integer { min: -1, max: i64::MAX };
const ANY_OR_INHERITED: Rule = Rule::Integer { min: -2, max: i64::MAX };
const INT_MAX: i64 = i32::MAX as i64;

/// Every config a topic has, ordered by name.
pub const DEFINITIONS: &[Definition] = &[
    editable(
        "cleanup.policy",
        ConfigType::List,
        "delete",
        Rule::CleanupPolicy,
        "What happens to old segments: \"delete\" discards them when their retention time or size has been reached.",
    ),
    fixed(
        "compression.gzip.level",
        ConfigType::Int,
        "-1",
        Rule::Integer { min: -1, max: 9 },
        "The compression level to use if compression.type is set to gzip.",
    ),
    fixed(
        "compression.lz4.level",
        ConfigType::Int,
        "9",
        Rule::Integer { min: 1, max: 17 },
        "The compression level to use if compression.type is set to lz4.",
    ),
    fixed(
        "compression.type",
        ConfigType::String,
        "producer",
        Rule::OneOf(&["producer"]),
        "The compression of stored batches: \"producer\" keeps the one that the producer chose.",
    ),
    fixed(
        "compression.zstd.level",
        ConfigType::Int,
        "3",
        Rule::Integer { min: -131_072, max: 22 },
        "The compression level to use if compression.type is set to zstd.",
    ),
    editable(
        "delete.retention.ms",
        ConfigType::Long,
        "86400000",
        Rule::Integer { min: 0, max: MAX_DELETE_RETENTION_MS },
        "How long delete markers are kept in compacted topics, and so the time a consumer that starts at offset 0 has \
         to read everything.",
    ),
    fixed(
        "file.delete.delay.ms",
        ConfigType::Long,
        "60000",
        ANY_NATURAL,
        "The time to wait before a file is deleted from the file system.",
    ),
    fixed(
        "flush.messages",
        ConfigType::Long,
        UNBOUNDED,
        Rule::Integer { min: 1, max: i64::MAX },
        "The number of records after which the log is forced to disk.",
    ),
    fixed("flush.ms", ConfigType::Long, UNBOUNDED, ANY_NATURAL, "The time after which the log is forced to disk."),
    fixed(
        "follower.replication.throttled.replicas",
        ConfigType::List,
        "",
        Rule::AnyList,
        "Replicas whose replication is throttled on the follower's side.",
    ),
    fixed(
        "index.interval.bytes",
        ConfigType::Int,
        "4096",
        Rule::Integer { min: 0, max: INT_MAX },
        "How many bytes of log there are between two entries of the offset index.",
    ),
    fixed(
        "leader.replication.throttled.replicas",
        ConfigType::List,
        "",
        Rule::AnyList,
        "Replicas whose replication is throttled on the leader's side.",
    ),
    fixed(
        "local.retention.bytes",
        ConfigType::Long,
        "-2",
        ANY_OR_INHERITED,
        "The size that local segments of a partition may grow to; -2 means retention.bytes.",
    ),
    fixed(
        "local.retention.ms",
        ConfigType::Long,
        "-2",
        ANY_OR_INHERITED,
        "How long a segment is kept locally; -2 means retention.ms.",
    ),
    editable(
        "max.compaction.lag.ms",
        ConfigType::Long,
        UNBOUNDED,
        Rule::Integer { min: MIN_MAX_COMPACTION_LAG_MS, max: i64::MAX },
        "The longest time a record stays ineligible for compaction. Only for topics that are compacted.",
    ),
    editable(
        "max.message.bytes",
        ConfigType::Int,
        "2097164",
        Rule::Integer { min: 0, max: MAX_MESSAGE_BYTES_LIMIT },
        "The largest record batch that is accepted, after compression.",
    ),
    fixed(
        "message.downconversion.enable",
        ConfigType::Boolean,
        "true",
        Rule::Boolean,
        "Has no effect since Kafka 4.0.",
    ),
    editable(
        "message.timestamp.after.max.ms",
        ConfigType::Long,
        UNBOUNDED,
        ANY_NATURAL,
        "How far the timestamp of a record may lie after the broker's clock. Ignored with LogAppendTime.",
    ),
    editable(
        "message.timestamp.before.max.ms",
        ConfigType::Long,
        UNBOUNDED,
        ANY_NATURAL,
        "How far the timestamp of a record may lie before the broker's clock. Ignored with LogAppendTime.",
    ),
    editable(
        "message.timestamp.type",
        ConfigType::String,
        "CreateTime",
        Rule::OneOf(&["CreateTime", "LogAppendTime"]),
        "Whether the timestamp of a record is the time it was created or the time it was appended.",
    ),
    fixed(
        "min.cleanable.dirty.ratio",
        ConfigType::Double,
        "0.5",
        Rule::Fraction,
        "The share of a log that must be uncompacted before compaction starts.",
    ),
    editable(
        "min.compaction.lag.ms",
        ConfigType::Long,
        "0",
        ANY_NATURAL,
        "The shortest time a record stays uncompacted. Only for topics that are compacted.",
    ),
    editable(
        "min.insync.replicas",
        ConfigType::Int,
        "2",
        Rule::Integer { min: 1, max: 2 },
        "How many in-sync replicas must have a record before it is acknowledged with acks=all. Never more than there \
         are replicas.",
    ),
    fixed(
        "preallocate",
        ConfigType::Boolean,
        "false",
        Rule::Boolean,
        "Whether the file of a new segment is allocated in full.",
    ),
    fixed(
        "remote.log.copy.disable",
        ConfigType::Boolean,
        "false",
        Rule::Boolean,
        "Whether no more segments are copied to remote storage.",
    ),
    fixed(
        "remote.log.delete.on.disable",
        ConfigType::Boolean,
        "false",
        Rule::Boolean,
        "Whether remote segments are deleted when remote storage is disabled.",
    ),
    fixed(
        "remote.storage.enable",
        ConfigType::Boolean,
        "false",
        Rule::Boolean,
        "Whether closed segments are copied to remote storage.",
    ),
    editable(
        "retention.bytes",
        ConfigType::Long,
        "-1",
        ANY_OR_UNLIMITED,
        "The size a partition may grow to before old segments are discarded; -1 means no limit. Per partition.",
    ),
    editable(
        "retention.ms",
        ConfigType::Long,
        "604800000",
        ANY_OR_UNLIMITED,
        "How long records are kept before old segments are discarded; -1 means forever.",
    ),
    editable(
        "segment.bytes",
        ConfigType::Int,
        "104857600",
        Rule::Integer { min: MIN_SEGMENT_BYTES, max: MAX_SEGMENT_BYTES },
        "The size of a segment file. Retention works on whole segments.",
    ),
    fixed(
        "segment.index.bytes",
        ConfigType::Int,
        "10485760",
        Rule::Integer { min: 4, max: INT_MAX },
        "The largest size of the index of a segment.",
    ),
    fixed(
        "segment.jitter.ms",
        ConfigType::Long,
        "0",
        ANY_NATURAL,
        "Random time taken off the rolling time, so that segments do not roll all at once.",
    ),
    editable(
        "segment.ms",
        ConfigType::Long,
        "604800000",
        Rule::Integer { min: MIN_SEGMENT_MS, max: i64::MAX },
        "The time after which a segment rolls even if it is not full, so that retention can discard it.",
    ),
    fixed(
        "unclean.leader.election.enable",
        ConfigType::Boolean,
        "false",
        Rule::Boolean,
        "Whether a replica that is not in sync may lead as a last resort, at the price of lost records.",
    ),
];

const fn editable(
    name: &'static str,
    config_type: ConfigType,
    default: &'static str,
    rule: Rule,
    documentation: &'static str,
) -> Definition {
    Definition { name, config_type, default, access: Access::Editable, documentation, rule }
}

const fn fixed(
    name: &'static str,
    config_type: ConfigType,
    default: &'static str,
    rule: Rule,
    documentation: &'static str,
) -> Definition {
    Definition { name, config_type, default, access: Access::ReadOnly, documentation, rule }
}

/// The definition of this name.
pub fn definition(name: &str) -> Option<&'static Definition> {
    DEFINITIONS.binary_search_by(|definition| definition.name.cmp(name)).ok().map(|index| &DEFINITIONS[index])
}

/// What to store for a value that a user set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// Store this text.
    Store(String),
    /// It says what already holds and cannot be changed: store nothing.
    AlreadyHolds,
}

impl Definition {
    /// Checks a value that a user wants to set.
    pub fn accept(&self, value: &str) -> Result<Accepted, ConfigError> {
        let value = value.trim();
        self.check(value)?;
        match self.access {
            Access::Editable => Ok(Accepted::Store(value.to_owned())),
            Access::ReadOnly if value.eq_ignore_ascii_case(self.default) => Ok(Accepted::AlreadyHolds),
            Access::ReadOnly => Err(ConfigError::ReadOnly { name: self.name, value: self.default }),
        }
    }

    fn check(&self, value: &str) -> Result<(), ConfigError> {
        if value.len() > MAX_CONFIG_VALUE_CHARS {
            return Err(self.invalid(value, format!("at most {MAX_CONFIG_VALUE_CHARS} characters are allowed")));
        }
        match self.rule {
            Rule::Boolean => self.check_boolean(value),
            Rule::Integer { min, max } => self.check_integer(value, min, max),
            Rule::Fraction => self.check_fraction(value),
            Rule::OneOf(allowed) if allowed.contains(&value) => Ok(()),
            // A producer's codec that would be kept anyway is legal in Kafka; what is refused is only the change.
            Rule::OneOf(_) if self.access == Access::ReadOnly => {
                Err(ConfigError::ReadOnly { name: self.name, value: self.default })
            }
            Rule::OneOf(allowed) => Err(self.invalid(value, format!("must be one of {}", allowed.join(", ")))),
            Rule::CleanupPolicy => self.check_cleanup_policy(value),
            Rule::AnyList => Ok(()),
        }
    }

    fn check_boolean(&self, value: &str) -> Result<(), ConfigError> {
        let is_boolean = value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false");
        if is_boolean { Ok(()) } else { Err(self.invalid(value, "must be true or false".to_owned())) }
    }

    fn check_integer(&self, value: &str, min: i64, max: i64) -> Result<(), ConfigError> {
        let Ok(number) = value.parse::<i64>() else {
            return Err(self.invalid(value, "must be a whole number".to_owned()));
        };
        if number < min {
            return Err(self.invalid(value, format!("must be at least {min}")));
        }
        if number > max {
            return Err(self.invalid(value, format!("must be at most {max}")));
        }
        Ok(())
    }

    fn check_fraction(&self, value: &str) -> Result<(), ConfigError> {
        let is_fraction = value.parse::<f64>().is_ok_and(|number| (0.0..=1.0).contains(&number));
        if is_fraction { Ok(()) } else { Err(self.invalid(value, "must be between 0 and 1".to_owned())) }
    }

    fn check_cleanup_policy(&self, value: &str) -> Result<(), ConfigError> {
        let policies: Vec<&str> = value.split(',').map(str::trim).collect();
        if policies.contains(&"compact") {
            let reason = "compaction is not available yet, use \"delete\"";
            return Err(self.invalid(value, reason.to_owned()));
        }
        if policies != ["delete"] {
            return Err(self.invalid(value, "must be \"delete\"".to_owned()));
        }
        Ok(())
    }

    fn invalid(&self, value: &str, reason: String) -> ConfigError {
        ConfigError::InvalidValue { name: self.name, value: value.chars().take(64).collect(), reason }
    }
}

/// Checks the rules that need more than one config, on everything that is set on a topic.
pub fn check_together(configs: &ConfigValues) -> Result<(), ConfigError> {
    let min_lag = integer(configs, "min.compaction.lag.ms");
    let max_lag = integer(configs, "max.compaction.lag.ms");
    if min_lag > max_lag {
        return Err(ConfigError::Contradiction {
            name: "min.compaction.lag.ms",
            other: "max.compaction.lag.ms",
            reason: "the least lag must not be above the greatest",
        });
    }
    Ok(())
}

/// The value that holds for a topic: what was set, or the default.
pub fn effective<'a>(configs: &'a ConfigValues, definition: &Definition) -> &'a str
where
    'static: 'a,
{
    configs.get(definition.name).map_or(definition.default, String::as_str)
}

/// The integer that holds. A stored text that does not parse was refused by this release, so the default stands in.
fn integer(configs: &ConfigValues, name: &'static str) -> i64 {
    let set = configs.get(name).and_then(|value| value.parse().ok());
    let default = || definition(name).and_then(|definition| definition.default.parse().ok());
    set.or_else(default).expect("callers name integer configs of the table")
}
