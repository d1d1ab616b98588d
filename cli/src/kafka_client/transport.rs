//! The byte stream to a broker: TCP, or TLS over TCP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::ClientError;
use crate::login::Encryption;

/// How long connecting and the TLS handshake may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connected stream.
pub enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Whom to trust; made once, used for every broker.
#[derive(Clone)]
pub enum Trust {
    Plain,
    Tls(Arc<ClientConfig>),
}

impl Trust {
    /// Reads the certificates that `encryption` names.
    pub fn load(encryption: &Encryption) -> Result<Self, ClientError> {
        match encryption {
            Encryption::Plain => Ok(Self::Plain),
            Encryption::TrustFile(path) => {
                let certificates = CertificateDer::pem_file_iter(path).map_err(|error| error.to_string());
                let roots = certificates.and_then(roots);
                let path = path.display().to_string();
                Ok(Self::trusting(roots.map_err(|reason| ClientError::Certificates { path, reason })?))
            }
            Encryption::TrustPem(pem) => {
                let roots = roots(CertificateDer::pem_slice_iter(pem.as_bytes()));
                let path = "the cluster".to_owned();
                Ok(Self::trusting(roots.map_err(|reason| ClientError::Certificates { path, reason })?))
            }
            Encryption::TrustSystem => {
                let with_verifier = ClientConfig::builder().with_platform_verifier();
                let config = with_verifier.map_err(|error| ClientError::Certificates {
                    path: "this machine".to_string(),
                    reason: error.to_string(),
                })?;
                Ok(Self::Tls(Arc::new(config.with_no_client_auth())))
            }
        }
    }

    fn trusting(roots: RootCertStore) -> Self {
        Self::Tls(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
    }
}

fn roots(
    certificates: impl Iterator<Item = Result<CertificateDer<'static>, pem::Error>>,
) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("there is no certificate in it".to_string());
    }
    Ok(roots)
}

impl Transport {
    /// Connects to `host:port`.
    pub async fn connect(address: &str, trust: &Trust) -> Result<Self, ClientError> {
        let connecting = Self::connect_without_limit(address, trust);
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(result) => result,
            Err(_) => Err(ClientError::Timeout { address: address.to_string(), limit: CONNECT_TIMEOUT }),
        }
    }

    async fn connect_without_limit(address: &str, trust: &Trust) -> Result<Self, ClientError> {
        let bad_address = || ClientError::BadAddress { address: address.to_string() };
        let (host, port) = address.rsplit_once(':').ok_or_else(bad_address)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port: u16 = port.parse().map_err(|_| bad_address())?;
        let connect_error = |source| ClientError::Connect { address: address.to_string(), source };
        let stream = TcpStream::connect((host, port)).await.map_err(connect_error)?;
        stream.set_nodelay(true).map_err(connect_error)?;
        match trust {
            Trust::Plain => Ok(Self::Plain(stream)),
            Trust::Tls(config) => {
                let name = ServerName::try_from(host.to_string()).map_err(|_| bad_address())?;
                let connected = TlsConnector::from(config.clone()).connect(name, stream).await;
                let tls_error = |source| ClientError::Tls { address: address.to_string(), source };
                connected.map(|stream| Self::Tls(Box::new(stream))).map_err(tls_error)
            }
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
