//! Accepts Kafka connections and gives each a task.
//!
//! Promises: a full broker closes new connections instead of queueing them; an error of accept (too many open
//! files) pauses accepting, it never ends it; every task is awaited at shutdown. Never reads a frame.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::connection;
use crate::broker::{AdvertisedListener, Broker};
use crate::connections::Admission;
use crate::session::Client;

/// Pause after an accept failed, so that running out of file descriptors does not become a busy loop.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
/// A peer that opened a connection has this long to finish the TLS handshake.
const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Accepts until `shutdown` fires, then waits for the connections to end.
pub(crate) async fn run(
    broker: Arc<Broker>,
    listener: TcpListener,
    advertised: Arc<AdvertisedListener>,
    tls: Option<Arc<rustls::ServerConfig>>,
    shutdown: CancellationToken,
) {
    let tls = tls.map(TlsAcceptor::from);
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept a connection, trying again");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let Some(admission) = broker.connections.admit() else {
            warn!(peer = %peer, "refused a connection: the broker holds its maximum number of connections");
            continue;
        };
        let broker = Arc::clone(&broker);
        let advertised = Arc::clone(&advertised);
        let shutdown = shutdown.clone();
        let tls = tls.clone();
        tasks.spawn(async move {
            let served = serve(broker, socket, advertised, tls, admission, shutdown).await;
            if let Err(error) = served {
                debug!(peer = %peer, %error, "connection ended");
            }
        });
    }
    tasks.close();
    tasks.wait().await;
}

async fn serve(
    broker: Arc<Broker>,
    socket: TcpStream,
    advertised: Arc<AdvertisedListener>,
    tls: Option<TlsAcceptor>,
    admission: Admission,
    shutdown: CancellationToken,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let client = Client { peer: socket.peer_addr()?, listener: advertised };
    let Some(tls) = tls else {
        connection::serve(broker, socket, client, admission, shutdown).await;
        return Ok(());
    };
    let handshake = tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, tls.accept(socket));
    let socket = handshake.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    connection::serve(broker, socket, client, admission, shutdown).await;
    Ok(())
}
