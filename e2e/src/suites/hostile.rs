//! Bytes that no client would send, straight to the socket. Each gets Kafka's own error or a closed connection; the server goes on
//! serving and its memory stays bounded.
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

use anyhow::{Result, anyhow, bail, ensure};

use super::Suite;
use crate::context::Context;
use crate::outcome::Outcome;
use crate::server::{Access, Server};
use crate::wire::{
    API_VERSIONS, Batch, CREATE_TOPICS, FETCH, Fields, METADATA, PRODUCE, Reply, SASL_AUTHENTICATE,
    SASL_AUTHENTICATION_FAILED, SASL_HANDSHAKE, Wire, create_topic, plain, produce, produce_result, put_bytes,
    put_string,
};

pub const SUITE: Suite =
    Suite { name: "hostile", about: "frames, logins and batches that no client would send", needs: &[], run };

const UNSUPPORTED_VERSION: i16 = 35;
const UNSUPPORTED_SASL_MECHANISM: i16 = 33;
const CORRUPT_MESSAGE: i16 = 2;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const MESSAGE_TOO_LARGE: i16 = 10;
const INVALID_REQUIRED_ACKS: i16 = 21;
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// More than the server may ever have held, whatever this suite sent.
const MOST_MEMORY_KIB: u64 = 512 * 1024;
const RANDOM_CONNECTIONS: u64 = 200;
const RANDOM_BODIES_PER_API: u64 = 6;
const PIPELINED: usize = 20_000;

fn run(context: &Context) -> Result<Outcome> {
    let server = context.start_server()?;
    let mut hostile = Hostile {
        context,
        server: server.as_ref(),
        topic: "hostile".to_owned(),
        random: Random::seeded(),
        outcome: Outcome::default(),
    };
    context.note(&format!("random seed {}", hostile.random.state));
    hostile.before_login();
    hostile.after_login()?;
    hostile.batches();
    hostile.memory();
    Ok(hostile.outcome)
}

struct Hostile<'a> {
    context: &'a Context,
    server: &'a dyn Server,
    topic: String,
    random: Random,
    outcome: Outcome,
}

impl Hostile<'_> {
    fn access(&self) -> &Access {
        self.server.access()
    }

    /// A check passes if the body does and the server still serves a well-behaved client afterwards.
    fn check(&mut self, name: &str, body: impl FnOnce(&mut Self) -> Result<()>) {
        let result = body(self).and_then(|()| self.still_serves());
        match &result {
            Ok(()) => self.context.note(&format!("ok   {name}")),
            Err(error) => self.context.note(&format!("FAIL {name}: {error:#}")),
        }
        self.outcome.count(result.is_ok());
    }

    fn still_serves(&self) -> Result<()> {
        let mut wire = Wire::log_in(self.access())?;
        wire.call(METADATA, 1, &0_i32.to_be_bytes())?;
        Ok(())
    }

    /// Sends bytes on a new connection that has not logged in; the server must close it.
    fn is_closed_after(&self, bytes: &[u8]) -> Result<()> {
        let mut wire = Wire::connect(&self.access().bootstrap_servers)?;
        if wire.send_raw(bytes).is_err() {
            return Ok(());
        }
        ensure!(wire.is_closed_by_the_server()?, "the connection stayed open");
        Ok(())
    }

    fn before_login(&mut self) {
        for (name, length) in [
            ("a negative length", -1),
            ("the smallest length", i32::MIN),
            ("the largest length", i32::MAX),
            ("a gibibyte", 1 << 30),
        ] {
            self.check(&format!("a frame of {name} closes the connection"), |this| {
                this.is_closed_after(&length.to_be_bytes())
            });
        }
        self.check("a frame above the limit before login closes the connection", |this| {
            this.is_closed_after(&600_000_i32.to_be_bytes())
        });
        self.check("an empty frame closes the connection", |this| this.is_closed_after(&[0; 4]));
        self.check("an HTTP request closes the connection", |this| {
            this.is_closed_after(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        });
        self.check("a TLS hello closes the connection", |this| {
            this.is_closed_after(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0, 0, 0, 0])
        });
        self.check("a frame that is cut short does no harm", |this| {
            for cut in 0..12 {
                let mut wire = Wire::connect(&this.access().bootstrap_servers)?;
                wire.send_raw(&[0, 0, 0, 20, 0, 18, 0, 0, 0, 0, 0, 1][..cut])?;
                wire.finish_sending();
                ensure!(wire.is_closed_by_the_server()?, "cut after {cut} bytes: the connection stayed open");
            }
            Ok(())
        });
        self.check("random bytes do no harm", |this| {
            for _ in 0..RANDOM_CONNECTIONS {
                let mut wire = Wire::connect(&this.access().bootstrap_servers)?;
                let length = this.random.below(300);
                let bytes = this.random.bytes(length);
                let _ = wire.send_raw(&bytes);
                wire.finish_sending();
                while wire.receive()? != Reply::Closed {}
            }
            Ok(())
        });
        self.check("a request before login closes the connection", |this| {
            let mut wire = Wire::connect(&this.access().bootstrap_servers)?;
            wire.send(METADATA, 1, &0_i32.to_be_bytes())?;
            ensure!(wire.is_closed_by_the_server()?, "the connection stayed open");
            Ok(())
        });
        self.check("ApiVersions of an unknown version is answered in version 0", |this| {
            let mut wire = Wire::connect(&this.access().bootstrap_servers)?;
            // Versions above 2 have a header with tagged fields: one byte that says there are none.
            let answer = wire.call(API_VERSIONS, 99, &[0])?;
            let mut fields = Fields::new(&answer);
            ensure!(fields.i16()? == UNSUPPORTED_VERSION, "the error is UNSUPPORTED_VERSION");
            ensure!(fields.i32()? >= 1, "the supported versions of ApiVersions are listed");
            Ok(())
        });
        self.check("an unknown mechanism is refused and the offered one named", |this| {
            let mut wire = Wire::connect(&this.access().bootstrap_servers)?;
            let mut body = Vec::new();
            put_string(&mut body, "MAGIC");
            let answer = wire.call(SASL_HANDSHAKE, 1, &body)?;
            let mut fields = Fields::new(&answer);
            ensure!(fields.i16()? == UNSUPPORTED_SASL_MECHANISM, "the error is UNSUPPORTED_SASL_MECHANISM");
            ensure!(fields.i32()? == 1 && fields.string()? == "PLAIN", "PLAIN is offered");
            Ok(())
        });
        self.check("SaslAuthenticate without handshake closes the connection", |this| {
            let mut wire = Wire::connect(&this.access().bootstrap_servers)?;
            wire.send(SASL_AUTHENTICATE, 0, &plain("a", "b"))?;
            ensure!(wire.is_closed_by_the_server()?, "the connection stayed open");
            Ok(())
        });
        let key = self.access().api_key.clone();
        let secret = self.access().api_secret.clone();
        let wrong: Vec<(&str, Vec<u8>)> = vec![
            ("a wrong secret", format!("\0{key}\0wrong").into_bytes()),
            ("an unknown key", format!("\0nobody\0{secret}").into_bytes()),
            ("an empty secret", format!("\0{key}\0").into_bytes()),
            ("nothing at all", Vec::new()),
            ("no separators", b"nonsense".to_vec()),
            ("too many separators", format!("\0{key}\0{secret}\0\0\0").into_bytes()),
            ("bytes that are not text", vec![0, 0xff, 0xfe, 0, 0xff, 0xc0]),
            ("the key of somebody else's authorization id", format!("admin\0{key}\0{secret}").into_bytes()),
            ("a secret of 400 kB", [b"\0user\0".to_vec(), vec![b'x'; 400_000]].concat()),
        ];
        for (name, token) in wrong {
            self.check(&format!("a login with {name} is refused and the connection closed"), |this| {
                this.is_refused(&token)
            });
        }
        self.check("five hundred silent connections do not shut others out", |this| {
            let mut silent = Vec::new();
            for _ in 0..500 {
                let mut wire = Wire::connect(&this.access().bootstrap_servers)?;
                wire.send_raw(&[0, 0])?;
                silent.push(wire);
            }
            this.still_serves()
        });
    }

    fn is_refused(&self, token: &[u8]) -> Result<()> {
        let mut wire = Wire::connect(&self.access().bootstrap_servers)?;
        let mut body = Vec::new();
        put_string(&mut body, "PLAIN");
        wire.call(SASL_HANDSHAKE, 1, &body)?;
        let mut body = Vec::new();
        put_bytes(&mut body, token);
        wire.send(SASL_AUTHENTICATE, 0, &body)?;
        match wire.receive()? {
            Reply::Closed => Ok(()),
            Reply::Frame(frame) => {
                let mut fields = Fields::new(&frame);
                fields.i32()?;
                let error = fields.i16()?;
                ensure!(error == SASL_AUTHENTICATION_FAILED, "error {error}");
                ensure!(wire.is_closed_by_the_server()?, "the connection stayed open");
                Ok(())
            }
        }
    }

    fn after_login(&mut self) -> Result<()> {
        let served = self.served_apis()?;
        for (name, api_key, version) in [
            ("an unknown API", 999, 0),
            ("a negative API", -5, 0),
            ("an unknown version", METADATA, 99),
            ("a negative version", METADATA, -1),
        ] {
            self.check(&format!("{name} closes the connection"), |this| {
                let mut wire = Wire::log_in(this.access())?;
                wire.send(api_key, version, &[0; 16])?;
                ensure!(wire.is_closed_by_the_server()?, "the connection stayed open");
                Ok(())
            });
        }
        self.check("a frame above the limit after login closes the connection", |this| {
            let mut wire = Wire::log_in(this.access())?;
            wire.send_raw(&200_000_000_i32.to_be_bytes())?;
            ensure!(wire.is_closed_by_the_server()?, "the connection stayed open");
            Ok(())
        });
        self.check("an array of two billion elements is refused", |this| {
            let mut wire = Wire::log_in(this.access())?;
            wire.send(METADATA, 1, &i32::MAX.to_be_bytes())?;
            ensure!(wire.is_closed_by_the_server()?, "the connection stayed open");
            Ok(())
        });
        self.check("a string longer than its frame is refused", |this| {
            let mut wire = Wire::log_in(this.access())?;
            wire.send(METADATA, 1, &[0, 0, 0, 1, 0x7f, 0xff, b'x'])?;
            ensure!(wire.is_closed_by_the_server()?, "the connection stayed open");
            Ok(())
        });
        for (api_key, lowest, highest) in served {
            if [SASL_HANDSHAKE, SASL_AUTHENTICATE].contains(&api_key) {
                continue;
            }
            self.check(
                &format!("API {api_key}: random bodies of versions {lowest} to {highest} are answered or refused"),
                |this| {
                    for version in lowest..=highest {
                        for _ in 0..RANDOM_BODIES_PER_API {
                            let length = this.random.below(120);
                            let body = this.random.bytes(length);
                            this.is_answered_or_closed(api_key, version, &body)?;
                        }
                    }
                    Ok(())
                },
            );
        }
        self.check("twenty thousand requests in one go are answered in order", |this| {
            let mut writer = Wire::log_in(this.access())?;
            let mut reader = writer.try_clone()?;
            let sender = std::thread::spawn(move || {
                (0..PIPELINED).try_for_each(|_| writer.send(METADATA, 1, &0_i32.to_be_bytes()).map(|_| ()))
            });
            let mut last = None;
            for _ in 0..PIPELINED {
                let Reply::Frame(frame) = reader.receive()? else { bail!("the connection was closed") };
                let correlation = Fields::new(&frame).i32()?;
                ensure!(last.is_none_or(|last| correlation == last + 1), "{correlation} came after {last:?}");
                last = Some(correlation);
            }
            sender.join().map_err(|_| anyhow!("the sender panicked"))??;
            Ok(())
        });
        Ok(())
    }

    /// A body that means nothing may happen to be a request that waits (a fetch, a join): then silence is an answer too, as long as
    /// the connection can be given up.
    fn is_answered_or_closed(&self, api_key: i16, version: i16, body: &[u8]) -> Result<()> {
        let mut wire = Wire::log_in(self.access())?;
        wire.send(api_key, version, body)?;
        wire.finish_sending();
        let _ = wire.receive();
        Ok(())
    }

    fn served_apis(&self) -> Result<Vec<(i16, i16, i16)>> {
        let answer = Wire::log_in(self.access())?.call(API_VERSIONS, 0, &[])?;
        let mut fields = Fields::new(&answer);
        ensure!(fields.i16()? == 0, "ApiVersions is answered");
        let count = fields.i32()?;
        (0..count).map(|_| Ok((fields.i16()?, fields.i16()?, fields.i16()?))).collect()
    }

    fn batches(&mut self) {
        let topic = self.topic.clone();
        self.check("a well-formed batch is accepted", |this| {
            Wire::log_in(this.access())?.call(CREATE_TOPICS, 2, &create_topic(&topic))?;
            let good = Batch::of_one_record(b"good").encode();
            // Apache Kafka needs a moment before a new partition can be written to.
            for _ in 0..100 {
                if this.produce_error(0, 1, &good)? == 0 {
                    return Ok(());
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            bail!("not accepted")
        });
        let good = Batch::of_one_record(b"a value of some length");
        let wrong: Vec<(&str, Option<i16>, Vec<u8>)> = vec![
            ("a wrong checksum", Some(CORRUPT_MESSAGE), Batch { checksum_error: 1, ..good.clone() }.encode()),
            ("magic 0", None, Batch { magic: 0, ..good.clone() }.encode()),
            ("magic 1", None, Batch { magic: 1, ..good.clone() }.encode()),
            ("magic 3", None, Batch { magic: 3, ..good.clone() }.encode()),
            ("magic -1", None, Batch { magic: -1, ..good.clone() }.encode()),
            (
                "more records counted than there are",
                None,
                Batch { record_count: 5, last_offset_delta: 4, ..good.clone() }.encode(),
            ),
            (
                "fewer records counted than there are",
                None,
                Batch { record_count: 0, last_offset_delta: 0, ..good.clone() }.encode(),
            ),
            ("a negative record count", None, Batch { record_count: -1, ..good.clone() }.encode()),
            (
                "two billion records counted",
                None,
                Batch { record_count: i32::MAX, last_offset_delta: i32::MAX - 1, ..good.clone() }.encode(),
            ),
            ("a last offset delta that does not fit", None, Batch { last_offset_delta: 7, ..good.clone() }.encode()),
            ("a negative last offset delta", None, Batch { last_offset_delta: -7, ..good.clone() }.encode()),
            ("a length beyond its end", None, Batch { length_error: 1000, ..good.clone() }.encode()),
            ("a length before its end", None, Batch { length_error: -10, ..good.clone() }.encode()),
            ("a negative length", None, Batch { length_error: i32::MIN / 2, ..good.clone() }.encode()),
            (
                "records that are cut short",
                None,
                Batch { records: good.records[..5].to_vec(), ..good.clone() }.encode(),
            ),
            ("a record of negative length", None, Batch { records: vec![0x0f, 0, 0], ..good.clone() }.encode()),
            ("no records at all", None, Batch { records: Vec::new(), ..good.clone() }.encode()),
            ("the control bit", None, Batch { attributes: 0x20, ..good.clone() }.encode()),
            ("only half a header", None, good.encode()[..30].to_vec()),
            ("two batches", None, [good.encode(), good.encode()].concat()),
            (
                "a record above the limit",
                Some(MESSAGE_TOO_LARGE),
                Batch::of_one_record(&vec![b'x'; 3_000_000]).encode(),
            ),
        ];
        for (name, expected, bytes) in wrong {
            self.check(&format!("a batch with {name} is refused"), |this| {
                let error = this.produce_error(0, 1, &bytes)?;
                ensure!(error != 0, "it was accepted");
                ensure!(expected.is_none_or(|expected| error == expected), "error {error}, expected {expected:?}");
                Ok(())
            });
        }
        for (codec, name) in
            [(1, "gzip"), (2, "snappy"), (3, "lz4"), (4, "zstd"), (5, "an unknown codec"), (7, "another unknown codec")]
        {
            self.check(&format!("garbage that claims to be {name} is refused"), |this| {
                // Wrong from its first byte on: what comes later in compressed records is for the consumers to find.
                let garbage = Batch { attributes: codec, records: vec![0xff; 200], ..good.clone() }.encode();
                ensure!(this.produce_error(0, 1, &garbage)? != 0, "it was accepted");
                Ok(())
            });
        }
        self.check("an empty set of records is refused", |this| {
            ensure!(this.produce_error(0, 1, &[])? != 0, "it was accepted");
            Ok(())
        });
        for (name, partition, acks, expected) in [
            ("a partition that does not exist", 99, 1, UNKNOWN_TOPIC_OR_PARTITION),
            ("a negative partition", -1, 1, UNKNOWN_TOPIC_OR_PARTITION),
            ("acks of 5", 0, 5, INVALID_REQUIRED_ACKS),
        ] {
            self.check(&format!("produce with {name} is refused"), |this| {
                let error = this.produce_error(partition, acks, &good.encode())?;
                ensure!(error == expected, "error {error}");
                Ok(())
            });
        }
        for (name, offset) in [("a negative offset", -7_i64), ("an offset beyond the end", i64::MAX)] {
            self.check(&format!("fetch at {name} is out of range"), |this| {
                let error = this.fetch_error(offset)?;
                ensure!(error == OFFSET_OUT_OF_RANGE, "error {error}");
                Ok(())
            });
        }
        self.check("the good batch is the only one in the log", |this| {
            let error = this.fetch_error(0)?;
            ensure!(error == 0, "error {error}");
            let answer = Wire::log_in(this.access())?.call(PRODUCE, 7, &produce(&this.topic, 0, 1, &good.encode()))?;
            let (error, offset) = produce_result(&answer)?;
            ensure!(error == 0 && offset == 1, "error {error}, offset {offset}");
            Ok(())
        });
        self.check("a batch is acknowledged although the next frame is garbage", |this| {
            let mut wire = Wire::log_in(this.access())?;
            let body = produce(&this.topic, 0, 1, &good.encode());
            let frames = [Wire::frame(PRODUCE, 7, 1, &body), Wire::frame(PRODUCE, 7, 2, &[0xff; 64])].concat();
            wire.send_raw(&frames)?;
            let Reply::Frame(answer) = wire.receive()? else { bail!("closed without the acknowledgement") };
            ensure!(Fields::new(&answer).i32()? == 1, "the answer belongs to another request");
            ensure!(matches!(wire.receive()?, Reply::Closed), "the garbage was answered");
            Ok(())
        });
    }

    fn produce_error(&self, partition: i32, acks: i16, records: &[u8]) -> Result<i16> {
        let answer = Wire::log_in(self.access())?.call(PRODUCE, 7, &produce(&self.topic, partition, acks, records))?;
        Ok(produce_result(&answer)?.0)
    }

    /// The partition's error in an answer to Fetch version 4.
    fn fetch_error(&self, offset: i64) -> Result<i16> {
        let mut body = (-1_i32).to_be_bytes().to_vec(); // A consumer.
        body.extend(100_i32.to_be_bytes()); // Longest wait.
        body.extend(1_i32.to_be_bytes()); // Fewest bytes.
        body.extend((1_i32 << 20).to_be_bytes()); // Most bytes.
        body.push(0); // Read uncommitted.
        body.extend(1_i32.to_be_bytes());
        put_string(&mut body, &self.topic);
        body.extend(1_i32.to_be_bytes());
        body.extend(0_i32.to_be_bytes());
        body.extend(offset.to_be_bytes());
        body.extend((1_i32 << 20).to_be_bytes());
        let answer = Wire::log_in(self.access())?.call(FETCH, 4, &body)?;
        let mut fields = Fields::new(&answer);
        fields.i32()?; // Throttle time.
        ensure!(fields.i32()? == 1, "one topic");
        fields.string()?;
        ensure!(fields.i32()? == 1, "one partition");
        fields.i32()?;
        fields.i16()
    }

    fn memory(&mut self) {
        // Apache Kafka allocates a frame as soon as it is announced, and has 512 MiB here.
        if self.server.name() != "millstream" {
            return;
        }
        self.check("forty announced frames of 90 MB that never come cost no memory", |this| {
            let mut waiting = Vec::new();
            for _ in 0..40 {
                let mut wire = Wire::log_in(this.access())?;
                wire.send_raw(&90_000_000_i32.to_be_bytes())?;
                waiting.push(wire);
            }
            this.still_serves()
        });
        self.check("the server's memory stayed bounded", |this| {
            let peak_kib = peak_memory_kib(this.server.pid())?;
            ensure!(peak_kib <= MOST_MEMORY_KIB, "it held {} MiB at its peak", peak_kib / 1024);
            Ok(())
        });
    }
}

fn peak_memory_kib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or_else(|| anyhow!("no VmHWM"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// xorshift: repeatable from the seed that is noted in the log.
struct Random {
    state: u64,
}

impl Random {
    fn seeded() -> Self {
        Self { state: RandomState::new().build_hasher().finish() | 1 }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn below(&mut self, limit: u64) -> usize {
        usize::try_from(self.next() % limit).unwrap_or_default()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[3]).collect()
    }
}
