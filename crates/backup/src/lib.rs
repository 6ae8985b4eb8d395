//! Copies of a data directory that are whole, made while it is in use, checked before they are trusted.
//!
//! A backup is a directory:
//!
//! - `snapshots/TIME/`: the databases and other files as they were, with a manifest that has the digest of each;
//! - `blobs/`: targets, reports and artifacts, which all snapshots share. A blob's name is its digest, so one that is there is
//!   not copied again.
//!
//! What is copied is of more than one moment, in this order: what says how far something got, the ledger, other databases,
//! the engine, other files, blobs. What a part names is in a part that is copied later, so nothing is named that is not there:
//! the engine has every run that the ledger tells of, and the blobs are those that both name. Each database is of one moment.
//!
//! A snapshot appears under its name when all of it is on disk; a restored directory, too. In between there is nothing that
//! looks like one.

mod error;
mod files;
mod make;
mod manifest;
mod restore;
mod verify;

pub use error::Error;
pub use make::{Blobs, Made, Options, Source, back_up};
pub use manifest::{BlobEntry, Database, FileEntry, Manifest, Snapshot, snapshots};
pub use restore::{Restored, restore};
pub use verify::{Verified, verify};
