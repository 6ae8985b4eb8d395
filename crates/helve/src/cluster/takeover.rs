//! What a data directory without a cluster has, as the databases of a cluster's first node.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use helve_api::Notes;
use helve_blobs::{BlobRef, BlobStore, Control, Upstream};
use helve_db::Store;
use helve_ledger::Ledger;

use super::blobs::{self, Blocking, Replicated};
use super::notes::Shared;
use super::serve::{BLOBS, ENGINE, LEDGER};
use crate::errors::{Problem, Result};

/// Whether it is a data directory, and not a snapshot of a cluster.
pub(crate) fn is_data_dir(dir: &Path) -> bool {
    dir.join(ENGINE).is_file() && !dir.join(BLOBS).exists()
}

/// Copies all that nodes have in common from a data directory that nobody uses into an empty one. Nothing in `from` is changed.
/// To be called where a thread may wait, inside a runtime.
pub(crate) fn copy(from: &Path, into: &Path) -> Result<()> {
    let lock = File::open(from.join("engine.lock"));
    // Held until everything is copied.
    let _alone = match lock.map(|lock| (lock.try_lock_shared(), lock)) {
        Ok((Err(TryLockError::WouldBlock), _)) => {
            return Err(Problem::new(format!("{} is in use", from.display()))
                .help("stop `helve up` there, and leave it stopped: the cluster goes on in its place"));
        }
        Ok((_, lock)) => Some(lock),
        Err(_) => None,
    };
    let failed =
        |error: &dyn std::fmt::Display| Problem::new(format!("{} cannot be taken over: {error}", from.display()));
    helve_db::copy(&from.join(ENGINE), &into.join(ENGINE)).map_err(|error| failed(&error))?;
    match from.join(LEDGER).exists() {
        true => drop(helve_db::copy(&from.join(LEDGER), &into.join(LEDGER)).map_err(|error| failed(&error))?),
        false => {
            let options = Ledger::store_options(&helve_ledger::Options::default());
            let store = Store::open(&into.join(LEDGER), &options).map_err(|error| failed(&error))?;
            close(store);
        }
    }
    let store = Store::open(&into.join(BLOBS), &blobs::options()).map_err(|error| failed(&error))?;
    let database = Blocking::new(store.clone());
    let taken = take_blobs(from, &Replicated::new(database.clone())).and_then(|()| {
        take_notes(&from.join("http").join("targets"), &Shared(database)).map_err(|error| failed(&error))
    });
    close(store);
    taken
}

fn close(store: Store) {
    tokio::runtime::Handle::current().block_on(async move { store.close().await });
}

/// Those in the directory. What is in a bucket stays there.
fn take_blobs(from: &Path, into: &Replicated) -> Result<()> {
    let dir = from.join("blobs");
    if !dir.is_dir() {
        return Ok(());
    }
    let failed = |error: helve_blobs::StoreError| Problem::new(error.to_string());
    let store = BlobStore::open(&dir).map_err(failed)?;
    let nowhere = |error: io::Error| Problem::new(format!("a blob cannot be copied: {error}"));
    for blob in store.list().map_err(failed)? {
        let mut copy = tempfile::tempfile().map_err(nowhere)?;
        // The read that would return the end fails if it is damaged.
        io::copy(&mut store.reader(&blob.id).map_err(failed)?, &mut copy).map_err(nowhere)?;
        let reference = BlobRef {
            id: blob.id,
            size: blob.size,
        };
        into.ensure(&reference, &mut copy, &dir, &Control::none())
            .map_err(failed)?;
        if store.is_vouched(&blob.id).map_err(failed)? {
            into.vouch(&blob.id).map_err(failed)?;
        }
        if let Some(manifest) = store.target(&blob.id) {
            into.record_target(&manifest).map_err(failed)?;
        }
    }
    Ok(())
}

fn take_notes(from: &Path, into: &Shared) -> io::Result<()> {
    let folders = match fs::read_dir(from) {
        Ok(folders) => folders,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for folder in folders {
        let folder = folder?;
        for note in fs::read_dir(folder.path())? {
            let note = note?;
            if let (Some(folder), Some(name)) = (folder.file_name().to_str(), note.file_name().to_str()) {
                into.put(&format!("{folder}/{name}"), &fs::read(note.path())?)?;
            }
        }
    }
    Ok(())
}
