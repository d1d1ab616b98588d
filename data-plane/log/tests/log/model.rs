//! Random operations against a log and against a list of records that does what the log promises.

use millstream_log::{Log, LogConfig, MinOneBatch};
use proptest::prelude::*;

use crate::support::*;

#[derive(Debug, Clone)]
enum Step {
    Append { records: usize, value_bytes: usize },
    Roll,
    Flush,
    Crash,
    Restart,
    Truncate { keep_percent: i64 },
    Delete { keep_percent: i64 },
    Read { from_percent: i64, max_bytes: usize },
    Epoch,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1_usize..5, 0_usize..80).prop_map(|(records, value_bytes)| Step::Append { records, value_bytes }),
        1 => Just(Step::Roll),
        1 => Just(Step::Flush),
        2 => Just(Step::Crash),
        1 => Just(Step::Restart),
        1 => (0_i64..110).prop_map(|keep_percent| Step::Truncate { keep_percent }),
        1 => (0_i64..110).prop_map(|keep_percent| Step::Delete { keep_percent }),
        4 => (0_i64..110, 0_usize..2000).prop_map(|(from_percent, max_bytes)| Step::Read { from_percent, max_bytes }),
        1 => Just(Step::Epoch),
    ]
}

/// What the log should hold.
#[derive(Debug, Default)]
struct Model {
    start: i64,
    /// Offset and value of each record, with the base offset of its batch.
    records: Vec<(i64, String, i64)>,
    end: i64,
    epoch: i32,
    next_value: usize,
}

impl Model {
    fn offset_at(&self, percent: i64) -> i64 {
        self.start + (self.end - self.start) * percent / 100
    }

    fn readable(&self) -> Vec<(i64, String)> {
        self.records.iter().filter(|record| record.0 >= self.start).map(|record| (record.0, record.1.clone())).collect()
    }
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 900, index_interval_bytes: 150, ..LogConfig::default() }
}

fn run(step: &Step, mut log: Log, model: &mut Model, place: &Place) -> Log {
    match step {
        Step::Append { records, value_bytes } => {
            let values: Vec<String> = (0..*records)
                .map(|_| {
                    model.next_value += 1;
                    format!("{:0width$}", model.next_value, width = value_bytes)
                })
                .collect();
            let borrowed: Vec<&str> = values.iter().map(String::as_str).collect();
            let appended = append_at(&mut log, &batch(&borrowed), model.epoch, NOW).unwrap();
            assert_eq!(appended.base_offset, model.end);
            for value in values {
                model.records.push((model.end, value, appended.base_offset));
                model.end += 1;
            }
        }
        Step::Roll => log.roll().unwrap(),
        Step::Flush => {
            log.flush().unwrap();
            assert_eq!(log.recovery_point(), model.end);
        }
        Step::Crash => {
            drop(log);
            log = open(&place.directory, config());
        }
        Step::Restart => {
            log.close().unwrap();
            drop(log);
            log = open(&place.directory, config());
        }
        Step::Truncate { keep_percent } => {
            let offset = model.offset_at(*keep_percent);
            log.truncate_to(offset, NOW).unwrap();
            if offset <= model.start && offset < model.end {
                model.records.clear();
                model.end = offset;
            } else if offset < model.end {
                // The batch that holds the offset goes as a whole.
                let base = model.records.iter().find(|record| record.0 == offset).map_or(offset, |record| record.2);
                model.records.retain(|record| record.0 < base);
                model.end = base;
                if base < model.start {
                    // The start was inside the batch that went: nothing is left.
                    model.records.clear();
                    model.end = model.start;
                }
            }
        }
        Step::Delete { keep_percent } => {
            let offset = model.offset_at(*keep_percent);
            if offset > model.end {
                assert!(log.delete_records_before(offset).is_err());
            } else {
                log.delete_records_before(offset).unwrap();
                model.start = model.start.max(offset);
            }
        }
        Step::Read { from_percent, max_bytes } => {
            let offset = model.offset_at(*from_percent);
            if offset > model.end {
                assert!(log.read(offset, *max_bytes, MinOneBatch::Yes, i64::MAX).is_err());
            } else {
                let expected: Vec<_> = model.readable().into_iter().filter(|record| record.0 >= offset).collect();
                assert_eq!(consume(&log, offset, *max_bytes), expected);
            }
        }
        Step::Epoch => model.epoch += 1,
    }
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (model.start, model.end));
    log
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 2000, ..ProptestConfig::default() })]
    #[test]
    fn a_log_does_what_a_list_of_records_would_do(steps in proptest::collection::vec(any_step(), 1..80)) {
        let place = place();
        let mut log = open(&place.directory, config());
        let mut model = Model::default();
        for step in &steps {
            log = run(step, log, &mut model, &place);
        }
        prop_assert_eq!(consume(&log, model.start, 500), model.readable());
        drop(log);
        let log = open(&place.directory, config());
        prop_assert_eq!(consume(&log, model.start, 500), model.readable());
    }
}
