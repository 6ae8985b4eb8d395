//! Packed targets in the store, and the runs that scanned them.

use helve_blobs::{BlobId, BlobInfo, BlobStore, StoreError, TargetManifest};
use jiff::Timestamp;
use serde_json::{Value, json};
use temporalio_client::tonic::Status;

use crate::client::Client;
use crate::error::Error;
use crate::result::facts_in;

/// Digits that must be given at least: fewer would name another target tomorrow.
pub const LEAST_DIGITS: usize = 4;

/// A packed target.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its bytes.
    pub blob: BlobInfo,
    /// What was said of it when it was packed; targets of an older Helve have none.
    pub manifest: Option<TargetManifest>,
}

impl Target {
    /// When a run used it last.
    pub fn used(&self) -> Option<Timestamp> {
        self.blob.used.try_into().ok()
    }

    /// For `--json`.
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.blob.id,
            "name": self.manifest.as_ref().map(|manifest| &manifest.name),
            "files": self.manifest.as_ref().map(|manifest| manifest.files),
            "bytes": self.manifest.as_ref().map(|manifest| manifest.bytes),
            "packed_bytes": self.blob.size,
            "last_used": self.used().map(|used| used.to_string()),
        })
    }
}

/// The one that was used last first. Blocking.
pub fn targets(blobs: &BlobStore) -> Result<Vec<Target>, StoreError> {
    let mut targets: Vec<Target> = blobs
        .list()?
        .into_iter()
        .filter(|blob| blob.is_target)
        .map(|blob| Target {
            blob,
            manifest: blobs.target(&blob.id),
        })
        .collect();
    targets.sort_by_key(|target| std::cmp::Reverse(target.blob.used));
    Ok(targets)
}

/// The target whose id begins so.
pub fn find_target(targets: &[Target], text: &str) -> Result<Target, Error> {
    let wanted = text.to_ascii_lowercase();
    let mut found = targets
        .iter()
        .filter(|target| target.blob.id.to_hex().starts_with(&wanted));
    match (found.next(), found.next()) {
        _ if wanted.len() < LEAST_DIGITS => Err(Error::ShortTarget(text.to_owned())),
        (Some(target), None) => Ok(target.clone()),
        (Some(_), Some(_)) => Err(Error::SeveralTargets(text.to_owned())),
        (None, _) => Err(Error::NoTarget(text.to_owned())),
    }
}

/// The runs that scanned a target, newest first.
pub async fn runs_on(client: &Client, id: &BlobId) -> Result<Vec<String>, Status> {
    let (mut runs, mut token) = (Vec::new(), Vec::new());
    loop {
        let (page, next) = client.list(token).await?;
        runs.extend(page.into_iter().filter_map(|info| {
            let facts = facts_in(info.memo.as_ref())?;
            (facts.id == id.to_hex()).then(|| info.execution.unwrap_or_default().workflow_id)
        }));
        if next.is_empty() {
            return Ok(runs);
        }
        token = next;
    }
}
