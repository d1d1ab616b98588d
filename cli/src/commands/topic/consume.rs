//! `millstream topic consume`: the records of a topic, one per line.
//!
//! Ctrl-C, `-n` and `--exit-at-end` all end with exit code 0. With `--group` exactly what was printed is committed.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::super::Context;
use super::record_text::{LineFormat, to_json, unescape};
use crate::command_line::ConsumeArgs;
use crate::failure::Failure;
use crate::kafka_client::cluster::Cluster;
use crate::kafka_client::consumer::{ConsumedRecord, Consumer, StartAt};
use crate::kafka_client::group::{GroupMember, Membership};
use crate::output::write_failure;

/// How often a group member commits.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the command.
pub async fn run(context: &Context, args: ConsumeArgs) -> Result<(), Failure> {
    let cluster = Cluster::connect(&context.login.kafka_target().await?).await?;
    let consumer = Consumer::new(cluster, &args.topic).await?;
    let printer = Printer {
        topic: args.topic.clone(),
        json: context.output.is_json(),
        format: LineFormat {
            offset: args.print_offset,
            headers: args.print_headers,
            key: args.print_key,
            separator: unescape(&args.separator),
        },
        left: args.max_messages,
        printed: BTreeMap::new(),
    };
    let start = match (args.from_beginning, args.offset) {
        (true, _) => StartAt::Beginning,
        (false, Some(offset)) => StartAt::Offset(offset),
        (false, None) => StartAt::End,
    };
    match &args.group {
        Some(group) => consume_as_member(consumer, printer, group, start, args.exit_at_end).await,
        None => consume_alone(consumer, printer, &args.partitions, start, args.exit_at_end).await,
    }
}

async fn consume_alone(
    mut consumer: Consumer,
    mut printer: Printer,
    partitions: &[i32],
    start: StartAt,
    exit_at_end: bool,
) -> Result<(), Failure> {
    for partition in partitions {
        consumer.layout().check_partition(*partition)?;
    }
    let partitions = match partitions {
        [] => consumer.layout().leaders.keys().copied().collect(),
        chosen => chosen.to_vec(),
    };
    let positions = consumer.offsets_at(&partitions, start).await?;
    consumer.assign(positions);
    let ends = if exit_at_end { Some(consumer.offsets_at(&partitions, StartAt::End).await?) } else { None };

    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        let at_end = ends.as_ref().is_some_and(|ends| consumer.has_reached(ends));
        if at_end || printer.is_done() {
            return Ok(());
        }
        tokio::select! {
            records = consumer.poll() => printer.print(&records?)?,
            _ = &mut interrupted => return Ok(()),
        }
    }
}

async fn consume_as_member(
    mut consumer: Consumer,
    mut printer: Printer,
    group: &str,
    start: StartAt,
    exit_at_end: bool,
) -> Result<(), Failure> {
    let topic = consumer.layout().name.clone();
    let mut member = GroupMember::new(consumer.cluster(), group, &topic).await?;
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let result = tokio::select! {
        result = consume_generations(&mut consumer, &mut member, &mut printer, start, exit_at_end) => result,
        _ = &mut interrupted => Ok(()),
    };
    if result.is_ok() {
        // What was printed since the last regular commit.
        let _ = member.commit(&printer.printed).await;
    }
    member.leave().await;
    result
}

/// Joins, reads, and joins again whenever the group's members change.
async fn consume_generations(
    consumer: &mut Consumer,
    member: &mut GroupMember,
    printer: &mut Printer,
    start: StartAt,
    exit_at_end: bool,
) -> Result<(), Failure> {
    loop {
        let partitions = member.join(consumer.cluster()).await?;
        // Offsets of the generation before are another member's now, if they could not be committed in time.
        printer.printed.clear();
        let mut positions = consumer.offsets_at(&partitions, start).await?;
        positions.extend(member.committed(&partitions).await?);
        let ends = if exit_at_end { Some(consumer.offsets_at(&partitions, StartAt::End).await?) } else { None };
        consumer.assign(positions);
        let mut last_commit = Instant::now();
        loop {
            let at_end = ends.as_ref().is_some_and(|ends| consumer.has_reached(ends));
            if at_end || printer.is_done() {
                return Ok(());
            }
            let records = consumer.poll().await?;
            printer.print(&records)?;
            let mut membership = member.tick().await?;
            if last_commit.elapsed() >= COMMIT_INTERVAL {
                last_commit = Instant::now();
                if member.commit(&printer.printed).await? == Membership::Lost {
                    membership = Membership::Lost;
                } else {
                    printer.printed.clear();
                }
            }
            if membership == Membership::Lost {
                // A rebalance still accepts the commits of the generation that ends.
                let _ = member.commit(&printer.printed).await;
                break;
            }
        }
    }
}

/// Prints records until there are enough.
struct Printer {
    topic: String,
    json: bool,
    format: LineFormat,
    /// How many more records to print; `None` for all.
    left: Option<u64>,
    /// Partition to the offset after the last record printed.
    printed: BTreeMap<i32, i64>,
}

impl Printer {
    fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    fn print(&mut self, records: &[ConsumedRecord]) -> Result<(), Failure> {
        let count =
            self.left.map_or(records.len(), |left| records.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
        let records = &records[..count];
        let mut lines = Vec::new();
        for record in records {
            if self.json {
                lines.extend(to_json(&self.topic, record).to_string().into_bytes());
                lines.push(b'\n');
            } else {
                self.format.write(record, &mut lines);
            }
            self.printed.insert(record.partition, record.offset + 1);
        }
        if let Some(left) = &mut self.left {
            *left -= count as u64;
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(&lines).and_then(|()| stdout.flush()).map_err(write_failure)
    }
}
