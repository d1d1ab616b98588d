//! As many requests as the server answers: a fixed number of connections, each with one request in flight, one record per request.
//! The request bytes are made once, so that the generator costs little more than its system calls.
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use millstream_protocol::api_key::ApiKey;

use super::produce;
use crate::connection::{Connection, Endpoint};
use crate::histogram::Histogram;
use crate::topic::Topic;

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub connections: usize,
    pub record_bytes: usize,
    pub duration: Duration,
}

#[derive(Debug)]
pub struct Outcome {
    /// From a request's first byte sent to its answer decoded, in microseconds.
    pub latency_us: Histogram,
    pub seconds: f64,
}

impl Outcome {
    pub fn requests(&self) -> u64 {
        self.latency_us.total()
    }

    pub fn requests_per_second(&self) -> f64 {
        self.requests() as f64 / self.seconds
    }
}

/// Loads the topic until the time is over. Connection number n writes to partition n modulo the number of partitions.
pub fn run(endpoint: &Endpoint, topic: &Topic, settings: Settings) -> Result<Outcome> {
    let batch = produce::batch_of_one(&produce::payload(settings.record_bytes))?;
    let mut clients = Vec::with_capacity(settings.connections);
    for index in 0..settings.connections {
        let partition = i32::try_from(index)? % topic.partitions;
        let frame = produce::frame(&topic.name, &[(partition, batch.clone())])?;
        clients.push((Connection::open(endpoint).with_context(|| format!("connection {index}"))?, frame));
    }
    let started = Instant::now();
    let deadline = started + settings.duration;
    let histograms = std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .into_iter()
            .map(|(connection, frame)| scope.spawn(move || send_until(deadline, connection, frame)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Histogram>>| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("a load thread panicked")))
        };
        threads.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let mut latency_us = Histogram::default();
    histograms.iter().for_each(|histogram| latency_us.add(histogram));
    Ok(Outcome { latency_us, seconds })
}

fn send_until(deadline: Instant, mut connection: Connection, mut frame: Vec<u8>) -> Result<Histogram> {
    let mut latency_us = Histogram::default();
    let mut sent = Instant::now();
    while sent < deadline {
        let correlation_id = connection.send_frame(&mut frame)?;
        connection.receive(ApiKey::Produce, produce::VERSION, correlation_id, |reader| {
            produce::check_acknowledged(reader, 1)
        })?;
        let answered = Instant::now();
        latency_us.record(u64::try_from((answered - sent).as_micros())?);
        sent = answered;
    }
    Ok(latency_us)
}
