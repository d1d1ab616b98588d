//! What surrounds every object of kafka/v3: links, names and lists.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// A link to another object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = KafkaRelated)]
pub struct Related {
    /// Where it is read.
    pub related: String,
}

/// Where an object or a list is read, and what an object is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = KafkaMetadata)]
pub struct Metadata {
    /// Where it is read.
    #[serde(rename = "self")]
    pub self_link: String,
    /// `crn:///kafka=lkc-…/…`; lists have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
}

/// A list. Everything fits on one page, and the last page has no `next`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct List<T> {
    /// The kind of its objects followed by `List`.
    pub kind: &'static str,
    /// Where the list is read.
    pub metadata: Metadata,
    /// All objects.
    pub data: Vec<T>,
}

impl<T> List<T> {
    /// A list of this kind.
    pub fn new(kind: &'static str, metadata: Metadata, data: Vec<T>) -> Self {
        Self { kind, metadata, data }
    }
}

impl<T: ToSchema> PartialSchema for List<T> {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new().items(Ref::from_schema_name(T::name()));
        let list = ObjectBuilder::new()
            .description(Some("A list: all objects on one page."))
            .property("kind", String::schema())
            .property("metadata", Ref::from_schema_name(Metadata::name()))
            .property("data", items)
            .required("kind")
            .required("metadata")
            .required("data");
        list.into()
    }
}

impl<T: ToSchema> ToSchema for List<T> {
    fn name() -> Cow<'static, str> {
        format!("{}List", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Metadata::name().into_owned(), Metadata::schema()));
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}
