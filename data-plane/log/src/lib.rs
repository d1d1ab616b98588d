//! One partition on disk: an append-only log of record batches in segment files, with everything that is derived
//! from them (index, aborted transactions, producer state, leader epochs).
//!
//! Promises: what `append` returned for survives the death of the process, and after `flush` the death of the
//! machine; a crash at any byte leaves exactly the batches before it; a batch is written as it came, without a copy
//! of its records; a full disk damages nothing. `FORMAT.md` draws the files.
//!
//! Synchronous and not locked inside: the owner decides on which thread it runs and who may call. Never talks to the
//! network, never reads a clock (the time is passed in), never decompresses except to answer a timestamp query.

mod aborted;
mod append;
mod checkpoint;
mod config;
mod disk;
mod error;
mod flush;
mod index;
mod leader_epochs;
mod log;
mod producers;
mod read;
mod recovery;
mod retention;
mod scanner;
mod segment;
mod segment_file;
mod slice;
mod snapshot;
mod timestamps;
mod truncate;

pub use append::Appended;
pub use config::LogConfig;
pub use error::{AppendError, CloseError, OpenError, ReadError, StorageError};
pub use flush::FlushTask;
pub use leader_epochs::EpochEnd;
pub use log::Log;
pub use producers::{MAX_PRODUCERS, ProducerView};
pub use read::MinOneBatch;
pub use recovery::{OpenMode, Recovery};
pub use retention::{Deleted, DeletionReason};
pub use slice::Slice;
pub use timestamps::TimestampOffset;
