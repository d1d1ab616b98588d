//! The value of a config in a request: a string, or a number or boolean that is taken for one.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A config value as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ConfigValue(pub(super) String);

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
