//! Hostile bytes end in an error: no panic, and no memory that the bytes do not justify.

use crate::sampler::Sampler;
use crate::samples::{CASES, Case};

fn sample(case: &Case, version: i16) -> Vec<u8> {
    (case.sample)(&mut Sampler::new(version as u64), version).unwrap()
}

#[test]
fn a_message_cut_at_any_byte_never_panics_and_is_never_taken_for_the_whole() {
    for case in CASES {
        for version in case.versions.clone() {
            let bytes = sample(case, version);
            for length in 0..bytes.len() {
                let result = (case.transcode)(&bytes[..length], version);
                assert!(result.is_err(), "{} version {version} cut at {length} of {}", case.name, bytes.len());
            }
        }
    }
}

#[test]
fn a_message_with_any_byte_replaced_never_panics() {
    for case in CASES {
        for version in case.versions.clone() {
            let mut bytes = sample(case, version);
            for index in 0..bytes.len() {
                let original = bytes[index];
                for hostile in [0x00, 0x7f, 0x80, 0xff] {
                    bytes[index] = hostile;
                    let _ = (case.transcode)(&bytes, version);
                }
                bytes[index] = original;
            }
        }
    }
}

/// Lengths that claim far more than is there, in both encodings.
const HOSTILE_LENGTHS: &[&[u8]] = &[
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x80, 0x00, 0x00, 0x00],
    &[0x00, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0x07],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x80, 0x80, 0x80, 0x01],
];

/// Room for what other tests of this process take meanwhile; one honoured hostile length would take gigabytes.
#[cfg(target_os = "linux")]
const ALLOWED_GROWTH_KIB: u64 = 1024 * 1024;

#[test]
fn a_hostile_length_anywhere_takes_little_memory() {
    #[cfg(target_os = "linux")]
    let before = peak_virtual_kib();
    for case in CASES {
        for version in case.versions.clone() {
            let bytes = sample(case, version);
            for index in 0..=bytes.len() {
                for length in HOSTILE_LENGTHS {
                    let mut hostile = bytes[..index].to_vec();
                    hostile.extend_from_slice(length);
                    let _ = (case.transcode)(&hostile, version);
                    hostile.extend_from_slice(&bytes[(index + length.len()).min(bytes.len())..]);
                    let _ = (case.transcode)(&hostile, version);
                }
            }
        }
    }
    #[cfg(target_os = "linux")]
    {
        let growth = peak_virtual_kib() - before;
        assert!(growth < ALLOWED_GROWTH_KIB, "the address space grew by {growth} KiB");
    }
}

/// Counts address space, so that memory which was reserved but never touched shows too.
#[cfg(target_os = "linux")]
fn peak_virtual_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
