//! Names and free text that users give: what is accepted.

/// Characters of a display name at most.
pub const MAX_DISPLAY_NAME_CHARS: usize = 64;
/// Characters of a description at most.
pub const MAX_DESCRIPTION_CHARS: usize = 1_024;
/// Characters of a region's name at most.
pub const MAX_REGION_CHARS: usize = 64;

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing, or only spaces.
    #[error("must not be empty")]
    Empty,
    /// Longer than allowed.
    #[error("must have at most {limit} characters")]
    TooLong {
        /// Characters at most.
        limit: usize,
    },
    /// Control characters, which would hide in lists and which databases refuse.
    #[error("must not contain control characters")]
    Control,
    /// A region with other characters than letters, digits and hyphens.
    #[error("must consist of lower-case letters, digits and hyphens")]
    NotARegion,
}

/// Checks a display name.
pub fn check_display_name(text: &str) -> Result<(), TextError> {
    if text.trim().is_empty() {
        return Err(TextError::Empty);
    }
    check_text(text, MAX_DISPLAY_NAME_CHARS)
}

/// Checks a description. It may be empty.
pub fn check_description(text: &str) -> Result<(), TextError> {
    check_text(text, MAX_DESCRIPTION_CHARS)
}

/// Checks the name of a region.
pub fn check_region(text: &str) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    check_text(text, MAX_REGION_CHARS)?;
    let well_formed = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if well_formed { Ok(()) } else { Err(TextError::NotARegion) }
}

fn check_text(text: &str, limit: usize) -> Result<(), TextError> {
    if text.chars().count() > limit {
        return Err(TextError::TooLong { limit });
    }
    if text.chars().any(|character| character.is_control() && character != '\n' && character != '\t') {
        return Err(TextError::Control);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_name_is_short_and_printable() {
        assert_eq!(check_display_name("staging – été"), Ok(()));
        assert_eq!(check_display_name("  "), Err(TextError::Empty));
        assert_eq!(check_display_name(&"é".repeat(64)), Ok(()));
        assert_eq!(check_display_name(&"é".repeat(65)), Err(TextError::TooLong { limit: 64 }));
        assert_eq!(check_display_name("a\0b"), Err(TextError::Control));
    }

    #[test]
    fn a_region_has_no_odd_characters() {
        assert_eq!(check_region("us-east-2"), Ok(()));
        assert_eq!(check_region("US East"), Err(TextError::NotARegion));
        assert_eq!(check_region(""), Err(TextError::Empty));
    }
}
