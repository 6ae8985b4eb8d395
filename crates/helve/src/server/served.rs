//! Where the `helve up` of a data directory serves its API, for other commands on it.
//!
//! A note in the data directory, which only its owner can write, and a lock that lasts as long as the process: a note that
//! a dead process left leads nowhere, so no token is sent to whoever has its port now.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::paths::DataDir;

/// What the note says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    url: String,
}

/// The note while the server lives.
#[derive(Debug)]
pub(crate) struct Served {
    _lock: File,
}

impl Served {
    /// Writes it down.
    pub(crate) fn announce(data: &DataDir, url: &str) -> io::Result<Self> {
        let lock = open_lock(&data.http_lock())?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let (note, partial) = (data.http_note(), data.http_note().with_extension("json.new"));
        fs::write(&partial, serde_json::to_vec(&Note { url: url.to_owned() })?)?;
        fs::rename(&partial, &note)?;
        Ok(Self { _lock: lock })
    }

    /// Where the server of a data directory is, if one lives.
    pub(crate) fn find(data: &DataDir) -> Option<String> {
        let lock = OpenOptions::new().read(true).open(data.http_lock()).ok()?;
        match lock.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {}
            Ok(()) | Err(TryLockError::Error(_)) => return None,
        }
        let note: Note = serde_json::from_slice(&fs::read(data.http_note()).ok()?).ok()?;
        Some(note.url)
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_found_as_long_as_it_lives() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(Some(dir.path())).unwrap();
        assert_eq!(Served::find(&data), None);
        let served = Served::announce(&data, "http://127.0.0.1:1").unwrap();
        assert_eq!(Served::find(&data).as_deref(), Some("http://127.0.0.1:1"));
        assert!(Served::announce(&data, "http://127.0.0.1:2").is_err());
        // A process that was killed leaves the note, and no lock.
        drop(served);
        assert!(data.http_note().is_file());
        assert_eq!(Served::find(&data), None);
    }
}
