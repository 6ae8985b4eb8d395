//! Targets and artifacts: a content-addressed store, deterministic packing, safe unpacking.
//!
//! - [`BlobStore`] keeps immutable bytes under their BLAKE3 id and checks them whenever they are read: in a directory, or in a
//!   bucket behind the S3 protocol with a directory as a cache in front of it.
//! - [`pack`] turns a directory or a file into one blob; the same tree gives the same id on any machine.
//! - [`BlobStore::expire`] removes what is old and no run needs.
//! - [`unpack`] lays a packed target out again and trusts nothing in it; [`peek`] only reads some of its files.
//!
//! All calls block; run them where blocking is fine.

mod cache;
mod control;
mod directory;
mod error;
mod expiry;
mod figures;
mod id;
mod link;
mod lock;
mod pack;
mod place;
mod remote;
mod store;
mod unpack;
mod upstream;

pub use cache::CacheStats;
pub use control::{Control, Progress};
pub use directory::{BlobReader, TargetManifest};
pub use error::{PackError, Refusal, StoreError, UnpackError};
pub use expiry::{BlobInfo, Expiry, Hold, MIN_AGE, Retention, Swept};
pub use figures::BlobFigures;
pub use id::{BlobId, BlobRef, InvalidId};
pub use pack::{PackLimits, PackOptions, Packed, Skipped, pack};
pub use place::{InvalidPlace, Place};
pub use store::{BlobStore, BlobWriter, StoreOptions};
pub use unpack::{UnpackLimits, Unpacked, peek, unpack};
pub use upstream::Upstream;
