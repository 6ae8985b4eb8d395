//! One engine per data directory: a lock file, and beside it a note that says who holds it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use serde::{Deserialize, Serialize};

use crate::OpenError;

const LOCK: &str = "engine.lock";
const NOTE: &str = "engine.json";

/// What the holder of a data directory says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// What it does, in words for a person: `helve up`, `helve run assessment`.
    pub role: String,
    /// Where it serves gRPC, if it does.
    pub grpc: Option<String>,
}

impl Holder {
    /// Reads who holds a data directory, if anybody wrote it down. The note of a process that died may still be there.
    pub fn read(data_dir: &Path) -> Option<Holder> {
        serde_json::from_slice(&fs::read(data_dir.join(NOTE)).ok()?).ok()
    }
}

/// The held lock. The operating system releases it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DataDirLock {
    file: File,
    note: PathBuf,
    is_released: AtomicBool,
}

impl DataDirLock {
    pub(crate) fn acquire(data_dir: &Path, role: &str) -> Result<Self, OpenError> {
        let io = |error: io::Error| OpenError::io(data_dir, &error);
        fs::create_dir_all(data_dir).map_err(io)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(data_dir.join(LOCK))
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Locked {
                    path: data_dir.to_owned(),
                    holder: Holder::read(data_dir),
                });
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let lock = DataDirLock {
            file,
            note: data_dir.join(NOTE),
            is_released: AtomicBool::new(false),
        };
        lock.announce(role, None).map_err(io)?;
        Ok(lock)
    }

    /// Writes down who holds the directory and where it serves.
    pub(crate) fn announce(&self, role: &str, grpc: Option<String>) -> io::Result<()> {
        let holder = Holder {
            pid: std::process::id(),
            role: role.to_owned(),
            grpc,
        };
        // Through a rename, so that a reader never sees half of it.
        let partial = self.note.with_extension("json.new");
        fs::write(&partial, serde_json::to_vec(&holder)?)?;
        fs::rename(&partial, &self.note)
    }

    /// Gives the directory free. Done once: by then it may be somebody else's.
    pub(crate) fn release(&self) {
        if !self.is_released.swap(true, Ordering::AcqRel) {
            // A note that stays behind is harmless: the lock is what counts.
            let _ = fs::remove_file(&self.note);
            let _ = self.file.unlock();
        }
    }
}

impl Drop for DataDirLock {
    fn drop(&mut self) {
        self.release();
    }
}
