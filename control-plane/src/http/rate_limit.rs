//! How many requests a caller may send: a token bucket per credential, and one per address for whoever has none.
//!
//! Promises: each answer says how much is left; a refusal is a 429 that says when to come back. A credential's bucket
//! is touched only after its secret was checked, so nobody empties another's; what is not authenticated never
//! touches it. Buckets live in memory, one set per replica, and are bounded in number.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::call::Call;
use super::error::ApiError;
use crate::app::App;
use crate::domain::timestamp::Timestamp;
use crate::domain::token_bucket::{Charge, Rate, TokenBucket};

/// Buckets of each of the two kinds at most. Full ones are forgotten first.
pub const MAX_BUCKETS: usize = 50_000;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The rates of one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRates {
    /// Of each credential.
    pub per_credential: Rate,
    /// Of each address, for requests without valid credentials.
    pub per_address: Rate,
}

impl Default for RequestRates {
    fn default() -> Self {
        Self {
            per_credential: Rate { per_second: 2_000, burst: 20_000 },
            per_address: Rate { per_second: 100, burst: 2_000 },
        }
    }
}

/// The buckets of one replica.
pub struct RateLimits {
    rates: RequestRates,
    credentials: Mutex<HashMap<String, TokenBucket>>,
    addresses: Mutex<HashMap<IpAddr, TokenBucket>>,
}

impl RateLimits {
    /// No buckets yet.
    pub fn new(rates: RequestRates) -> Self {
        Self { rates, credentials: Mutex::default(), addresses: Mutex::default() }
    }

    /// Takes a token of a credential that was found to be right.
    pub fn charge_credential(&self, credential_id: &str, now: Timestamp) -> Charge {
        take(&self.credentials, credential_id.to_owned(), self.rates.per_credential, now)
    }

    /// Takes a token of an address.
    pub fn charge_address(&self, address: IpAddr, now: Timestamp) -> Charge {
        take(&self.addresses, network_of(address), self.rates.per_address, now)
    }
}

fn take<K: std::hash::Hash + Eq>(
    buckets: &Mutex<HashMap<K, TokenBucket>>,
    key: K,
    rate: Rate,
    now: Timestamp,
) -> Charge {
    let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
    if buckets.len() >= MAX_BUCKETS && !buckets.contains_key(&key) {
        buckets.retain(|_, bucket| !bucket.is_full(rate, now));
        if buckets.len() >= MAX_BUCKETS {
            // So many callers at once that each is below its rate: memory stays bounded and this one starts afresh.
            buckets.clear();
        }
    }
    buckets.entry(key).or_insert_with(|| TokenBucket::full(rate, now)).take(rate, now)
}

/// A host usually has all addresses of an IPv6 network of 64 bits.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

/// Charges requests without credentials, and puts on every answer what was charged.
pub async fn layer(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response {
    let Some(call) = request.extensions().get::<Arc<Call>>().cloned() else { return next.run(request).await };
    let is_anonymous = !request.headers().contains_key(AUTHORIZATION);
    let refused = is_anonymous && !charge_address(&app, &call).allowed;
    let mut response = match refused {
        true => ApiError::too_many_requests(call.charge()).into_response(),
        false => next.run(request).await,
    };
    // Nobody asked who calls, for instance because no operation has this path.
    let charge = call.charge().unwrap_or_else(|| charge_address(&app, &call));
    add_headers(response.headers_mut(), charge);
    response
}

/// Takes a token of the address that a request came from.
pub fn charge_address(app: &App, call: &Call) -> Charge {
    let charge = app.rate_limits.charge_address(call.address, app.clock.now());
    call.set_charge(charge);
    charge
}

fn add_headers(headers: &mut HeaderMap, charge: Charge) {
    headers.insert(LIMIT, HeaderValue::from(charge.limit));
    headers.insert(REMAINING, HeaderValue::from(charge.remaining));
    headers.insert(RESET, HeaderValue::from(charge.reset_seconds));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(rate: Rate) -> RateLimits {
        RateLimits::new(RequestRates { per_credential: rate, per_address: rate })
    }

    #[test]
    fn each_credential_and_each_network_has_a_bucket_of_its_own() {
        let limits = limits(Rate { per_second: 1, burst: 1 });
        let now = Timestamp(0);
        assert!(limits.charge_credential("a", now).allowed);
        assert!(!limits.charge_credential("a", now).allowed);
        assert!(limits.charge_credential("b", now).allowed);
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(limits.charge_address(address("2001:db8::1"), now).allowed);
        assert!(!limits.charge_address(address("2001:db8::2"), now).allowed);
        assert!(limits.charge_address(address("2001:db8:0:1::1"), now).allowed);
        assert!(limits.charge_address(address("192.0.2.1"), now).allowed);
        assert!(limits.charge_address(address("192.0.2.2"), now).allowed);
    }

    #[test]
    fn buckets_are_bounded_in_number() {
        let limits = limits(Rate { per_second: 1, burst: 10 });
        for number in 0..=MAX_BUCKETS {
            limits.charge_credential(&number.to_string(), Timestamp(0));
        }
        assert!(limits.credentials.lock().expect("a lock").len() <= MAX_BUCKETS);
    }
}
