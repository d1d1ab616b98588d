//! One fuzz target for every decoder: runs briefly as a test, and longer under `cargo bolero test`.

use bolero::check;
use millstream_protocol::frame;

use crate::samples::CASES;

#[test]
fn any_bytes_decode_to_a_value_or_an_error() {
    check!().with_type::<(u16, u8, Vec<u8>)>().for_each(|(message, version, bytes)| {
        let case = &CASES[usize::from(*message) % CASES.len()];
        let versions = i32::from(case.versions.end() - case.versions.start()) + 1;
        let version = case.versions.start() + (i32::from(*version) % versions) as i16;
        let Ok((encoded, left)) = (case.transcode)(bytes, version) else { return };
        // What was understood must mean the same after another round.
        assert!(left <= bytes.len());
        assert_eq!((case.transcode)(&encoded, version), Ok((encoded, 0)), "{} version {version}", case.name);
    });
}

#[test]
fn any_bytes_are_a_request_frame_or_an_error() {
    check!().with_type::<Vec<u8>>().for_each(|bytes| {
        if let Ok(request) = frame::decode_request(bytes) {
            assert!(request.body.remaining() < bytes.len());
        }
    });
}
