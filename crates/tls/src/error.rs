//! What can be wrong with certificates and keys.

use std::io;
use std::path::{Path, PathBuf};

/// Why there is no TLS with these files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} {what}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A certificate that cannot be asked for.
    #[error("{0}")]
    Acme(String),
    /// No HTTP client can be made with what the system trusts.
    #[error("no requests can be made by TLS: {0}")]
    Client(String),
    /// Two files that do not belong together.
    #[error("the key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}

impl Error {
    pub(crate) fn content(path: &Path, what: impl Into<String>) -> Self {
        Error::Content {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}
