//! A record of a produce request: from JSON to bytes.
//!
//! Promises: JSON data is stored as it was written, without the white space between its parts: no number loses
//! digits and no field changes its place. Nesting is bounded. Never guesses a type.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use millstream_api::kafka_rest::record::{Data as DataJson, Header as HeaderJson, Record as RecordJson};
use serde_json::value::RawValue;

use crate::http::error::RestError;

/// Deepest nesting of JSON data.
const MAX_DEPTH: usize = 128;
/// Headers of one record.
const MAX_HEADERS: usize = 1_000;

/// Name and value of a header.
type Header = (String, Option<Vec<u8>>);

/// How data is written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataType {
    /// Base64 in a string.
    Binary,
    /// Any JSON, stored as text.
    Json,
    /// A string, stored as UTF-8.
    String,
}

/// A record, ready to be put into a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) partition: Option<i32>,
    pub(super) headers: Vec<Header>,
    pub(super) key: Data,
    pub(super) value: Data,
    pub(super) timestamp_ms: Option<i64>,
}

/// A key or a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Data {
    /// The type the request named; `None` if it gave nothing at all.
    pub(super) data_type: Option<DataType>,
    /// `None` is Kafka's null.
    pub(super) bytes: Option<Vec<u8>>,
}

impl DataType {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Binary => "BINARY",
            Self::Json => "JSON",
            Self::String => "STRING",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Binary, Self::Json, Self::String].into_iter().find(|data_type| data_type.name() == name)
    }
}

impl Record {
    /// Reads one record.
    pub(super) fn parse(json: &RawValue) -> Result<Self, RestError> {
        if !json.get().starts_with('{') {
            return Err(RestError::malformed("a record must be a JSON object"));
        }
        let parsed: RecordJson<'_> =
            serde_json::from_str(json.get()).map_err(|error| RestError::malformed(error.to_string()))?;
        Ok(Self {
            partition: parsed.partition_id,
            headers: to_headers(parsed.headers.unwrap_or_default())?,
            key: Data::parse("key", parsed.key)?,
            value: Data::parse("value", parsed.value)?,
            timestamp_ms: parsed.timestamp.as_deref().map(to_timestamp_ms).transpose()?,
        })
    }
}

impl Data {
    fn parse(field: &str, json: Option<DataJson<'_>>) -> Result<Self, RestError> {
        let Some(DataJson { kind, data }) = json else {
            return Ok(Self { data_type: None, bytes: None });
        };
        let data_type = match kind.as_deref() {
            Some(name) => Some(DataType::parse(name).ok_or_else(|| unknown_type(field))?),
            None => None,
        };
        let Some(data) = data else {
            return Ok(Self { data_type, bytes: None });
        };
        let data_type = data_type.ok_or_else(|| unknown_type(field))?;
        let bytes = match data_type {
            DataType::Json => compact(data.get()).ok_or_else(|| {
                RestError::malformed(format!("{field}.data is nested deeper than {MAX_DEPTH} levels"))
            })?,
            DataType::String => text(field, data)?.into_bytes(),
            DataType::Binary => STANDARD
                .decode(text(field, data)?)
                .map_err(|error| RestError::malformed(format!("{field}.data is not base64: {error}")))?,
        };
        Ok(Self { data_type: Some(data_type), bytes: Some(bytes) })
    }
}

fn unknown_type(field: &str) -> RestError {
    RestError::malformed(format!("{field}.type must be one of BINARY, JSON, STRING"))
}

fn text(field: &str, data: &RawValue) -> Result<String, RestError> {
    serde_json::from_str(data.get()).map_err(|_| RestError::malformed(format!("{field}.data must be a string")))
}

fn to_headers(headers: Vec<HeaderJson<'_>>) -> Result<Vec<Header>, RestError> {
    if headers.len() > MAX_HEADERS {
        return Err(RestError::malformed(format!("a record can have at most {MAX_HEADERS} headers")));
    }
    let mut decoded = Vec::with_capacity(headers.len());
    for HeaderJson { name, value } in headers {
        let value = value.map(|value| STANDARD.decode(value.as_bytes())).transpose();
        let value =
            value.map_err(|error| RestError::malformed(format!("the value of a header is not base64: {error}")))?;
        decoded.push((name.into_owned(), value));
    }
    Ok(decoded)
}

fn to_timestamp_ms(text: &str) -> Result<i64, RestError> {
    let parsed = DateTime::parse_from_rfc3339(text);
    let parsed = parsed.map_err(|_| RestError::malformed("timestamp must look like 2026-01-31T12:00:00Z"))?;
    let timestamp_ms = parsed.timestamp_millis();
    if timestamp_ms < 0 {
        return Err(RestError::malformed("timestamp must not be before 1970"));
    }
    Ok(timestamp_ms)
}

/// Valid JSON without white space outside of strings; `None` if it is nested too deep.
fn compact(json: &str) -> Option<Vec<u8>> {
    let mut compacted = Vec::with_capacity(json.len());
    let (mut in_string, mut escaped, mut depth) = (false, false, 0_usize);
    for byte in json.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            compacted.push(byte);
            continue;
        }
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => continue,
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return None;
        }
        compacted.push(byte);
    }
    Some(compacted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(json: &str) -> Result<Record, RestError> {
        Record::parse(&RawValue::from_string(json.to_owned()).unwrap())
    }

    fn bytes(json: &str) -> Option<Vec<u8>> {
        parse(json).unwrap().value.bytes
    }

    #[test]
    fn each_type_becomes_its_bytes() {
        assert_eq!(bytes(r#"{"value":{"type":"BINARY","data":"AQID"}}"#), Some(vec![1, 2, 3]));
        assert_eq!(bytes(r#"{"value":{"type":"STRING","data":"é\n"}}"#), Some("é\n".as_bytes().to_vec()));
        assert_eq!(
            bytes(r#"{"value":{"type":"JSON","data":{"b": 1.10, "a": [ 1 , "x y\"" ]}}}"#).unwrap(),
            br#"{"b":1.10,"a":[1,"x y\""]}"#
        );
        assert_eq!(
            bytes(r#"{"value":{"type":"JSON","data":123456789012345678901234567890}}"#).unwrap(),
            b"123456789012345678901234567890"
        );
        for nothing in
            [r#"{"value":{"type":"JSON","data":null}}"#, r#"{"value":{"type":"STRING"}}"#, r#"{"value":null}"#, "{}"]
        {
            assert_eq!(bytes(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn keys_headers_partition_and_timestamp_are_read() {
        let record = parse(
            r#"{"partition_id":3,"key":{"type":"STRING","data":"k"},"timestamp":"2021-02-05T19:14:42.5Z",
               "headers":[{"name":"a","value":"AQ=="},{"name":"a","value":null},{"name":"b"}],"unknown":1}"#,
        )
        .unwrap();
        assert_eq!((record.partition, record.timestamp_ms), (Some(3), Some(1_612_552_482_500)));
        assert_eq!(record.key.bytes, Some(b"k".to_vec()));
        let header = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
        assert_eq!(record.headers, [header("a", Some(&[1])), header("a", None), header("b", None)]);
    }

    #[test]
    fn what_is_wrong_is_refused_with_the_field() {
        for (json, named) in [
            ("[1]", "object"),
            (r#"{"value":{"data":"x"}}"#, "value.type"),
            (r#"{"value":{"type":"AVRO","data":"x"}}"#, "value.type"),
            (r#"{"key":{"type":"BINARY","data":"%%%"}}"#, "key.data"),
            (r#"{"key":{"type":"STRING","data":1}}"#, "key.data"),
            (r#"{"timestamp":"yesterday"}"#, "timestamp"),
            (r#"{"timestamp":"1960-01-01T00:00:00Z"}"#, "timestamp"),
            (r#"{"partition_id":"x"}"#, "invalid type"),
            (r#"{"headers":[{"name":"a","value":"%%%"}]}"#, "header"),
            (r#"{"headers":{}}"#, "invalid type"),
        ] {
            let error = parse(json).unwrap_err();
            assert!(error.status == 400 && error.message.contains(named), "{json}: {}", error.message);
        }
        let deep = format!(r#"{{"value":{{"type":"JSON","data":{}1{}}}}}"#, "[".repeat(200), "]".repeat(200));
        assert!(parse(&deep).unwrap_err().message.contains("nested"));
        let most = format!(r#"{{"value":{{"type":"JSON","data":{}1{}}}}}"#, "[".repeat(128), "]".repeat(128));
        assert!(parse(&most).is_ok());
    }

    #[test]
    fn any_json_is_a_record_or_refused() {
        bolero::check!().with_iterations(20_000).for_each(|bytes: &[u8]| {
            for json in serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>() {
                let Ok(json) = json else { break };
                let _record_or_refused = Record::parse(json);
            }
        });
    }

    proptest! {
        #[test]
        fn compact_json_means_the_same(text in r#"[ \n\t"\\{}\[\],:a0-9é]{0,40}"#) {
            let value = serde_json::json!({ "a b": text, "c": [text.as_str(), 1, null, {"d \" e": true}] });
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let compacted = compact(&pretty).unwrap();
            prop_assert_eq!(String::from_utf8(compacted).unwrap(), value.to_string());
        }
    }
}
