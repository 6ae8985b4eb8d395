//! What can go wrong between endpoints.

use std::io;

use iroh::EndpointId;

/// Why somebody could not be reached, or was not let in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The sockets of this endpoint could not be opened.
    #[error("cannot listen on {address}: {reason}")]
    Bind {
        /// Where.
        address: String,
        /// The system's words.
        reason: String,
    },
    /// The file with the key of this endpoint.
    #[error("cannot {action} the key in {path}: {source}")]
    Key {
        /// Read or write.
        action: &'static str,
        /// Which file.
        path: String,
        /// The system's words.
        source: io::Error,
    },
    /// The file with the secret of a relay.
    #[error("cannot {action} the secret of the relay in {path}: {source}")]
    Secret {
        /// Read, write or use.
        action: &'static str,
        /// Which file.
        path: String,
        /// The system's words.
        source: io::Error,
    },
    /// Nobody answered.
    #[error("no node of the ticket answers: {0}")]
    Unreachable(String),
    /// Somebody answered, and does not let this endpoint in.
    #[error("{0}")]
    Refused(String),
    /// A connection that had come about broke.
    #[error("the connection to {peer} broke: {reason}")]
    Broken {
        /// To whom.
        peer: String,
        /// Why.
        reason: String,
    },
    /// What came is not what was agreed on: most likely another version.
    #[error("{peer} sent what this version of Helve does not understand: {what}")]
    Protocol {
        /// Who.
        peer: String,
        /// What.
        what: String,
    },
}

impl Error {
    pub(crate) fn broken(peer: EndpointId, reason: impl ToString) -> Self {
        Self::Broken {
            peer: peer.fmt_short().to_string(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn protocol(peer: EndpointId, what: impl ToString) -> Self {
        Self::Protocol {
            peer: peer.fmt_short().to_string(),
            what: what.to_string(),
        }
    }

    /// Whether asking again later makes no sense: somebody has to do something first.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Refused(_) => io::ErrorKind::PermissionDenied,
            Error::Unreachable(_) => io::ErrorKind::HostUnreachable,
            Error::Broken { .. } => io::ErrorKind::ConnectionReset,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
