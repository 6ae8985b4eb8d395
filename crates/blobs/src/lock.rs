//! Files that one thread of all processes has at a time.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::directory::leads_to;
use crate::{Control, StoreError};

/// How often to look whether another process is done.
const LOOK: Duration = Duration::from_millis(20);

/// An open, locked file. The lock goes with it, and with a killed process.
#[derive(Debug)]
pub(crate) struct Locked {
    path: PathBuf,
    file: File,
}

impl Locked {
    /// Opens the file, making it when needed, as soon as nobody else has it; none when the caller was cancelled meanwhile.
    pub(crate) fn open(path: &Path, control: &Control<'_>) -> Result<Option<Self>, StoreError> {
        loop {
            if let Some(locked) = Self::try_open(path)? {
                return Ok(Some(locked));
            }
            if control.is_cancelled() {
                return Ok(None);
            }
            thread::sleep(LOOK);
        }
    }

    /// Opens the file unless somebody has it.
    pub(crate) fn try_open(path: &Path) -> Result<Option<Self>, StoreError> {
        let failed = |e| StoreError::io("open", path, e);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            // Whoever had it may have moved or removed it: then the name leads elsewhere.
            Ok(()) if leads_to(path, &file) => Ok(Some(Locked {
                path: path.to_owned(),
                file,
            })),
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(failed(e)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Empties it.
    pub(crate) fn clear(&mut self) -> Result<(), StoreError> {
        use std::io::{Seek, SeekFrom};
        let cleared = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        cleared.map(drop).map_err(|e| StoreError::io("write", &self.path, e))
    }

    /// Removes it.
    pub(crate) fn remove(self) -> Result<(), StoreError> {
        fs::remove_file(&self.path).map_err(|e| StoreError::io("remove", &self.path, e))
    }

    /// Gives it another name, and gives the open file back.
    pub(crate) fn rename(self, path: &Path) -> Result<File, StoreError> {
        fs::rename(&self.path, path).map_err(|e| StoreError::io("write", path, e))?;
        Ok(self.file)
    }
}
