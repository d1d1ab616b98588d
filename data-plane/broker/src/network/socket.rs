//! The socket of a client: TCP, with or without TLS.
//!
//! Promises: tells that the peer hung up without reading what it sent before. Never reads or writes.

use std::future::pending;

use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// What frames come from and answers go to.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {
    /// Waits until the peer has said that it sends no more. What it sent before may still be unread.
    fn hung_up(&self) -> impl Future<Output = ()> + Send;
}

impl Socket for TcpStream {
    async fn hung_up(&self) {
        // Sockets are registered for reading and writing, so urgent data makes none ready: what does is its end. To
        // wait for reading would not do, as unread requests make a socket readable all the time.
        match self.ready(Interest::PRIORITY).await {
            Ok(ready) if ready.is_read_closed() => {}
            // An error means that the broker stops.
            _ => pending().await,
        }
    }
}

impl Socket for TlsStream<TcpStream> {
    fn hung_up(&self) -> impl Future<Output = ()> + Send {
        self.get_ref().0.hung_up()
    }
}

/// Tests speak over memory; nobody hangs up there without being read.
#[cfg(test)]
impl Socket for tokio::io::DuplexStream {
    async fn hung_up(&self) {
        pending().await
    }
}
