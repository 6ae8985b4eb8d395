//! Looking at every byte of a snapshot.

use std::path::Path;

use crate::Error;
use crate::files::{digest, inner, make_dir};
use crate::manifest::{BLOBS, FILES, Manifest, Snapshot, pick};

/// A snapshot that is as it was made.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Which one.
    pub snapshot: Snapshot,
    /// What it holds.
    pub manifest: Manifest,
}

/// Where blobs go that are not as they were written, below those that are.
const DAMAGED: &str = ".damaged";

/// Compares every file and blob of a snapshot, the newest if none is named, with its digest. A blob that is not as it was written is
/// set aside, so that the next backup copies it again if the data directory still has it.
///
/// # Errors
///
/// When something is missing or not as it was; all of it is named.
pub fn verify(dir: &Path, name: Option<&str>) -> Result<Verified, Error> {
    let snapshot = pick(dir, name)?;
    let manifest = Manifest::read(&snapshot.path)?;
    let files = snapshot.path.join(FILES);
    let mut wrong = Vec::new();
    for file in &manifest.files {
        match inner(&files, &file.path) {
            Some(path) => check(&path, file.bytes, &file.blake3, &mut wrong),
            None => wrong.push(format!("`{}` leads out of the data directory", file.path)),
        }
    }
    for blob in &manifest.blobs {
        let folder = blob.blake3.get(..2);
        match folder.filter(|_| blake3::Hash::from_hex(&blob.blake3).is_ok()) {
            Some(folder) => {
                let path = dir.join(BLOBS).join(folder).join(&blob.blake3);
                let before = wrong.len();
                check(&path, blob.bytes, &blob.blake3, &mut wrong);
                if wrong.len() > before {
                    set_aside(&path, &dir.join(BLOBS).join(DAMAGED), &blob.blake3);
                }
            }
            None => wrong.push(format!("`{}` is no digest", blob.blake3)),
        }
    }
    match wrong.is_empty() {
        true => Ok(Verified { snapshot, manifest }),
        false => Err(Error::Damaged(wrong)),
    }
}

/// Best effort: who can only read the backup is told what is wrong with it all the same.
fn set_aside(path: &Path, to: &Path, name: &str) {
    if make_dir(to).is_ok() {
        let _ = std::fs::rename(path, to.join(name));
    }
}

fn check(path: &Path, bytes: u64, blake3: &str, wrong: &mut Vec<String>) {
    match digest(path) {
        Ok((size, hash)) if size == bytes && hash.to_hex().as_str() == blake3 => {}
        Ok(_) => wrong.push(format!("{} is not as it was written", path.display())),
        Err(error) => wrong.push(error.to_string()),
    }
}
