//! A copy of a database that others are using.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::error::OpenError;
use crate::open;

/// How often a copy is begun again when somebody else holds the database at that moment, and the time between.
const TRIES: usize = 200;
const PAUSE: Duration = Duration::from_millis(50);

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// `PRAGMA application_id`.
    pub application_id: i32,
    /// `PRAGMA user_version`: the schema's.
    pub version: u32,
}

/// Copies the database at `from` as it is at one moment into a new file, private to its owner, while other connections and
/// processes read and write it; they do not wait. The copy is one file, checked page by page, and not yet synced.
///
/// # Errors
///
/// When one of the files cannot be used, or a page is broken.
pub fn copy(from: &Path, to: &Path) -> Result<Copied, OpenError> {
    copy_from(&open::open_reader(from)?, from, to)
}

/// A database as it was at one moment, however long it is looked at. Meanwhile others write it, and its WAL grows.
pub struct Frozen {
    connection: Connection,
    path: PathBuf,
}

impl Frozen {
    /// Holds on to what the database is now. This takes no longer for a large database.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or read.
    pub fn new(path: &Path) -> Result<Self, OpenError> {
        let connection = open::open_reader(path)?;
        connection
            .execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema;")
            .map_err(|error| open::explain(path, &error))?;
        Ok(Frozen {
            connection,
            path: path.to_owned(),
        })
    }

    /// Copies it into a new file, as [`copy`] does.
    ///
    /// # Errors
    ///
    /// When one of the files cannot be used, or a page is broken.
    pub fn copy(&self, to: &Path) -> Result<Copied, OpenError> {
        copy_from(&self.connection, &self.path, to)
    }
}

fn copy_from(source: &Connection, from: &Path, to: &Path) -> Result<Copied, OpenError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(to).map_err(|error| OpenError::Io {
        path: to.to_owned(),
        reason: error.to_string(),
    })?;
    let mut target = Connection::open(to).map_err(|error| open::explain(to, &error))?;
    copy_pages(source, &mut target).map_err(|error| open::explain(from, &error))?;
    let explain = |error| open::explain(to, &error);
    // The log would be a second file.
    target
        .query_row("PRAGMA journal_mode=DELETE", [], |_| Ok(()))
        .map_err(explain)?;
    let answer: String = target
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(explain)?;
    if answer != "ok" {
        return Err(OpenError::Corrupt {
            path: from.to_owned(),
            reason: answer,
        });
    }
    let number = |pragma: &str| target.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0));
    let application_id = number("application_id").map_err(explain)? as i32;
    let version = number("user_version").map_err(explain)? as u32;
    target.close().map_err(|(_, error)| open::explain(to, &error))?;
    Ok(Copied {
        application_id,
        version,
    })
}

/// All pages in one step: they are those of one moment, whatever is committed meanwhile.
fn copy_pages(source: &Connection, target: &mut Connection) -> rusqlite::Result<()> {
    let backup = Backup::new(source, target)?;
    for _ in 0..TRIES {
        match backup.step(-1)? {
            StepResult::Done => return Ok(()),
            _ => std::thread::sleep(PAUSE),
        }
    }
    Err(rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
        Some("others hold it all the time".to_owned()),
    ))
}
