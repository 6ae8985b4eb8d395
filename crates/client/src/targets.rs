//! Packed targets that a server has.

use helve_blobs::{BlobInfo, Skipped, TargetManifest};
use helve_runs::{Target, TargetFacts};
use jiff::Timestamp;
use serde::Deserialize;

use crate::error::Error;
use crate::transport::Client;

/// A target as the server shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct TargetView {
    /// BLAKE3 of the packed target.
    pub id: String,
    /// What its user calls it.
    pub name: String,
    /// Regular files in it.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Bytes of the packed target.
    pub packed_bytes: u64,
    /// When it came.
    pub created_at: Timestamp,
    /// Who brought it.
    pub created_by: String,
    /// Entries that ignore files excluded.
    #[serde(default)]
    pub ignored: u64,
    /// Taken although ignore files name them.
    #[serde(default)]
    pub forced: Vec<String>,
    /// What could not be taken: the first few.
    #[serde(default)]
    pub skipped: Vec<Skipped>,
    /// How many.
    #[serde(default)]
    pub skipped_total: u64,
}

impl TargetView {
    /// What packing said of it.
    pub fn facts(self) -> TargetFacts {
        TargetFacts {
            id: self.id,
            name: self.name,
            files: self.files,
            bytes: self.bytes,
            forced_total: self.forced.len() as u64,
            forced: self.forced,
            ignored: self.ignored,
            skipped: self.skipped,
            skipped_total: self.skipped_total,
        }
    }

    /// As lists show targets of this machine; the time of its last use is the one when it came.
    fn target(self) -> Option<Target> {
        let id = self.id.parse().ok()?;
        Some(Target {
            blob: BlobInfo {
                id,
                size: self.packed_bytes,
                used: self.created_at.into(),
                is_target: true,
            },
            manifest: Some(TargetManifest {
                id,
                files: self.files,
                bytes: self.bytes,
                packed_bytes: self.packed_bytes,
                name: self.name,
            }),
        })
    }
}

impl Client {
    /// All targets of the namespace, newest first.
    pub async fn targets(&self) -> Result<Vec<Target>, Error> {
        let all: Vec<TargetView> = self.all(&["targets"], &[]).await?;
        Ok(all.into_iter().filter_map(TargetView::target).collect())
    }

    /// The newest targets.
    pub async fn newest_targets(&self, limit: usize) -> Result<Vec<TargetView>, Error> {
        self.first(&["targets"], &[], limit).await
    }

    /// A target by its whole id; none if the namespace has no such target.
    pub async fn target(&self, id: &str) -> Result<Option<TargetView>, Error> {
        match self.get(&["targets", id], &[]).await {
            Ok(target) => Ok(Some(target)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Forgets a target.
    pub async fn forget_target(&self, id: &str) -> Result<(), Error> {
        self.delete(&["targets", id]).await
    }
}
