//! `wire_vectors FILE` writes test vectors for codecs that others wrote: every version of every message, the header
//! versions of every API, and every error code. `tests/java/WireVectors.java` checks them against Apache Kafka's own
//! classes.
//!
//! One vector a line, fields separated by tabs:
//!
//! ```text
//! message  NAME  VERSION  HEX
//! header   KEY   NAME     VERSION    REQUEST_HEADER_VERSION  RESPONSE_HEADER_VERSION
//! error    CODE  NAME     RETRIABLE  MESSAGE
//! ```

#[path = "../tests/wire/sampler.rs"]
mod sampler;
#[path = "../tests/wire/samples/mod.rs"]
mod samples;

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};

use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error_code::ErrorCode;

use sampler::Sampler;
use samples::CASES;

const SAMPLES_PER_VERSION: u64 = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: wire_vectors FILE")?;
    let mut out = BufWriter::new(File::create(path)?);
    for case in CASES {
        for version in case.versions.clone() {
            for seed in 0..SAMPLES_PER_VERSION {
                let bytes = (case.sample)(&mut Sampler::new(seed), version)?;
                writeln!(out, "message\t{}\t{version}\t{}", case.name, hex(&bytes))?;
            }
        }
    }
    for key in ApiKey::ALL {
        for version in key.schema_versions() {
            let (request, response) = (key.request_header_version(version), key.response_header_version(version));
            writeln!(out, "header\t{}\t{}\t{version}\t{request}\t{response}", key.key(), key.name())?;
        }
    }
    for error in ErrorCode::all() {
        let (code, name) = (error.code(), error.name());
        writeln!(out, "error\t{code}\t{name}\t{}\t{}", error.is_retriable(), error.message())?;
    }
    out.flush()?;
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
