//! Page requests and their tokens.
//!
//! A token says where a page begins. It is opaque to clients, at most 255 characters, and carries nothing that
//! decides what may be seen: the organization comes from the caller, always.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Rows of a page when the caller does not say.
pub const DEFAULT_PAGE_SIZE: u32 = 10;
/// Rows of a page at most.
pub const MAX_PAGE_SIZE: u32 = 100;
/// Characters of a token at most.
pub const MAX_TOKEN_CHARS: usize = 255;

/// A row's place in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// When the row was created, in microseconds.
    pub created_at: i64,
    /// Id of the row.
    pub id: String,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// At the beginning of the list.
    First,
    /// Behind a row.
    After(Cursor),
    /// Before a row.
    Before(Cursor),
    /// At the end of the list.
    Last,
}

/// Which page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Rows of the page, at least 1.
    pub size: u32,
    /// Where it begins.
    pub position: Position,
}

/// Why a page request was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Not a number within the limits.
    #[error("page_size must be a whole number from 1 to {max}")]
    Size {
        /// Rows at most.
        max: u32,
    },
    /// Not a token of ours.
    #[error("page_token is not one that this service returned: take it from metadata.next, or leave it out")]
    Token,
}

/// Reads `page_size` and `page_token` of a list whose pages have `max` rows at most.
pub fn parse(max: u32, size: Option<&str>, token: Option<&str>) -> Result<PageRequest, PageError> {
    let size = match size {
        None | Some("") => DEFAULT_PAGE_SIZE,
        Some(text) => text.parse().map_err(|_| PageError::Size { max })?,
    };
    if size == 0 || size > max {
        return Err(PageError::Size { max });
    }
    let position = match token {
        None | Some("") => Position::First,
        Some(text) => decode_token(text).ok_or(PageError::Token)?,
    };
    Ok(PageRequest { size, position })
}

/// The token of a position; none for the first page, which needs none.
pub fn encode_token(position: &Position) -> Option<String> {
    let text = match position {
        Position::First => return None,
        Position::After(cursor) => format!("a:{}:{}", cursor.created_at, cursor.id),
        Position::Before(cursor) => format!("b:{}:{}", cursor.created_at, cursor.id),
        Position::Last => "l".to_owned(),
    };
    Some(URL_SAFE_NO_PAD.encode(text))
}

fn decode_token(token: &str) -> Option<Position> {
    if token.len() > MAX_TOKEN_CHARS {
        return None;
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    if text == "l" {
        return Some(Position::Last);
    }
    let mut parts = text.splitn(3, ':');
    let (direction, created_at, id) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
    let well_formed = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !well_formed {
        return None;
    }
    let cursor = Cursor { created_at, id: id.to_owned() };
    match direction {
        "a" => Some(Position::After(cursor)),
        "b" => Some(Position::Before(cursor)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_position() {
        let cursor = Cursor { created_at: 1_700_000_000_000_000, id: "env-abc".into() };
        for position in [Position::After(cursor.clone()), Position::Before(cursor), Position::Last] {
            let token = encode_token(&position).expect("it has a token");
            assert_eq!(parse(MAX_PAGE_SIZE, None, Some(&token)).map(|request| request.position), Ok(position));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(size in ".{0,20}", token in ".{0,300}", inner in "[abl:0-9-]{0,40}") {
            let _ = parse(MAX_PAGE_SIZE, Some(&size), Some(&token));
            let _ = parse(MAX_PAGE_SIZE, None, Some(&URL_SAFE_NO_PAD.encode(inner)));
        }
    }

    #[test]
    fn a_token_of_somebody_else_is_refused() {
        let nul = URL_SAFE_NO_PAD.encode("a:1:env\0");
        for token in ["x", "!!", "YTox", nul.as_str(), &"A".repeat(256)] {
            assert_eq!(parse(MAX_PAGE_SIZE, None, Some(token)), Err(PageError::Token), "{token:?}");
        }
    }

    #[test]
    fn a_page_size_outside_of_its_range_is_refused() {
        for size in ["0", "101", "-1", "ten", "99999999999", "1.5"] {
            assert_eq!(parse(MAX_PAGE_SIZE, Some(size), None), Err(PageError::Size { max: MAX_PAGE_SIZE }), "{size:?}");
        }
        assert_eq!(parse(MAX_PAGE_SIZE, Some("99"), None).map(|request| request.size), Ok(99));
    }
}
