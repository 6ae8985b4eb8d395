//! A store without threads: its owner says when a write or a read happens, and how it ends.

use rusqlite::Connection;

use crate::{
    error::CommitError,
    request::{QueuedClose, QueuedCommit, QueuedRead},
    writer::Writer,
};

/// The other end of a store opened by [`Store::driven`](crate::Store::driven). Dropping it is a crash: what was written
/// is there when the database is opened again, and whoever waits is answered `Closed`.
pub struct Driver {
    writer: Writer,
    reader: Connection,
}

impl Driver {
    pub(crate) fn new(writer: Writer, reader: Connection) -> Self {
        Driver { writer, reader }
    }

    /// Writes a group of batches in one transaction, as the writer thread does, and says how each of them ended. It is for
    /// the owner to tell the callers: the truth or not, now or never.
    pub fn write(&mut self, group: &[QueuedCommit]) -> Vec<Result<(), CommitError>> {
        self.writer.write(group)
    }

    /// Runs a read and answers it.
    pub fn read(&self, read: QueuedRead) {
        read.run(&self.reader);
    }

    /// Closes the database and answers who waits for it.
    pub fn close(self, asked: QueuedClose) {
        drop(self.reader);
        self.writer.close(Some(asked));
    }
}
