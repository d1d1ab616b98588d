//! The four compression codecs of record batches: gzip, snappy (raw and xerial framing), lz4 frames, zstd.
//! Decompression stops at a bound given by the caller and allocates in step with what was really produced,
//! so that a small hostile input cannot claim a large output. Never looks inside the bytes it handles.

use std::io::{self, Read, Write};

use thiserror::Error;

/// The codec in the lowest three attribute bits of a record batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Compression {
    #[default]
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

impl Compression {
    /// The codec with this number, or `None` for the three numbers that are not assigned.
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The name as it is written in the topic setting `compression.type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

#[derive(Debug, Error)]
pub enum CompressionError {
    #[error("{codec} data expands to more than {max_bytes} bytes")]
    TooLarge { codec: &'static str, max_bytes: usize },
    #[error("{codec} data is damaged")]
    Damaged {
        codec: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("compressing with {codec} failed")]
    Compress {
        codec: &'static str,
        #[source]
        source: io::Error,
    },
}

const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
const LZ4_FRAME_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Every xerial stream starts with these bytes, then a version and the lowest compatible version, four bytes each.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEADER_BYTES: usize = 16;
/// The block size Java's snappy writer uses.
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;
/// A snappy copy element of two bytes yields at most 64, so no honest input claims more than this many bytes per byte.
const MAX_SNAPPY_RATIO: usize = 64;
/// zstd level 22 uses a window of 2^27 bytes; Java clients may ask for it. Memory is only touched as output grows.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;
/// The level the Java client uses when nothing else is said.
const ZSTD_LEVEL: i32 = 3;

/// Decompresses `input`, or fails as soon as the output would exceed `max_bytes`.
pub fn decompress(compression: Compression, input: &[u8], max_bytes: usize) -> Result<Vec<u8>, CompressionError> {
    let codec = compression.name();
    match compression {
        Compression::None if input.len() > max_bytes => Err(CompressionError::TooLarge { codec, max_bytes }),
        Compression::None => Ok(input.to_vec()),
        Compression::Gzip => read_bounded(flate2::read::MultiGzDecoder::new(input), codec, max_bytes),
        Compression::Snappy => decompress_snappy(input, max_bytes),
        Compression::Lz4 => read_bounded(lz4_flex::frame::FrameDecoder::new(input), codec, max_bytes),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)
                .map_err(|source| CompressionError::Damaged { codec, source })?;
            decoder
                .window_log_max(MAX_ZSTD_WINDOW_LOG)
                .map_err(|source| CompressionError::Damaged { codec, source })?;
            read_bounded(decoder, codec, max_bytes)
        }
    }
}

/// Looks at the first bytes only: whether they can be the start of data of this codec. Costs nothing, and keeps out
/// what no consumer could ever read because it is something else.
pub fn check_start(compression: Compression, input: &[u8]) -> Result<(), CompressionError> {
    let is_possible = match compression {
        Compression::None => true,
        Compression::Gzip => input.starts_with(&GZIP_MAGIC),
        Compression::Snappy => {
            input.starts_with(&XERIAL_MAGIC)
                || snap::raw::decompress_len(input)
                    .is_ok_and(|claimed| claimed > 0 && claimed / MAX_SNAPPY_RATIO <= input.len())
        }
        Compression::Lz4 => input.starts_with(&LZ4_FRAME_MAGIC),
        Compression::Zstd => input.starts_with(&ZSTD_MAGIC),
    };
    if is_possible {
        return Ok(());
    }
    let source = io::Error::new(io::ErrorKind::InvalidData, "the first bytes are not of this codec");
    Err(CompressionError::Damaged { codec: compression.name(), source })
}

/// Compresses `input` the way Java's producer does, so that every client can read the result.
pub fn compress(compression: Compression, input: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let codec = compression.name();
    let result = match compression {
        Compression::None => Ok(input.to_vec()),
        Compression::Gzip => compress_gzip(input),
        Compression::Snappy => compress_xerial(input),
        Compression::Lz4 => compress_lz4(input),
        Compression::Zstd => zstd::bulk::compress(input, ZSTD_LEVEL),
    };
    result.map_err(|source| CompressionError::Compress { codec, source })
}

fn read_bounded(reader: impl Read, codec: &'static str, max_bytes: usize) -> Result<Vec<u8>, CompressionError> {
    let mut output = Vec::new();
    // One byte more than allowed tells "exactly at the bound" from "over it".
    let read_limit = (max_bytes as u64).saturating_add(1);
    reader.take(read_limit).read_to_end(&mut output).map_err(|source| CompressionError::Damaged { codec, source })?;
    if output.len() > max_bytes {
        return Err(CompressionError::TooLarge { codec, max_bytes });
    }
    Ok(output)
}

fn decompress_snappy(input: &[u8], max_bytes: usize) -> Result<Vec<u8>, CompressionError> {
    let mut output = Vec::new();
    if !input.starts_with(&XERIAL_MAGIC) {
        append_snappy_block(input, max_bytes, &mut output)?;
        return Ok(output);
    }
    let mut rest = input.get(XERIAL_HEADER_BYTES..).ok_or_else(|| damaged_snappy("the xerial header is cut off"))?;
    while !rest.is_empty() {
        let Some((length, after_length)) = rest.split_first_chunk::<4>() else {
            return Err(damaged_snappy("a xerial block length is cut off"));
        };
        let block_length = usize::try_from(i32::from_be_bytes(*length))
            .map_err(|_| damaged_snappy("a xerial block length is negative"))?;
        let Some((block, after_block)) = after_length.split_at_checked(block_length) else {
            return Err(damaged_snappy("a xerial block is cut off"));
        };
        append_snappy_block(block, max_bytes, &mut output)?;
        rest = after_block;
    }
    Ok(output)
}

/// Appends one decompressed snappy block to `output`, which never grows beyond `max_bytes`.
fn append_snappy_block(block: &[u8], max_bytes: usize, output: &mut Vec<u8>) -> Result<(), CompressionError> {
    let codec = Compression::Snappy.name();
    let start = output.len();
    let claimed = snap::raw::decompress_len(block).map_err(|error| damaged_snappy(&error.to_string()))?;
    if claimed > max_bytes - start {
        return Err(CompressionError::TooLarge { codec, max_bytes });
    }
    if claimed > block.len().saturating_mul(MAX_SNAPPY_RATIO) {
        return Err(damaged_snappy("a block claims more bytes than it can hold"));
    }
    output.resize(start + claimed, 0);
    let written = snap::raw::Decoder::new()
        .decompress(block, &mut output[start..])
        .map_err(|error| damaged_snappy(&error.to_string()))?;
    output.truncate(start + written);
    Ok(())
}

fn damaged_snappy(reason: &str) -> CompressionError {
    CompressionError::Damaged {
        codec: Compression::Snappy.name(),
        source: io::Error::new(io::ErrorKind::InvalidData, reason),
    }
}

fn compress_gzip(input: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(input)?;
    encoder.finish()
}

fn compress_lz4(input: &[u8]) -> io::Result<Vec<u8>> {
    // 64 KiB independent blocks are what Java writes; the crate's default of up to 4 MiB decodes many times slower.
    let frame = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, Vec::new());
    encoder.write_all(input)?;
    encoder.finish().map_err(io::Error::other)
}

fn compress_xerial(input: &[u8]) -> io::Result<Vec<u8>> {
    let mut output = Vec::with_capacity(XERIAL_HEADER_BYTES + input.len() / 2);
    output.extend_from_slice(&XERIAL_MAGIC);
    output.extend_from_slice(&1_i32.to_be_bytes());
    output.extend_from_slice(&1_i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in input.chunks(XERIAL_BLOCK_BYTES) {
        let compressed = encoder.compress_vec(block).map_err(io::Error::other)?;
        let length = i32::try_from(compressed.len()).map_err(io::Error::other)?;
        output.extend_from_slice(&length.to_be_bytes());
        output.extend_from_slice(&compressed);
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_codec_gives_back_what_it_was_given(input in proptest::collection::vec(0_u8..4, 0..40_000)) {
            for compression in ALL {
                let compressed = compress(compression, &input).unwrap();
                check_start(compression, &compressed).unwrap();
                prop_assert_eq!(&decompress(compression, &compressed, input.len()).unwrap(), &input);
            }
        }
    }

    #[test]
    fn output_over_the_bound_is_refused_by_every_codec() {
        let input = vec![7_u8; 1_000_000];
        for compression in ALL {
            let compressed = compress(compression, &input).unwrap();
            let result = decompress(compression, &compressed, input.len() - 1);
            assert!(matches!(result, Err(CompressionError::TooLarge { .. })), "{compression:?}: {result:?}");
        }
    }

    #[test]
    fn raw_snappy_is_read_too() {
        let input = b"some clients leave the framing out, some do not".repeat(20);
        let compressed = snap::raw::Encoder::new().compress_vec(&input).unwrap();
        assert_eq!(decompress(Compression::Snappy, &compressed, 10_000).unwrap(), input);
    }

    #[test]
    fn a_snappy_block_that_claims_the_whole_bound_allocates_nothing() {
        // A claimed length of 2^31 - 1 in front of two bytes.
        let hostile = [0xff, 0xff, 0xff, 0xff, 0x07, 0x00, 0x00];
        let result = decompress(Compression::Snappy, &hostile, usize::MAX);
        assert!(matches!(result, Err(CompressionError::Damaged { .. })), "{result:?}");
    }

    #[test]
    fn every_cut_of_compressed_data_is_an_error_or_a_prefix() {
        let input: Vec<u8> = (0..5_000_u32).map(|index| (index % 251) as u8).collect();
        for compression in ALL {
            let compressed = compress(compression, &input).unwrap();
            for cut in 0..compressed.len() {
                if let Ok(output) = decompress(compression, &compressed[..cut], input.len()) {
                    assert!(input.starts_with(&output), "{compression:?} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn hostile_bytes_never_panic_and_never_exceed_the_bound() {
        bolero::check!().for_each(|input: &[u8]| {
            for compression in ALL {
                if let Ok(output) = decompress(compression, input, 4096) {
                    assert!(output.len() <= 4096);
                }
            }
        });
    }
}
