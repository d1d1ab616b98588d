//! Serves HTTP on a listener: plain or TLS, HTTP/1.1 and HTTP/2, until told to stop.
//!
//! Promises: connections are bounded in number, and in the time they may take for a handshake or for headers. On stop
//! it takes no new connection and lets requests in flight finish, for a bounded time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;
use tracing::{debug, warn};

use crate::observed_stream::ObservedStream;
use crate::shared_tcp_stream::{PeerState, PeerWatch, SharedTcpStream};

/// Connections of one listener at most; more wait in the system's queue.
const MAX_CONNECTIONS: usize = 10_000;
/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the headers of a request may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How often an idle HTTP/2 connection is asked whether it is alive, and how long it may take to say so.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// See above.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long requests in flight may take after a stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after a failure to accept, such as too many open files.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Which protocols a listener speaks over TLS, most wanted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP/2 and HTTP/1.1.
    Http,
    /// HTTP/2 only.
    Grpc,
}

/// The certificate that the other end of the connection showed and that was verified. Each request on such a connection
/// has it as an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate(pub CertificateDer<'static>);

/// The other end of the connection that a request came on. Each request has it as an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The connection that a request came on, as of that request. Each request has it as an extension.
#[derive(Clone)]
pub struct Connection {
    peer: PeerWatch,
    progress: watch::Receiver<Progress>,
    requests: u64,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// It took so many requests, each after the answer to the one before.
    Requests(u64),
    /// It ended cleanly.
    Ended,
    /// It broke.
    Broken,
}

impl Connection {
    /// Whether the client has hung up, as far as the kernel knows at this moment. One that merely sends no more counts
    /// while the answer is not sent: after it, that is how a client ends.
    pub fn is_abandoned(&self, answer_is_sent: bool) -> bool {
        match self.peer.look() {
            Some(PeerState::Broken) => true,
            Some(PeerState::Ended) => !answer_is_sent,
            Some(PeerState::There) => false,
            None => *self.progress.borrow() == Progress::Broken,
        }
    }

    /// Waits until the connection shows whether the answer to this request arrived: another request says that it did,
    /// as does a clean end.
    pub async fn outlives_this_answer(&mut self) -> bool {
        let is_decided = |progress: &Progress| match progress {
            Progress::Requests(requests) => *requests > self.requests,
            Progress::Ended | Progress::Broken => true,
        };
        match self.progress.wait_for(is_decided).await {
            Ok(progress) => *progress != Progress::Broken,
            Err(_) => false,
        }
    }
}

/// Makes the acceptor of a listener.
pub fn tls_acceptor(config: &Arc<rustls::ServerConfig>, protocols: Protocols) -> TlsAcceptor {
    let mut config = rustls::ServerConfig::clone(config);
    config.alpn_protocols = match protocols {
        Protocols::Http => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Protocols::Grpc => vec![b"h2".to_vec()],
    };
    TlsAcceptor::from(Arc::new(config))
}

/// Accepts connections until told to stop, then waits for those that are open.
pub async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, shutdown: CancellationToken) {
    let connections = TaskTracker::new();
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            _ = shutdown.cancelled() => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, peer, permit)) = accepted else { continue };
        let (tls, router, shutdown) = (tls.clone(), router.clone(), shutdown.clone());
        connections.spawn(async move {
            serve_connection(stream, peer, tls, router, shutdown).await;
            drop(permit);
        });
    }
    connections.close();
    connections.wait().await;
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, permit)),
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            None
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    shutdown: CancellationToken,
) {
    // Without it small answers wait for the client's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "cannot switch off Nagle's algorithm");
    }
    let stream = SharedTcpStream::new(stream);
    let other_end = OtherEnd { peer, watch: stream.peer_watch(), certificate: None };
    let Some(tls) = tls else { return serve_http(stream, other_end, router, shutdown).await };
    match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let certificate = shown.map(|certificate| PeerCertificate(certificate.clone().into_owned()));
            serve_http(stream, OtherEnd { certificate, ..other_end }, router, shutdown).await;
        }
        Ok(Err(error)) => debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => debug!(%peer, "TLS handshake took too long"),
    }
}

/// Who is at the other end of a connection.
struct OtherEnd {
    peer: SocketAddr,
    watch: PeerWatch,
    certificate: Option<PeerCertificate>,
}

async fn serve_http<S>(stream: S, other_end: OtherEnd, router: Router, shutdown: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let OtherEnd { peer, watch: peer_watch, certificate } = other_end;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    let (progress, _) = watch::channel(Progress::Requests(0));
    let progress = Arc::new(progress);
    let of_requests = Arc::clone(&progress);
    let service = router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        // Requests of HTTP/2 do not wait for each other, so that they say nothing about one another's answers.
        let waits_its_turn = request.version() < hyper::Version::HTTP_2;
        let mut number = 0;
        of_requests.send_modify(|progress| {
            if let Progress::Requests(requests) = progress {
                *requests += u64::from(waits_its_turn);
                number = *requests;
            }
        });
        let connection = Connection { peer: peer_watch.clone(), progress: of_requests.subscribe(), requests: number };
        request.extensions_mut().insert(Peer(peer));
        if let Some(certificate) = &certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        request.extensions_mut().insert(connection);
        request
    });
    let (stream, is_broken) = ObservedStream::new(stream);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match timeout(DRAIN_TIMEOUT, connection.as_mut()).await {
                Ok(ended) => ended,
                Err(_) => {
                    progress.send_replace(Progress::Broken);
                    debug!(%peer, "connection was cut while stopping");
                    return;
                }
            }
        }
    };
    let is_whole = ended.is_ok() && !is_broken.load(Ordering::SeqCst);
    progress.send_replace(if is_whole { Progress::Ended } else { Progress::Broken });
    if let Err(error) = ended {
        debug!(%peer, error, "connection ended with an error");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the answer to a client that ends like this is abandoned: before it is sent, and after.
    async fn check(end: impl FnOnce(TcpStream), expected: [bool; 2]) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it connects");
        let server = SharedTcpStream::new(listener.accept().await.expect("it is accepted").0);
        let (_progress, progress) = watch::channel(Progress::Requests(1));
        let connection = Connection { peer: server.peer_watch(), progress, requests: 1 };
        let is_abandoned = || [false, true].map(|answer_is_sent| connection.is_abandoned(answer_is_sent));
        assert_eq!(is_abandoned(), [false, false]);
        end(client);
        assert_eq!(is_abandoned(), expected);
    }

    #[tokio::test]
    async fn a_client_that_hung_up_has_abandoned_its_answer_though_nobody_noticed() {
        check(|client| client.set_zero_linger().expect("the option exists"), [true, true]).await;
        check(drop, [true, false]).await;
    }
}
