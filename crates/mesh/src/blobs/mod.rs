//! Blobs over streams of their own: each request is one stream, and each piece is checked when it comes.
//!
//! A blob is sent in pieces of [`PIECE`] bytes, behind its [`Outline`]: the BLAKE3 hash of each piece as a part of the whole tree,
//! which together give the blob's id. So nobody has to be trusted, a transfer that broke goes on where it was, and pieces of one
//! blob may come from several endpoints.
//!
//! Endpoints that have a blob whole hand it on to others ([`Handing`]), when the node sends them there with a grant: so many that
//! want the same at once do not all fetch it from one node.

mod fetch;
mod grant;
mod messages;
mod outline;
mod pace;
mod peers;
mod remote;
mod serve;
mod spread;
mod transfer;

pub use outline::{Outline, PIECE};
pub use peers::Handing;
pub use remote::Remote;
pub use serve::{Sent, Service, Together};
