//! Ranges of message versions, and the Rust conditions that test them.

use anyhow::{Context, Result};

/// An inclusive range; empty when `low > high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    pub low: i16,
    pub high: i16,
}

/// When something holds, seen from versions that are already known to be in a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    Always,
    Never,
    If(String),
}

impl Versions {
    pub const NONE: Versions = Versions { low: 0, high: -1 };

    /// Parses `none`, `5`, `1-3` or `2+`.
    pub fn parse(text: &str) -> Result<Versions> {
        let text = text.trim();
        if text == "none" {
            return Ok(Self::NONE);
        }
        let number = |part: &str| part.trim().parse::<i16>().with_context(|| format!("version range {text:?}"));
        if let Some(low) = text.strip_suffix('+') {
            return Ok(Versions { low: number(low)?, high: i16::MAX });
        }
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        Ok(Versions { low: number(low)?, high: number(high)? })
    }

    pub fn is_empty(self) -> bool {
        self.low > self.high
    }

    pub fn intersect(self, other: Versions) -> Versions {
        let both = Versions { low: self.low.max(other.low), high: self.high.min(other.high) };
        if both.is_empty() { Self::NONE } else { both }
    }

    /// The condition on `version` under which it lies in `self`, given that it lies in `known`.
    pub fn condition(self, known: Versions) -> Condition {
        let wanted = self.intersect(known);
        if wanted.is_empty() {
            return Condition::Never;
        }
        let from_below = wanted.low == known.low;
        let to_above = wanted.high == known.high;
        match (from_below, to_above) {
            (true, true) => Condition::Always,
            (false, true) => Condition::If(format!("version >= {}", wanted.low)),
            (true, false) => Condition::If(format!("version <= {}", wanted.high)),
            (false, false) if wanted.low == wanted.high => Condition::If(format!("version == {}", wanted.low)),
            (false, false) => Condition::If(format!("({}..={}).contains(&version)", wanted.low, wanted.high)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: &str, known: &str, expected: &str) {
        let condition = Versions::parse(wanted).unwrap().condition(Versions::parse(known).unwrap());
        let text = match condition {
            Condition::Always => "always".to_owned(),
            Condition::Never => "never".to_owned(),
            Condition::If(text) => text,
        };
        assert_eq!(text, expected, "{wanted} within {known}");
    }

    #[test]
    fn a_condition_tests_only_what_is_not_known_yet() {
        check("0+", "3-13", "always");
        check("9+", "3-13", "version >= 9");
        check("0-12", "3-13", "version <= 12");
        check("7", "3-13", "version == 7");
        check("7-9", "3-13", "(7..=9).contains(&version)");
        check("14+", "3-13", "never");
        check("none", "0+", "never");
    }
}
