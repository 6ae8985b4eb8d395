//! What is asked about blobs, and what is answered.

use helve_blobs::{BlobId, BlobRef};
use iroh::{EndpointAddr, EndpointId};
use serde::{Deserialize, Serialize};

use super::grant::Grant;
use super::outline::Outline;

/// Bytes of a request at most: an outline is the largest of what is in one.
pub(super) const LIMIT: usize = 4 << 20;

/// One stream carries one of these. New ones come last: they are known by their place, and a version that does not know one ends
/// the stream.
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
    /// Its pieces from one on, or who else has it; answered with [`Answer::Pieces`], [`Answer::Elsewhere`] or [`Answer::Later`].
    FetchNear {
        /// Which blob.
        id: BlobId,
        /// The first piece that is wanted.
        from: u64,
        /// From whom it could not be fetched; when there are any, nobody else is named.
        failed: Vec<EndpointId>,
    },
    /// That this endpoint has it whole and hands it on; answered with [`Answer::Is`].
    Have {
        /// Which blob.
        id: BlobId,
        /// Where the endpoint is reached.
        address: EndpointAddr,
    },
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
    /// It is made of these pieces, and these endpoints have it.
    Elsewhere {
        /// Its pieces.
        outline: Outline,
        /// Who has it, the best first.
        others: Vec<EndpointAddr>,
        /// What lets the asker in there.
        grant: Grant,
    },
    /// As many fetch it as should at once: to be asked again.
    Later,
}
