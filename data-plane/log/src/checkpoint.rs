//! The checkpoint file: where the log starts, and up to where it is known to be on disk.
//!
//! ```text
//! "MSCK" 4 │ format version 2 │ log start offset 8 │ recovery point 8 │ CRC-32C of the bytes before 4
//! ```
//!
//! Replaced as a whole and durably. A lost or damaged checkpoint costs a full scan, no record.

use std::{io, path::Path};

use crate::disk;

pub(crate) const FILE_NAME: &str = "checkpoint";
/// The version of everything in the directory.
pub(crate) const FORMAT_VERSION: u16 = 1;
const MAGIC: &[u8; 4] = b"MSCK";
const FILE_BYTES: usize = 26;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub log_start_offset: i64,
    pub recovery_point: i64,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Loaded {
    Found(Checkpoint),
    Missing,
    Damaged,
    Newer(u16),
}

impl Checkpoint {
    pub(crate) fn save(&self, directory: &Path) -> io::Result<()> {
        disk::replace_durably(directory, FILE_NAME, &self.encode())
    }

    pub(crate) fn load(directory: &Path) -> io::Result<Loaded> {
        match disk::read_if_there(&directory.join(FILE_NAME), 4096) {
            Ok(Some(content)) => Ok(decode(&content)),
            Ok(None) => Ok(Loaded::Missing),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(Loaded::Damaged),
            Err(error) => Err(error),
        }
    }

    fn encode(&self) -> [u8; FILE_BYTES] {
        let mut bytes = [0; FILE_BYTES];
        bytes[0..4].copy_from_slice(MAGIC);
        bytes[4..6].copy_from_slice(&FORMAT_VERSION.to_be_bytes());
        bytes[6..14].copy_from_slice(&self.log_start_offset.to_be_bytes());
        bytes[14..22].copy_from_slice(&self.recovery_point.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[..22]);
        bytes[22..26].copy_from_slice(&crc.to_be_bytes());
        bytes
    }
}

fn decode(bytes: &[u8]) -> Loaded {
    let Some((checked, crc)) = bytes.split_last_chunk::<4>() else { return Loaded::Damaged };
    let is_sound = checked.starts_with(MAGIC) && crc32c::crc32c(checked) == u32::from_be_bytes(*crc);
    if !is_sound {
        return Loaded::Damaged;
    }
    let Some(version) = bytes[4..].first_chunk() else { return Loaded::Damaged };
    let version = u16::from_be_bytes(*version);
    if version > FORMAT_VERSION {
        return Loaded::Newer(version);
    }
    let (Some(start), Some(recovery)) =
        (bytes.get(6..).and_then(|rest| rest.first_chunk()), bytes.get(14..).and_then(|rest| rest.first_chunk()))
    else {
        return Loaded::Damaged;
    };
    Loaded::Found(Checkpoint {
        log_start_offset: i64::from_be_bytes(*start).max(0),
        recovery_point: i64::from_be_bytes(*recovery).max(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_read_as_it_was_written() {
        let checkpoint = Checkpoint { log_start_offset: 17, recovery_point: 1 << 40 };
        assert_eq!(decode(&checkpoint.encode()), Loaded::Found(checkpoint));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = Checkpoint { log_start_offset: 17, recovery_point: 99 }.encode();
        for position in 0..bytes.len() {
            assert_eq!(decode(&bytes[..position]), Loaded::Damaged);
            for bit in 0..8 {
                let mut damaged = bytes;
                damaged[position] ^= 1 << bit;
                assert_eq!(decode(&damaged), Loaded::Damaged);
            }
        }
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut bytes = Checkpoint { log_start_offset: 0, recovery_point: 0 }.encode();
        bytes[4..6].copy_from_slice(&7_u16.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[..22]);
        bytes[22..].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(decode(&bytes), Loaded::Newer(7));
    }
}
