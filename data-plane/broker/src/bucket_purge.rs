//! Removes everything that a physical cluster has put into its bucket, once the cluster is gone for good.
//!
//! Promises: nothing outside of the folder of this physical cluster is touched, whatever the prefix is; success means
//! that nothing is left there. Can be killed and run again. Never runs beside the brokers of the cluster.

use futures::{StreamExt, TryStreamExt, stream};
use millstream_api::ids::PhysicalClusterId;

use crate::config::ObjectStoreConfig;
use crate::object_store::{ObjectEntry, ObjectStore, ObjectStoreError};

/// Objects that are listed, then removed, at a time.
const BATCH: usize = 1_000;
/// Objects that are being removed at the same time. One by one: not every store knows how to remove many at once.
const CONCURRENCY: usize = 16;

/// Why something may be left.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// The store refused or could not be reached.
    #[error("{0}")]
    Refused(String),
    /// The store says that objects are removed, and lists them again.
    #[error("the object store still lists {key:?} after it was deleted")]
    Remains {
        /// The first of them.
        key: String,
    },
}

impl From<ObjectStoreError> for PurgeError {
    fn from(error: ObjectStoreError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// Removes all objects of the physical cluster and says how many there were.
pub async fn purge(config: &ObjectStoreConfig, cluster: &PhysicalClusterId) -> Result<u64, PurgeError> {
    let store = ObjectStore::connect(config).await;
    let folder = format!("{cluster}/");
    let mut removed = 0;
    let mut last: Vec<ObjectEntry> = Vec::new();
    loop {
        let batch = store.list(&folder, BATCH).await?;
        let Some(first) = batch.first() else { return Ok(removed) };
        if last.first() == Some(first) {
            return Err(PurgeError::Remains { key: first.key.clone() });
        }
        let removals = stream::iter(batch.iter().map(|object| store.delete(&object.key)));
        removals.buffer_unordered(CONCURRENCY).try_collect::<Vec<()>>().await?;
        removed += batch.len() as u64;
        last = batch;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::config::ObjectStoreCredentials;
    use crate::object_store::tests::start_s3;

    fn cluster() -> PhysicalClusterId {
        "pkc-a".parse().unwrap()
    }

    #[tokio::test]
    async fn everything_of_the_cluster_goes_and_nothing_else() {
        let server = start_s3().await;
        let store = ObjectStore::connect(&server.config).await;
        let count = BATCH + 5;
        for number in 0..count {
            store.put(&format!("pkc-a/segments/{number:05}"), Bytes::new()).await.unwrap();
        }
        let others = ["pkc-ab/metadata/1", "pkc-b/pkc-a/1", "pkc-a.txt"];
        for key in others {
            store.put(key, Bytes::new()).await.unwrap();
        }
        assert_eq!(purge(&server.config, &cluster()).await.unwrap(), count as u64);
        assert_eq!(purge(&server.config, &cluster()).await.unwrap(), 0, "it can be run again");
        let left: Vec<_> = store.list("", 10).await.unwrap().into_iter().map(|object| object.key).collect();
        assert_eq!(left, ["pkc-a.txt", "pkc-ab/metadata/1", "pkc-b/pkc-a/1"]);
    }

    #[tokio::test]
    async fn a_store_that_refuses_is_named_in_one_line() {
        let server = start_s3().await;
        let mut wrong = server.config.clone();
        wrong.credentials = Some(ObjectStoreCredentials::Values {
            access_key_id: "the-key".to_owned(),
            secret_access_key: "not-it".to_owned(),
        });
        let error = purge(&wrong, &cluster()).await.unwrap_err().to_string();
        assert_eq!(error, "cannot list \"pkc-a/\" in the object store: SignatureDoesNotMatch (HTTP 403)");
        wrong.bucket = "no-such-bucket".to_owned();
        wrong.credentials.clone_from(&server.config.credentials);
        let error = purge(&wrong, &cluster()).await.unwrap_err().to_string();
        assert!(error.contains("NoSuchBucket") && !error.contains('\n'), "{error}");
    }
}
