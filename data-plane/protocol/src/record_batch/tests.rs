use bytes::Bytes;
use kafka_protocol::records::RecordBatchDecoder;
use proptest::prelude::*;

use super::*;

const ALL_CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
const MAX_PAYLOAD: usize = 1 << 20;

fn batch_of(values: &[&str]) -> Vec<u8> {
    build(&mut BatchBuilder::new(), values)
}

fn build(builder: &mut BatchBuilder, values: &[&str]) -> Vec<u8> {
    for (index, value) in values.iter().enumerate() {
        builder.append(NewRecord {
            timestamp: 1_000 + index as i64,
            key: Some(b"key"),
            value: Some(value.as_bytes()),
            headers: &[],
        });
    }
    builder.build().unwrap()
}

/// Changes bytes of a batch and makes the checksum good again.
fn patched(mut batch: Vec<u8>, position: usize, bytes: &[u8]) -> Vec<u8> {
    batch[position..position + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c::crc32c(&batch[CHECKSUMMED_FROM..]);
    batch[CRC_POSITION..CHECKSUMMED_FROM].copy_from_slice(&crc.to_be_bytes());
    batch
}

fn limits() -> ProduceLimits {
    ProduceLimits { now_ms: 2_000, ..ProduceLimits::default() }
}

#[track_caller]
fn check_refused(batch: &[u8], limits: &ProduceLimits, expected: &str) {
    let error = validate_produced(batch, limits).unwrap_err();
    let name = format!("{error:?}");
    assert!(name.starts_with(expected), "expected {expected}, got {name}");
}

/// Offset, timestamp, key and value.
type Read = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn read_all(bytes: &[u8]) -> Vec<Read> {
    let mut all = Vec::new();
    for batch in BatchIterator::new(bytes) {
        let batch = batch.unwrap();
        batch.verify_checksum().unwrap();
        let payload = batch.payload(MAX_PAYLOAD).unwrap();
        for record in batch.records(&payload) {
            let record = record.unwrap();
            all.push((
                record.offset,
                record.timestamp,
                record.key.map(<[u8]>::to_vec),
                record.value.map(<[u8]>::to_vec),
            ));
        }
    }
    all
}

#[test]
fn a_batch_as_a_producer_sends_it_is_accepted() {
    for codec in ALL_CODECS {
        let batch = build(&mut BatchBuilder::new().compression(codec), &["one", "two", "three"]);
        let header = validate_produced(&batch, &limits()).unwrap();
        assert_eq!((header.record_count, header.last_offset(), header.size_bytes()), (3, 2, batch.len()));
        assert_eq!((header.base_timestamp, header.max_timestamp), (1_000, 1_002));
        assert_eq!(header.compression(), Some(codec));
    }
}

#[test]
fn a_header_is_written_as_it_was_read() {
    let batch =
        build(&mut BatchBuilder::new().producer(7, 3, 41).transactional().leader_epoch(9).base_offset(77), &["x"]);
    let header = parse_header(&batch).unwrap();
    assert_eq!(header.to_bytes(), batch[..BATCH_HEADER_BYTES]);
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (7, 3, 41));
    assert_eq!((header.partition_leader_epoch, header.base_offset), (9, 77));
    assert!(header.is_transactional() && !header.is_control());
}

#[test]
fn bytes_without_a_complete_batch_are_refused() {
    let batch = batch_of(&["one"]);
    for length in 0..batch.len() {
        check_refused(&batch[..length], &limits(), "Incomplete");
    }
}

#[test]
fn an_impossible_length_is_corrupt() {
    for length in [i32::MIN, -1, 0, 13] {
        check_refused(&patched(batch_of(&["one"]), 8, &length.to_be_bytes()), &limits(), "LengthTooSmall");
    }
    check_refused(&patched(batch_of(&["one"]), 8, &48_i32.to_be_bytes()), &limits(), "LengthTooSmall");
}

#[test]
fn old_formats_are_named_and_unknown_ones_are_corrupt() {
    for magic in [0, 1] {
        check_refused(&patched(batch_of(&["one"]), 16, &[magic]), &limits(), "OldMagic");
    }
    for magic in [3, 127, 255] {
        check_refused(&patched(batch_of(&["one"]), 16, &[magic]), &limits(), "UnknownMagic");
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let batch = batch_of(&["one", "two"]);
    for position in 0..batch.len() {
        // The leader epoch is the broker's field; what a client put there does not matter.
        if (12..16).contains(&position) {
            continue;
        }
        for bit in 0..8 {
            let mut damaged = batch.clone();
            damaged[position] ^= 1 << bit;
            assert!(validate_produced(&damaged, &limits()).is_err(), "byte {position} bit {bit}");
        }
    }
}

#[test]
fn two_batches_are_refused() {
    let two = [batch_of(&["one"]), batch_of(&["two"])].concat();
    check_refused(&two, &limits(), "MoreThanOneBatch");
}

#[test]
fn a_client_may_not_choose_its_offset() {
    check_refused(&build(&mut BatchBuilder::new().base_offset(1), &["one"]), &limits(), "BaseOffsetNotZero");
}

#[test]
fn a_batch_over_the_limit_is_too_large_before_its_checksum_is_looked_at() {
    let mut batch = batch_of(&["one"]);
    let last = batch.len() - 1;
    batch[last] ^= 1;
    check_refused(&batch, &ProduceLimits { max_message_bytes: batch.len() - 1, ..limits() }, "TooLarge");
    check_refused(&batch, &ProduceLimits { max_message_bytes: batch.len(), ..limits() }, "WrongChecksum");
}

#[test]
fn counts_that_do_not_agree_are_refused() {
    for count in [i32::MIN, -1, 0, 1, 3, i32::MAX] {
        check_refused(&patched(batch_of(&["one", "two"]), 57, &count.to_be_bytes()), &limits(), "CountMismatch");
    }
    let both = patched(patched(batch_of(&["one"]), 57, &1000_i32.to_be_bytes()), 23, &999_i32.to_be_bytes());
    check_refused(&both, &limits(), "MalformedRecord");
    let fewer = patched(patched(batch_of(&["one", "two"]), 57, &1_i32.to_be_bytes()), 23, &0_i32.to_be_bytes());
    check_refused(&fewer, &limits(), "MalformedRecord");
}

#[test]
fn control_records_are_refused_from_clients() {
    check_refused(&build(&mut BatchBuilder::new().control(), &["one"]), &limits(), "ControlFromClient");
}

#[test]
fn a_producer_id_needs_a_sequence_and_a_transaction_needs_a_producer_id() {
    check_refused(&build(&mut BatchBuilder::new().producer(1, 0, -1), &["one"]), &limits(), "NegativeSequence");
    check_refused(
        &build(&mut BatchBuilder::new().transactional(), &["one"]),
        &limits(),
        "TransactionalWithoutProducer",
    );
}

#[test]
fn unknown_codecs_and_zstd_from_old_clients_are_refused() {
    for codec in [5, 6, 7] {
        check_refused(&patched(batch_of(&["one"]), 22, &[codec]), &limits(), "UnknownCompression");
    }
    let zstd = build(&mut BatchBuilder::new().compression(Compression::Zstd), &["one"]);
    check_refused(&zstd, &ProduceLimits { produce_version: 6, ..limits() }, "ZstdTooEarly");
}

#[test]
fn a_compacted_topic_looks_at_keys_inside_compressed_batches() {
    let limits = ProduceLimits { require_keys: true, ..limits() };
    for codec in ALL_CODECS {
        let mut builder = BatchBuilder::new().compression(codec);
        builder.append(NewRecord { timestamp: 1, key: Some(b"k"), value: None, headers: &[] });
        validate_produced(&builder.build().unwrap(), &limits).unwrap();
        builder.append(NewRecord { timestamp: 1, key: None, value: Some(b"v"), headers: &[] });
        check_refused(&builder.build().unwrap(), &limits, "MissingKey { index: 1 }");
    }
    let garbage = patched(batch_of(&["one"]), 22, &[Compression::Gzip.id()]);
    check_refused(&garbage, &limits, "Decompress");
}

#[test]
fn compressed_garbage_is_refused_without_decompressing() {
    for codec in ALL_CODECS.into_iter().skip(1) {
        // Raw snappy has no mark to know it by, so almost anything could be it.
        if codec != Compression::Snappy {
            check_refused(&patched(batch_of(&["one"]), 22, &[codec.id()]), &limits(), "Decompress");
        }
        let header_only = batch_of(&["one"])[..BATCH_HEADER_BYTES].to_vec();
        let empty = patched(patched(header_only, 8, &49_i32.to_be_bytes()), 22, &[codec.id()]);
        check_refused(&empty, &limits(), "Decompress");
    }
}

#[test]
fn timestamps_outside_of_the_allowed_range_are_refused() {
    let limits = ProduceLimits {
        now_ms: 2_000,
        timestamp_before_max_ms: 1_000,
        timestamp_after_max_ms: 500,
        ..ProduceLimits::default()
    };
    let at = |timestamp| {
        let mut builder = BatchBuilder::new();
        builder.append(NewRecord { timestamp, key: None, value: None, headers: &[] });
        builder.build().unwrap()
    };
    for allowed in [-1, 1_000, 2_500] {
        validate_produced(&at(allowed), &limits).unwrap();
    }
    for refused in [0, 999, 2_501, i64::MAX] {
        check_refused(&at(refused), &limits, "TimestampOutOfRange");
    }
    let append_time = ProduceLimits { timestamp_type: TimestampType::LogAppendTime, ..limits };
    validate_produced(&at(0), &append_time).unwrap();
    check_refused(
        &build(&mut BatchBuilder::new().log_append_time(), &["one"]),
        &append_time,
        "LogAppendTimeFromClient",
    );
}

#[test]
fn a_max_timestamp_that_lies_is_corrected_from_the_records() {
    let header =
        validate_produced(&patched(batch_of(&["one", "two"]), 35, &1_500_i64.to_be_bytes()), &limits()).unwrap();
    assert_eq!(header.max_timestamp, 1_001);
}

#[test]
fn all_records_of_a_log_append_time_batch_carry_its_max_timestamp() {
    let batch = build(&mut BatchBuilder::new().log_append_time(), &["one", "two"]);
    assert!(read_all(&batch).iter().all(|(_, timestamp, ..)| *timestamp == 1_001));
}

#[test]
fn a_batch_cut_off_at_the_end_is_left_out() {
    let first = build(&mut BatchBuilder::new().base_offset(10), &["one", "two"]);
    let second = build(&mut BatchBuilder::new().base_offset(12), &["three"]);
    let both = [first.as_slice(), second.as_slice()].concat();
    let offsets = |bytes: &[u8]| read_all(bytes).iter().map(|record| record.0).collect::<Vec<_>>();
    assert_eq!(offsets(&both), [10, 11, 12]);
    for cut in first.len()..both.len() {
        assert_eq!(offsets(&both[..cut]), [10, 11]);
    }
}

#[test]
fn a_transaction_marker_is_read_as_it_was_written() {
    for kind in [ControlKind::Abort, ControlKind::Commit] {
        let marker = ControlMarker { kind, coordinator_epoch: 12 };
        let bytes = marker.to_batch(5, 2, 99).unwrap();
        let batch = BatchIterator::new(&bytes).next().unwrap().unwrap();
        assert!(batch.header.is_control() && batch.header.is_transactional());
        assert_eq!(ControlMarker::read(&batch), Some(marker));
    }
}

#[test]
fn sequences_wrap_to_zero() {
    assert_eq!(increment_sequence(i32::MAX, 1), 0);
    assert_eq!(increment_sequence(i32::MAX - 1, 4), 2);
    assert_eq!(increment_sequence(5, 0), 5);
}

prop_compose! {
    fn any_record()(
        timestamp in -1_i64..1 << 41,
        key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
        value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
        headers in proptest::collection::vec(("[a-z]{0,8}", proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9))), 0..4),
    ) -> (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>) {
        (timestamp, key, value, headers)
    }
}

proptest! {
    #[test]
    fn what_is_built_is_read_back_here_and_by_an_independent_decoder(
        records in proptest::collection::vec(any_record(), 1..20),
        codec in 0_u8..5,
        base_offset in 0_i64..1 << 50,
    ) {
        let codec = Compression::from_id(codec).unwrap();
        let mut builder = BatchBuilder::new().compression(codec).base_offset(base_offset);
        for (timestamp, key, value, headers) in &records {
            let headers: Vec<_> = headers.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
            builder.append(NewRecord { timestamp: *timestamp, key: key.as_deref(), value: value.as_deref(), headers: &headers });
        }
        let bytes = builder.build().unwrap();

        let batch = BatchIterator::new(&bytes).next().unwrap().unwrap();
        batch.verify_checksum().unwrap();
        let payload = batch.payload(MAX_PAYLOAD).unwrap();
        let read: Vec<_> = batch.records(&payload).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(read.len(), records.len());
        for (index, (record, (timestamp, key, value, headers))) in read.iter().zip(&records).enumerate() {
            prop_assert_eq!(record.offset, base_offset + index as i64);
            prop_assert_eq!(record.timestamp, *timestamp);
            prop_assert_eq!(record.key, key.as_deref());
            prop_assert_eq!(record.value, value.as_deref());
            let read_headers: Vec<_> = record.headers.iter().map(|header| (header.key.to_string(), header.value.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(&read_headers, headers);
        }

        // The other decoder has no codecs built in here, so it sees uncompressed batches only.
        if codec == Compression::None {
            let decoded = RecordBatchDecoder::decode(&mut Bytes::from(bytes)).unwrap();
            prop_assert_eq!(decoded.records.len(), records.len());
            for (index, (record, (timestamp, key, value, _))) in decoded.records.iter().zip(&records).enumerate() {
                prop_assert_eq!(record.offset, base_offset + index as i64);
                prop_assert_eq!(record.timestamp, *timestamp);
                prop_assert_eq!(record.key.as_deref(), key.as_deref());
                prop_assert_eq!(record.value.as_deref(), value.as_deref());
            }
        }
    }
}

#[test]
fn hostile_batches_never_panic() {
    bolero::check!().for_each(|input: &[u8]| {
        let _ = parse_header(input);
        let _ = validate_produced(input, &limits());
        for batch in BatchIterator::new(input).flatten() {
            let _ = ControlMarker::read(&batch);
        }
    });
}

#[test]
fn hostile_records_in_a_sound_batch_never_panic() {
    bolero::check!().with_type::<(u8, i32, Vec<u8>)>().for_each(|(attributes, count, records)| {
        let mut bytes = batch_of(&["one"]);
        bytes.truncate(BATCH_HEADER_BYTES);
        bytes.extend_from_slice(records);
        let length = (bytes.len() - LOG_OVERHEAD_BYTES) as i32;
        let bytes = patched(bytes, 8, &length.to_be_bytes());
        let bytes = patched(bytes, 22, &[*attributes]);
        let bytes = patched(bytes, 57, &count.to_be_bytes());
        let bytes = patched(bytes, 23, &count.wrapping_sub(1).to_be_bytes());
        let _ =
            validate_produced(&bytes, &ProduceLimits { require_keys: true, max_decompressed_bytes: 4096, ..limits() });
        for batch in BatchIterator::new(&bytes).flatten() {
            if let Ok(payload) = batch.payload(4096) {
                let records = batch.records(&payload).count();
                assert!(records <= payload.len() + 1);
            }
        }
    });
}
