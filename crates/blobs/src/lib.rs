//! Targets and artifacts: a content-addressed store, deterministic packing, safe unpacking.
//!
//! - [`BlobStore`] keeps immutable bytes under their BLAKE3 id and checks them whenever they are read.
//! - [`pack`] turns a directory or a file into one blob; the same tree gives the same id on any machine.
//! - [`BlobStore::expire`] removes what is old and no open run needs; [`BlobStore::evict`] keeps a cache below its size.
//! - [`unpack`] lays a packed target out again and trusts nothing in it.
//!
//! All calls block; run them where blocking is fine.

mod control;
mod error;
mod expiry;
mod id;
mod link;
mod pack;
mod store;
mod unpack;

pub use control::{Control, Progress};
pub use error::{PackError, Refusal, StoreError, UnpackError};
pub use expiry::{BlobInfo, MIN_AGE, Retention, Swept};
pub use id::{BlobId, BlobRef, InvalidId};
pub use pack::{PackLimits, PackOptions, Packed, Skipped, pack};
pub use store::{BlobReader, BlobStore, BlobWriter, TargetManifest};
pub use unpack::{UnpackLimits, Unpacked, unpack};
