//! Start: from just before the process is made to the first record that is acknowledged. The data directory exists, the topic too, and
//! the last stop was a clean one.
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use millstream_protocol::api_key::ApiKey;

use crate::connection::{Connection, Endpoint};
use crate::load::produce;
use crate::report::{Metric, Report};
use crate::rounds::{Rounds, alternate};
use crate::subject::Subject;
use crate::usage;
use crate::workbench::Workbench;

const TOPIC: &str = "start";
const RETRY_EVERY: Duration = Duration::from_millis(1);
const LIMIT: Duration = Duration::from_secs(120);
const METRICS: [Metric; 3] = [
    Metric::at_most("ms to the first record", 0, 0.1),
    Metric::new("CPU-s until then", 2),
    Metric::new("RSS then, MiB", 0),
];

pub fn run(workbench: &Workbench, report: &mut Report) -> Result<()> {
    let mut subjects = Subject::start_all(workbench)?;
    let frame = produce::frame(TOPIC, &[(0, produce::batch_of_one(&produce::payload(100))?)])?;
    for subject in &subjects {
        subject.create_topic(TOPIC, 1)?;
        try_to_produce(&subject.endpoint, &mut frame.clone())?;
    }
    let rounds = workbench.pick(Rounds { warm_up: 1, measured: 5 }, Rounds { warm_up: 0, measured: 1 });
    let samples = alternate(&mut subjects, rounds, "start", |subject, _| start_once(subject, &frame))?;
    report.paragraph(
        "Each run stops the system cleanly, starts it on the same data and tries once per millisecond to connect (Millstream: and log in) \
         and to produce one record. CPU and memory are read right after; they include the client's attempts.",
    );
    report.comparison("Start", &METRICS, &samples);
    report.settings(&subjects, workbench);
    Ok(())
}

fn start_once(subject: &mut Subject, frame: &[u8]) -> Result<Vec<f64>> {
    subject.server.stop()?;
    let give_up = AtomicBool::new(false);
    let (endpoint, server) = (&subject.endpoint, &mut subject.server);
    let started = Instant::now();
    let elapsed = std::thread::scope(|scope| {
        let attempts = scope.spawn(|| produce_as_soon_as_possible(endpoint, frame.to_vec(), started, &give_up));
        let restarted = server.restart();
        give_up.store(restarted.is_err(), Ordering::Relaxed);
        let elapsed = attempts.join().map_err(|_| anyhow!("the producing thread panicked"))?;
        restarted.and(elapsed)
    })?;
    Ok(vec![elapsed.as_secs_f64() * 1000.0, usage::cpu_seconds(subject.pid())?, usage::rss_mib(subject.pid())?])
}

fn produce_as_soon_as_possible(
    endpoint: &Endpoint,
    mut frame: Vec<u8>,
    started: Instant,
    give_up: &AtomicBool,
) -> Result<Duration> {
    while let Err(error) = try_to_produce(endpoint, &mut frame) {
        if started.elapsed() > LIMIT || give_up.load(Ordering::Relaxed) {
            bail!("no record was acknowledged: {error:#}");
        }
        std::thread::sleep(RETRY_EVERY);
    }
    Ok(started.elapsed())
}

fn try_to_produce(endpoint: &Endpoint, frame: &mut [u8]) -> Result<()> {
    let mut connection = Connection::open(endpoint)?;
    let correlation_id = connection.send_frame(frame)?;
    connection
        .receive(ApiKey::Produce, produce::VERSION, correlation_id, |reader| produce::check_acknowledged(reader, 1))
}
