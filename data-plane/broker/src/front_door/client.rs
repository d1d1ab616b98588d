//! A client that speaks Kafka over whatever carries bytes, one request at a time.

use millstream_protocol::api_key::ApiKey;
use millstream_protocol::error::EncodeError;
use millstream_protocol::frame;
use millstream_protocol::record_batch::{BatchBuilder, NewRecord};
use millstream_protocol::writer::Writer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const SASL_HANDSHAKE: i16 = 17;
const SASL_AUTHENTICATE: i16 = 36;
pub(crate) const METADATA: i16 = 3;

/// One connection.
pub(crate) struct KafkaClient<S>(pub(crate) S);

impl<S: AsyncRead + AsyncWrite + Unpin> KafkaClient<S> {
    /// Logs in with a key whose secret is `secret`.
    pub(crate) async fn log_in(stream: S, key: &str) -> Self {
        let mut client = Self(stream);
        let answer = client.authenticate(key).await;
        assert_eq!(answer[..2], [0, 0], "{answer:?}");
        client
    }

    /// The answer to a login.
    pub(crate) async fn authenticate(&mut self, key: &str) -> Vec<u8> {
        self.call(SASL_HANDSHAKE, 1, b"\0\x05PLAIN").await;
        let token = format!("\0{key}\0secret");
        let length = i32::try_from(token.len()).unwrap();
        self.call(SASL_AUTHENTICATE, 0, &[length.to_be_bytes().as_slice(), token.as_bytes()].concat()).await
    }

    /// Sends a request without waiting for its answer. For versions with a header that is not flexible.
    pub(crate) async fn send(&mut self, api: i16, version: i16, body: &[u8]) {
        self.0.write_all(&plain_request(api, version, body)).await.unwrap();
    }

    pub(crate) async fn call(&mut self, api: i16, version: i16, body: &[u8]) -> Vec<u8> {
        self.send(api, version, body).await;
        self.receive().await
    }

    /// The next answer, without its correlation id.
    pub(crate) async fn receive(&mut self) -> Vec<u8> {
        let length = usize::try_from(self.0.read_i32().await.unwrap()).unwrap();
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).await.unwrap();
        answer.split_off(4)
    }

    pub(crate) async fn metadata(&mut self) -> Vec<u8> {
        self.call(METADATA, 3, &[0; 4]).await
    }
}

/// A whole request frame around an encoded body. For versions with a header that is not flexible.
pub(crate) fn plain_request(api: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let header = [api.to_be_bytes(), version.to_be_bytes(), [0, 0], [0, 1], [0, 0]].concat();
    let length = i32::try_from(header.len() + body.len()).unwrap();
    [length.to_be_bytes().as_slice(), &header, body].concat()
}

/// A whole request frame.
pub(crate) fn request(
    api: ApiKey,
    version: i16,
    encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Vec<u8> {
    frame::encode_request(api, version, 7, Some("client"), encode).unwrap().concat()
}

/// The body of a Produce request, version 7, with one record of a thousand bytes for partition 0 of the topic `t`.
pub(crate) fn produce_to_t(acks: i16) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.append(NewRecord { timestamp: 0, key: None, value: Some(&[7; 1_000]), headers: &[] });
    let batch = builder.build().unwrap();
    let mut body = b"\xff\xff".to_vec();
    body.extend(acks.to_be_bytes());
    body.extend(b"\0\0\0\x0a\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0");
    body.extend(i32::try_from(batch.len()).unwrap().to_be_bytes());
    body.extend(batch);
    body
}
