//! The object store: S3 and what speaks like it.
//!
//! Promises: every key is below the configured prefix; every call ends within a named time; nothing larger than
//! the caller allows is read into memory. Credentials never reach a log. Never retries for ever.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Credentials, IdentityCache, Region, RequestChecksumCalculation, ResponseChecksumValidation,
};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use crate::config::{ObjectStoreConfig, ObjectStoreCredentials};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an operation may take with all its retries.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);
/// How often an operation is tried.
const MAX_ATTEMPTS: u32 = 3;
/// Who gave the access key, for the SDK's own messages.
const PROVIDER: &str = "millstream";
/// Keys in one page of a listing.
const LIST_PAGE: i32 = 1_000;

/// When objects carry checksums beyond what the operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checksums {
    /// Always, as AWS does since 2025.
    WhenSupported,
    /// Only where S3 demands it: other stores refuse the trailers that come with it.
    WhenRequired,
}

/// An access key in files of one line.
#[derive(Debug)]
struct KeyFiles {
    access_key_id: PathBuf,
    secret_access_key: PathBuf,
}

impl KeyFiles {
    async fn read(&self) -> Result<Credentials, CredentialsError> {
        let (id, secret) = (read_line(&self.access_key_id).await?, read_line(&self.secret_access_key).await?);
        Ok(Credentials::new(id, secret, None, None, PROVIDER))
    }
}

impl ProvideCredentials for KeyFiles {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.read())
    }
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObjectStoreError {
    /// There is no such object.
    #[error("object {key} does not exist")]
    NotFound { key: String },
    /// The object is larger than the caller can take.
    #[error("object {key} is larger than {max_bytes} bytes")]
    TooLarge { key: String, max_bytes: u64 },
    /// The store refused or could not be reached.
    #[error("cannot {operation} {key:?} in the object store: {reason}")]
    Failed { operation: &'static str, key: String, reason: String },
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectEntry {
    /// Its key, without the configured prefix.
    pub(crate) key: String,
    /// Its size.
    pub(crate) size_bytes: u64,
}

/// A bucket, seen below a prefix.
#[derive(Clone)]
pub(crate) struct ObjectStore {
    client: Client,
    bucket: String,
    prefix: String,
}

impl ObjectStore {
    /// A client for this bucket. Opens no connection yet. A custom endpoint gets checksums only where required.
    pub(crate) async fn connect(config: &ObjectStoreConfig) -> Self {
        let checksums = if config.endpoint_url.is_some() { Checksums::WhenRequired } else { Checksums::WhenSupported };
        Self::connect_with_checksums(config, checksums).await
    }

    /// The same, with the choice of checksums.
    pub(crate) async fn connect_with_checksums(config: &ObjectStoreConfig, checksums: Checksums) -> Self {
        let mut builder = match &config.credentials {
            Some(credentials) => {
                let builder = aws_sdk_s3::Config::builder()
                    .behavior_version(BehaviorVersion::latest())
                    .region(Region::new(config.region.clone()));
                with_credentials(builder, credentials)
            }
            None => {
                let region = Region::new(config.region.clone());
                let shared = aws_config::defaults(BehaviorVersion::latest()).region(region).load().await;
                Builder::from(&shared)
            }
        };
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(OPERATION_TIMEOUT).build();
        builder = builder
            .force_path_style(config.force_path_style)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS));
        if checksums == Checksums::WhenRequired {
            builder = builder
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        }
        if let Some(endpoint) = &config.endpoint_url {
            builder = builder.endpoint_url(endpoint);
        }
        let client = Client::from_conf(builder.build());
        Self { client, bucket: config.bucket.clone(), prefix: config.prefix.clone() }
    }

    /// Checks that the bucket exists and may be used.
    pub(crate) async fn head_bucket(&self) -> Result<(), ObjectStoreError> {
        let answer = self.client.head_bucket().bucket(&self.bucket).send().await;
        answer.map(drop).map_err(|error| failed("find", &self.bucket, &error))
    }

    /// Stores an object, replacing what was there.
    pub(crate) async fn put(&self, key: &str, body: Bytes) -> Result<(), ObjectStoreError> {
        let request = self.client.put_object().bucket(&self.bucket).key(self.full_key(key));
        let answer = request.body(ByteStream::from(body)).send().await;
        answer.map(drop).map_err(|error| failed("write", key, &error))
    }

    /// The whole object, if it is not larger than `max_bytes`.
    #[cfg_attr(not(test), expect(dead_code, reason = "reads come with tiered segments"))]
    pub(crate) async fn get(&self, key: &str, max_bytes: u64) -> Result<Bytes, ObjectStoreError> {
        let request = self.client.get_object().bucket(&self.bucket).key(self.full_key(key));
        self.read(request, key, max_bytes).await
    }

    /// The bytes of this range; fewer if the object ends before.
    #[cfg_attr(not(test), expect(dead_code, reason = "reads come with tiered segments"))]
    pub(crate) async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, ObjectStoreError> {
        let length = range.end.saturating_sub(range.start);
        if length == 0 {
            return Ok(Bytes::new());
        }
        // HTTP ranges include their end.
        let header = format!("bytes={}-{}", range.start, range.end - 1);
        let request = self.client.get_object().bucket(&self.bucket).key(self.full_key(key)).range(header);
        self.read(request, key, length).await
    }

    /// Objects below `directory`, in the order of their keys, at most `limit`.
    pub(crate) async fn list(&self, directory: &str, limit: usize) -> Result<Vec<ObjectEntry>, ObjectStoreError> {
        let mut entries = Vec::new();
        let mut token = None;
        while entries.len() < limit {
            let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(self.full_key(directory));
            let request = request.max_keys(LIST_PAGE).set_continuation_token(token.take());
            let page = request.send().await.map_err(|error| failed("list", directory, &error))?;
            for object in page.contents() {
                let Some(key) = object.key().and_then(|key| self.short_key(key)) else { continue };
                let size_bytes = object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
                entries.push(ObjectEntry { key: key.to_owned(), size_bytes });
            }
            token = page.next_continuation_token().map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        entries.truncate(limit);
        Ok(entries)
    }

    /// Removes an object; one that does not exist is removed already.
    pub(crate) async fn delete(&self, key: &str) -> Result<(), ObjectStoreError> {
        let answer = self.client.delete_object().bucket(&self.bucket).key(self.full_key(key)).send().await;
        match answer {
            Err(error) if status(&error) != Some(404) => Err(failed("delete", key, &error)),
            _ => Ok(()),
        }
    }

    async fn read(
        &self,
        request: GetObjectFluentBuilder,
        key: &str,
        max_bytes: u64,
    ) -> Result<Bytes, ObjectStoreError> {
        let object = match request.send().await {
            Ok(object) => object,
            Err(error) if status(&error) == Some(404) => {
                return Err(ObjectStoreError::NotFound { key: key.to_owned() });
            }
            Err(error) => return Err(failed("read", key, &error)),
        };
        let size = object.content_length().and_then(|size| u64::try_from(size).ok());
        let fits = size.is_some_and(|size| size <= max_bytes);
        if !fits {
            return Err(ObjectStoreError::TooLarge { key: key.to_owned(), max_bytes });
        }
        let body = tokio::time::timeout(OPERATION_TIMEOUT, object.body.collect()).await;
        let body = body.map_err(|_| ObjectStoreError::Failed {
            operation: "read",
            key: key.to_owned(),
            reason: format!("the body did not come within {} s", OPERATION_TIMEOUT.as_secs()),
        })?;
        let body = body.map_err(|error| ObjectStoreError::Failed {
            operation: "read",
            key: key.to_owned(),
            reason: DisplayErrorContext(&error).to_string(),
        })?;
        Ok(body.into_bytes())
    }

    fn full_key(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) }
    }

    fn short_key<'a>(&self, key: &'a str) -> Option<&'a str> {
        if self.prefix.is_empty() {
            return Some(key);
        }
        key.strip_prefix(&self.prefix)?.strip_prefix('/')
    }
}

fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

fn with_credentials(builder: Builder, credentials: &ObjectStoreCredentials) -> Builder {
    match credentials {
        ObjectStoreCredentials::Values { access_key_id, secret_access_key } => {
            builder.credentials_provider(Credentials::new(access_key_id, secret_access_key, None, None, PROVIDER))
        }
        ObjectStoreCredentials::Files { access_key_id, secret_access_key } => {
            let files = KeyFiles { access_key_id: access_key_id.clone(), secret_access_key: secret_access_key.clone() };
            // The SDK would keep what it read first for as long as the process runs.
            builder.credentials_provider(files).identity_cache(IdentityCache::no_cache())
        }
    }
}

async fn read_line(file: &Path) -> Result<String, CredentialsError> {
    let text = tokio::fs::read_to_string(file).await.map_err(CredentialsError::provider_error)?;
    Ok(text.trim_end().to_owned())
}

fn failed<E>(operation: &'static str, key: &str, error: &SdkError<E>) -> ObjectStoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    ObjectStoreError::Failed { operation, key: key.to_owned(), reason: reason(error) }
}

/// What the store said, in one line for a person; without an answer of the store, what led to that.
fn reason<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let Some(status) = status(error) else { return DisplayErrorContext(error).to_string() };
    let words = [error.code(), error.message()].into_iter().flatten().collect::<Vec<_>>().join(": ");
    if words.is_empty() { format!("HTTP {status}") } else { format!("{words} (HTTP {status})") }
}

#[cfg(test)]
#[path = "object_store_tests.rs"]
pub(crate) mod tests;
