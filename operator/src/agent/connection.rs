//! Dialling the control plane: certificates and token, read anew at every dial.
//!
//! Neither the token nor a key ever reaches a log.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_api::fleet::MAX_MESSAGE_BYTES;
use millstream_api::fleet::agent_service_client::AgentServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::settings::ControlPlaneAccess;

/// A control plane that does not accept within this time is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// HTTP/2 pings on a silent connection, so that a dead peer is noticed.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long a ping may take.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// A file that the settings name cannot be read.
    #[error("cannot read {}: {source}", .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The address or the certificates cannot be used, or nobody answers.
    #[error("cannot reach the control plane: {}", causes(.0))]
    Transport(#[from] tonic::transport::Error),
    /// The token cannot be sent.
    #[error("the agent token holds characters that HTTP does not allow")]
    Token,
}

/// A connection, and what to send with a call.
pub struct Connection {
    pub client: AgentServiceClient<Channel>,
    pub authorization: MetadataValue<Ascii>,
}

pub async fn dial(access: &ControlPlaneAccess) -> Result<Connection, DialError> {
    let mut endpoint = Endpoint::from_shared(access.url.clone())?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    if access.url.starts_with("https://") {
        endpoint = endpoint.tls_config(tls_config(access).await?)?;
    }
    let token = read(&access.token_file).await?;
    let authorization = format!("Bearer {}", token.trim_end());
    let mut authorization = MetadataValue::<Ascii>::try_from(authorization).map_err(|_| DialError::Token)?;
    authorization.set_sensitive(true);
    let client = AgentServiceClient::new(endpoint.connect().await?).max_decoding_message_size(MAX_MESSAGE_BYTES);
    Ok(Connection { client, authorization })
}

async fn tls_config(access: &ControlPlaneAccess) -> Result<ClientTlsConfig, DialError> {
    let mut tls = match &access.ca_file {
        Some(file) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(file).await?)),
        None => ClientTlsConfig::new().with_enabled_roots(),
    };
    if let (Some(certificate), Some(key)) = (&access.client_certificate_file, &access.client_key_file) {
        tls = tls.identity(Identity::from_pem(read(certificate).await?, read(key).await?));
    }
    Ok(tls)
}

async fn read(file: &Path) -> Result<String, DialError> {
    let read = tokio::fs::read_to_string(file).await;
    read.map_err(|source| DialError::File { file: file.to_owned(), source })
}

/// The error and what led to it: the outermost one says only that it failed.
fn causes(error: &tonic::transport::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
