//! Records as text: a line in, a line or a JSON object out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::kafka_client::consumer::ConsumedRecord;

/// `\t`, `\n` and `\\` in a flag, so that shells need no tricks.
pub fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, character == '\\') {
            (_, true) => match characters.next() {
                Some('t') => result.push('\t'),
                Some('n') => result.push('\n'),
                Some('\\') => result.push('\\'),
                Some(other) => result.extend(['\\', other]),
                None => result.push('\\'),
            },
            (character, false) => result.push(character),
        }
    }
    result
}

/// Key and value of a line. Only the first separator counts, so that a JSON value may contain it.
pub fn split_line(line: &[u8], separator: Option<&[u8]>) -> (Option<Vec<u8>>, Vec<u8>) {
    let found = separator.filter(|text| !text.is_empty()).and_then(|text| {
        let at = line.windows(text.len()).position(|window| window == text)?;
        Some((line[..at].to_vec(), line[at + text.len()..].to_vec()))
    });
    match found {
        Some((key, value)) => (Some(key), value),
        None => (None, line.to_vec()),
    }
}

/// Which parts of a record are printed.
pub struct LineFormat {
    pub offset: bool,
    pub headers: bool,
    pub key: bool,
    pub separator: String,
}

impl LineFormat {
    /// The record as one line, with its line end. Bytes go out as they are.
    pub fn write(&self, record: &ConsumedRecord, line: &mut Vec<u8>) {
        if self.offset {
            line.extend(format!("{}:{}", record.partition, record.offset).into_bytes());
            line.extend(self.separator.as_bytes());
        }
        if self.headers {
            for (index, (name, value)) in record.headers.iter().enumerate() {
                if index > 0 {
                    line.push(b',');
                }
                line.extend(name.as_bytes());
                line.push(b'=');
                line.extend(value.as_deref().unwrap_or(b"null"));
            }
            line.extend(self.separator.as_bytes());
        }
        if self.key {
            line.extend(record.key.as_deref().unwrap_or(b"null"));
            line.extend(self.separator.as_bytes());
        }
        line.extend(record.value.as_deref().unwrap_or(b"null"));
        line.push(b'\n');
    }
}

/// The record as a JSON object. Bytes that are not UTF-8 go out as base64 under `…_base64`.
pub fn to_json(topic: &str, record: &ConsumedRecord) -> Value {
    let mut object = json!({
        "topic": topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
    });
    put(&mut object, "key", record.key.as_deref());
    put(&mut object, "value", record.value.as_deref());
    let headers = record.headers.iter().map(|(name, value)| {
        let mut header = json!({ "name": name });
        put(&mut header, "value", value.as_deref());
        header
    });
    object["headers"] = Value::Array(headers.collect());
    object
}

fn put(object: &mut Value, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => object[name] = Value::Null,
        Some((Ok(text), _)) => object[name] = text.into(),
        Some((Err(_), bytes)) => object[&format!("{name}_base64")] = STANDARD.encode(bytes).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> ConsumedRecord {
        ConsumedRecord {
            partition: 3,
            offset: 41,
            timestamp_ms: 7,
            key: Some(b"k".to_vec()),
            value: Some(b"v".to_vec()),
            headers: vec![("h".into(), Some(b"1".to_vec())), ("n".into(), None)],
        }
    }

    #[test]
    fn only_the_first_separator_splits_a_line() {
        assert_eq!(split_line(br#"k:{"a":1}"#, Some(b":")), (Some(b"k".to_vec()), br#"{"a":1}"#.to_vec()));
        assert_eq!(split_line(b"no key", Some(b":")), (None, b"no key".to_vec()));
        assert_eq!(split_line(b"a:b", None), (None, b"a:b".to_vec()));
        assert_eq!(split_line(b"::", Some(b"::")), (Some(Vec::new()), Vec::new()));
    }

    #[test]
    fn flags_can_name_a_tab() {
        assert_eq!(unescape(r"\t|\n\\x\q\"), "\t|\n\\x\\q\\");
    }

    #[test]
    fn a_line_holds_the_parts_that_were_asked_for() {
        let format = LineFormat { offset: true, headers: true, key: true, separator: "|".into() };
        let mut line = Vec::new();
        format.write(&record(), &mut line);
        assert_eq!(String::from_utf8_lossy(&line), "3:41|h=1,n=null|k|v\n");
    }

    #[test]
    fn json_keeps_bytes_that_are_not_text() {
        let mut record = record();
        record.value = Some(vec![0xff, 0x00]);
        record.key = None;
        let object = to_json("t", &record);
        assert_eq!(object["value_base64"], "/wA=");
        assert_eq!(object["key"], Value::Null);
        assert_eq!(object["headers"][0], json!({"name": "h", "value": "1"}));
    }
}
