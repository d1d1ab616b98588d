//! Flags for what the REST API holds its callers to, and for how long it remembers them.

use clap::Args;
use clap::builder::RangedI64ValueParser;
use clap::value_parser;
use millstream_control_plane::{DEFAULT_AUDIT_RETENTION_DAYS, Rate, RequestRates};

/// Requests at most, per second or at once: more is no limit for one process.
const MAX_REQUESTS: i64 = 1_000_000;
/// Days at most: ten years.
const MAX_RETENTION_DAYS: i64 = 3_650;

/// What a replica allows each caller, and how long it keeps what the caller did.
#[derive(Args, Clone, Copy)]
#[command(next_help_heading = "Limits of the REST API")]
pub struct ApiLimitArgs {
    /// Requests per second that each credential may send in the long run
    #[arg(long, value_name = "COUNT", default_value_t = RequestRates::default().per_credential.per_second,
        env = "MILLSTREAM_REQUESTS_PER_SECOND", value_parser = requests())]
    pub requests_per_second: u32,
    /// Requests that each credential may send at once after a pause
    #[arg(long, value_name = "COUNT", default_value_t = RequestRates::default().per_credential.burst,
        env = "MILLSTREAM_REQUEST_BURST", value_parser = requests())]
    pub request_burst: u32,
    /// Requests per second that each address may send without valid credentials
    #[arg(long, value_name = "COUNT", default_value_t = RequestRates::default().per_address.per_second,
        env = "MILLSTREAM_ANONYMOUS_REQUESTS_PER_SECOND", value_parser = requests())]
    pub anonymous_requests_per_second: u32,
    /// Requests that each address may send at once without valid credentials
    #[arg(long, value_name = "COUNT", default_value_t = RequestRates::default().per_address.burst,
        env = "MILLSTREAM_ANONYMOUS_REQUEST_BURST", value_parser = requests())]
    pub anonymous_request_burst: u32,
    /// Days for which the audit log keeps an event
    #[arg(long, value_name = "DAYS", default_value_t = DEFAULT_AUDIT_RETENTION_DAYS,
        env = "MILLSTREAM_AUDIT_RETENTION_DAYS", value_parser = value_parser!(u32).range(1..=MAX_RETENTION_DAYS))]
    pub audit_retention_days: u32,
}

impl ApiLimitArgs {
    /// The rates.
    pub fn request_rates(self) -> RequestRates {
        RequestRates {
            per_credential: Rate { per_second: self.requests_per_second, burst: self.request_burst },
            per_address: Rate { per_second: self.anonymous_requests_per_second, burst: self.anonymous_request_burst },
        }
    }
}

fn requests() -> RangedI64ValueParser<u32> {
    value_parser!(u32).range(1..=MAX_REQUESTS)
}
