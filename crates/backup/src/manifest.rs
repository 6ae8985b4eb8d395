//! What a snapshot holds.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::files::{create, names, sync_dir};

pub(crate) const SNAPSHOTS: &str = "snapshots";
pub(crate) const BLOBS: &str = "blobs";
/// Where the files of a snapshot are, in it.
pub(crate) const FILES: &str = "files";
const MANIFEST: &str = "manifest.json";
/// Holds the manifest's digest.
const SEAL: &str = "manifest.blake3";
/// Of this format.
const FORMAT: u32 = 1;

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of this description.
    pub format: u32,
    /// The Helve that made it.
    pub helve: String,
    /// When it was begun: what was acknowledged before is in it.
    pub began_at: Timestamp,
    /// When it was complete.
    pub ended_at: Timestamp,
    /// Databases and other files.
    pub files: Vec<FileEntry>,
    /// Blobs; none if they are not in a directory.
    pub blobs: Vec<BlobEntry>,
    /// Where the blobs are that are not in here: a bucket, which has to be kept by other means.
    pub blobs_elsewhere: Option<String>,
    /// Blobs that were damaged in the data directory already, and are not in here.
    pub damaged: Vec<String>,
    /// What was left out although it was there, with the reason.
    pub left_out: Vec<String>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Below the data directory, with slashes.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its digest.
    pub blake3: String,
    /// If it is a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
}

/// What a database says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Which program's it is.
    pub application_id: i32,
    /// The version of its schema.
    pub schema: u32,
}

/// A blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobEntry {
    /// Its digest, which is its name.
    pub blake3: String,
    /// Its size.
    pub bytes: u64,
}

/// A snapshot that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name: the time it was begun.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    /// When it was begun.
    pub began_at: Timestamp,
}

impl Manifest {
    pub(crate) const FORMAT: u32 = FORMAT;

    /// Writes it into the folder of its snapshot.
    pub(crate) fn write(&self, snapshot: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(self).expect("a manifest is plain data");
        let seal = format!("{}\n", blake3::hash(&text));
        for (name, bytes) in [(MANIFEST, text.as_slice()), (SEAL, seal.as_bytes())] {
            let path = snapshot.join(name);
            let mut file = create(&path)?;
            file.write_all(bytes)
                .and_then(|()| file.sync_all())
                .map_err(Error::io("write", &path))?;
        }
        sync_dir(snapshot)
    }

    /// Reads it, if it is as it was written.
    pub(crate) fn read(snapshot: &Path) -> Result<Self, Error> {
        let (path, seal) = (snapshot.join(MANIFEST), snapshot.join(SEAL));
        let wrong = |reason: String| Error::Manifest {
            path: path.clone(),
            reason,
        };
        let text = fs::read(&path).map_err(Error::io("read", &path))?;
        let seal = fs::read_to_string(&seal).map_err(Error::io("read", &seal))?;
        if blake3::hash(&text).to_hex().as_str() != seal.trim() {
            return Err(wrong("it is not as it was written".to_owned()));
        }
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        match manifest.format {
            FORMAT => Ok(manifest),
            other => Err(wrong(format!("its format {other} is of a newer Helve"))),
        }
    }
}

/// The snapshots of a backup, the oldest first.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn snapshots(dir: &Path) -> Result<Vec<Snapshot>, Error> {
    let mut found = Vec::new();
    for entry in names(&dir.join(SNAPSHOTS))? {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(began_at) = Timestamp::strptime("%Y-%m-%dT%H-%M-%S.%fZ%z", format!("{name}+0000")) else {
            continue;
        };
        found.push(Snapshot {
            name,
            path: entry.path(),
            began_at,
        });
    }
    Ok(found)
}

/// The name of a snapshot: it sorts by time, and is a file's name everywhere.
pub(crate) fn name_of(began_at: Timestamp) -> String {
    began_at.strftime("%Y-%m-%dT%H-%M-%S.%6fZ").to_string()
}

/// One of them; the newest when none is named.
pub(crate) fn pick(dir: &Path, name: Option<&str>) -> Result<Snapshot, Error> {
    if let Err(error) = fs::read_dir(dir)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(Error::io("read", dir)(error));
    }
    let mut known = snapshots(dir)?;
    let at = match name {
        None => known.len().checked_sub(1),
        Some(name) => known.iter().position(|snapshot| snapshot.name == name),
    };
    match (at, name) {
        (Some(at), _) => Ok(known.swap_remove(at)),
        (None, Some(name)) if !known.is_empty() => Err(Error::NoSnapshot {
            dir: dir.to_owned(),
            name: name.to_owned(),
            known: known.into_iter().map(|snapshot| snapshot.name).collect(),
        }),
        _ => Err(Error::NoBackup(dir.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_when_it_was_and_sorts_by_it() {
        let dir = tempfile::tempdir().unwrap();
        let times = [1_795_348_800_000_000_i64, 1_795_348_800_000_001, 1_795_348_801_000_000];
        let times = times.map(|micros| Timestamp::from_microsecond(micros).unwrap());
        for time in times.iter().rev() {
            fs::create_dir_all(dir.path().join(SNAPSHOTS).join(name_of(*time))).unwrap();
        }
        fs::create_dir_all(dir.path().join(SNAPSHOTS).join(".partial-1")).unwrap();
        let found: Vec<Timestamp> = snapshots(dir.path())
            .unwrap()
            .iter()
            .map(|snapshot| snapshot.began_at)
            .collect();
        assert_eq!(found, times);
    }
}
