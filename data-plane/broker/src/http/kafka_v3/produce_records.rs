//! `POST /kafka/v3/clusters/{cluster}/topics/{topic}/records`: one record per JSON value in the body, one delivery
//! report per record in the answer, each with its own code.
//!
//! Promises: a record whose report says 200 is stored and visible; the reports are in the order of the records.
//! A request of one record has the status of its report. Records are stored one by one: what came before a bad
//! one stays.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use http::{StatusCode, header};
use millstream_api::kafka_rest::record::{Refused, Report, Size, Stored};
use millstream_api::role::Operation;
use millstream_metadata::image::TopicImage;
use millstream_protocol::error_code::ErrorCode;
use millstream_protocol::record_batch::{self, BatchBuilder, NewRecord, ProduceLimits};
use serde_json::value::RawValue;

use super::record::{Data, Record};
use super::scope::Scope;
use super::{partitioner, topic};
use crate::broker::Broker;
use crate::clock::now_ms;
use crate::http::error::RestError;
use crate::http::json::RawJsonBody;
use crate::metrics::TenantMetrics;
use crate::partitions::HostedTopic;

/// Records of one request. The body is bounded too, but an empty record is only two bytes of it.
const MAX_RECORDS: usize = 10_000;
/// Batches are written as by a producer of this version of Produce.
const PRODUCE_VERSION: i16 = 11;

pub(super) async fn handle(
    State(broker): State<Arc<Broker>>,
    scope: Scope,
    Path((_, name)): Path<(String, String)>,
    RawJsonBody(body): RawJsonBody,
) -> Result<Response, RestError> {
    let topic = topic::find(&broker, &scope, &name, Operation::Write)?;
    // Writing thousands of records takes too long for a thread that serves connections.
    let produced = tokio::task::spawn_blocking(move || Producer::new(&broker, &scope, &topic).produce_all(&body)).await;
    let reports = produced.map_err(|_| RestError::retriable("the records could not be stored"))?;
    answer(reports)
}

fn answer(mut reports: Vec<Result<Stored, RestError>>) -> Result<Response, RestError> {
    if reports.len() == 1
        && let Some(only) = reports.pop()
    {
        return only.map(|stored| Json(stored).into_response());
    }
    let mut body = Vec::new();
    for report in reports {
        let report = match report {
            Ok(stored) => Report::Stored(stored),
            Err(RestError { error_code, message, .. }) => Report::Refused(Refused { error_code, message }),
        };
        serde_json::to_writer(&mut body, &report).map_err(|_| RestError::retriable("the reports cannot be written"))?;
        body.extend_from_slice(b"\r\n");
    }
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], Body::from(body)).into_response())
}

/// Stores the records of one request.
struct Producer<'a> {
    scope: &'a Scope,
    topic: &'a TopicImage,
    hosted: Option<Arc<HostedTopic>>,
    metrics: Arc<TenantMetrics>,
    /// Where records without a key go: one partition for all of a request, as a producer would batch them.
    partition_without_key: i32,
}

impl<'a> Producer<'a> {
    fn new(broker: &Broker, scope: &'a Scope, topic: &'a TopicImage) -> Self {
        let partition_count = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX).max(1);
        let random = getrandom::u32().unwrap_or_default();
        Self {
            scope,
            topic,
            hosted: broker.partitions.topic(topic.id),
            metrics: broker.metrics.tenant(&scope.tenant),
            partition_without_key: i32::try_from(random % partition_count).unwrap_or_default(),
        }
    }

    /// A report for each record; the first value that is not JSON ends the request, as nothing after it can be told apart.
    fn produce_all(&self, body: &Bytes) -> Vec<Result<Stored, RestError>> {
        let mut reports = Vec::new();
        for json in serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>() {
            if reports.len() == MAX_RECORDS {
                let message = format!("a request can hold at most {MAX_RECORDS} records");
                reports.push(Err(RestError::plain(StatusCode::PAYLOAD_TOO_LARGE, message)));
                break;
            }
            match json {
                Ok(json) => reports.push(Record::parse(json).and_then(|record| self.produce(&record))),
                Err(error) => {
                    reports.push(Err(RestError::malformed(error.to_string())));
                    break;
                }
            }
        }
        reports
    }

    fn produce(&self, record: &Record) -> Result<Stored, RestError> {
        let index = self.partition_of(record);
        if self.topic.partition(index).is_none() {
            return Err(RestError::unknown_topic_or_partition());
        }
        let offline = || RestError::retriable("the partition is offline, try again");
        let hosted = self.hosted.as_ref().ok_or_else(offline)?;
        let partition = hosted.partition(index).ok_or_else(offline)?;
        let now_ms = now_ms();
        let timestamp_ms = record.timestamp_ms.unwrap_or(now_ms);
        let batch = build(record, timestamp_ms)?;
        let limits: ProduceLimits = hosted.settings.produce_limits(PRODUCE_VERSION, now_ms);
        let validated = record_batch::validate_produced(&batch, &limits);
        let batch_header = validated.map_err(|error| refuse(error.code(), error.to_string()))?;
        if let Some(limit) = self.scope.quota.reached_storage_limit() {
            return Err(RestError::invalid(format!("this cluster stores as much as its type allows: {limit} bytes")));
        }
        let appended = partition.append(&batch, &batch_header, now_ms);
        let appended = appended.map_err(|error| {
            if error.code() == ErrorCode::KafkaStorageError {
                tracing::error!(tenant = %self.scope.tenant, topic.id = %self.topic.id, partition = index, %error,
                    "cannot append to a log");
            }
            refuse(error.code(), error.to_string())
        })?;
        self.metrics.count_produced(batch.len(), 1);
        self.scope.quota.count_stored(batch.len());
        self.scope.quota.charge_ingress(batch.len());
        let stored_timestamp_ms =
            if appended.log_append_time_ms >= 0 { appended.log_append_time_ms } else { timestamp_ms };
        Ok(Stored {
            error_code: StatusCode::OK.as_u16(),
            cluster_id: self.scope.tenant.to_string(),
            topic_name: self.topic.name.to_string(),
            partition_id: index,
            offset: appended.base_offset,
            timestamp: to_text(stored_timestamp_ms),
            key: to_size(&record.key),
            value: to_size(&record.value),
        })
    }

    fn partition_of(&self, record: &Record) -> i32 {
        match (record.partition, &record.key.bytes) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partitioner::partition_of(key, self.topic.partitions.len()),
            (None, None) => self.partition_without_key,
        }
    }
}

fn build(record: &Record, timestamp_ms: i64) -> Result<Vec<u8>, RestError> {
    let headers: Vec<(&str, Option<&[u8]>)> =
        record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
    let mut builder = BatchBuilder::new();
    builder.append(NewRecord {
        timestamp: timestamp_ms,
        key: record.key.bytes.as_deref(),
        value: record.value.bytes.as_deref(),
        headers: &headers,
    });
    builder.build().map_err(|error| RestError::invalid(error.to_string()))
}

fn refuse(code: ErrorCode, message: String) -> RestError {
    match code {
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => {
            RestError::plain(StatusCode::PAYLOAD_TOO_LARGE, message)
        }
        ErrorCode::KafkaStorageError | ErrorCode::NotLeaderOrFollower => {
            RestError::retriable("the record could not be stored, try again")
        }
        _ => RestError::invalid(message),
    }
}

fn to_size(data: &Data) -> Option<Size> {
    let size = data.bytes.as_ref().map_or(0, Vec::len);
    data.data_type.map(|data_type| Size { data_type: data_type.name(), size })
}

fn to_text(timestamp_ms: i64) -> Option<String> {
    let time = DateTime::from_timestamp_millis(timestamp_ms)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Millis, true))
}
