//! A database that follows a log: written by nobody but who applies the log, in its order.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;

use crate::batch::Batch;
use crate::checkpoint::Checkpointer;
use crate::error::{CommitError, OpenError};
use crate::figures::Counters;
use crate::open::{self, Options};
use crate::request::Requests;
use crate::store::{Guard, Store};
use crate::writer::Writer;

/// The writing end of a database that follows a log. The log is the truth and is synced; what is written here is not, so a
/// crash may take back the newest transactions, but never a part of one. The mark that is written with each of them says
/// from where the log is to be applied again.
pub struct Applier {
    writer: Writer,
    path: PathBuf,
}

impl Applier {
    /// Opens or creates the database as the log left it: no script of [`Options::migrations`] is run, and the size of the
    /// file is not limited, since all followers of a log must come to the same end.
    ///
    /// # Errors
    ///
    /// When it cannot be used, or is damaged.
    pub fn open(path: &Path, options: &Options) -> Result<Applier, OpenError> {
        let options = Options {
            max_file_bytes: None,
            ..options.clone()
        };
        let connection = open::open_applier(path, &options)?;
        let counters = Arc::new(Counters::default());
        let checkpointer = Checkpointer::spawn_lazily(path, &options, counters.clone())?;
        Ok(Applier {
            writer: Writer::new(connection, &options, counters).with_checkpointer(checkpointer),
            path: path.to_owned(),
        })
    }

    /// Does batches in one transaction, each of them whole or not at all, and says how each ended: the same on every machine
    /// that has the same database. `mark` is written with them, whatever becomes of them.
    ///
    /// # Errors
    ///
    /// When the disk or the database fails. Then nothing was kept, not even the mark.
    pub fn apply(&mut self, batches: &[Batch], mark: &Batch) -> Result<Vec<Result<(), CommitError>>, CommitError> {
        self.writer.apply(batches, mark)
    }

    /// Brings the schema to the version that the scripts lead to, and leaves a newer one as it is. Returns the version.
    ///
    /// # Errors
    ///
    /// When a script fails: the ones before it were kept.
    pub fn migrate(&mut self, application_id: i32, scripts: &[String]) -> Result<u32, OpenError> {
        self.writer
            .migrate(application_id, scripts)
            .map_err(|error| open::explain(&self.path, &error))
    }

    /// The writing connection, to look at.
    pub fn connection(&self) -> &Connection {
        self.writer.connection()
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A handle on this database for who writes through the log. The requests are to be answered once they were applied.
    ///
    /// # Errors
    ///
    /// When no connection for reading can be opened.
    pub fn store(&self, options: &Options, guard: Arc<dyn Guard>) -> Result<(Store, Requests), OpenError> {
        Store::journaled(&self.path, options, self.writer.counters().clone(), guard)
    }

    /// Copies the WAL into the database and closes it.
    pub fn close(self) {
        self.writer.close(None);
    }
}

/// Opens a connection that only reads, on a database that others write.
///
/// # Errors
///
/// When it cannot be opened.
pub fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    open::open_reader(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(position: i64) -> Batch {
        let mut mark = Batch::new();
        mark.run("CREATE TABLE IF NOT EXISTS mark (position INTEGER)", Vec::new());
        mark.run("DELETE FROM mark", Vec::new());
        mark.run("INSERT INTO mark VALUES (?1)", vec![position.into()]);
        mark
    }

    fn insert(id: i64) -> Batch {
        let mut batch = Batch::new();
        batch.run_one("INSERT OR IGNORE INTO rows VALUES (?1)", vec![id.into()]);
        batch
    }

    fn number(applier: &Applier, sql: &str) -> i64 {
        applier.connection().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn the_mark_is_kept_with_what_it_marks_even_if_every_batch_was_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let mut applier = Applier::open(&path, &Options::default()).unwrap();
        let scripts = ["CREATE TABLE rows (id INTEGER PRIMARY KEY)".to_owned()];
        assert_eq!(applier.migrate(7, &scripts).unwrap(), 1);
        let results = applier.apply(&[insert(1), insert(1), insert(2)], &mark(5)).unwrap();
        assert!(matches!(
            results[..],
            [Ok(()), Err(CommitError::Conflict { .. }), Ok(())]
        ));
        let results = applier.apply(&[insert(2)], &mark(6)).unwrap();
        assert!(matches!(results[..], [Err(CommitError::Conflict { .. })]));
        applier.close();
        let applier = Applier::open(&path, &Options::default()).unwrap();
        assert_eq!(number(&applier, "SELECT count(*) FROM rows"), 2);
        assert_eq!(number(&applier, "SELECT position FROM mark"), 6);
    }

    #[test]
    fn a_schema_is_brought_forward_and_never_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut applier = Applier::open(&dir.path().join("a.db"), &Options::default()).unwrap();
        let scripts = ["CREATE TABLE a (x)".to_owned(), "CREATE TABLE b (x)".to_owned()];
        assert_eq!(applier.migrate(7, &scripts[..1]).unwrap(), 1);
        assert_eq!(applier.migrate(7, &scripts).unwrap(), 2);
        assert_eq!(applier.migrate(7, &scripts[..1]).unwrap(), 2);
        assert_eq!(number(&applier, "PRAGMA application_id"), 7);
    }
}
