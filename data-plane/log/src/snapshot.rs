//! The producer snapshot: the state of all producers at one offset, so that it need not be rebuilt from the whole log.
//!
//! ```text
//! "MSPS" 4 │ version 2 │ offset 8 │ producer count 4 │ producers … │ CRC-32C of the bytes before 4
//!
//! producer: id 8 │ epoch 2 │ coordinator epoch 4 │ last seen 8 │ transaction start 8 (-1: none) │ batch count 1
//!           │ { last sequence 4 │ last offset 8 │ offset delta 4 │ timestamp 8 } …
//! ```
//!
//! Named by its offset, like a segment. Written when a segment is closed and when the log is closed; a damaged
//! one is passed over for an older one and the batches after it.

use std::{io, path::Path};

use crate::{
    disk,
    producers::{MAX_PRODUCERS, Producer, ProducerTable, REMEMBERED_BATCHES, RememberedBatch},
    segment_file::file_name,
};

pub(crate) const SUFFIX: &str = ".snapshot";
const MAGIC: &[u8; 4] = b"MSPS";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 18;
const PRODUCER_BYTES: usize = 31;
const BATCH_BYTES: usize = 24;
const MAX_FILE_BYTES: usize = HEADER_BYTES + MAX_PRODUCERS * (PRODUCER_BYTES + REMEMBERED_BATCHES * BATCH_BYTES) + 4;

pub(crate) fn save(directory: &Path, offset: i64, producers: &ProducerTable) -> io::Result<()> {
    disk::replace(directory, &file_name(offset, SUFFIX), &encode(offset, producers))
}

/// `None` if the snapshot is missing or damaged.
pub(crate) fn load(directory: &Path, offset: i64) -> io::Result<Option<ProducerTable>> {
    match disk::read_if_there(&directory.join(file_name(offset, SUFFIX)), MAX_FILE_BYTES as u64) {
        Ok(content) => Ok(content.and_then(|content| decode(&content, offset))),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn remove(directory: &Path, offset: i64) -> io::Result<()> {
    disk::remove_if_there(&directory.join(file_name(offset, SUFFIX)))
}

fn encode(offset: i64, producers: &ProducerTable) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + producers.len() * (PRODUCER_BYTES + BATCH_BYTES) + 4);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&offset.to_be_bytes());
    bytes.extend_from_slice(&(producers.len() as u32).to_be_bytes());
    for (producer_id, producer) in producers.iter() {
        bytes.extend_from_slice(&producer_id.to_be_bytes());
        bytes.extend_from_slice(&producer.epoch.to_be_bytes());
        bytes.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
        bytes.extend_from_slice(&producer.last_seen_ms.to_be_bytes());
        bytes.extend_from_slice(&producer.transaction_start.unwrap_or(-1).to_be_bytes());
        bytes.push(producer.remembered().len() as u8);
        for batch in producer.remembered() {
            bytes.extend_from_slice(&batch.last_sequence.to_be_bytes());
            bytes.extend_from_slice(&batch.last_offset.to_be_bytes());
            bytes.extend_from_slice(&batch.offset_delta.to_be_bytes());
            bytes.extend_from_slice(&batch.timestamp.to_be_bytes());
        }
    }
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8], offset: i64) -> Option<ProducerTable> {
    let (checked, crc) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(checked) != u32::from_be_bytes(*crc) {
        return None;
    }
    let mut rest = checked.strip_prefix(MAGIC)?.strip_prefix(&VERSION.to_be_bytes())?;
    if i64::from_be_bytes(take(&mut rest)?) != offset {
        return None;
    }
    let count = u32::from_be_bytes(take(&mut rest)?) as usize;
    if count > MAX_PRODUCERS {
        return None;
    }
    let mut producers = ProducerTable::default();
    for _ in 0..count {
        let (producer_id, producer) = read_producer(&mut rest)?;
        producers.restore(producer_id, producer);
    }
    (rest.is_empty() && producers.len() == count).then_some(producers)
}

fn read_producer(rest: &mut &[u8]) -> Option<(i64, Producer)> {
    let producer_id = i64::from_be_bytes(take(rest)?);
    let epoch = i16::from_be_bytes(take(rest)?);
    let coordinator_epoch = i32::from_be_bytes(take(rest)?);
    let last_seen_ms = i64::from_be_bytes(take(rest)?);
    let transaction_start = i64::from_be_bytes(take(rest)?);
    let [batch_count] = take(rest)?;
    if usize::from(batch_count) > REMEMBERED_BATCHES {
        return None;
    }
    let mut batches = [RememberedBatch::default(); REMEMBERED_BATCHES];
    for batch in &mut batches[..usize::from(batch_count)] {
        *batch = RememberedBatch {
            last_sequence: i32::from_be_bytes(take(rest)?),
            last_offset: i64::from_be_bytes(take(rest)?),
            offset_delta: i32::from_be_bytes(take(rest)?),
            timestamp: i64::from_be_bytes(take(rest)?),
        };
        let is_possible =
            batch.last_sequence >= 0 && batch.offset_delta >= 0 && batch.last_offset >= i64::from(batch.offset_delta);
        if !is_possible {
            return None;
        }
    }
    let transaction_start = (transaction_start >= 0).then_some(transaction_start);
    Some((producer_id, Producer { epoch, batches, batch_count, last_seen_ms, transaction_start, coordinator_epoch }))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn any_producer()(
            epoch in any::<i16>(),
            last_seen_ms in any::<i64>(),
            coordinator_epoch in any::<i32>(),
            batches in proptest::collection::vec((0..i32::MAX, 0_i64..1 << 50, 0..1000_i32, any::<i64>()), 0..6),
        ) -> Producer {
            let mut producer = Producer {
                epoch,
                batches: Default::default(),
                batch_count: 0,
                last_seen_ms,
                transaction_start: None,
                coordinator_epoch,
            };
            for (last_sequence, offset, offset_delta, timestamp) in batches {
                let last_offset = offset + i64::from(offset_delta);
                producer.remember(RememberedBatch { last_sequence, last_offset, offset_delta, timestamp });
            }
            producer
        }
    }

    fn table(producers: &[(i64, Producer)]) -> ProducerTable {
        let mut table = ProducerTable::default();
        for (index, (producer_id, producer)) in producers.iter().enumerate() {
            let transaction_start = (index % 2 == 1).then_some(index as i64);
            table.restore(*producer_id, Producer { transaction_start, ..producer.clone() });
        }
        table
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_snapshot_is_read_as_written_and_damage_is_noticed(
            producers in proptest::collection::btree_map(any::<i64>(), any_producer(), 0..8),
            flipped in any::<prop::sample::Index>(),
        ) {
            let table = table(&producers.into_iter().collect::<Vec<_>>());
            let bytes = encode(77, &table);
            prop_assert_eq!(decode(&bytes, 77), Some(table));
            prop_assert_eq!(decode(&bytes, 78), None);
            let mut damaged = bytes.clone();
            *flipped.get_mut(&mut damaged) ^= 0x20;
            prop_assert_eq!(decode(&damaged, 77), None);
            prop_assert_eq!(decode(&bytes[..flipped.index(bytes.len())], 77), None);
        }
    }

    #[test]
    fn hostile_snapshots_never_panic() {
        bolero::check!().for_each(|input: &[u8]| {
            let mut bytes = [MAGIC.as_slice(), &VERSION.to_be_bytes(), &77_i64.to_be_bytes(), input].concat();
            let crc = crc32c::crc32c(&bytes);
            bytes.extend_from_slice(&crc.to_be_bytes());
            let _ = decode(&bytes, 77);
        });
    }
}
