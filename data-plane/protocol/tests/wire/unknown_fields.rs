//! Tagged fields that a newer peer sends are skipped, whatever is in them.

use millstream_protocol::error::DecodeError;
use millstream_protocol::messages::api_versions_request::ApiVersionsRequest;
use millstream_protocol::messages::fetch_request::FetchRequest;
use millstream_protocol::reader::Reader;
use millstream_protocol::writer::Writer;

fn api_versions_with(tagged_fields: &[u8]) -> Result<ApiVersionsRequest<'static>, DecodeError> {
    let mut bytes = vec![2, b'a', 2, b'b'];
    bytes.extend_from_slice(tagged_fields);
    let mut reader = Reader::new(&bytes);
    let decoded = ApiVersionsRequest::decode(&mut reader, 3)?;
    assert!(reader.is_empty());
    Ok(ApiVersionsRequest {
        client_software_name: decoded.client_software_name.into_owned().into(),
        client_software_version: decoded.client_software_version.into_owned().into(),
    })
}

#[test]
fn unknown_tagged_fields_are_skipped() {
    let expected = api_versions_with(&[0]).unwrap();
    assert_eq!(api_versions_with(&[1, 0, 0]), Ok(expected.clone()));
    assert_eq!(api_versions_with(&[2, 5, 3, 1, 2, 3, 0xff, 0x01, 1, 9]), Ok(expected));
}

#[test]
fn a_tagged_field_larger_than_the_message_is_an_error() {
    assert_eq!(api_versions_with(&[1, 5, 3, 1]), Err(DecodeError::Truncated { needed: 3, remaining: 1 }));
    assert!(api_versions_with(&[1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
    assert!(api_versions_with(&[0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
}

#[test]
fn a_known_tagged_field_of_the_wrong_size_is_an_error() {
    let mut writer = Writer::new();
    FetchRequest { cluster_id: Some("cluster".into()), ..Default::default() }.encode(&mut writer, 12).unwrap();
    let mut bytes = writer.finish_contiguous().to_vec();
    assert!(FetchRequest::decode(&mut Reader::new(&bytes), 12).is_ok());
    // The section is: one field, tag 0, size 8, compact string of 7 bytes. Let the size say 9.
    let size_at = bytes.len() - 9;
    assert_eq!(bytes[size_at], 8);
    bytes[size_at] = 9;
    bytes.push(0);
    let result = FetchRequest::decode(&mut Reader::new(&bytes), 12);
    assert_eq!(result.err(), Some(DecodeError::TaggedFieldSize { tag: 0, left: 1 }));
}
