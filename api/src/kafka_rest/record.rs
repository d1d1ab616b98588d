//! Records to be produced, and what became of them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A record to be produced. A body holds one or several, one JSON value after the other.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ProduceKafkaRecord)]
pub struct Record<'a> {
    /// The partition; chosen by the key, or by the broker, if left out.
    pub partition_id: Option<i32>,
    /// Headers of the record.
    #[serde(borrow)]
    pub headers: Option<Vec<Header<'a>>>,
    /// The key.
    #[serde(borrow)]
    pub key: Option<Data<'a>>,
    /// The value.
    #[serde(borrow)]
    pub value: Option<Data<'a>>,
    /// When it happened, such as `2026-01-31T12:00:00Z`; now if left out.
    #[serde(borrow)]
    #[schema(format = DateTime)]
    pub timestamp: Option<Cow<'a, str>>,
}

/// A header of a record.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ProduceKafkaRecordHeader)]
pub struct Header<'a> {
    /// The name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// The value in base64.
    #[serde(borrow)]
    pub value: Option<Cow<'a, str>>,
}

/// The key or the value of a record.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ProduceKafkaRecordData)]
pub struct Data<'a> {
    /// `BINARY` for base64 in a string, `JSON` for any JSON, `STRING` for text; required if there is `data`.
    #[serde(rename = "type", borrow)]
    pub kind: Option<Cow<'a, str>>,
    /// The data in the form that `type` names.
    #[serde(borrow)]
    #[schema(value_type = Option<serde_json::Value>)]
    pub data: Option<&'a RawValue>,
}

/// What became of one record: one for each record, in their order, one JSON value after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = KafkaDeliveryReport)]
pub enum Report {
    /// It is stored.
    Stored(Stored),
    /// It is not stored.
    Refused(Refused),
}

/// Where a record is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StoredKafkaRecord)]
pub struct Stored {
    /// Always 200.
    pub error_code: u16,
    /// The cluster.
    pub cluster_id: String,
    /// The topic.
    pub topic_name: String,
    /// The partition.
    pub partition_id: i32,
    /// The offset.
    pub offset: i64,
    /// The timestamp of the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// What the key was taken for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Size>,
    /// What the value was taken for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Size>,
}

/// What a key or a value was taken for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StoredKafkaRecordData)]
pub struct Size {
    /// `BINARY`, `JSON` or `STRING`.
    #[serde(rename = "type")]
    pub data_type: &'static str,
    /// Bytes.
    pub size: usize,
}

/// Why a record is not stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = RefusedKafkaRecord)]
pub struct Refused {
    /// As in the body of an error.
    pub error_code: u32,
    /// What is wrong with it.
    pub message: String,
}
