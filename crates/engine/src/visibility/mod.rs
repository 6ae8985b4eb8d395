//! Lists and counts of executions. The rows change in the same transaction as the history, so they are never stale.

mod filter;
mod list;
mod parse;

pub(crate) use filter::Filter;
pub(crate) use list::{PageToken, count, list};
