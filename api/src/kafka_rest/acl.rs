//! ACLs: who may, or may not, do what to which resource of the cluster.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::envelope::Metadata;

/// An ACL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = KafkaAcl)]
pub struct Acl {
    /// Always `KafkaAcl`.
    pub kind: &'static str,
    /// Where exactly this ACL is read.
    pub metadata: Metadata,
    /// The cluster.
    pub cluster_id: String,
    /// `TOPIC`, `GROUP`, `TRANSACTIONAL_ID` or `CLUSTER`.
    pub resource_type: &'static str,
    /// Name, beginning of a name, or `*`.
    pub resource_name: String,
    /// `LITERAL` or `PREFIXED`.
    pub pattern_type: &'static str,
    /// `User:…`
    pub principal: String,
    /// An address, or `*`.
    pub host: String,
    /// Kafka's name of the operation, or `ALL`.
    pub operation: &'static str,
    /// `ALLOW` or `DENY`.
    pub permission: &'static str,
}

/// An ACL that a caller asks for. Enumerations are Kafka's names, in any case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = CreateKafkaAcl)]
pub struct NewAcl {
    /// `TOPIC`, `GROUP`, `TRANSACTIONAL_ID` or `CLUSTER`.
    pub resource_type: String,
    /// Name, beginning of a name, or `*`; `kafka-cluster` for the cluster.
    pub resource_name: String,
    /// `LITERAL` or `PREFIXED`.
    pub pattern_type: String,
    /// `User:` and the id of a user or service account, or `User:*`.
    pub principal: String,
    /// An address, or `*`.
    pub host: String,
    /// Kafka's name of the operation, or `ALL`.
    pub operation: String,
    /// `ALLOW` or `DENY`.
    pub permission: String,
}

/// ACLs that a caller asks for, all or none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = CreateKafkaAcls)]
pub struct CreateAcls {
    /// The ACLs.
    pub data: Vec<NewAcl>,
}

/// What a deletion deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = DeletedKafkaAcls)]
pub struct Deleted {
    /// The ACLs that are gone.
    pub data: Vec<Acl>,
}
