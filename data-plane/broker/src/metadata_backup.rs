//! Keeps copies of the cluster metadata in the object store.
//!
//! Promises: when the metadata changed, a snapshot of it is uploaded within a named interval and at a clean stop;
//! the newest few are kept. A store that fails is reported once and tried again; it never stops the broker.
//! Never deletes a snapshot that is not older than those it keeps.
//!
//! Objects: `<prefix>/<physical cluster>/metadata/<offset, 20 digits>.snapshot`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use millstream_metadata::snapshot;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::broker::Broker;
use crate::object_store::{ObjectStore, ObjectStoreError};

/// How often the metadata is looked at.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long the upload at a clean stop may take.
const LAST_UPLOAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Snapshots that are kept.
const KEPT: usize = 5;
/// Snapshots that one round looks at; more are left for the next.
const MAX_LISTED: usize = 1_000;

/// How the backup is doing, for readiness and metrics.
#[derive(Default)]
pub(crate) struct BackupStatus {
    configured: AtomicBool,
    running: AtomicBool,
    uploads: AtomicU64,
    failures: AtomicU64,
    failing: Mutex<Option<String>>,
}

/// What the status was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BackupReport {
    /// There is an object store.
    pub(crate) configured: bool,
    /// A snapshot is being uploaded.
    pub(crate) running: bool,
    /// Uploads that succeeded since the start.
    pub(crate) uploads: u64,
    /// Uploads that failed since the start.
    pub(crate) failures: u64,
    /// Why the last one failed, if it did.
    pub(crate) failing: Option<String>,
}

impl BackupStatus {
    /// What it is now.
    pub(crate) fn report(&self) -> BackupReport {
        BackupReport {
            configured: self.configured.load(Ordering::Relaxed),
            running: self.running.load(Ordering::Relaxed),
            uploads: self.uploads.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            failing: self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Notes an outcome and logs it if it differs from the one before.
    fn note(&self, outcome: &Result<(), ObjectStoreError>) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => {
                self.uploads.fetch_add(1, Ordering::Relaxed);
                if failing.take().is_some() {
                    info!("metadata backup: works again");
                }
            }
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                if failing.replace(error.to_string()).is_none() {
                    error!("metadata backup: {error}; trying again, the broker goes on");
                }
            }
        }
    }
}

/// The backup of one broker's metadata.
#[derive(Clone)]
pub(crate) struct MetadataBackup {
    broker: Arc<Broker>,
    uploader: Arc<Uploader>,
}

impl MetadataBackup {
    /// A backup of the broker's metadata into this store.
    pub(crate) fn new(broker: Arc<Broker>, store: ObjectStore) -> Self {
        let physical_cluster = broker.settings.physical_cluster_id.to_string();
        let uploader = Uploader::new(store, &physical_cluster, Arc::clone(&broker.backup));
        Self { broker, uploader: Arc::new(uploader) }
    }

    /// Uploads whenever the metadata changed, until `shutdown` fires.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.upload() => {}
            }
        }
    }

    /// The last upload, at a clean stop. Gives up after a short time: the metadata is safe on disk anyway.
    pub(crate) async fn upload_last(&self) {
        if tokio::time::timeout(LAST_UPLOAD_TIMEOUT, self.upload()).await.is_err() {
            error!("metadata backup: the last upload did not finish in time, the object store has an older copy");
        }
    }

    async fn upload(&self) {
        let image = self.broker.metadata.image();
        let offset = image.offset();
        if !self.uploader.is_wanted(offset) {
            return;
        }
        // Encoding a large image takes too long for a thread that serves connections.
        let Ok(encoded) = tokio::task::spawn_blocking(move || snapshot::encode(&image)).await else {
            return;
        };
        self.uploader.upload(offset, encoded.into()).await;
    }
}

/// Puts snapshots into the store and removes old ones.
struct Uploader {
    store: ObjectStore,
    directory: String,
    status: Arc<BackupStatus>,
    /// One more than the offset of the newest snapshot that this run uploaded; 0 if none.
    uploaded: AtomicU64,
}

impl Uploader {
    fn new(store: ObjectStore, physical_cluster: &str, status: Arc<BackupStatus>) -> Self {
        status.configured.store(true, Ordering::Relaxed);
        Self { store, directory: format!("{physical_cluster}/metadata/"), status, uploaded: AtomicU64::new(0) }
    }

    fn is_wanted(&self, offset: u64) -> bool {
        offset > 0 && offset >= self.uploaded.load(Ordering::Relaxed)
    }

    async fn upload(&self, offset: u64, snapshot: Bytes) {
        let _running = Running::begin(&self.status);
        let outcome = self.replace(offset, snapshot).await;
        self.status.note(&outcome);
    }

    async fn replace(&self, offset: u64, snapshot: Bytes) -> Result<(), ObjectStoreError> {
        // Some stores take objects into a bucket that does not exist.
        self.store.head_bucket().await?;
        let key = format!("{}{offset:020}.snapshot", self.directory);
        self.store.put(&key, snapshot).await?;
        self.uploaded.fetch_max(offset + 1, Ordering::Relaxed);
        self.remove_old(&key).await
    }

    /// Keeps the newest snapshots. Only those older than `newest` go: another broker may be ahead.
    async fn remove_old(&self, newest: &str) -> Result<(), ObjectStoreError> {
        let listed = self.store.list(&self.directory, MAX_LISTED).await?;
        let mut keys: Vec<_> = listed.into_iter().map(|entry| entry.key).filter(|key| is_snapshot(key)).collect();
        keys.sort();
        let surplus = keys.len().saturating_sub(KEPT);
        for key in keys.iter().take(surplus).filter(|key| key.as_str() < newest) {
            self.store.delete(key).await?;
        }
        Ok(())
    }
}

/// Says that an upload runs, until dropped, also in the middle of it.
struct Running<'a>(&'a BackupStatus);

impl<'a> Running<'a> {
    fn begin(status: &'a BackupStatus) -> Self {
        status.running.store(true, Ordering::Relaxed);
        Self(status)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Relaxed);
    }
}

fn is_snapshot(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key);
    let digits = name.strip_suffix(".snapshot").unwrap_or("");
    digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::config::ObjectStoreCredentials;
    use crate::object_store::tests::{S3Server, start_s3};

    async fn uploader() -> (S3Server, Uploader) {
        let server = start_s3().await;
        let store = ObjectStore::connect(&server.config).await;
        (server, Uploader::new(store, "pkc-a", Arc::default()))
    }

    async fn keys(uploader: &Uploader) -> Vec<String> {
        uploader.store.list("", 100).await.unwrap().into_iter().map(|entry| entry.key).collect()
    }

    #[tokio::test]
    async fn the_newest_snapshots_are_kept_under_the_physical_cluster() {
        let (_server, uploader) = uploader().await;
        uploader.store.put("pkc-a/metadata/note.txt", Bytes::new()).await.unwrap();
        for offset in 8..20 {
            assert!(uploader.is_wanted(offset));
            let mut uploading = std::pin::pin!(uploader.upload(offset, Bytes::from_static(b"snapshot")));
            assert!((&mut uploading).now_or_never().is_none() && uploader.status.report().running);
            uploading.await;
            assert!(!uploader.status.report().running);
            assert!(!uploader.is_wanted(offset), "uploaded twice without a change");
        }
        let mut expected: Vec<_> = (15..20).map(|offset| format!("pkc-a/metadata/{offset:020}.snapshot")).collect();
        expected.push("pkc-a/metadata/note.txt".to_owned());
        assert_eq!(keys(&uploader).await, expected);
        let report = uploader.status.report();
        assert_eq!((report.configured, report.uploads, report.failing), (true, 12, None));
    }

    #[tokio::test]
    async fn a_store_that_refuses_is_reported_and_tried_again() {
        let (server, mut uploader) = uploader().await;
        let mut wrong = server.config.clone();
        wrong.credentials = Some(ObjectStoreCredentials::Values {
            access_key_id: "the-key".to_owned(),
            secret_access_key: "not-it".to_owned(),
        });
        let good = std::mem::replace(&mut uploader.store, ObjectStore::connect(&wrong).await);
        uploader.upload(3, Bytes::new()).await;
        assert!(uploader.is_wanted(3));
        assert!(uploader.status.report().failing.is_some_and(|reason| reason.contains("cannot find")));
        uploader.store = good;
        uploader.upload(3, Bytes::new()).await;
        let report = uploader.status.report();
        assert_eq!((report.failing, report.failures, report.uploads), (None, 1, 1));
    }

    #[test]
    fn only_snapshots_are_ever_removed() {
        assert!(is_snapshot("pkc-a/metadata/00000000000000000042.snapshot"));
        for other in ["pkc-a/metadata/42.snapshot", "x/0000000000000000004a.snapshot", "note.txt", ""] {
            assert!(!is_snapshot(other), "{other}");
        }
    }
}
