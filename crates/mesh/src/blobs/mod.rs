//! Blobs over streams of their own: each request is one stream, and each piece is checked when it comes.
//!
//! A blob is sent in pieces of [`PIECE`] bytes, behind its [`Outline`]: the BLAKE3 hash of each piece as a part of the whole tree,
//! which together give the blob's id. So nobody has to be trusted, a transfer that broke goes on where it was, and pieces of one
//! blob may come from several endpoints.

mod fetch;
mod messages;
mod outline;
mod remote;
mod serve;
mod transfer;

pub use outline::{Outline, PIECE};
pub use remote::Remote;
pub use serve::Service;
