//! A folder on the same disk as the user's data, with everything that a measurement leaves. Gone when dropped.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use helve_blobs::{BlobStore, Control, PackOptions, pack};
use helve_toolbox::run::TargetRef;

use crate::errors::{Problem, Result};
use crate::paths::DataDir;

pub(super) struct Place(DataDir);

impl Place {
    pub(super) fn make(data: &DataDir) -> Result<Self> {
        let folder = data.root().join(format!("bench-{}", uuid::Uuid::new_v4().simple()));
        DataDir::open(Some(&folder)).map(Self)
    }

    pub(super) fn data(&self) -> &DataDir {
        &self.0
    }

    /// What the jobs look at: a folder with one small file.
    pub(super) async fn target(&self, blobs: BlobStore) -> Result<TargetRef> {
        let folder = self.0.root().join("target");
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join("main.py"), "print('nothing to find')\n"))
            .map_err(|error| Problem::io("write", &folder, &error))?;
        let packed = tokio::task::spawn_blocking(move || {
            let control = (|_: helve_blobs::Progress| {}, AtomicBool::new(false));
            pack(
                &folder,
                &PackOptions::default(),
                &blobs,
                &Control::new(&control.0, &control.1),
            )
        });
        let packed = packed
            .await
            .map_err(|error| Problem::new(format!("packing failed: {error}")))?
            .map_err(|error| Problem::new(error.to_string()))?;
        Ok(TargetRef {
            id: packed.id.to_string(),
            name: packed.name,
        })
    }
}

/// Bytes of the files under a folder. What vanishes meanwhile counts as nothing.
pub(super) fn bytes_under(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_under(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(self.0.root()) {
            tracing::warn!(folder = %self.0.root().display(), %error, "the folder of the measurement is left behind");
        }
    }
}
