//! Where the `helve up` of a data directory serves, for other commands on it.
//!
//! A note in the data directory, which only its owner can write, and a lock that lasts as long as the process: a note that
//! a dead process left leads nowhere, so no token is sent to whoever has its port now.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::paths::DataDir;

/// What is served, at addresses of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Places {
    /// URL of the HTTP API.
    pub(crate) http: Option<String>,
    /// A private socket where it is reached, too, without TLS.
    #[serde(default)]
    pub(crate) http_socket: Option<PathBuf>,
    /// `HOST:PORT` of the engine's gRPC.
    pub(crate) grpc: Option<String>,
    /// `HOST:PORT` of the mesh, by UDP.
    #[serde(default)]
    pub(crate) mesh: Option<String>,
}

/// The note while the server lives.
#[derive(Debug)]
pub(crate) struct Served {
    _lock: File,
}

impl Served {
    /// Writes it down.
    pub(crate) fn announce(data: &DataDir, places: &Places) -> io::Result<Self> {
        let lock = open_lock(&data.served_lock())?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let (note, partial) = (data.served_note(), data.served_note().with_extension("json.new"));
        fs::write(&partial, serde_json::to_vec(places)?)?;
        fs::rename(&partial, &note)?;
        Ok(Self { _lock: lock })
    }

    /// Where the server of a data directory is; nowhere, if none lives.
    pub(crate) fn find(data: &DataDir) -> Places {
        Self::look(data).unwrap_or_default()
    }

    fn look(data: &DataDir) -> Option<Places> {
        let lock = OpenOptions::new().read(true).open(data.served_lock()).ok()?;
        match lock.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {}
            Ok(()) | Err(TryLockError::Error(_)) => return None,
        }
        serde_json::from_slice(&fs::read(data.served_note()).ok()?).ok()
    }
}

/// Whether two addresses of the form `HOST:PORT` are one place of this machine: it has several names for itself.
pub(crate) fn same_place(one: &str, other: &str) -> bool {
    let parts = |address: &str| {
        let (host, port) = address.rsplit_once(':')?;
        let host = match host {
            "localhost" => "127.0.0.1",
            host => host,
        };
        Some((host.to_owned(), port.parse::<u16>().ok()?))
    };
    parts(one).is_some() && parts(one) == parts(other)
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
        assert_eq!(Served::find(&data), Places::default());
        let places = Places {
            http: Some("http://127.0.0.1:1".to_owned()),
            http_socket: Some(data.http_socket()),
            grpc: None,
            mesh: None,
        };
        let served = Served::announce(&data, &places).unwrap();
        assert_eq!(Served::find(&data), places);
        assert!(Served::announce(&data, &Places::default()).is_err());
        // A process that was killed leaves the note, and no lock.
        drop(served);
        assert!(data.served_note().is_file());
        assert_eq!(Served::find(&data), Places::default());
    }

    #[test]
    fn a_machine_has_several_names_for_itself() {
        assert!(same_place("localhost:7233", "127.0.0.1:7233"));
        assert!(same_place("[::1]:7233", "[::1]:7233"));
        for other in ["localhost:7234", "127.0.0.2:7233", "localhost", "localhost:x", ""] {
            assert!(!same_place(other, "127.0.0.1:7233"), "{other}");
            assert!(!same_place(other, ""), "{other}");
        }
    }
}
