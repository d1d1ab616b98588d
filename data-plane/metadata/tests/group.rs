//! A metadata group of one voter, through its front door.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use millstream_metadata::decide::{self, Decision, TopicError};
use millstream_metadata::image::MetadataImage;
use millstream_metadata::raft::{DecideError, MetadataGroup, ProposeError, StartError};
use millstream_metadata::records::MetadataRecord;
use millstream_metadata::snapshot;
use support::{create_request, register, tenant, topic_id};

const VOTER: u64 = 1;

async fn start(directory: &Path) -> MetadataGroup {
    MetadataGroup::start(directory, VOTER).await.unwrap()
}

async fn start_error(directory: &Path) -> StartError {
    match MetadataGroup::start(directory, VOTER).await {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn producer_ids(next_producer_id: i64) -> MetadataRecord {
    MetadataRecord::ProducerIds { broker_id: 0, next_producer_id }
}

#[test]
fn an_empty_group_starts_leads_and_stops() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let begun = std::time::Instant::now();
        let group = start(directory.path()).await;
        println!("started an empty group in {:?}", begun.elapsed());
        assert!(group.is_leader());
        assert_eq!(group.image().offset(), 0);
        group.shutdown().await;
        assert_eq!(group.propose(vec![producer_ids(1)]).await, Err(ProposeError::Stopped));
        start(directory.path()).await.shutdown().await;
    });
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let group = start(directory.path()).await;
        group.propose(vec![register(0, 1, false)]).await.unwrap();
        let created = group
            .decide(|image| decide::create_topic(image, &tenant(1), &create_request("tweets", 3, 1)))
            .await
            .unwrap();
        assert_eq!(created.partition_count, 3);
        let image = group.image();
        assert_eq!(image.topic_by_name(&tenant(1), "tweets").unwrap().partitions.len(), 3);
        group.shutdown().await;

        let group = start(directory.path()).await;
        assert_eq!(group.image(), image);
        group.shutdown().await;
    });
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash_of_the_runtime() {
    let directory = tempfile::tempdir().unwrap();
    for round in 1..=5i64 {
        let runtime = runtime();
        runtime.block_on(async {
            let group = start(directory.path()).await;
            assert_eq!(group.image().next_producer_id(), round - 1);
            group.propose(vec![producer_ids(round)]).await.unwrap();
        });
        // Everything is dropped where it stands; nobody says good-bye to the group.
        drop(runtime);
    }
}

#[test]
fn kill_9_at_any_time_loses_nothing_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0i64;
    for round in 0..6usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_proposes_until_it_is_killed", "--nocapture"])
            .env("METADATA_CHILD_DIRECTORY", directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Kill it after a different number of acknowledgements each time, in the middle of the next ones.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let numbers = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok());
        for number in numbers.take(1 + round * 37) {
            acknowledged = acknowledged.max(number);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        runtime().block_on(async {
            let group = start(directory.path()).await;
            let survived = group.image().next_producer_id();
            assert!(survived >= acknowledged, "{acknowledged} was acknowledged, {survived} survived");
            group.shutdown().await;
        });
    }
    assert!(acknowledged >= 6);
}

/// Not a test of its own: the process that the test above kills.
#[test]
fn child_that_proposes_until_it_is_killed() {
    let Some(directory) = std::env::var_os("METADATA_CHILD_DIRECTORY") else { return };
    runtime().block_on(async {
        let group = start(Path::new(&directory)).await;
        loop {
            let next = group
                .decide(|image| {
                    let next = image.next_producer_id() + 1;
                    Ok::<_, TopicError>(Decision { records: vec![producer_ids(next)], outcome: next })
                })
                .await
                .unwrap();
            let mut stdout = std::io::stdout();
            // The parent went away: so does its child.
            if writeln!(stdout, "acknowledged {next}").and_then(|()| stdout.flush()).is_err() {
                return;
            }
        }
    });
}

#[test]
fn concurrent_decisions_see_each_other_and_share_entries() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let group = start(directory.path()).await;
        group.propose(vec![register(0, 1, false)]).await.unwrap();
        let entries_before = group.entries_written();
        let mut requests = tokio::task::JoinSet::new();
        for number in 0..200u8 {
            let group = group.clone();
            requests.spawn(async move {
                let mut request = create_request("contested", 1, 1);
                request.topic_id = topic_id(number);
                group.decide(move |image| decide::create_topic(image, &tenant(1), &request)).await
            });
        }
        let outcomes = requests.join_all().await;
        let created: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
        assert_eq!(created.len(), 1);
        for outcome in &outcomes {
            let exists = TopicError::TopicExists { name: "contested".to_owned() };
            assert!(outcome.is_ok() || *outcome == Err(DecideError::Refused(exists)), "{outcome:?}");
        }

        let mut requests = tokio::task::JoinSet::new();
        for number in 0..80u8 {
            let group = group.clone();
            requests.spawn(async move {
                let mut request = create_request(&format!("t{number}"), 1, 1);
                request.topic_id = topic_id(number.wrapping_add(100));
                group.decide(move |image| decide::create_topic(image, &tenant(2), &request)).await
            });
        }
        assert!(requests.join_all().await.iter().all(Result::is_ok));
        assert_eq!(group.image().tenant(&tenant(2)).unwrap().topic_count(), 80);
        let entries = group.entries_written() - entries_before;
        assert!(entries < 40, "81 changes took {entries} entries");
        group.shutdown().await;
    });
}

#[test]
fn records_that_do_not_fit_are_refused_and_the_group_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let group = start(directory.path()).await;
        let unknown = MetadataRecord::RemoveTopic { tenant: tenant(1), topic_id: topic_id(1) };
        let half_good = vec![producer_ids(5), unknown];
        assert!(matches!(group.propose(half_good).await, Err(ProposeError::Invalid(_))));
        assert_eq!(group.image().offset(), 0);

        let panicked = group
            .decide(|_: &MetadataImage| -> Result<Decision<()>, TopicError> { panic!("a bug in a decision") })
            .await;
        assert_eq!(panicked, Err(DecideError::NotWritten(ProposeError::Panicked)));

        assert_eq!(group.propose(vec![producer_ids(5)]).await, Ok(1));
        assert_eq!(group.image().next_producer_id(), 5);
        group.shutdown().await;
    });
}

#[test]
fn subscribers_see_the_image_change() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let group = start(directory.path()).await;
        let mut images = group.subscribe();
        let waiting = tokio::spawn(async move {
            let image = images.wait_for(|image| image.next_producer_id() == 7).await.unwrap();
            image.offset()
        });
        group.propose(vec![producer_ids(7)]).await.unwrap();
        assert_eq!(waiting.await.unwrap(), 1);
        group.shutdown().await;
    });
}

#[test]
fn a_snapshot_replaces_the_log_before_it_and_a_restart_continues_from_it() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot_file = directory.path().join("snapshot");
    runtime().block_on(async {
        let group = start(directory.path()).await;
        group.propose(vec![register(0, 1, false)]).await.unwrap();
        for next in 1..=300 {
            group.propose(vec![producer_ids(next)]).await.unwrap();
        }
        group.compact_log().await.unwrap();
        while !snapshot_file.exists() {
            tokio::task::yield_now().await;
        }
        for next in 301..=310 {
            group.propose(vec![producer_ids(next)]).await.unwrap();
        }
        let image = group.image();
        group.shutdown().await;

        let group = start(directory.path()).await;
        assert_eq!(group.image(), image);
        group.shutdown().await;

        // The log alone no longer tells everything.
        std::fs::remove_file(&snapshot_file).unwrap();
        let error = start_error(directory.path()).await;
        assert!(matches!(&error, StartError::Damaged { file, .. } if *file == snapshot_file), "{error}");
    });
}

#[test]
fn a_snapshot_taken_away_restores_into_an_empty_group() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    runtime().block_on(async {
        let group = start(from.path()).await;
        group.propose(vec![register(0, 1, false), producer_ids(9)]).await.unwrap();
        group.decide(|image| decide::create_topic(image, &tenant(1), &create_request("tweets", 3, -1))).await.unwrap();
        let bytes = group.snapshot_now().await;
        group.shutdown().await;

        let restored = start(to.path()).await;
        restored.restore(&snapshot::decode(&bytes).unwrap()).await.unwrap();
        assert_eq!(snapshot::records(&restored.image()), snapshot::records(&group.image()));
        restored.shutdown().await;
    });
}

#[test]
fn a_directory_in_use_is_reported_as_locked() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let group = start(directory.path()).await;
        let error = start_error(directory.path()).await;
        assert!(matches!(error, StartError::Locked { .. }), "{error}");
        assert_eq!(group.propose(vec![producer_ids(1)]).await, Ok(1));
        group.shutdown().await;
    });
}

#[test]
fn a_directory_of_another_voter_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        start(directory.path()).await.shutdown().await;
        let error = MetadataGroup::start(directory.path(), 2).await.err().unwrap();
        assert!(matches!(error, StartError::OtherVoter { found: 1, expected: 2, .. }), "{error}");
    });
}

#[test]
fn a_file_of_a_newer_release_is_named_and_left_as_it_is() {
    check_refused(
        "FORMAT",
        |_| b"millstream metadata 2\n".to_vec(),
        |error| matches!(error, StartError::NewerVersion { found: 2, supported: 1, .. }),
    );
    check_refused(
        "snapshot",
        |mut bytes| {
            bytes[7] = 9;
            bytes
        },
        |error| matches!(error, StartError::NewerVersion { found: 9, supported: 1, .. }),
    );
}

#[test]
fn a_damaged_file_is_named_and_left_as_it_is() {
    let is_damaged = |error: &StartError| matches!(error, StartError::Damaged { .. });
    check_refused("FORMAT", |_| b"something else".to_vec(), is_damaged);
    check_refused("log.redb", |_| vec![7; 50_000], is_damaged);
    check_refused("snapshot", |bytes| bytes[..bytes.len() - 3].to_vec(), is_damaged);
    check_refused(
        "snapshot",
        |mut bytes| {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            bytes
        },
        is_damaged,
    );
}

/// Damages one file of a stopped group, and checks that it does not start, names the file and changes nothing.
fn check_refused(file: &str, damage: impl Fn(Vec<u8>) -> Vec<u8>, is_expected: impl Fn(&StartError) -> bool) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(file);
    runtime().block_on(async {
        let group = start(directory.path()).await;
        group.propose(vec![register(0, 1, false), producer_ids(9)]).await.unwrap();
        group.compact_log().await.unwrap();
        while !directory.path().join("snapshot").exists() {
            tokio::task::yield_now().await;
        }
        group.shutdown().await;

        let damaged = damage(std::fs::read(&path).unwrap());
        std::fs::write(&path, &damaged).unwrap();
        let contents = |directory: &Path| {
            ["FORMAT", "log.redb", "snapshot"].map(|file| std::fs::read(directory.join(file)).unwrap())
        };
        let before = contents(directory.path());
        let error = start_error(directory.path()).await;
        assert!(is_expected(&error), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert!(before == contents(directory.path()), "a file was changed");
    });
}

#[test]
fn every_change_of_a_byte_of_the_log_is_found_or_harmless() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.redb");
    runtime().block_on(async {
        let group = start(directory.path()).await;
        group.propose(vec![register(0, 1, false), producer_ids(9)]).await.unwrap();
        let image = group.image();
        group.shutdown().await;
        let intact = std::fs::read(&path).unwrap();
        let used: Vec<usize> = (0..intact.len()).filter(|position| intact[*position] != 0).collect();
        for position in used.iter().step_by(used.len() / 60 + 1) {
            let mut changed = intact.clone();
            changed[*position] ^= 0x20;
            std::fs::write(&path, &changed).unwrap();
            match MetadataGroup::start(directory.path(), VOTER).await {
                Ok(group) => {
                    assert_eq!(group.image(), image, "byte {position} changed the metadata");
                    group.shutdown().await;
                }
                Err(error) => {
                    assert!(error.to_string().contains("log.redb"), "byte {position}: {error}");
                    assert!(std::fs::read(&path).unwrap() == changed, "byte {position}: the log was written to");
                }
            }
        }
    });
}
