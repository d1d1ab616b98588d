//! As many requests as the server answers: a fixed number of connections, each with one request in flight, one record per request.
//! The request bytes are made once, so that the generator costs little more than its system calls.
//!
//! Few threads poll all connections. With a thread per connection each answer wakes another thread, and the kernel charges that to the
//! server's `send`: it would cost more than a good server itself.
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use millstream_protocol::api_key::ApiKey;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::retry_on_intr;

use super::produce;
use crate::connection::{self, Connection, Endpoint};
use crate::histogram::Histogram;
use crate::topic::Topic;

/// Each polls an equal share of the connections.
pub const THREADS: usize = 2;

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

/// One connection and its only request.
struct Client {
    connection: Connection,
    frame: Vec<u8>,
    correlation_id: i32,
    sent: Instant,
}

impl Client {
    fn open(endpoint: &Endpoint, frame: Vec<u8>) -> Result<Self> {
        let connection = Connection::open(endpoint)?;
        connection.stop_waiting()?;
        Ok(Self { connection, frame, correlation_id: 0, sent: Instant::now() })
    }

    fn send(&mut self, now: Instant) -> Result<()> {
        self.sent = now;
        self.correlation_id = self.connection.send_frame(&mut self.frame)?;
        Ok(())
    }

    /// None as long as the answer is not there as a whole.
    fn try_receive(&mut self) -> Result<Option<()>> {
        self.connection.try_receive(ApiKey::Produce, produce::VERSION, self.correlation_id, |reader| {
            produce::check_acknowledged(reader, 1)
        })
    }
}

/// Loads the topic until the time is over.
pub fn run(endpoint: &Endpoint, topic: &Topic, settings: Settings) -> Result<Outcome> {
    Load::open(endpoint, topic, settings.connections, settings.record_bytes)?.run(settings.duration)
}

/// Connections that can load a topic more than once.
pub struct Load {
    clients: Vec<Client>,
}

impl Load {
    /// Connection number n writes to partition n modulo the number of partitions.
    pub fn open(endpoint: &Endpoint, topic: &Topic, connections: usize, record_bytes: usize) -> Result<Self> {
        ensure!(connections > 0, "a load needs a connection");
        let batch = produce::batch_of_one(&produce::payload(record_bytes))?;
        let mut clients = Vec::with_capacity(connections);
        for index in 0..connections {
            let partition = i32::try_from(index)? % topic.partitions;
            let frame = produce::frame(&topic.name, &[(partition, batch.clone())])?;
            clients.push(Client::open(endpoint, frame).with_context(|| format!("connection {index}"))?);
        }
        Ok(Self { clients })
    }

    /// Until the time is over and every answer has come.
    pub fn run(&mut self, duration: Duration) -> Result<Outcome> {
        let started = Instant::now();
        let deadline = started + duration;
        let share = self.clients.len().div_ceil(THREADS);
        let histograms = std::thread::scope(|scope| {
            let shares = self.clients.chunks_mut(share);
            let threads: Vec<_> = shares.map(|clients| scope.spawn(move || send_until(deadline, clients))).collect();
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
}

/// Keeps one request in flight on each connection; after the deadline only waits for the last answers.
fn send_until(deadline: Instant, clients: &mut [Client]) -> Result<Histogram> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (index, client) in (0..).zip(clients.iter_mut()) {
        epoll::add(&poll, &client.connection, epoll::EventData::new_u64(index), epoll::EventFlags::IN)?;
        client.send(Instant::now())?;
    }
    let limit = Timespec::try_from(connection::LIMIT)?;
    let mut latency_us = Histogram::default();
    let mut in_flight = clients.len();
    let mut events = Vec::with_capacity(clients.len());
    while in_flight > 0 {
        retry_on_intr(|| epoll::wait(&poll, spare_capacity(&mut events), Some(&limit)))?;
        ensure!(!events.is_empty(), "{in_flight} requests have no answer after {} s", connection::LIMIT.as_secs());
        for event in events.drain(..) {
            let client = &mut clients[usize::try_from(event.data.u64())?];
            let Some(()) = client.try_receive()? else { continue };
            let answered = Instant::now();
            latency_us.record(u64::try_from((answered - client.sent).as_micros())?);
            if answered < deadline {
                client.send(answered)?;
            } else {
                in_flight -= 1;
            }
        }
    }
    Ok(latency_us)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use millstream_protocol::error_code::ErrorCode;
    use millstream_protocol::frame;
    use millstream_protocol::messages::produce_response::{
        PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
    };
    use millstream_protocol::writer::Writer;

    use super::*;

    const CONNECTIONS: usize = 5;

    /// Answers every request with the error code, in two pieces; returns how many there were.
    fn answer_all(mut stream: TcpStream, error_code: ErrorCode) -> u64 {
        let mut answered = 0;
        let mut length = [0; frame::LENGTH_BYTES];
        stream.set_nodelay(true).unwrap();
        while stream.read_exact(&mut length).is_ok() {
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request).unwrap();
            let correlation_id = i32::from_be_bytes(request[4..8].try_into().unwrap());
            let partition =
                PartitionProduceResponse { error_code: error_code.code(), ..PartitionProduceResponse::default() };
            let topic =
                TopicProduceResponse { partition_responses: vec![partition], ..TopicProduceResponse::default() };
            let response = ProduceResponse { responses: vec![topic], ..ProduceResponse::default() };
            let encode = |writer: &mut Writer| response.encode(writer, produce::VERSION);
            let answer =
                frame::encode_response(ApiKey::Produce, produce::VERSION, correlation_id, encode).unwrap().concat();
            let (first, second) = answer.split_at(answer.len() / 2);
            // A client that has seen an error may be gone.
            if stream.write_all(first).and_then(|()| stream.write_all(second)).is_err() {
                break;
            }
            answered += 1;
        }
        answered
    }

    /// Loads a server that answers with the error code; the number of answers that it gave on each connection comes along.
    fn load(error_code: ErrorCode, duration: Duration) -> (Result<Outcome>, Vec<u64>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint { address: listener.local_addr().unwrap().to_string(), credentials: None };
        let topic = Topic { name: "load".to_owned(), id: uuid::Uuid::nil(), partitions: 2 };
        let server = std::thread::spawn(move || {
            let accept = |_| listener.accept().unwrap().0;
            let answering: Vec<_> = (0..CONNECTIONS)
                .map(accept)
                .map(|stream| std::thread::spawn(move || answer_all(stream, error_code)))
                .collect();
            answering.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let outcome = run(&endpoint, &topic, Settings { connections: CONNECTIONS, record_bytes: 10, duration });
        (outcome, server.join().unwrap())
    }

    #[test]
    fn every_answer_is_counted_on_every_connection() {
        let (outcome, answered) = load(ErrorCode::None, Duration::from_millis(50));
        assert_eq!(outcome.unwrap().requests(), answered.iter().sum::<u64>());
        assert!(answered.iter().all(|count| *count > 0), "{answered:?}");
    }

    #[test]
    fn after_the_deadline_no_second_request_is_sent() {
        let (outcome, answered) = load(ErrorCode::None, Duration::ZERO);
        assert_eq!(outcome.unwrap().requests(), CONNECTIONS as u64);
        assert_eq!(answered, [1; CONNECTIONS]);
    }

    #[test]
    fn an_error_code_ends_the_load() {
        let (outcome, _) = load(ErrorCode::NotEnoughReplicas, Duration::from_secs(60));
        let message = format!("{:#}", outcome.unwrap_err());
        assert!(message.contains("NotEnoughReplicas"), "{message}");
    }
}
