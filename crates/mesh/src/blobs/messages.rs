//! What is asked about blobs, and what is answered.

use helve_blobs::{BlobId, BlobRef};
use serde::{Deserialize, Serialize};

use super::outline::Outline;

/// Bytes of a request at most: an outline is the largest of what is in one.
pub(super) const LIMIT: usize = 4 << 20;

/// One stream carries one of these.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// How large it is; answered with [`Answer::Size`].
    Size(BlobId),
    /// Its pieces from one on; answered with [`Answer::Pieces`], and the bytes behind that.
    Fetch {
        /// Which blob.
        id: BlobId,
        /// The first piece that is wanted.
        from: u64,
    },
    /// To store it; answered with [`Answer::Store`], the bytes of the pieces from there on go the other way, and then
    /// [`Answer::Stored`] comes.
    Store {
        /// Which blob.
        blob: BlobRef,
        /// Its pieces.
        outline: Outline,
    },
    /// That it is in use; answered with [`Answer::Is`] there, with this size if one is named.
    Touch {
        /// Which blob.
        id: BlobId,
        /// Its size.
        size: Option<u64>,
    },
    /// What is known of a packed target, as JSON; answered with [`Answer::Target`].
    Target(BlobId),
    /// Whether somebody vouches for it; answered with [`Answer::Is`].
    IsVouched(BlobId),
}

/// What comes back first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The size, if it is there.
    Size(Option<u64>),
    /// It is made of these pieces.
    Pieces(Outline),
    /// The pieces from this one on are wanted.
    Store {
        /// The first that is not there yet.
        from: u64,
    },
    /// It is there, and safe.
    Stored,
    /// Yes or no.
    Is(bool),
    /// The target's manifest, if it is known.
    Target(Option<String>),
    /// There is no such blob.
    Missing,
    /// It cannot be done, and why.
    Failed(String),
}
