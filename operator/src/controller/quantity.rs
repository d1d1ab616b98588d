//! Sizes of volumes, as Kubernetes writes them.

/// Bytes of `10Gi`, `500M` or `1073741824`. None for anything else.
pub fn bytes(text: &str) -> Option<u128> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let number: u128 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "P" => 1_000_000_000_000_000,
        "E" => 1_000_000_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "Pi" => 1 << 50,
        "Ei" => 1 << 60,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_compared_by_their_bytes() {
        assert_eq!(bytes("1Gi"), Some(1_073_741_824));
        assert_eq!(bytes("1073741824"), bytes("1Gi"));
        assert!(bytes("1G") < bytes("1Gi"));
        assert_eq!(bytes("1Xi"), None);
        assert_eq!(bytes("Gi"), None);
    }
}
