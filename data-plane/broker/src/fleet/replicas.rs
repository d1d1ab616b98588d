//! A stream of forwarded requests for every replica of the control plane: whichever replica a caller asks, it can reach
//! this broker.
//!
//! Promises: the name of the fleet endpoint is looked up again and again, and each address that it has gets a stream of
//! its own, up to a bound. The stream of an address that is gone works until it ends by itself: a replica that is about
//! to stop leaves the name first. A name that cannot be looked up changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Uri;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::forward::ForwardStream;

/// Replicas that get a stream at most.
const MAX_REPLICAS: usize = 16;
/// How often the name is looked up.
const LOOK_UP_INTERVAL: Duration = Duration::from_secs(2);

/// One stream that runs, or did.
struct Running {
    /// Whether the name still has the address: if not, the stream is not opened again.
    listed: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// Keeps a stream up for every address that `look_up` finds, until `shutdown` fires.
pub(crate) async fn run<F>(stream: Arc<ForwardStream>, mut look_up: impl FnMut() -> F, shutdown: CancellationToken)
where
    F: Future<Output = io::Result<Vec<SocketAddr>>>,
{
    let mut streams: BTreeMap<SocketAddr, Running> = BTreeMap::new();
    let mut failed_before = false;
    loop {
        match look_up().await {
            Ok(found) => {
                failed_before = false;
                follow(&stream, &mut streams, &found.into_iter().collect(), &shutdown);
            }
            Err(error) if failed_before => debug!("cannot look up the fleet endpoint: {error}"),
            Err(error) => {
                failed_before = true;
                warn!("cannot look up the fleet endpoint: {error}; trying again");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(LOOK_UP_INTERVAL) => {}
        }
    }
    for running in streams.into_values() {
        // It ends at the same signal. A panic was logged by the runtime.
        let _ended = running.task.await;
    }
}

fn follow(
    stream: &Arc<ForwardStream>,
    streams: &mut BTreeMap<SocketAddr, Running>,
    found: &BTreeSet<SocketAddr>,
    shutdown: &CancellationToken,
) {
    streams.retain(|address, running| {
        running.listed.store(found.contains(address), Ordering::Relaxed);
        !running.task.is_finished()
    });
    for address in found {
        if streams.len() >= MAX_REPLICAS {
            return;
        }
        streams.entry(*address).or_insert_with(|| {
            let listed = Arc::new(AtomicBool::new(true));
            let running = Arc::clone(stream).run(*address, Arc::clone(&listed), shutdown.clone());
            Running { listed, task: tokio::spawn(running) }
        });
    }
}

/// The addresses of the host in a URL.
pub(crate) async fn look_up(url: &str) -> io::Result<Vec<SocketAddr>> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "use http://host:port or https://host:port");
    let uri: Uri = url.parse().map_err(|_| invalid())?;
    let port = match (uri.port_u16(), uri.scheme_str()) {
        (Some(port), _) => port,
        (None, Some("https")) => 443,
        (None, Some("http")) => 80,
        (None, _) => return Err(invalid()),
    };
    let host = uri.host().ok_or_else(invalid)?.trim_start_matches('[').trim_end_matches(']');
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

#[cfg(test)]
#[path = "replicas_tests.rs"]
mod tests;
