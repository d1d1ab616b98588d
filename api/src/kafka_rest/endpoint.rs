//! One operation of kafka/v3, as the OpenAPI document describes it.

use std::borrow::Cow;

use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

/// Every operation. The name says what a broker does; the id of the operation is in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is described in the table of endpoints")]
pub enum Operation {
    AlterTopicConfigs,
    CreateAcl,
    CreateAcls,
    CreateTopic,
    DeleteAcls,
    DeleteTopic,
    GetCluster,
    GetConsumer,
    GetConsumerGroup,
    GetLag,
    GetLagSummary,
    GetPartition,
    GetReplica,
    GetTopic,
    GetTopicConfig,
    ListAcls,
    ListAllTopicConfigs,
    ListClusters,
    ListConsumerAssignments,
    ListConsumerGroups,
    ListConsumers,
    ListDefaultTopicConfigs,
    ListLags,
    ListPartitions,
    ListReplicas,
    ListTopicConfigs,
    ListTopics,
    ProduceRecords,
    ResetTopicConfig,
    SetTopicConfig,
    UpdateTopic,
}

/// The method of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes something, or does what is none of the others.
    Post,
    /// Replaces.
    Put,
    /// Changes what is named.
    Patch,
    /// Deletes.
    Delete,
}

impl Method {
    /// The method as HTTP writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// One operation.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// Which one.
    pub operation: Operation,
    /// Its method.
    pub method: Method,
    /// Its path, with the names of its parameters in braces.
    pub path: &'static str,
    /// Its name, unique among all operations of the service.
    pub operation_id: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Parameters of the query.
    pub query: &'static [Parameter],
    /// What it takes.
    pub body: Option<Shape>,
    /// What it answers when it succeeds.
    pub answers: &'static [Answer],
}

/// A parameter of a query. Its value is text.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// The name.
    pub name: &'static str,
    /// Whether the operation is refused without it.
    pub required: bool,
    /// What it means.
    pub description: &'static str,
}

/// An answer of success.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What it means.
    pub description: &'static str,
    /// The body, if there is one.
    pub body: Option<Shape>,
}

/// A type by its schema.
#[derive(Clone, Copy)]
pub struct Shape {
    name: fn() -> Cow<'static, str>,
    collect: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl Shape {
    /// The schema of a type.
    pub const fn of<T: ToSchema>() -> Self {
        Self { name: T::name, collect: collect::<T> }
    }

    /// What the schema is called.
    pub fn name(&self) -> Cow<'static, str> {
        (self.name)()
    }

    /// The schema, and those that it refers to.
    pub fn schemas(&self) -> Vec<(String, RefOr<Schema>)> {
        let mut schemas = Vec::new();
        (self.collect)(&mut schemas);
        schemas
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.name())
    }
}

fn collect<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}
