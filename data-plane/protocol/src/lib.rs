//! The Kafka wire protocol: frames, generated messages, record batches.
//!
//! Promises: whatever bytes arrive, decoding ends in a value or an error, and takes memory in proportion to them.
//! Strings, bytes and records are borrowed from the received frame; records are spliced into responses uncopied.
//! Never does I/O and never decides what an API answers.

pub mod api_key;
pub mod compression;
pub mod error;
pub mod error_code;
pub mod frame;
pub mod messages;
pub mod reader;
pub mod record_batch;
pub mod records;
pub mod version_table;
pub mod writer;
