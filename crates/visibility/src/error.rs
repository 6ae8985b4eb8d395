//! What is wrong with a query, in words its author can act on.

/// A query that cannot be compiled: what is wrong, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid query: {0}")]
pub struct QueryError(pub(crate) String);

impl QueryError {
    pub(crate) fn malformed(at: usize, what: impl std::fmt::Display) -> Self {
        QueryError(format!("malformed SQL query: {what} at character {}", at + 1))
    }

    pub(crate) fn unsupported(what: impl std::fmt::Display) -> Self {
        QueryError(format!("operation is not supported: {what}"))
    }

    pub(crate) fn expression(what: impl std::fmt::Display) -> Self {
        QueryError(format!("invalid expression: {what}"))
    }
}
