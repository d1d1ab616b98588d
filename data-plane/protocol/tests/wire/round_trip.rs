//! What was encoded decodes to the same value, in every version of every message.

use millstream_protocol::api_key::ApiKey;
use proptest::prelude::*;

use crate::sampler::Sampler;
use crate::samples::CASES;

fn message_and_version() -> impl Strategy<Value = (usize, i16, u64)> {
    (0..CASES.len(), any::<u64>())
        .prop_flat_map(|(index, seed)| (Just(index), CASES[index].versions.clone(), Just(seed)))
}

#[test]
fn every_version_of_every_message_round_trips() {
    let mut checked = 0;
    for case in CASES {
        for version in case.versions.clone() {
            for seed in 0..20 {
                (case.round_trip)(&mut Sampler::new(seed), version);
            }
            checked += 1;
        }
    }
    assert!(checked > 500, "only {checked} versions were checked");
}

#[test]
fn the_default_value_of_every_message_round_trips_to_the_same_bytes() {
    for case in CASES {
        for version in case.versions.clone() {
            let bytes = (case.default)(version);
            // A default of null that an older version cannot express is refused, never guessed.
            let Ok(bytes) = bytes else { continue };
            let transcoded = (case.transcode)(&bytes, version);
            assert_eq!(transcoded, Ok((bytes, 0)), "{} version {version}", case.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decoding_and_encoding_again_gives_the_same_bytes((index, version, seed) in message_and_version()) {
        let case = &CASES[index];
        let bytes = (case.sample)(&mut Sampler::new(seed), version).unwrap();
        prop_assert_eq!((case.transcode)(&bytes, version), Ok((bytes, 0)), "{} version {}", case.name, version);
    }
}

#[test]
fn a_version_without_a_schema_is_refused() {
    for case in CASES {
        for version in [case.versions.start() - 1, case.versions.end() + 1, i16::MIN, i16::MAX] {
            assert!((case.transcode)(&[0; 64], version).is_err(), "{} version {version}", case.name);
            assert!((case.default)(version).is_err(), "{} version {version}", case.name);
        }
    }
}

#[test]
fn every_api_has_a_request_and_a_response_in_the_same_versions() {
    for key in ApiKey::ALL.iter().filter(|key| !key.schema_versions().is_empty()) {
        for suffix in ["Request", "Response"] {
            let name = format!("{}{suffix}", key.name());
            let case = CASES.iter().find(|case| case.name == name).unwrap();
            assert_eq!(case.api_key, Some(key.key()));
            assert_eq!(case.versions, key.schema_versions(), "{name}");
        }
    }
}
