//! A config of a topic as JSON.
//!
//! Only what a user set has the source `DYNAMIC_TOPIC_CONFIG`: tools take every such entry for their own.

use millstream_api::kafka_rest::config::{Synonym, TopicConfig};
use millstream_api::kafka_rest::envelope::Metadata;
use millstream_metadata::topic_config::{Access, DEFINITIONS};

use super::scope::Scope;
use crate::http::error::RestError;
use crate::topics::ConfigEntry;

/// Set by a user on this topic.
const SET: &str = "DYNAMIC_TOPIC_CONFIG";
/// As everybody has it.
const DEFAULT: &str = "DEFAULT_CONFIG";

/// The setting as it is answered.
pub(super) fn of(scope: &Scope, topic_name: &str, entry: ConfigEntry) -> TopicConfig {
    let metadata = scope
        .links
        .metadata(&["topics", topic_name, "configs", entry.name], &[("topic", topic_name), ("config", entry.name)]);
    new(scope, metadata, topic_name, entry)
}

/// The config as it would be if nobody had set it.
pub(super) fn default_of(scope: &Scope, topic_name: &str, mut entry: ConfigEntry) -> TopicConfig {
    entry.is_set = false;
    entry.value = entry.default.to_owned();
    let metadata = scope.links.metadata(
        &["topics", topic_name, "default-configs", entry.name],
        &[("topic", topic_name), ("default-config", entry.name)],
    );
    new(scope, metadata, topic_name, entry)
}

fn new(scope: &Scope, metadata: Metadata, topic_name: &str, entry: ConfigEntry) -> TopicConfig {
    let synonym = |value: &str, source| Synonym { name: entry.name, value: value.to_owned(), source };
    let set = entry.is_set.then(|| synonym(&entry.value, SET));
    let synonyms = set.into_iter().chain([synonym(entry.default, DEFAULT)]).collect();
    TopicConfig {
        kind: "KafkaTopicConfig",
        metadata,
        cluster_id: scope.tenant.to_string(),
        topic_name: topic_name.to_owned(),
        name: entry.name,
        is_default: !entry.is_set,
        is_read_only: entry.is_read_only,
        is_sensitive: false,
        source: if entry.is_set { SET } else { DEFAULT },
        synonyms,
        value: entry.value,
    }
}

/// Every config a topic can have, with nothing set.
pub(super) fn definitions() -> impl Iterator<Item = ConfigEntry> {
    DEFINITIONS.iter().map(|definition| ConfigEntry {
        name: definition.name,
        value: definition.default.to_owned(),
        default: definition.default,
        is_set: false,
        is_read_only: definition.access == Access::ReadOnly,
        config_type: definition.config_type,
        documentation: definition.documentation,
    })
}

/// The answer for a config name that does not exist.
pub(super) fn unknown(name: &str) -> RestError {
    let name: String = name.chars().take(64).collect();
    RestError::not_found(format!("Config {name} cannot be found for TOPIC."))
}

/// Refuses a config name that does not exist.
pub(super) fn check_name(name: &str) -> Result<(), RestError> {
    millstream_metadata::topic_config::definition(name).map(drop).ok_or_else(|| unknown(name))
}
