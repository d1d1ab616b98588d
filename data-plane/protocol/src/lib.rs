//! The Kafka wire protocol: frames, generated messages, record batches.
