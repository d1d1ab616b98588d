//! Whether the configs of a topic can change.
//!
//! Incremental changes (IncrementalAlterConfigs) name what to set, delete, append or subtract; the older AlterConfigs
//! gives everything that shall be set, and what it leaves out returns to its default.

use std::collections::BTreeMap;

use millstream_api::ids::LogicalClusterId;

use crate::decide::{Decision, Mode, TenantLimits, TopicError};
use crate::image::{ConfigValues, MetadataImage, TopicImage};
use crate::records::{ConfigResource, MetadataRecord};
use crate::topic_config::{self, Accepted, ConfigError, ConfigType, Definition};

/// What to do with one config, with its number in IncrementalAlterConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigOperation {
    /// Set it.
    Set = 0,
    /// Return it to its default.
    Delete = 1,
    /// Add items to a list.
    Append = 2,
    /// Take items off a list.
    Subtract = 3,
}

impl ConfigOperation {
    /// Of Kafka's number.
    pub fn from_number(number: i8) -> Option<Self> {
        [Self::Set, Self::Delete, Self::Append, Self::Subtract].into_iter().find(|operation| *operation as i8 == number)
    }
}

/// One change of one config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigAlteration {
    /// Which config.
    pub name: String,
    /// What to do with it.
    pub operation: ConfigOperation,
    /// With what.
    pub value: Option<String>,
}

/// Decides to change some configs of a topic and leave the others.
pub fn alter_topic_configs(
    image: &MetadataImage,
    tenant: &LogicalClusterId,
    topic_name: &str,
    alterations: &[ConfigAlteration],
    limits: TenantLimits,
    mode: Mode,
) -> Result<Decision<()>, TopicError> {
    let topic = image.topic_by_name(tenant, topic_name).ok_or(TopicError::UnknownTopic)?;
    let mut wanted = ConfigValues::clone(&topic.configs);
    for (index, alteration) in alterations.iter().enumerate() {
        if alterations[..index].iter().any(|earlier| earlier.name == alteration.name) {
            let reason = format!("config {} is altered twice in one request", alteration.name);
            return Err(TopicError::InvalidRequest { reason });
        }
        alter(&mut wanted, alteration, limits)?;
    }
    decide_change(tenant, topic, &wanted, mode)
}

/// Decides to make these the configs of a topic, and no others.
pub fn replace_topic_configs(
    image: &MetadataImage,
    tenant: &LogicalClusterId,
    topic_name: &str,
    configs: &BTreeMap<String, Option<String>>,
    limits: TenantLimits,
    mode: Mode,
) -> Result<Decision<()>, TopicError> {
    let topic = image.topic_by_name(tenant, topic_name).ok_or(TopicError::UnknownTopic)?;
    let mut wanted = ConfigValues::new();
    for (name, value) in configs {
        let Some(value) = value else {
            return Err(TopicError::InvalidRequest { reason: format!("config {name} has no value") });
        };
        if let Some(stored) = accept(name, value, limits)? {
            wanted.insert(name.clone(), stored);
        }
    }
    decide_change(tenant, topic, &wanted, mode)
}

/// The definition of a config that exists.
pub(super) fn known(name: &str) -> Result<&'static Definition, ConfigError> {
    topic_config::definition(name).ok_or_else(|| ConfigError::Unknown { name: name.chars().take(64).collect() })
}

/// What to store for a value that a user set; `None` if it says what holds anyway and cannot change.
pub(super) fn accept(name: &str, value: &str, limits: TenantLimits) -> Result<Option<String>, ConfigError> {
    let definition = known(name)?;
    let Accepted::Store(stored) = definition.accept(value)? else {
        return Ok(None);
    };
    if definition.name == "max.message.bytes" {
        let size = stored.parse::<i64>().unwrap_or(i64::MAX);
        let limit = limits.max_message_bytes;
        if size > limit {
            return Err(ConfigError::AbovePlanLimit { name: definition.name, value: size, limit });
        }
    }
    Ok(Some(stored))
}

fn alter(wanted: &mut ConfigValues, alteration: &ConfigAlteration, limits: TenantLimits) -> Result<(), TopicError> {
    let definition = known(&alteration.name)?;
    if alteration.operation == ConfigOperation::Delete {
        wanted.remove(definition.name);
        return Ok(());
    }
    let Some(value) = &alteration.value else {
        return Err(TopicError::InvalidRequest { reason: format!("config {} has no value", definition.name) });
    };
    let value = match alteration.operation {
        ConfigOperation::Append => edited_list(wanted, definition, value, |items, item| {
            if !items.contains(&item) {
                items.push(item);
            }
        })?,
        ConfigOperation::Subtract => edited_list(wanted, definition, value, |items, item| {
            items.retain(|existing| *existing != item);
        })?,
        ConfigOperation::Set | ConfigOperation::Delete => value.clone(),
    };
    if let Some(stored) = accept(definition.name, &value, limits)? {
        wanted.insert(definition.name.to_owned(), stored);
    }
    Ok(())
}

fn edited_list(
    configs: &ConfigValues,
    definition: &Definition,
    value: &str,
    edit: impl Fn(&mut Vec<String>, String),
) -> Result<String, TopicError> {
    if definition.config_type != ConfigType::List {
        let reason = format!("config {} is not a list, it cannot be appended to or subtracted from", definition.name);
        return Err(TopicError::InvalidRequest { reason });
    }
    let items = |text: &str| -> Vec<String> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    };
    let mut edited = items(topic_config::effective(configs, definition));
    for item in items(value) {
        edit(&mut edited, item);
    }
    Ok(edited.join(","))
}

fn decide_change(
    tenant: &LogicalClusterId,
    topic: &TopicImage,
    wanted: &ConfigValues,
    mode: Mode,
) -> Result<Decision<()>, TopicError> {
    topic_config::check_together(wanted)?;
    let resource = ConfigResource::Topic { tenant: tenant.clone(), topic_id: topic.id };
    let record = |name: &String, value: Option<&String>| MetadataRecord::Config {
        resource: resource.clone(),
        name: name.clone(),
        value: value.cloned(),
    };
    let removed = topic.configs.keys().filter(|name| !wanted.contains_key(*name)).map(|name| record(name, None));
    let set = wanted
        .iter()
        .filter(|(name, value)| topic.configs.get(*name) != Some(value))
        .map(|(name, value)| record(name, Some(value)));
    let records = removed.chain(set).collect();
    Ok(mode.decision(records, ()))
}
