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

/// One page of a list that is in memory as a whole, with the number of each row.
pub fn cut<T>(rows: Vec<T>, request: &PageRequest) -> Listing<(usize, T)> {
    let (count, size) = (rows.len(), usize::try_from(request.size).unwrap_or(usize::MAX));
    let number = |cursor: &Cursor| usize::try_from(cursor.created_at).unwrap_or(usize::MAX);
    let first = match &request.position {
        Position::First => 0,
        Position::After(cursor) => number(cursor).saturating_add(1).min(count),
        Position::Before(cursor) => number(cursor).min(count).saturating_sub(size),
        Position::Last => count.saturating_sub(1) / size * size,
    };
    let end = match &request.position {
        Position::Before(cursor) => number(cursor).min(count),
        _ => first.saturating_add(size).min(count),
    };
    let rows = rows.into_iter().enumerate().skip(first).take(end - first).collect();
    Listing { rows, total: count as u64, has_previous: first > 0, has_next: end < count }
}

/// Where a row is in such a list.
pub fn cursor_of_cut<T>((number, _): &(usize, T)) -> Cursor {
    Cursor { created_at: i64::try_from(*number).unwrap_or(i64::MAX), id: "n".into() }
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
    fn a_list_in_memory_is_cut_into_pages_that_lead_to_each_other() {
        let show = |position: Position| {
            let listing = cut((0..5).collect(), &PageRequest { size: 2, position });
            let rows: Vec<i32> = listing.rows.iter().map(|(_, row)| *row).collect();
            (rows, listing.has_previous, listing.has_next)
        };
        let at = |number: i64| Cursor { created_at: number, id: "n".into() };
        assert_eq!(show(Position::First), (vec![0, 1], false, true));
        assert_eq!(show(Position::After(at(1))), (vec![2, 3], true, true));
        assert_eq!(show(Position::After(at(3))), (vec![4], true, false));
        assert_eq!(show(Position::Last), (vec![4], true, false));
        assert_eq!(show(Position::Before(at(4))), (vec![2, 3], true, true));
        assert_eq!(show(Position::Before(at(2))), (vec![0, 1], false, true));
        for hostile in [at(i64::MIN), at(-1), at(99), at(i64::MAX)] {
            assert_eq!(show(Position::After(hostile.clone())).0, Vec::<i32>::new());
            show(Position::Before(hostile));
        }
        let empty = cut(Vec::<i32>::new(), &PageRequest { size: 2, position: Position::Last });
        assert_eq!((empty.rows.len(), empty.has_previous, empty.has_next), (0, false, false));
    }

    #[test]
    fn filters_are_encoded_in_links() {
        assert_eq!(encode("a b&c=é~"), "a%20b%26c%3D%C3%A9~");
    }
}
