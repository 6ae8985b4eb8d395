//! How an unknown endpoint gets to be a known one.

use serde::{Deserialize, Serialize};

/// What an unknown endpoint says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The secret of its ticket.
    pub secret: Option<String>,
    /// What it calls itself: for people, and proven by nothing.
    pub name: String,
}

/// What it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is known from now on.
    Welcome {
        /// Where it may work; none: everywhere.
        namespaces: Option<Vec<String>>,
        /// For which verticals; none: for all.
        verticals: Option<Vec<String>>,
    },
    /// Somebody has to approve of it; it may ask again.
    Pending,
    /// It is not let in, and why.
    Refused(String),
}

/// Bytes that a question or an answer may have.
pub(crate) const LIMIT: usize = 16 << 10;
