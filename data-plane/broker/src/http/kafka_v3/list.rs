//! The envelope of lists. Everything fits on one page, and the last page has no `next`.

use serde::Serialize;

use super::links::Metadata;

/// A list of resources.
#[derive(Debug, Serialize)]
pub(super) struct List<T> {
    kind: &'static str,
    metadata: Metadata,
    data: Vec<T>,
}

impl<T> List<T> {
    pub(super) fn new(kind: &'static str, metadata: Metadata, data: Vec<T>) -> Self {
        Self { kind, metadata, data }
    }
}
