//! The name of a topic, as Kafka allows it.
//!
//! A `TopicName` is proof that the name is legal. Whether it is free within a tenant is decided elsewhere.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name: with `-<partition>` and a suffix it must still fit a file name of 255 bytes.
pub const MAX_TOPIC_NAME_CHARS: usize = 249;

/// Why a text cannot name a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    /// The empty text.
    #[error("topic name must not be empty")]
    Empty,
    /// `.` and `..` are folders of every file system.
    #[error("topic name must not be '.' or '..'")]
    Dots,
    /// Longer than [`MAX_TOPIC_NAME_CHARS`].
    #[error("topic name is {chars} characters long, at most {MAX_TOPIC_NAME_CHARS} are allowed")]
    TooLong {
        /// How long it is.
        chars: usize,
    },
    /// A character outside of the alphabet.
    #[error("topic name may only hold ASCII letters, digits, '.', '_' and '-'")]
    IllegalCharacter,
}

/// A legal topic name. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// A name, if it is legal.
    pub fn new(text: &str) -> Result<Self, TopicNameError> {
        text.parse()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which `.` and `_` are the same. Two topics of a tenant whose forms are equal would share metric
    /// names, so Kafka refuses the second one.
    pub fn collision_form(&self) -> TopicName {
        if self.0.contains('.') { Self(self.0.replace('.', "_").into()) } else { self.clone() }
    }
}

impl FromStr for TopicName {
    type Err = TopicNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(TopicNameError::Empty);
        }
        if text == "." || text == ".." {
            return Err(TopicNameError::Dots);
        }
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if text.len() > MAX_TOPIC_NAME_CHARS {
            return Err(TopicNameError::TooLong { chars: text.chars().count() });
        }
        if !text.bytes().all(is_legal) {
            return Err(TopicNameError::IllegalCharacter);
        }
        Ok(Self(text.into()))
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_kafka_judges_them() {
        let longest = "a".repeat(MAX_TOPIC_NAME_CHARS);
        let too_long = "a".repeat(MAX_TOPIC_NAME_CHARS + 1);
        let cases: &[(&str, Result<(), TopicNameError>)] = &[
            ("tweets", Ok(())),
            ("a.b_c-D9", Ok(())),
            ("...", Ok(())),
            (&longest, Ok(())),
            (&too_long, Err(TopicNameError::TooLong { chars: 250 })),
            ("", Err(TopicNameError::Empty)),
            (".", Err(TopicNameError::Dots)),
            ("..", Err(TopicNameError::Dots)),
            ("a b", Err(TopicNameError::IllegalCharacter)),
            ("a/b", Err(TopicNameError::IllegalCharacter)),
            ("a\0b", Err(TopicNameError::IllegalCharacter)),
            ("тема", Err(TopicNameError::IllegalCharacter)),
        ];
        for (text, expected) in cases {
            let judged = text.parse::<TopicName>().map(|_| ());
            assert_eq!(&judged, expected, "{text:?}");
        }
    }

    #[test]
    fn a_dot_and_an_underscore_collide() {
        let dotted: TopicName = "a.b".parse().unwrap();
        let underscored: TopicName = "a_b".parse().unwrap();
        assert_eq!(dotted.collision_form(), underscored.collision_form());
    }
}
