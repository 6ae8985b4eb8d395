//! A Helve server for assistants, over the Model Context Protocol.
//!
//! Every tool is one or two requests of the HTTP API with one token, so an assistant may do what that token may, and less if
//! [`Allowed`] says so. What goes wrong is the answer of a tool and not an error of the protocol: then the assistant reads it.
//!
//! What scanned repositories hold (messages, snippets, names of files) reaches the assistant as data with a note that it is
//! not to be followed.

mod answer;
mod arguments;
mod call;
mod resources;
mod scan;
mod serve;
mod tools;

use std::path::PathBuf;

pub use serve::serve;

/// What the assistant may do, within what its token allows.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// Start and cancel runs.
    pub runs: bool,
    /// Decide about findings.
    pub triage: bool,
    /// Have what lies in these folders of this machine scanned. They exist, and are no links.
    pub scan: Vec<PathBuf>,
}
