//! Many at once: an answer for each.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::Error;

/// Items of a batch.
pub const MAX_BATCH: usize = 1000;

/// Many of the same.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch<T> {
    /// 1 to 1,000 of them.
    pub jobs: Vec<T>,
}

/// How one of a batch went.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Item<T> {
    /// Not done.
    Failed {
        /// Why.
        error: ItemError,
    },
    /// Done.
    Done(T),
}

/// Why one of a batch was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemError {
    /// The HTTP status that it would have alone.
    pub status: u16,
    /// What happened, to what, and what to do.
    pub detail: String,
}

impl<T> Item<T> {
    /// With the error as it is told.
    pub fn new<E>(outcome: Result<T, E>, told: impl FnOnce(E) -> ItemError) -> Self {
        match outcome {
            Ok(value) => Self::Done(value),
            Err(error) => Self::Failed { error: told(error) },
        }
    }

    /// What was done.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(value) => Some(value),
            Self::Failed { .. } => None,
        }
    }
}

/// Refuses a batch of none, or of too many.
pub(crate) fn check(count: usize) -> Result<(), Error> {
    match count {
        1..=MAX_BATCH => Ok(()),
        _ => Err(Error::invalid("jobs", format!("must have 1 to {MAX_BATCH} items"))),
    }
}
