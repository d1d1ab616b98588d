//! The tenants of this broker and their API keys: what the control plane said, kept on disk.
//!
//! Promises: authentication needs no control plane; a wrong secret and an unknown key take equally long; what
//! was persisted is there after a restart; a revoked key is refused from the moment the change is applied.
//! Never dials anything, never logs a secret, never concludes from absence that a tenant's data may go.

pub(crate) mod client_quotas;
pub(crate) mod image;
pub(crate) mod role_bindings;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use millstream_api::fleet::{ConfigItem, Delta, SnapshotBegin};
use millstream_api::ids::{ApiKeyId, EnvironmentId, LogicalClusterId, OrganizationId, Principal};
use millstream_api::rest::cmk::ClusterKind;
use tokio::sync::watch;

use crate::fleet::image_file::{ImageFile, JournalRecord, OpenError};
use crate::tenants::client_quotas::ClientQuotas;
use crate::tenants::image::{Changes, DeltaError, Image, Position, SnapshotError};
use crate::tenants::role_bindings::RoleBinding;

/// Longest secret that is looked at. Ours have 64 characters.
const MAX_SECRET_BYTES: usize = 1_024;
/// Longest part of a key id that goes into the HMAC. Ours have 16 characters.
const MAX_KEY_ID_BYTES: usize = 64;
/// Journal records that wait to be persisted at most; with more the whole image is written instead.
const MAX_UNSAVED_RECORDS: usize = 1_024;

/// Who a connection or a request is: fixed at authentication.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    /// The logical cluster that the key belongs to.
    pub(crate) tenant: LogicalClusterId,
    /// The owner of the key.
    pub(crate) principal: Principal,
    /// The key itself. Not a secret.
    pub(crate) api_key: ApiKeyId,
}

/// A logical cluster that this broker serves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogicalCluster {
    /// `lkc-…`
    pub(crate) id: LogicalClusterId,
    /// The organization that pays for it.
    pub(crate) organization: OrganizationId,
    /// The environment it is in.
    pub(crate) environment: EnvironmentId,
    /// Its kind, which has a plan.
    pub(crate) kind: ClusterKind,
    /// CKUs, or the most eCKUs; 0 for as many as the plan allows.
    pub(crate) units: u32,
}

/// All tenants of this broker and their keys.
pub(crate) struct TenantDirectory {
    image: RwLock<Image>,
    writer: Mutex<Writer>,
    rights_version: AtomicU64,
    changed: watch::Sender<()>,
}

struct Writer {
    file: ImageFile,
    unsaved: Vec<JournalRecord>,
    /// The journal does not continue the file on disk: the next persist writes the whole image.
    rewrite: bool,
}

impl TenantDirectory {
    /// Reads the last image from `path` and the journal beside it. A missing file is an empty directory; a
    /// corrupt one is moved aside and logged, because an image that is guessed would let the wrong keys in.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let (file, stored, journal) = ImageFile::open(path)?;
        let mut image = stored.map(Image::from_stored).unwrap_or_default();
        for record in &journal {
            image.replay(record);
        }
        let writer = Writer { file, unsaved: Vec::new(), rewrite: false };
        let (image, writer) = (RwLock::new(image), Mutex::new(writer));
        Ok(Self { image, writer, rights_version: AtomicU64::new(0), changed: watch::Sender::new(()) })
    }

    /// The credential of this key if the secret is right. Takes as long for an unknown key as for a wrong secret.
    pub(crate) fn authenticate(&self, key_id: &str, secret: &str) -> Option<Arc<Credential>> {
        if secret.len() > MAX_SECRET_BYTES {
            return None;
        }
        let parsed = key_id.parse::<ApiKeyId>();
        let (pepper, known) = {
            let image = self.image.read().unwrap_or_else(PoisonError::into_inner);
            let known = parsed
                .ok()
                .and_then(|id| image.usable_key(&id).map(|key| (key.secret_hmac, Arc::clone(&key.credential))));
            (image.pepper(), known)
        };
        let (expected, credential) = match known {
            Some((secret_hmac, credential)) => (secret_hmac, Some(credential)),
            None => ([0; 32], None),
        };
        let mut context = hmac::Context::with_key(&pepper.key);
        context.update(&key_id.as_bytes()[..key_id.len().min(MAX_KEY_ID_BYTES)]);
        context.update(b":");
        context.update(secret.as_bytes());
        let matches = verify_slices_are_equal(context.sign().as_ref(), &expected).is_ok();
        if matches { credential } else { None }
    }

    /// Whether this very credential still stands: not revoked, not replaced, its cluster still served.
    pub(crate) fn is_current(&self, credential: &Credential) -> bool {
        let image = self.image.read().unwrap_or_else(PoisonError::into_inner);
        image.usable_key(&credential.api_key).is_some_and(|key| std::ptr::eq(Arc::as_ptr(&key.credential), credential))
    }

    /// The logical cluster of this id, if this broker serves it.
    pub(crate) fn cluster(&self, id: &LogicalClusterId) -> Option<Arc<LogicalCluster>> {
        self.image.read().unwrap_or_else(PoisonError::into_inner).clusters().get(id).cloned()
    }

    /// Another number than before means that what principals may do can have changed. Cheap enough for every request.
    pub(crate) fn rights_version(&self) -> u64 {
        self.rights_version.load(Ordering::Acquire)
    }

    /// A logical cluster and the role bindings of a principal in its organization, as of one moment. The same pointers
    /// mean the same content. Bindings of other organizations are not left out.
    pub(crate) fn cluster_and_role_bindings(
        &self,
        tenant: &LogicalClusterId,
        principal: &Principal,
    ) -> (Option<Arc<LogicalCluster>>, Option<Arc<Vec<RoleBinding>>>) {
        let image = self.image.read().unwrap_or_else(PoisonError::into_inner);
        (image.clusters().get(tenant).cloned(), image.role_bindings_of(principal))
    }

    /// The client quotas of a tenant.
    pub(crate) fn client_quotas(&self, tenant: &LogicalClusterId) -> Arc<ClientQuotas> {
        self.image.read().unwrap_or_else(PoisonError::into_inner).client_quotas_of(tenant)
    }

    /// Whether the principal belongs to the organization of the cluster, as far as this broker has been told.
    pub(crate) fn has_principal(&self, cluster: &LogicalClusterId, principal: &Principal) -> bool {
        self.image.read().unwrap_or_else(PoisonError::into_inner).has_principal(cluster, principal)
    }

    /// Tells of every snapshot and delta that was applied.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Epoch and revision of the image; zeros when there is none.
    pub(crate) fn position(&self) -> Position {
        self.image.read().unwrap_or_else(PoisonError::into_inner).position()
    }

    /// API keys in the image and items that could not be understood, for metrics.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let image = self.image.read().unwrap_or_else(PoisonError::into_inner);
        (image.key_count(), image.quarantined_count())
    }

    /// Tenants whose deletion was said and whose data may still be here. Survives a restart.
    pub(crate) fn pending_deletions(&self) -> Vec<LogicalClusterId> {
        self.image.read().unwrap_or_else(PoisonError::into_inner).pending_deletions()
    }

    /// Replaces the image. In force at once; call [`persist`](Self::persist) before acknowledging.
    pub(crate) fn apply_snapshot(
        &self,
        begin: &SnapshotBegin,
        items: Vec<ConfigItem>,
    ) -> Result<Changes, SnapshotError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = self.image.write().unwrap_or_else(PoisonError::into_inner).apply_snapshot(begin, items)?;
        self.publish(&changes);
        writer.unsaved.clear();
        writer.rewrite = true;
        Ok(changes)
    }

    /// Applies a delta that continues the image. In force at once; call [`persist`](Self::persist) before
    /// acknowledging. A delta that was applied before changes nothing.
    pub(crate) fn apply_delta(&self, delta: Delta) -> Result<Changes, DeltaError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = self.image.write().unwrap_or_else(PoisonError::into_inner).apply_delta(&delta)?;
        self.publish(&changes);
        writer.remember(JournalRecord::delta(delta));
        Ok(changes)
    }

    /// Notes that nothing is left of a deleted tenant. Call [`persist`](Self::persist) afterwards.
    pub(crate) fn deletion_done(&self, tenant: &LogicalClusterId) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let record = JournalRecord::deletion_done(tenant);
        self.image.write().unwrap_or_else(PoisonError::into_inner).replay(&record);
        writer.remember(record);
    }

    fn publish(&self, changes: &Changes) {
        if changes.rights_changed {
            self.rights_version.fetch_add(1, Ordering::Release);
        }
        self.changed.send_replace(());
    }

    /// Puts everything that was applied on disk and answers the position that is safe there. Blocks on fsync.
    /// After an error the next call tries again with the whole image.
    pub(crate) fn persist(&self) -> std::io::Result<Position> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // Only this lock's holder changes the image, so it cannot move while it is written.
        let position = self.position();
        let unsaved = std::mem::take(&mut writer.unsaved);
        if !writer.rewrite && unsaved.is_empty() {
            return Ok(position);
        }
        let whole_image = writer.rewrite || writer.file.journal_is_long();
        // Until it succeeded, assume that the journal no longer continues what is on disk.
        writer.rewrite = true;
        if whole_image {
            let stored = self.image.read().unwrap_or_else(PoisonError::into_inner).to_stored();
            writer.file.write_image(&stored)?;
        } else {
            writer.file.append(&unsaved)?;
        }
        writer.rewrite = false;
        Ok(position)
    }
}

impl Writer {
    fn remember(&mut self, record: JournalRecord) {
        if self.unsaved.len() >= MAX_UNSAVED_RECORDS {
            self.unsaved.clear();
            self.rewrite = true;
        }
        if !self.rewrite {
            self.unsaved.push(record);
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod client_quota_tests;
