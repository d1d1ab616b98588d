//! Settings of topics.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use super::envelope::Metadata;

/// A setting of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = KafkaTopicConfig)]
pub struct TopicConfig {
    /// Always `KafkaTopicConfig`.
    pub kind: &'static str,
    /// Where it is read.
    pub metadata: Metadata,
    /// The cluster.
    pub cluster_id: String,
    /// The topic.
    pub topic_name: String,
    /// The name of the setting.
    pub name: &'static str,
    /// The value, as text.
    pub value: String,
    /// Whether nobody set it.
    pub is_default: bool,
    /// Whether nobody may set it.
    pub is_read_only: bool,
    /// Whether the value is a secret.
    pub is_sensitive: bool,
    /// `DYNAMIC_TOPIC_CONFIG` if a user set it on this topic, else `DEFAULT_CONFIG`.
    pub source: &'static str,
    /// Where the value could come from; the first one counts.
    pub synonyms: Vec<Synonym>,
}

/// One of the places that a value could come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = KafkaConfigSynonym)]
pub struct Synonym {
    /// The name of the setting there.
    pub name: &'static str,
    /// The value there.
    pub value: String,
    /// Which place it is.
    pub source: &'static str,
}

/// The new value of one setting.
#[derive(Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = UpdateKafkaTopicConfig)]
pub struct SetConfig {
    /// The value.
    pub value: Option<ConfigValue>,
}

/// Changes to settings of one topic, all or none.
#[derive(Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = AlterKafkaTopicConfigs)]
pub struct AlterConfigs {
    /// The changes.
    pub data: Vec<Alteration>,
    /// Only say whether it would succeed.
    pub validate_only: Option<bool>,
}

/// A change to one setting.
#[derive(Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = KafkaConfigAlteration)]
pub struct Alteration {
    /// The name.
    pub name: String,
    /// The new value.
    pub value: Option<ConfigValue>,
    /// What happens to the setting; it is set if left out.
    pub operation: Option<AlterOperation>,
}

/// What happens to a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = KafkaConfigOperation)]
pub enum AlterOperation {
    /// It gets the value.
    Set,
    /// It gets its default again.
    Delete,
}

/// The value of a setting in a request, as text: a string, or a number or boolean that is taken for one.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigValue(pub String);

impl PartialSchema for ConfigValue {
    fn schema() -> RefOr<Schema> {
        let scalars = SchemaType::from_iter([Type::String, Type::Number, Type::Boolean]);
        ObjectBuilder::new().schema_type(scalars).into()
    }
}

impl ToSchema for ConfigValue {
    fn name() -> std::borrow::Cow<'static, str> {
        "KafkaConfigValue".into()
    }
}

impl<'de> Deserialize<'de> for ConfigValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalar)
    }
}

struct Scalar;

impl Visitor<'_> for Scalar {
    type Value = ConfigValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, a number or a boolean")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<ConfigValue, E> {
        Ok(ConfigValue(value.to_owned()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<ConfigValue, E> {
        Ok(ConfigValue(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<ConfigValue, E> {
        Ok(ConfigValue(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<ConfigValue, E> {
        Ok(ConfigValue(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<ConfigValue, E> {
        Ok(ConfigValue(value.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_text_and_nothing_else_is() {
        for (json, text) in [("\"a\"", "a"), ("3600000", "3600000"), ("-1", "-1"), ("true", "true"), ("0.5", "0.5")] {
            assert_eq!(serde_json::from_str::<ConfigValue>(json).unwrap().0, text);
        }
        for other in ["null", "[]", "{}", "[1]"] {
            assert!(serde_json::from_str::<ConfigValue>(other).is_err(), "{other}");
        }
    }
}
