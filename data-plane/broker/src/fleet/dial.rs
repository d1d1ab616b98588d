//! Dialling the control plane: the channel, the token, and how long to wait before the next try.
//!
//! Promises: tries for ever, with full jitter between named bounds, so that a fleet that lost its control plane
//! does not come back in one instant. The token never reaches a log.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use millstream_api::fleet::MAX_MESSAGE_BYTES;
use millstream_api::fleet::broker_service_client::BrokerServiceClient;
use tokio::net::TcpStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use crate::config::{ClientCertificate, FleetEndpoint, TokenSource};

/// Shortest pause before the next try.
const MIN_RETRY: Duration = Duration::from_millis(200);
/// Longest pause before the next try.
const MAX_RETRY: Duration = Duration::from_secs(5);
/// A control plane that does not accept within this time is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// HTTP/2 pings on a silent connection, so that a dead peer is noticed.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long a ping may take.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a stream to the control plane ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    /// The address cannot be dialled at all.
    #[error("the address of the fleet endpoint is not usable: use http://host:port or https://host:port")]
    Address(#[source] tonic::transport::Error),
    /// A certificate or a key is not one.
    #[error("the certificates for the fleet endpoint cannot be used: {}", sources(.0))]
    Tls(#[source] tonic::transport::Error),
    /// A file that the configuration names cannot be read.
    #[error("cannot read {}: {source}", .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The token cannot be sent.
    #[error("the broker token holds characters that HTTP does not allow")]
    Token,
    /// Nobody answers.
    #[error("cannot reach the control plane: {}", sources(.0))]
    Unreachable(#[source] tonic::transport::Error),
    /// The control plane refused or the connection broke.
    #[error("the control plane answered {:?}: {}", .0.code(), .0.message())]
    Refused(#[from] Box<Status>),
    /// The control plane ended the stream.
    #[error("the control plane ended the stream")]
    Ended,
    /// Nothing came, not even a heartbeat.
    #[error("nothing was heard from the control plane for {} s", .0.as_secs())]
    Silent(Duration),
    /// What came makes no sense.
    #[error("the control plane sent {0}")]
    Protocol(String),
}

/// The client that both streams use.
pub(crate) type Client = BrokerServiceClient<Channel>;

/// Opens a connection to the control plane, whichever replica its name leads to.
pub(crate) async fn connect(endpoint: &FleetEndpoint) -> Result<Client, StreamError> {
    let channel = configure(endpoint).await?.connect().await.map_err(StreamError::Unreachable)?;
    Ok(client(channel))
}

/// Opens a connection to one replica, which has to show the same certificate as under its name.
pub(crate) async fn connect_to(endpoint: &FleetEndpoint, replica: SocketAddr) -> Result<Client, StreamError> {
    let connector = tower::service_fn(move |_: Uri| async move {
        let stream = TcpStream::connect(replica).await?;
        stream.set_nodelay(true)?;
        Ok::<_, io::Error>(TokioIo::new(stream))
    });
    let channel = configure(endpoint).await?.connect_with_connector(connector).await;
    Ok(client(channel.map_err(StreamError::Unreachable)?))
}

async fn configure(endpoint: &FleetEndpoint) -> Result<Endpoint, StreamError> {
    let channel = Endpoint::from_shared(endpoint.url.clone())
        .map_err(StreamError::Address)?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    if endpoint.url.starts_with("https://") {
        return channel.tls_config(tls_config(endpoint).await?).map_err(StreamError::Tls);
    }
    Ok(channel)
}

fn client(channel: Channel) -> Client {
    let client = BrokerServiceClient::new(channel);
    client.max_decoding_message_size(MAX_MESSAGE_BYTES).max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// Reads the certificates anew: those of a broker that runs for a year change under way.
async fn tls_config(endpoint: &FleetEndpoint) -> Result<ClientTlsConfig, StreamError> {
    let mut tls = match &endpoint.ca_file {
        Some(file) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(file).await?)),
        None => ClientTlsConfig::new().with_enabled_roots(),
    };
    if let Some(ClientCertificate { certificate_file, key_file }) = &endpoint.client_certificate {
        tls = tls.identity(Identity::from_pem(read(certificate_file).await?, read(key_file).await?));
    }
    Ok(tls)
}

async fn read(file: &Path) -> Result<String, StreamError> {
    let read = tokio::fs::read_to_string(file).await;
    read.map_err(|source| StreamError::File { file: file.to_owned(), source })
}

/// A request that carries the broker token.
pub(crate) async fn with_token<T>(message: T, endpoint: &FleetEndpoint) -> Result<Request<T>, StreamError> {
    let token = match &endpoint.token {
        TokenSource::Value(token) => token.clone(),
        TokenSource::File(file) => read(file).await?,
    };
    let value = format!("Bearer {}", token.trim_end());
    let mut value = MetadataValue::<Ascii>::try_from(value).map_err(|_| StreamError::Token)?;
    value.set_sensitive(true);
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", value);
    Ok(request)
}

/// The pauses between tries.
pub(crate) struct Retry {
    attempts: u32,
}

impl Retry {
    pub(crate) fn new() -> Self {
        Self { attempts: 0 }
    }

    /// The last try got through: the next pause is short again.
    pub(crate) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Whether this is the first failure since a try got through.
    pub(crate) fn is_first(&self) -> bool {
        self.attempts == 0
    }

    /// How long to wait now.
    pub(crate) fn next_pause(&mut self) -> Duration {
        let ceiling = MIN_RETRY.saturating_mul(2_u32.saturating_pow(self.attempts.saturating_add(1))).min(MAX_RETRY);
        self.attempts = self.attempts.saturating_add(1);
        // Without randomness in the system the fixed pause still works, only less well for a fleet.
        let random = getrandom::u32().unwrap_or(u32::MAX);
        let spread = ceiling.saturating_sub(MIN_RETRY).mul_f64(f64::from(random) / f64::from(u32::MAX));
        MIN_RETRY + spread
    }
}

fn sources(error: &tonic::transport::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_within_their_bounds_and_shrink_after_a_success() {
        let mut retry = Retry::new();
        assert!(retry.next_pause() <= MIN_RETRY * 2);
        for _ in 0..100 {
            let pause = retry.next_pause();
            assert!((MIN_RETRY..=MAX_RETRY).contains(&pause), "{pause:?}");
        }
        retry.reset();
        assert!(retry.is_first() && retry.next_pause() <= MIN_RETRY * 2);
    }

    #[tokio::test]
    async fn the_token_is_marked_as_sensitive() {
        let endpoint = FleetEndpoint::plain("http://localhost:1", "abc");
        let request = with_token((), &endpoint).await.unwrap();
        let value = request.metadata().get("authorization").unwrap();
        assert_eq!((value.to_str().unwrap(), value.is_sensitive()), ("Bearer abc", true));
        let odd = FleetEndpoint::plain("http://localhost:1", "a\nb");
        assert!(matches!(with_token((), &odd).await, Err(StreamError::Token)));
    }

    #[tokio::test]
    async fn a_token_that_was_changed_in_its_file_counts_at_the_next_dial() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let endpoint =
            FleetEndpoint { token: TokenSource::File(file.clone()), ..FleetEndpoint::plain("http://x:1", "") };
        let Err(StreamError::File { file: named, .. }) = with_token((), &endpoint).await else { panic!("no file") };
        assert_eq!(named, file);
        for token in ["first", "second"] {
            std::fs::write(&file, format!("{token}\n")).unwrap();
            let request = with_token((), &endpoint).await.unwrap();
            assert_eq!(request.metadata().get("authorization").unwrap(), &format!("Bearer {token}"));
        }
    }
}
