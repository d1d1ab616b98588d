//! End-to-end latency at a fixed rate. Record number n is due n / rate seconds after the start and counts from then on, whether or not
//! the producer could send it in time: a stalled server is charged for every record that it kept waiting (no coordinated omission).
//!
//! One producer connection with a bounded number of requests in flight sends what has become due, once per tick; one consumer
//! connection long-polls all partitions. Record n goes to partition n modulo the number of partitions, so the consumer can tell a lost, a
//! doubled and a misplaced record.
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use millstream_protocol::api_key::ApiKey;
use millstream_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use millstream_protocol::messages::fetch_response::{FetchResponse, PartitionData};
use millstream_protocol::record_batch::{BatchBuilder, BatchIterator, NewRecord};
use millstream_protocol::writer::Writer;

use super::produce;
use crate::connection::{Connection, Endpoint, check};
use crate::histogram::Histogram;
use crate::topic::Topic;

pub const TICK: Duration = Duration::from_millis(1);
/// As in Kafka's Java producer.
pub const MAX_IN_FLIGHT: usize = 5;
/// About 1 MiB of records of 1 KiB, as Kafka's `max.request.size`.
pub const MAX_RECORDS_PER_REQUEST: u64 = 1000;
/// Connections and first segments are made in this time; its records are checked but not counted.
pub const LEAD_IN: Duration = Duration::from_secs(1);
/// How long the consumer may take after the last record was due.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);
/// Time between connecting and the first record.
const HEAD_START: Duration = Duration::from_millis(50);

pub const FETCH_VERSION: i16 = 16;
pub const FETCH_MAX_WAIT_MS: i32 = 500;
const FETCH_MAX_BYTES: i32 = 50 << 20;
const FETCH_PARTITION_MAX_BYTES: i32 = 1 << 20;
/// A fetch that opens no session.
const SESSIONLESS_EPOCH: i32 = -1;
const CONSUMER: i32 = -1;

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub records_per_second: u64,
    pub record_bytes: usize,
    /// Including the lead-in.
    pub duration: Duration,
}

#[derive(Debug)]
pub struct Outcome {
    /// From when a record was due to when the consumer had read it, in microseconds.
    pub latency_us: Histogram,
    pub records: u64,
    /// Records per second until the last one was received.
    pub achieved_rate: f64,
    pub requests: u64,
}

/// When which record is due.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    start: Instant,
    records_per_second: u64,
    total: u64,
}

impl Schedule {
    fn due_at(&self, record: u64) -> Instant {
        self.start
            + Duration::from_nanos((u128::from(record) * 1_000_000_000 / u128::from(self.records_per_second)) as u64)
    }

    /// How many records are due by now.
    fn due_count(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.start).as_nanos();
        let due = elapsed * u128::from(self.records_per_second) / 1_000_000_000 + 1;
        u64::try_from(due).unwrap_or(u64::MAX).min(self.total)
    }
}

/// A request that waits for its answer.
struct InFlight {
    correlation_id: i32,
    partitions: usize,
}

pub fn run(endpoint: &Endpoint, topic: &Topic, settings: Settings) -> Result<Outcome> {
    let mut latency_us = Histogram::default();
    let outcome = run_observed(endpoint, topic, settings, |due_after, latency| {
        if due_after >= LEAD_IN {
            latency_us.record(latency);
        }
    })?;
    Ok(Outcome { latency_us, ..outcome })
}

/// The same for measurements that tell one time from another: `observe` gets when each record was due, from the start, and its
/// latency in microseconds. The histogram of the outcome stays empty.
pub fn run_observed(
    endpoint: &Endpoint,
    topic: &Topic,
    settings: Settings,
    observe: impl FnMut(Duration, u64) + Send,
) -> Result<Outcome> {
    ensure!(settings.record_bytes >= size_of::<u64>(), "a record must hold its number");
    let consumer = Connection::open(endpoint)?;
    let receiver = Connection::open(endpoint)?;
    let sender = receiver.sending_half()?;
    let total = (settings.duration.as_secs_f64() * settings.records_per_second as f64) as u64;
    let schedule =
        Schedule { start: Instant::now() + HEAD_START, records_per_second: settings.records_per_second, total };
    // A token is the right to have one more request in flight.
    let (token_sender, tokens) = mpsc::sync_channel(MAX_IN_FLIGHT);
    for _ in 0..MAX_IN_FLIGHT {
        token_sender.send(())?;
    }
    let (in_flight, awaited) = mpsc::channel();
    std::thread::scope(|scope| {
        let producing = scope.spawn(move || send_records(sender, topic, settings, schedule, tokens, in_flight));
        let acknowledging = scope.spawn(|| await_answers(receiver, awaited, token_sender));
        let consuming = scope.spawn(move || consume(consumer, topic, schedule, observe));
        let panicked = |_| anyhow!("a load thread panicked");
        // The causes come first: when answers fail, the others fail as a consequence.
        let requests = acknowledging.join().map_err(panicked)?.context("producer")?;
        producing.join().map_err(panicked)?.context("producer")?;
        let last_received = consuming.join().map_err(panicked)?.context("consumer")?;
        let seconds = (last_received - schedule.start).as_secs_f64();
        let achieved_rate = total as f64 / seconds;
        Ok(Outcome { latency_us: Histogram::default(), records: total, achieved_rate, requests })
    })
}

fn send_records(
    mut connection: Connection,
    topic: &Topic,
    settings: Settings,
    schedule: Schedule,
    tokens: Receiver<()>,
    in_flight: Sender<InFlight>,
) -> Result<()> {
    let partitions = usize::try_from(topic.partitions)?;
    let mut value = produce::payload(settings.record_bytes);
    let mut next = 0;
    let mut tick = schedule.start;
    while next < schedule.total {
        std::thread::sleep(tick.saturating_duration_since(Instant::now()));
        tokens.recv().context("no more answers are awaited")?;
        // Taken after the wait for a token: a producer that was held up sends all that has become due meanwhile.
        let end = schedule.due_count(Instant::now()).min(next + MAX_RECORDS_PER_REQUEST);
        let mut builders: Vec<BatchBuilder> = (0..partitions).map(|_| BatchBuilder::new()).collect();
        let timestamp = produce::now_ms();
        for record in next..end {
            value[..size_of::<u64>()].copy_from_slice(&record.to_be_bytes());
            let partition = (record % partitions as u64) as usize;
            builders[partition].append(NewRecord { timestamp, value: Some(&value), ..NewRecord::default() });
        }
        next = end;
        let mut batches = Vec::with_capacity(partitions);
        for (partition, builder) in (0..topic.partitions).zip(&builders).filter(|(_, builder)| !builder.is_empty()) {
            batches.push((partition, builder.build()?));
        }
        let mut frame = produce::frame(&topic.name, &batches)?;
        let correlation_id = connection.send_frame(&mut frame)?;
        in_flight.send(InFlight { correlation_id, partitions: batches.len() })?;
        tick = next_tick(tick, schedule, next);
    }
    Ok(())
}

/// The next multiple of the tick at which at least one more record is due.
fn next_tick(tick: Instant, schedule: Schedule, next: u64) -> Instant {
    let due = schedule.due_at(next.min(schedule.total.saturating_sub(1)));
    let earliest = (tick + TICK).max(due);
    let ticks = (earliest - schedule.start).as_nanos().div_ceil(TICK.as_nanos());
    schedule.start + TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
}

/// Returns the number of answered requests.
fn await_answers(mut connection: Connection, awaited: Receiver<InFlight>, tokens: SyncSender<()>) -> Result<u64> {
    let mut answered = 0;
    for request in awaited {
        connection.receive(ApiKey::Produce, produce::VERSION, request.correlation_id, |reader| {
            produce::check_acknowledged(reader, request.partitions)
        })?;
        answered += 1;
        // Fails when the producer has ended already, which needs no more tokens.
        let _ = tokens.send(());
    }
    Ok(answered)
}

/// Where the consumer stands in one partition.
#[derive(Debug, Clone, Copy)]
struct Position {
    fetch_offset: i64,
    next_record: u64,
}

/// Returns when the last record was received.
fn consume(
    mut connection: Connection,
    topic: &Topic,
    schedule: Schedule,
    mut observe: impl FnMut(Duration, u64),
) -> Result<Instant> {
    let partitions = u64::try_from(topic.partitions)?;
    let mut positions: Vec<_> =
        (0..partitions).map(|partition| Position { fetch_offset: 0, next_record: partition }).collect();
    let deadline = schedule.due_at(schedule.total) + DRAIN_LIMIT;
    let mut received = 0;
    let mut now = Instant::now();
    while received < schedule.total {
        if now > deadline {
            bail!("only {received} of {} records arrived", schedule.total);
        }
        let request = fetch_request(topic, &positions);
        let correlation_id = connection
            .send(ApiKey::Fetch, FETCH_VERSION, |writer: &mut Writer| request.encode(writer, FETCH_VERSION))?;
        received += connection.receive(ApiKey::Fetch, FETCH_VERSION, correlation_id, |reader| {
            now = Instant::now();
            let response = FetchResponse::decode(reader, FETCH_VERSION)?;
            check(response.error_code)?;
            let mut count = 0;
            for partition in response.responses.iter().flat_map(|topic| &topic.partitions) {
                let position =
                    positions.get_mut(usize::try_from(partition.partition_index)?).context("an unknown partition")?;
                count += read_partition(partition, position, partitions, |record| {
                    let due = schedule.due_at(record);
                    observe(due - schedule.start, now.saturating_duration_since(due).as_micros() as u64);
                })?;
            }
            Ok(count)
        })?;
    }
    Ok(now)
}

/// Checks and counts the records of one partition of an answer.
fn read_partition(
    partition: &PartitionData<'_>,
    position: &mut Position,
    partitions: u64,
    mut seen: impl FnMut(u64),
) -> Result<u64> {
    check(partition.error_code)?;
    let mut count = 0;
    for bytes in partition.records.iter().flat_map(|records| records.slices()) {
        for batch in BatchIterator::new(bytes) {
            let batch = batch?;
            let payload = batch.payload(batch.bytes.len())?;
            for record in batch.records(&payload) {
                let record = record?;
                ensure!(
                    record.offset == position.fetch_offset,
                    "offset {} came where {} was due",
                    record.offset,
                    position.fetch_offset
                );
                let number =
                    record.value.and_then(|value| value.first_chunk()).context("a record without its number")?;
                let number = u64::from_be_bytes(*number);
                ensure!(number == position.next_record, "record {number} came where {} was due", position.next_record);
                seen(number);
                position.fetch_offset += 1;
                position.next_record += partitions;
                count += 1;
            }
        }
    }
    Ok(count)
}

fn fetch_request<'a>(topic: &'a Topic, positions: &[Position]) -> FetchRequest<'a> {
    let partitions = (0..topic.partitions).zip(positions).map(|(partition, position)| FetchPartition {
        partition,
        fetch_offset: position.fetch_offset,
        partition_max_bytes: FETCH_PARTITION_MAX_BYTES,
        ..FetchPartition::default()
    });
    FetchRequest {
        replica_id: CONSUMER,
        max_wait_ms: FETCH_MAX_WAIT_MS,
        min_bytes: 1,
        max_bytes: FETCH_MAX_BYTES,
        session_epoch: SESSIONLESS_EPOCH,
        topics: vec![FetchTopic { topic_id: topic.id, partitions: partitions.collect(), ..FetchTopic::default() }],
        ..FetchRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_protocol::records::Records;

    fn schedule(records_per_second: u64, total: u64) -> Schedule {
        Schedule { start: Instant::now(), records_per_second, total }
    }

    #[test]
    fn a_record_is_due_from_its_time_on() {
        let schedule = schedule(10_000, 50);
        assert_eq!(schedule.due_at(20) - schedule.start, Duration::from_millis(2));
        assert_eq!(schedule.due_count(schedule.due_at(20)), 21);
        assert_eq!(schedule.due_count(schedule.due_at(20) - Duration::from_nanos(1)), 20);
        assert_eq!(schedule.due_count(schedule.start + Duration::from_secs(60)), 50);
    }

    #[test]
    fn a_tick_without_a_due_record_is_passed_over() {
        let schedule = schedule(100, 50);
        assert_eq!(next_tick(schedule.start, schedule, 1) - schedule.start, Duration::from_millis(10));
        let busy = Schedule { records_per_second: 10_000, ..schedule };
        assert_eq!(next_tick(busy.start, busy, 10) - busy.start, TICK);
    }

    #[test]
    fn a_missing_record_is_noticed() {
        let partition_of = |numbers: &[u64]| {
            let mut builder = BatchBuilder::new();
            let values: Vec<_> = numbers.iter().map(|number| number.to_be_bytes()).collect();
            values.iter().for_each(|value| builder.append(NewRecord { value: Some(value), ..NewRecord::default() }));
            PartitionData {
                records: Some(Records::Shared(vec![builder.build().unwrap().into()])),
                ..PartitionData::default()
            }
        };
        let read = |numbers: &[u64]| {
            let mut position = Position { fetch_offset: 0, next_record: 3 };
            read_partition(&partition_of(numbers), &mut position, 16, |_| {})
        };
        assert_eq!(read(&[3, 19, 35]).unwrap(), 3);
        assert!(read(&[3, 35]).is_err());
        assert!(read(&[3, 3]).is_err());
    }
}
