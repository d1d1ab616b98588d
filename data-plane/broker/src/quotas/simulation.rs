//! Connections of one tenant that push as fast as they are let, against a stepped clock: the rate holds, also for
//! clients that ignore throttle times or reconnect for every request, and the connections get equal shares.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use proptest::prelude::*;

use crate::quotas::bucket::{Bucket, Moment};

const SECOND: u64 = 1_000_000_000;
const RATE: u64 = 5_000_000;
const BURST: Duration = Duration::from_millis(500);
const MINUTE: u64 = 60 * SECOND;

/// What a connection does after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// Sends its next request as soon as its connection is read.
    Stays,
    /// Opens another connection for every request.
    Reconnects,
}

/// Bytes that each client got through in a minute.
fn push(clients: &[(Client, u64)], rate: u64) -> Vec<u64> {
    let bucket = Bucket::new(rate, BURST);
    let start = MINUTE;
    // When each client's connection is read next.
    let mut readable: BinaryHeap<_> = (0..clients.len()).map(|client| Reverse((start, client, false))).collect();
    let mut sent = vec![0; clients.len()];
    while let Some(Reverse((now, client, is_new))) = readable.pop() {
        if now >= start + MINUTE {
            break;
        }
        let (behaviour, request_bytes) = clients[client];
        if is_new {
            // A new connection inherits the debt of its tenant before its first request.
            let debt = nanos(bucket.debt(Moment(now)));
            readable.push(Reverse((now + debt, client, false)));
            continue;
        }
        sent[client] += request_bytes;
        let wait = nanos(bucket.spend(Moment(now), request_bytes));
        // At least what a request takes on the way.
        let again = match behaviour {
            Client::Stays => now + wait.max(SECOND / 1_000),
            Client::Reconnects => now + SECOND / 1_000,
        };
        readable.push(Reverse((again, client, behaviour == Client::Reconnects)));
    }
    sent
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap()
}

fn check_rate(clients: &[(Client, u64)]) {
    let total: u64 = push(clients, RATE).iter().sum();
    let ratio = total as f64 / (60 * RATE) as f64;
    assert!((0.9..=1.1).contains(&ratio), "{ratio} of the rate with {clients:?}");
}

#[test]
fn one_connection_gets_the_rate_and_no_more() {
    check_rate(&[(Client::Stays, 16_384)]);
    check_rate(&[(Client::Stays, 1_048_576)]);
}

#[test]
fn many_connections_get_the_rate_together_whatever_the_size_of_their_requests() {
    check_rate(&[(Client::Stays, 1_048_576); 20]);
    check_rate(&[(Client::Stays, 1_000), (Client::Stays, 1_048_576), (Client::Stays, 8_388_608)]);
}

#[test]
fn reconnecting_for_every_request_escapes_nothing() {
    check_rate(&[(Client::Reconnects, 1_048_576)]);
    check_rate(&[(Client::Reconnects, 1_048_576); 20]);
}

#[test]
fn connections_of_one_tenant_get_equal_shares() {
    let sent = push(&[(Client::Stays, 100_000); 20], RATE);
    let (least, most) = (sent.iter().min().unwrap(), sent.iter().max().unwrap());
    assert!(*most as f64 <= 1.1 * *least as f64, "{sent:?}");
}

#[test]
fn a_connection_that_stays_is_not_starved_by_others_that_reconnect() {
    let mut clients = vec![(Client::Reconnects, 100_000); 10];
    clients.push((Client::Stays, 100_000));
    let sent = push(&clients, RATE);
    let share = sent[10] as f64 * 11.0 / sent.iter().sum::<u64>() as f64;
    assert!(share >= 0.5, "it got {share} of an equal share: {sent:?}");
}

proptest! {
    #[test]
    fn the_rate_holds_for_any_mix_of_clients(
        clients in prop::collection::vec(
            (prop_oneof![Just(Client::Stays), Just(Client::Reconnects)], 10_000u64..1_100_000),
            1..20,
        ),
        rate in 1_000_000u64..60_000_000,
    ) {
        let total: u64 = push(&clients, rate).iter().sum();
        let last_round: u64 = clients.iter().map(|(_, bytes)| bytes).sum();
        let allowed = rate * 60 + rate / 2 + last_round;
        prop_assert!(total <= allowed, "{total} of at most {allowed}");
    }
}
