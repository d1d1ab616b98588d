//! The settings of a broker that tools read by their Kafka names. Read-only for tenants.

use millstream_metadata::topic_config::ConfigType;

use crate::broker::{AdvertisedListener, Settings};
use crate::topics::ConfigEntry;

/// All of them, ordered by name, as a client of this listener sees them: other listeners are not its affair.
pub(crate) fn describe(settings: &Settings, listener: &AdvertisedListener) -> Vec<ConfigEntry> {
    let auto_create = settings.auto_create_topics.to_string();
    let partitions = settings.default_partitions.to_string();
    let advertised = format!("{}://{}:{}", listener.name, listener.host, listener.port);
    let broker_id = settings.broker_id.to_string();
    vec![
        entry("advertised.listeners", advertised, "", ConfigType::String, "Where clients reach this broker."),
        entry(
            "auto.create.topics.enable",
            auto_create,
            "true",
            ConfigType::Boolean,
            "Whether a metadata request may create a topic.",
        ),
        entry("broker.id", broker_id, "-1", ConfigType::Int, "The node id of this broker."),
        entry(
            "default.replication.factor",
            "1".to_owned(),
            "1",
            ConfigType::Int,
            "Replicas of a topic that does not say how many.",
        ),
        entry("num.partitions", partitions, "1", ConfigType::Int, "Partitions of a topic that does not say how many."),
        entry(
            "offsets.retention.minutes",
            "10080".to_owned(),
            "10080",
            ConfigType::Int,
            "How long the offsets of an empty group are kept.",
        ),
    ]
}

fn entry(
    name: &'static str,
    value: String,
    default: &'static str,
    config_type: ConfigType,
    documentation: &'static str,
) -> ConfigEntry {
    let is_set = value != default;
    ConfigEntry { name, value, default, is_set, is_read_only: true, config_type, documentation }
}
