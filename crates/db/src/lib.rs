//! SQLite behind one group-commit writer: a write is a list of statements with its precondition.
//!
//! This crate knows nothing of workflows. It owns one database file: the connection that writes it (one thread), a few
//! connections that read it, its schema version, and the answer to "is this on disk?".
//!
//! A [`Batch`] is all that a caller may write at once. It carries its own precondition (how many rows each statement
//! must change) and never depends on what the caller reads in between, so the same batch can be replicated instead of
//! being executed here. There is no interactive transaction, on purpose.
//!
//! Everything that is queued goes into one transaction with one fsync (`synchronous=FULL`). A batch whose precondition
//! fails is answered [`CommitError::Conflict`] and undone alone: the group is then done again with a savepoint for each
//! batch. No caller is answered before the commit.
//!
//! Deleting leaves free pages in the file, which new rows fill. They are given back to the file system by a batch that says
//! so ([`Batch::give_back`]), a few at a time.
//!
//! A database that is replicated is written by an [`Applier`] instead: it does what a log says, in the order of the log, and
//! notes in the same transaction how far it came. Its [`Store`] looks like any other to who uses it.
//!
//! A simulation opens a store without threads ([`Store::driven`]): the same writer, but its owner says when something
//! happens and how it ends.

mod applier;
mod batch;
mod checkpoint;
mod copy;
mod driver;
mod error;
mod figures;
mod open;
#[cfg(feature = "testing")]
pub mod plans;
mod reader;
mod request;
mod store;
mod writer;

pub use applier::{Applier, open_reader};
pub use batch::{Batch, BatchKey, Statement, Value};
pub use copy::{Copied, Frozen, copy};
pub use driver::Driver;
pub use error::{CommitError, OpenError, ReadError};
pub use figures::Figures;
pub use open::Options;
pub use request::{QueuedClose, QueuedCommit, QueuedRead, Request, Requests};
pub use store::{Guard, Stats, Store};

/// The SQLite binding that [`Store::read`] hands out.
pub use rusqlite;
