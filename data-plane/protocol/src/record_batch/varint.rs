//! Zig-zag variable-length integers as record bodies use them: seven bits per byte, lowest first, at most five
//! bytes for 32 bits and ten for 64. Longer or truncated encodings are refused, never guessed.

/// Reads a 32-bit value and advances `input` past it.
pub(super) fn read_i32(input: &mut &[u8]) -> Option<i32> {
    // The common case is one byte: lengths and deltas are small.
    let (&first, rest) = input.split_first()?;
    if first < 0x80 {
        *input = rest;
        return Some(zigzag_i32(u32::from(first)));
    }
    let mut value: u32 = 0;
    for (index, &byte) in input.iter().take(5).enumerate() {
        let bits = u32::from(byte & 0x7f);
        if index == 4 && bits > 0x0f {
            return None;
        }
        value |= bits << (7 * index);
        if byte < 0x80 {
            *input = &input[index + 1..];
            return Some(zigzag_i32(value));
        }
    }
    None
}

/// Reads a 64-bit value and advances `input` past it.
pub(super) fn read_i64(input: &mut &[u8]) -> Option<i64> {
    let mut value: u64 = 0;
    for (index, &byte) in input.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * index);
        if byte < 0x80 {
            *input = &input[index + 1..];
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

const fn zigzag_i32(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

pub(super) fn write_i32(output: &mut Vec<u8>, value: i32) {
    let mut rest = ((value << 1) ^ (value >> 31)) as u32;
    while rest >= 0x80 {
        output.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    output.push(rest as u8);
}

pub(super) fn write_i64(output: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        output.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    output.push(rest as u8);
}

/// How many bytes `write_i32` produces for `value`.
pub(super) const fn size_i32(value: i32) -> usize {
    let bits = 32 - (((value << 1) ^ (value >> 31)) as u32 | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// How many bytes `write_i64` produces for `value`.
pub(super) const fn size_i64(value: i64) -> usize {
    let bits = 64 - (((value << 1) ^ (value >> 63)) as u64 | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_round_trip_in_the_size_announced(small in any::<i32>(), large in any::<i64>()) {
            let mut bytes = Vec::new();
            write_i32(&mut bytes, small);
            prop_assert_eq!(bytes.len(), size_i32(small));
            write_i64(&mut bytes, large);
            prop_assert_eq!(bytes.len(), size_i32(small) + size_i64(large));
            let mut input = bytes.as_slice();
            prop_assert_eq!(read_i32(&mut input), Some(small));
            prop_assert_eq!(read_i64(&mut input), Some(large));
            prop_assert!(input.is_empty());
        }
    }

    #[test]
    fn encodings_that_are_too_long_or_cut_off_are_refused() {
        for hostile in [&[][..], &[0x80], &[0xff; 4], &[0xff; 12], &[0x80, 0x80, 0x80, 0x80, 0x10]] {
            assert_eq!(read_i32(&mut &hostile[..]), None, "{hostile:?}");
        }
        assert_eq!(read_i64(&mut &[0xff; 12][..]), None);
    }
}
