//! The S3 server inside `millstream up`: a folder behind the S3 protocol, on the loopback interface.
//!
//! The broker reaches it as it reaches any S3, with signed requests. Promises that only the holder of this
//! directory's secret gets in, and a bounded number of connections.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::data_dir::ServiceSecrets;

/// The bucket that the broker uses.
pub const BUCKET: &str = "millstream";
/// Connections at a time; the broker's client keeps a few.
const MAX_CONNECTIONS: usize = 256;
/// Pause after an accept that failed, for instance because there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that runs.
pub struct ObjectStoreServer {
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Serves the buckets in `folder`. The listener is ready at once.
pub fn start(folder: &Path, secrets: &ServiceSecrets, listener: TcpListener) -> io::Result<ObjectStoreServer> {
    std::fs::create_dir_all(folder.join(BUCKET))?;
    let files = s3s_fs::FileSystem::new(folder).map_err(|error| io::Error::other(format!("{error:?}")))?;
    let mut builder = S3ServiceBuilder::new(files);
    let (key, secret) = (&secrets.object_store_access_key, &secrets.object_store_secret_key);
    builder.set_auth(SimpleAuth::from_single(key.as_str(), secret.as_str()));
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let server = ObjectStoreServer { stop: CancellationToken::new(), tasks: TaskTracker::new() };
    server.tasks.spawn(accept(listener, builder.build(), server.stop.clone(), server.tasks.clone()));
    server.tasks.close();
    Ok(server)
}

/// Removes every object below a prefix, from a store whose buckets are in `folder`. What the server keeps beside the
/// objects goes too: one file per object, which names bucket and key in base64.
pub async fn remove_prefix(folder: &Path, prefix: &str) -> io::Result<()> {
    match tokio::fs::remove_dir_all(folder.join(BUCKET).join(prefix)).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut entries = tokio::fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        let key = entry.file_name().to_str().and_then(described_key);
        if key.is_some_and(|key| key.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))) {
            tokio::fs::remove_file(entry.path()).await?;
        }
    }
    Ok(())
}

/// The key of the object that a file of the server describes: `.bucket-<bucket>.object-<key>.….json`.
fn described_key(file_name: &str) -> Option<String> {
    let (_, rest) = file_name.split_once(".object-")?;
    let (encoded, _) = rest.split_once('.')?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

impl ObjectStoreServer {
    /// Ends all connections.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

async fn accept(listener: tokio::net::TcpListener, service: S3Service, stop: CancellationToken, tasks: TaskTracker) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!(%error, "cannot accept a connection to the object store");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (service, stop) = (service.clone(), stop.clone());
        tasks.spawn(async move {
            let http = Builder::new(TokioExecutor::new());
            let connection = http.serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = connection => {}
                () = stop.cancelled() => {}
            }
            drop(slot);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn objects_below_a_prefix_go_with_what_describes_them_and_no_others() {
        let folder = tempfile::tempdir().expect("folder");
        let describe =
            |key: &str| format!(".bucket-bWlsbHN0cmVhbQ.object-{}.metadata.json", URL_SAFE_NO_PAD.encode(key));
        for key in ["pkc-a/metadata/1", "pkc-ab/metadata/1"] {
            let object = folder.path().join(BUCKET).join(key);
            std::fs::create_dir_all(object.parent().expect("a folder")).expect("made");
            std::fs::write(object, "x").expect("written");
            std::fs::write(folder.path().join(describe(key)), "{}").expect("written");
        }
        remove_prefix(folder.path(), "pkc-a").await.expect("removed");
        remove_prefix(folder.path(), "pkc-a").await.expect("removed twice");
        assert!(!folder.path().join(BUCKET).join("pkc-a").exists());
        assert!(!folder.path().join(describe("pkc-a/metadata/1")).exists());
        assert!(folder.path().join(BUCKET).join("pkc-ab/metadata/1").exists());
        assert!(folder.path().join(describe("pkc-ab/metadata/1")).exists());
    }
}
