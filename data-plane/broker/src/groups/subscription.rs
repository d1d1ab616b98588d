//! The topics in a consumer's subscription. The bytes are the client's own business; this reads no more than their
//! oldest part (a version, then topic names), which every later version begins with, and never trusts a length.

/// The protocol type of consumer groups.
pub const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// Topics read from one subscription at most.
const MAX_TOPICS: usize = 100_000;

/// The topics of a subscription, or nothing if the bytes are something else.
pub fn topics(metadata: &[u8]) -> Option<Vec<String>> {
    let (_version, rest) = metadata.split_at_checked(2)?;
    let (count, mut rest) = rest.split_at_checked(4)?;
    let count = usize::try_from(i32::from_be_bytes(count.try_into().ok()?)).ok()?;
    // Each name takes two bytes for its length at least.
    if count > MAX_TOPICS || count > rest.len() / 2 {
        return None;
    }
    let mut topics = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, after_length) = rest.split_at_checked(2)?;
        let length = usize::try_from(i16::from_be_bytes(length.try_into().ok()?)).ok()?;
        let (name, after_name) = after_length.split_at_checked(length)?;
        topics.push(std::str::from_utf8(name).ok()?.to_owned());
        rest = after_name;
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::topics;

    #[test]
    fn topic_names_are_read_and_later_fields_are_ignored() {
        let bytes = b"\x00\x01\x00\x00\x00\x02\x00\x01a\x00\x02bc\xff\xff\xff\xff\x00\x00\x00\x00";
        assert_eq!(topics(bytes), Some(vec!["a".to_owned(), "bc".to_owned()]));
    }

    #[test]
    fn bytes_that_are_not_a_subscription_give_nothing() {
        let hostile: [&[u8]; 6] = [
            b"",
            b"\x00\x00\x00",
            b"\x00\x00\x7f\xff\xff\xff",
            b"\x00\x00\xff\xff\xff\xff",
            b"\x00\x00\x00\x00\x00\x01\x7f\xffabc",
            b"\x00\x00\x00\x00\x00\x01\x00\x02\xff\xfe",
        ];
        for bytes in hostile {
            assert_eq!(topics(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn whatever_the_bytes_are_reading_them_ends() {
        bolero::check!().with_iterations(20_000).for_each(|bytes: &[u8]| {
            let _ = topics(bytes);
        });
    }
}
