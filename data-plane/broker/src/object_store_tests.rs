//! Tests against a real S3 server in this process.

use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::config::ObjectStoreCredentials;

/// An S3 server over a temporary directory; it stops when this is dropped.
pub(crate) struct S3Server {
    pub(crate) config: ObjectStoreConfig,
    _stop: DropGuard,
    _directory: TempDir,
}

/// Starts a server with one bucket.
pub(crate) async fn start_s3() -> S3Server {
    let directory = TempDir::new().unwrap();
    std::fs::create_dir(directory.path().join("the-bucket")).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let files = FileSystem::new(directory.path()).unwrap();
    tokio::spawn(serve(listener, files, stop.clone()));
    let config = ObjectStoreConfig {
        bucket: "the-bucket".to_owned(),
        prefix: "a/prefix".to_owned(),
        endpoint_url: Some(endpoint),
        region: "us-east-1".to_owned(),
        credentials: Some(ObjectStoreCredentials::Values {
            access_key_id: "the-key".to_owned(),
            secret_access_key: "the-secret".to_owned(),
        }),
        force_path_style: true,
    };
    S3Server { config, _stop: stop.drop_guard(), _directory: directory }
}

async fn serve(listener: tokio::net::TcpListener, files: FileSystem, stop: CancellationToken) {
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single("the-key", "the-secret"));
    let service = builder.build();
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, _)) = accepted else { continue };
        let service = service.clone();
        connections.spawn(async move {
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ended = server.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

#[tokio::test]
async fn objects_are_written_read_listed_and_deleted_with_either_kind_of_checksums() {
    let server = start_s3().await;
    for checksums in [Checksums::WhenRequired, Checksums::WhenSupported] {
        let store = ObjectStore::connect_with_checksums(&server.config, checksums).await;
        store.head_bucket().await.unwrap();
        store.put("dir/b", Bytes::from_static(b"0123456789")).await.unwrap();
        store.put("dir/a", Bytes::from_static(b"old")).await.unwrap();
        store.put("dir/a", Bytes::from_static(b"new")).await.unwrap();
        store.put("other/c", Bytes::new()).await.unwrap();
        assert_eq!(store.get("dir/a", 3).await.unwrap(), "new");
        assert_eq!(store.get_range("dir/b", 2..5).await.unwrap(), "234");
        assert_eq!(store.get_range("dir/b", 8..100).await.unwrap(), "89");
        let listed = store.list("dir/", 10).await.unwrap();
        let entry = |key: &str, size_bytes| ObjectEntry { key: key.to_owned(), size_bytes };
        assert_eq!(listed, [entry("dir/a", 3), entry("dir/b", 10)]);
        assert_eq!(store.list("dir/", 1).await.unwrap().len(), 1);
        store.delete("dir/a").await.unwrap();
        store.delete("dir/a").await.unwrap();
        assert!(matches!(store.get("dir/a", 3).await, Err(ObjectStoreError::NotFound { .. })));
    }
}

#[tokio::test]
async fn an_object_larger_than_the_caller_can_take_is_not_read() {
    let server = start_s3().await;
    let store = ObjectStore::connect(&server.config).await;
    store.put("large", Bytes::from(vec![0; 1_000])).await.unwrap();
    assert!(matches!(store.get("large", 999).await, Err(ObjectStoreError::TooLarge { .. })));
    assert_eq!(store.get("large", 1_000).await.unwrap().len(), 1_000);
}

#[tokio::test]
async fn a_wrong_secret_or_a_missing_bucket_is_an_error_that_names_the_operation() {
    let server = start_s3().await;
    let mut wrong = server.config.clone();
    wrong.credentials = Some(ObjectStoreCredentials::Values {
        access_key_id: "the-key".to_owned(),
        secret_access_key: "another-secret".to_owned(),
    });
    let error = ObjectStore::connect(&wrong).await.put("x", Bytes::new()).await.unwrap_err().to_string();
    assert!(error.contains("cannot write \"x\"") && error.contains("SignatureDoesNotMatch"), "{error}");
    assert!(!error.contains("another-secret"));
    let mut missing = server.config.clone();
    missing.bucket = "no-such-bucket".to_owned();
    assert!(ObjectStore::connect(&missing).await.head_bucket().await.is_err());
}

#[tokio::test]
async fn a_key_that_changes_in_its_file_is_used_without_a_restart() {
    let (server, files) = (start_s3().await, TempDir::new().unwrap());
    let [access_key_id, secret_access_key] = ["id", "secret"].map(|name| files.path().join(name));
    std::fs::write(&access_key_id, "the-key\n").unwrap();
    std::fs::write(&secret_access_key, "another-secret\n").unwrap();
    let credentials =
        Some(ObjectStoreCredentials::Files { access_key_id, secret_access_key: secret_access_key.clone() });
    let store = ObjectStore::connect(&ObjectStoreConfig { credentials, ..server.config.clone() }).await;
    let error = store.put("x", Bytes::new()).await.unwrap_err().to_string();
    assert!(error.contains("SignatureDoesNotMatch") && !error.contains("another-secret"), "{error}");
    std::fs::write(&secret_access_key, "the-secret\n").unwrap();
    store.put("x", Bytes::new()).await.unwrap();
}
