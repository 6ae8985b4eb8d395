//! A bucket: blobs behind the S3 protocol.
//!
//! Keys below the prefix: `blobs/<id>` the blobs, `targets/<id>.json` facts about packed targets, `used/<id>` when a blob
//! was used again, `vouched/<id>` when somebody vouches for it, `doomed/<id>/<sweep>` a blob that is just being removed, `damaged/<id>` what was set aside.
//!
//! Calls block. The requests run on two threads of the store's own, so that a caller may be anywhere, inside another runtime
//! too. Single requests are repeated when they fail in passing; what takes many requests goes on where it was.

mod download;
mod errors;
#[cfg(test)]
mod tests;
mod touch;
mod upload;

use std::fs::File;
use std::future::Future;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path as Key;
use object_store::{
    BackoffConfig, ClientOptions, Error as S3Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig,
};
use tokio::runtime::Runtime;

use crate::{BlobId, BlobInfo, BlobRef, Control, Place, StoreError, TargetManifest, Upstream};
use errors::Doing;

/// A server that accepts no connection within this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// No byte for this long: the connection is dead. Whole requests have no limit, since parts may be slow.
const SILENCE: Duration = Duration::from_secs(30);
/// How often a request is repeated that failed in passing, and for how long.
const RETRIES: RetryConfig = RetryConfig {
    backoff: BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(5),
        base: 2.0,
    },
    max_retries: 5,
    retry_timeout: Duration::from_secs(60),
};

/// A bucket, or the part of one below a prefix.
pub(crate) struct Remote {
    store: Arc<AmazonS3>,
    prefix: Key,
    /// As messages name it: the URL, and the server unless it is the default one.
    name: String,
    bucket: String,
    /// None only while it is being dropped.
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Nothing that could hold a credential.
        f.debug_tuple("Remote").field(&self.name).finish()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // Waiting for requests would block, which the thread that drops this may not do.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Remote {
    /// Connects to a bucket with the settings that `variables` hold (`AWS_ENDPOINT_URL`, `AWS_REGION`,
    /// `AWS_ACCESS_KEY_ID` and so on), and finds out whether it answers.
    pub(crate) fn connect(
        bucket: &str,
        prefix: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, StoreError> {
        let place = Place::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        };
        let settings = Settings::read(variables);
        settings.check()?;
        // Another crate may have chosen one before: any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = settings
            .builder
            .with_bucket_name(bucket)
            .with_retry(RETRIES)
            .with_client_options(
                ClientOptions::new()
                    .with_allow_http(
                        settings
                            .endpoint
                            .as_deref()
                            .is_some_and(|url| url.starts_with("http://")),
                    )
                    .with_timeout_disabled()
                    .with_connect_timeout(CONNECT_TIMEOUT)
                    .with_read_timeout(SILENCE),
            )
            .build()
            .map_err(|error| StoreError::Settings(errors::reason(&error)))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("helve-blobs")
            .enable_all()
            .build()
            .map_err(|error| StoreError::Settings(format!("its threads cannot be started: {error}")))?;
        let remote = Remote {
            store: Arc::new(store),
            prefix: Key::from(prefix),
            name: match &settings.endpoint {
                Some(endpoint) => format!("{place} ({endpoint})"),
                None => place.to_string(),
            },
            bucket: bucket.to_owned(),
            runtime: Some(runtime),
        };
        remote.probe()?;
        Ok(remote)
    }

    /// One small request, so that what is wrong is said at the start and not after packing.
    fn probe(&self) -> Result<(), StoreError> {
        let (store, key) = (Arc::clone(&self.store), self.key("probe"));
        let probed = self.run(async move { store.list(Some(&key)).try_next().await });
        probed.map(drop).map_err(|error| self.failed(Doing::Open, error))
    }

    /// Runs requests to their end while this thread waits.
    fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        let (sender, receiver) = sync_channel(1);
        self.spawn(async move {
            let _ = sender.send(work.await);
        });
        receiver
            .recv()
            .expect("requests do not panic, and their threads live as long as the store")
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let runtime = self.runtime.as_ref().expect("nobody uses what is being dropped");
        runtime.spawn(work);
    }

    fn key(&self, folder: &str) -> Key {
        self.prefix.clone().join(folder)
    }

    fn blob_key(&self, id: &BlobId) -> Key {
        self.key("blobs").join(id.to_hex())
    }

    fn target_key(&self, id: &BlobId) -> Key {
        self.key("targets").join(format!("{id}.json"))
    }

    /// What is known of an object, if it is there.
    fn head(&self, key: Key) -> Result<Option<ObjectMeta>, StoreError> {
        let store = Arc::clone(&self.store);
        match self.run(async move { store.head(&key).await }) {
            Ok(meta) => Ok(Some(meta)),
            Err(S3Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(Doing::Read, error)),
        }
    }

    /// Writes a small object.
    fn put(&self, key: Key, bytes: Bytes) -> Result<(), StoreError> {
        let store = Arc::clone(&self.store);
        let put = self.run(async move { store.put(&key, PutPayload::from(bytes)).await });
        put.map(drop).map_err(|error| self.failed(Doing::Write, error))
    }

    /// Removes an object; no error when it is not there.
    fn delete(&self, key: Key) -> Result<(), StoreError> {
        let store = Arc::clone(&self.store);
        match self.run(async move { store.delete(&key).await }) {
            Ok(()) | Err(S3Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(Doing::Remove, error)),
        }
    }

    /// All objects of a folder.
    fn list_folder(&self, folder: Key) -> Result<Vec<ObjectMeta>, StoreError> {
        let store = Arc::clone(&self.store);
        self.run(async move { store.list(Some(&folder)).try_collect().await })
            .map_err(|error| self.failed(Doing::List, error))
    }

    fn voucher(&self, id: &BlobId) -> Key {
        self.key("vouched").join(id.to_hex())
    }

    fn failed(&self, doing: Doing, error: S3Error) -> StoreError {
        errors::explain(&self.name, &self.bucket, doing, &error)
    }
}

impl Upstream for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn download(&self, id: &BlobId, file: &mut File, path: &FilePath, control: &Control<'_>) -> Result<(), StoreError> {
        Remote::download(self, id, file, path, control)
    }

    fn ensure(
        &self,
        blob: &BlobRef,
        file: &mut File,
        journals: &FilePath,
        control: &Control<'_>,
    ) -> Result<bool, StoreError> {
        Remote::ensure(self, blob, file, journals, control)
    }

    fn touch(&self, id: &BlobId, size: Option<u64>) -> Result<bool, StoreError> {
        Remote::touch(self, id, size, SystemTime::now())
    }

    fn remove_unless(&self, id: &BlobId, keeps: &dyn Fn(SystemTime) -> bool) -> Result<bool, StoreError> {
        Remote::remove_unless(self, id, keeps)
    }

    fn tidy(&self, blobs: &[BlobInfo]) -> Result<(), StoreError> {
        Remote::tidy(self, blobs)
    }

    fn abort_abandoned(&self, journals: &FilePath) {
        Remote::abort_abandoned(self, journals);
    }

    fn size(&self, id: &BlobId) -> Result<Option<u64>, StoreError> {
        Ok(self.head(self.blob_key(id))?.map(|meta| meta.size))
    }

    fn list(&self) -> Result<Vec<BlobInfo>, StoreError> {
        let marks = self.list_folder(self.key("used"))?;
        let used: std::collections::HashMap<BlobId, SystemTime> = marks
            .iter()
            .filter_map(|meta| Some((id_of(meta)?, meta.last_modified.into())))
            .collect();
        let targets = self.list_folder(self.key("targets"))?;
        let targets: std::collections::HashSet<BlobId> = targets.iter().filter_map(id_of).collect();
        let mut blobs: Vec<BlobInfo> = self
            .list_folder(self.key("blobs"))?
            .iter()
            .filter_map(|meta| {
                let (id, stored) = (id_of(meta)?, SystemTime::from(meta.last_modified));
                Some(BlobInfo {
                    id,
                    size: meta.size,
                    used: used.get(&id).map_or(stored, |used| stored.max(*used)),
                    is_target: targets.contains(&id),
                })
            })
            .collect();
        blobs.sort_unstable_by_key(|blob| blob.id);
        Ok(blobs)
    }

    fn target(&self, id: &BlobId) -> Option<TargetManifest> {
        let (store, key) = (Arc::clone(&self.store), self.target_key(id));
        let read = self.run(async move { store.get(&key).await?.bytes().await });
        serde_json::from_slice(&read.ok()?).ok()
    }

    fn record_target(&self, manifest: &TargetManifest) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(manifest).expect("manifests hold nothing that JSON cannot");
        self.put(self.target_key(&manifest.id), bytes.into())
    }

    fn vouch(&self, id: &BlobId) -> Result<(), StoreError> {
        match self.is_vouched(id)? {
            true => Ok(()),
            false => self.put(self.voucher(id), Bytes::new()),
        }
    }

    fn is_vouched(&self, id: &BlobId) -> Result<bool, StoreError> {
        Ok(self.head(self.voucher(id))?.is_some())
    }

    fn remove(&self, id: &BlobId) -> Result<(), StoreError> {
        self.delete(self.blob_key(id))?;
        self.delete(self.target_key(id))?;
        self.delete(self.used_key(id))
    }
}

/// The id that an object is named by.
fn id_of(meta: &ObjectMeta) -> Option<BlobId> {
    let name = meta.location.filename()?;
    name.strip_suffix(".json").unwrap_or(name).parse().ok()
}

/// What the environment says about the server.
struct Settings {
    builder: AmazonS3Builder,
    endpoint: Option<String>,
    has_key: bool,
    /// There is another way to credentials, or none are wanted.
    has_other_way: bool,
}

impl Settings {
    fn read(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut settings = Settings {
            builder: AmazonS3Builder::new(),
            endpoint: None,
            has_key: false,
            has_other_way: false,
        };
        for (name, value) in variables {
            // A variable that is empty is as good as none.
            if !name.starts_with("AWS_") || value.is_empty() {
                continue;
            }
            let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() else {
                continue;
            };
            match key {
                AmazonS3ConfigKey::S3Endpoint => settings.endpoint = Some(value.clone()),
                AmazonS3ConfigKey::Endpoint if settings.endpoint.is_none() => settings.endpoint = Some(value.clone()),
                AmazonS3ConfigKey::AccessKeyId => settings.has_key = true,
                AmazonS3ConfigKey::SkipSignature
                | AmazonS3ConfigKey::WebIdentityTokenFile
                | AmazonS3ConfigKey::ContainerCredentialsRelativeUri
                | AmazonS3ConfigKey::ContainerCredentialsFullUri => settings.has_other_way = true,
                _ => {}
            }
            settings.builder = settings.builder.with_config(key, value);
        }
        settings
    }

    /// Without a key, a cloud's own service for credentials is asked, which no other server has near it: that would wait long
    /// for nothing.
    fn check(&self) -> Result<(), StoreError> {
        if self.endpoint.is_some() && !self.has_key && !self.has_other_way {
            return Err(StoreError::Settings(
                "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned(),
            ));
        }
        Ok(())
    }
}
