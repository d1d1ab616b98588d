//! The envelope of a list: links to the pages around it.

use millstream_api::rest::envelope::{ListMetadata, Page};

use super::parameters::Parameters;
use crate::app::App;
use crate::domain::page::{Cursor, PageRequest, Position, encode_token};
use crate::store::page::Listing;

/// Wraps one page.
pub fn page<R, T>(
    app: &App,
    path: &str,
    (api_version, kind): (&str, &str),
    (parameters, request): (&Parameters, &PageRequest),
    listing: Listing<R>,
    cursor: impl Fn(&R) -> Cursor,
    render: impl Fn(&R) -> T,
) -> Page<T> {
    let url = |position: &Position| page_url(app, path, parameters, request, position);
    let next = listing.rows.last().filter(|_| listing.has_next).map(|row| url(&Position::After(cursor(row))));
    let prev = listing.rows.first().filter(|_| listing.has_previous).map(|row| url(&Position::Before(cursor(row))));
    let metadata = ListMetadata {
        first: Some(url(&Position::First)),
        last: Some(url(&Position::Last)),
        prev,
        next,
        total_size: Some(listing.total),
    };
    Page {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        metadata,
        data: listing.rows.iter().map(render).collect(),
    }
}

fn page_url(app: &App, path: &str, parameters: &Parameters, request: &PageRequest, position: &Position) -> String {
    let mut query: Vec<(String, String)> =
        parameters.filters().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    query.push(("page_size".into(), request.size.to_string()));
    if let Some(token) = encode_token(position) {
        query.push(("page_token".into(), token));
    }
    let pairs: Vec<String> = query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    format!("{}{path}?{}", app.public_url, pairs.join("&"))
}

/// Percent-encodes all but the characters that never need it.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_encoded_in_links() {
        assert_eq!(encode("a b&c=é~"), "a%20b%26c%3D%C3%A9~");
    }
}
