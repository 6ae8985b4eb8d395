//! Opening a database: what the file is, whether this version may use it, and bringing its schema up to date.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::OpenError;

/// How a database is opened. Every limit says what happens when it is hit.
#[derive(Debug, Clone)]
pub struct Options {
    /// SQL scripts; script `n` brings schema version `n` to `n + 1`. Each runs in one transaction.
    pub migrations: &'static [&'static str],
    /// Marks the file as this program's (`PRAGMA application_id`).
    pub application_id: i32,
    /// Connections for reading. More reads than this wait.
    pub readers: usize,
    /// Batches waiting for the writer. More callers than this wait.
    pub max_queued: usize,
    /// Batches in one transaction; what is over it goes into the next one.
    pub max_group: usize,
    /// Bytes in one transaction; what is over it goes into the next one.
    pub max_group_bytes: usize,
    /// Bytes in one batch; a larger one is refused with [`CommitError::TooLarge`](crate::CommitError::TooLarge).
    pub max_batch_bytes: usize,
    /// Keys of committed batches that are remembered to recognise a retry; older ones are forgotten.
    pub remembered_keys: usize,
    /// Upper bound of the file's size; batches over it are answered [`CommitError::Full`](crate::CommitError::Full).
    pub max_file_bytes: Option<u64>,
    /// Files up to this size are checked page by page when they are opened; larger ones only where they are read,
    /// since the check would delay the start.
    pub check_up_to_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            migrations: &[],
            application_id: 0,
            readers: 4,
            max_queued: 4096,
            max_group: 1024,
            max_group_bytes: 64 << 20,
            max_batch_bytes: 128 << 20,
            remembered_keys: 10_000,
            max_file_bytes: None,
            check_up_to_bytes: 16 << 20,
        }
    }
}

/// Statements kept prepared per connection. The callers use a small fixed set of texts.
const PREPARED_STATEMENTS: usize = 128;
/// With this many pages in the WAL (64 MiB) the writer copies it into the database itself: the thread that is there for it
/// does not keep up, or there is none.
const CHECKPOINT_PAGES: i64 = 16_384;
/// The WAL file is cut back to this after a checkpoint.
const WAL_LIMIT: i64 = 64 << 20;
const KEYS_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS committed_batches (seq INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE);";
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Opens the writing connection and brings the schema up to date.
pub(crate) fn open_writer(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    check_header(path)?;
    make_private(path)?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    let explain = |error| explain(path, &error);
    let found = version(&connection).map_err(explain)?;
    refuse_others(path, &connection, options, found)?;
    check_pages(path, &connection, options)?;
    configure_writer(&connection, options).map_err(explain)?;
    migrate(&connection, options, found).map_err(explain)?;
    Ok(connection)
}

/// Opens the writing connection of a database that follows a log: its schema is as the log left it, and commits do not wait
/// for the disk, but what is there after a crash is a state that it had.
pub(crate) fn open_applier(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    check_header(path)?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    check_pages(path, &connection, options)?;
    let prepare = || -> rusqlite::Result<()> {
        configure_writer(&connection, options)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(KEYS_TABLE)
    };
    prepare().map_err(|error| explain(path, &error))?;
    Ok(connection)
}

/// Opens a connection that can only read.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection
        .pragma_update(None, "query_only", true)
        .map_err(|error| explain(path, &error))?;
    Ok(connection)
}

/// Opens a connection that copies the WAL into the database.
pub(crate) fn open_checkpointer(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    configure_writer(&connection, options).map_err(|error| explain(path, &error))?;
    Ok(connection)
}

/// Commits do not wait for the disk any more.
pub(crate) fn forget_durability(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    connection
        .pragma_update(None, "synchronous", "OFF")
        .map_err(|error| explain(path, &error))
}

/// Commits do not wait for the disk, but checkpoints do.
pub(crate) fn relax_durability(path: &Path, connection: &Connection) -> Result<(), OpenError> {
    connection
        .pragma_update(None, "synchronous", "NORMAL")
        .map_err(|error| explain(path, &error))
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    // No mutex: a connection is only ever used by one thread at a time.
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| explain(path, &error))?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    // Only a checkpoint at the wrong moment can make a connection wait: there is one writer.
    connection
        .busy_timeout(Duration::from_secs(10))
        .map_err(|error| explain(path, &error))?;
    Ok(connection)
}

/// A database is nobody else's to read, also one that an earlier version made. SQLite gives new files beside it the same mode.
#[cfg(unix)]
fn make_private(path: &Path) -> Result<(), OpenError> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

    let failed = |error: std::io::Error| OpenError::Io {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let made = File::options().append(true).create(true).mode(0o600).open(path);
    made.map_err(failed)?;
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        // One that is not there needs nothing, and of somebody else's the owner decides.
        let Ok(metadata) = std::fs::metadata(&file) else {
            continue;
        };
        let mode = metadata.permissions().mode();
        if mode & 0o077 != 0 {
            let _ = std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode & !0o077));
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> Result<(), OpenError> {
    Ok(())
}

/// SQLite takes an empty or absent file for a new database; anything else must carry its header.
fn check_header(path: &Path) -> Result<(), OpenError> {
    let mut header = [0; 16];
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(OpenError::Io {
                path: path.to_owned(),
                reason: error.to_string(),
            });
        }
    };
    let length = file.metadata().map(|metadata| metadata.len()).unwrap_or_default();
    if length == 0 {
        return Ok(());
    }
    match file.read_exact(&mut header) {
        Ok(()) if &header == MAGIC => Ok(()),
        _ => Err(OpenError::Corrupt {
            path: path.to_owned(),
            reason: "its header is not SQLite's".to_owned(),
        }),
    }
}

pub(crate) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn refuse_others(path: &Path, connection: &Connection, options: &Options, found: u32) -> Result<(), OpenError> {
    let explain = |error| explain(path, &error);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(explain)?;
    let id: i32 = connection
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .map_err(explain)?;
    if tables > 0 && id != options.application_id {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    let known = options.migrations.len() as u32;
    if found > known {
        return Err(OpenError::NewerSchema {
            path: path.to_owned(),
            found,
            known,
        });
    }
    Ok(())
}

fn check_pages(path: &Path, connection: &Connection, options: &Options) -> Result<(), OpenError> {
    let size = std::fs::metadata(path)
        .map(|metadata| metadata.len())
        .unwrap_or_default();
    if size > options.check_up_to_bytes {
        return Ok(());
    }
    let answer: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| explain(path, &error))?;
    if answer == "ok" {
        Ok(())
    } else {
        Err(OpenError::Corrupt {
            path: path.to_owned(),
            reason: answer,
        })
    }
}

fn configure_writer(connection: &Connection, options: &Options) -> rusqlite::Result<()> {
    // Takes effect while there is no table yet. Free pages stay in the file until somebody gives them back.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.query_row(&format!("PRAGMA journal_size_limit={WAL_LIMIT}"), [], |_| Ok(()))?;
    connection.query_row(&format!("PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}"), [], |_| Ok(()))?;
    if let Some(bytes) = options.max_file_bytes {
        let page: u64 = connection.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0))? as u64;
        connection.query_row(&format!("PRAGMA max_page_count={}", (bytes / page).max(1)), [], |_| {
            Ok(())
        })?;
    }
    Ok(())
}

fn migrate(connection: &Connection, options: &Options, found: u32) -> rusqlite::Result<()> {
    // Outside the scripts: the table is this crate's own, whatever the schema.
    if found == 0 {
        connection.pragma_update(None, "application_id", options.application_id)?;
    }
    connection.execute_batch(KEYS_TABLE)?;
    run_scripts(connection, options.migrations, found)
}

/// Brings the schema from version `found` to the one that the scripts lead to.
pub(crate) fn run_scripts(connection: &Connection, scripts: &[impl AsRef<str>], found: u32) -> rusqlite::Result<()> {
    for (index, script) in scripts.iter().enumerate().skip(found as usize) {
        let version = index + 1;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let done = connection
            .execute_batch(script.as_ref())
            .and_then(|()| connection.pragma_update(None, "user_version", version as i64))
            .and_then(|()| connection.execute_batch("COMMIT"));
        if let Err(error) = done {
            // The error that counts is the first one; the transaction may already be gone.
            let _ = connection.execute_batch("ROLLBACK");
            return Err(error);
        }
    }
    Ok(())
}

pub(crate) fn explain(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path: PathBuf = path.to_owned();
    let reason = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => OpenError::Corrupt { path, reason },
        _ => OpenError::Io { path, reason },
    }
}
