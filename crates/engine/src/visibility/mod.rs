//! Lists and counts of executions. The rows change in the same transaction as the history, so they are never stale.
//! What a query means is crate `helve_visibility`'s business; here it meets the database.

mod activities;
mod page;
#[cfg(test)]
mod plans;
mod workflows;

pub(crate) use activities::{ACTIVITY_COLUMNS, activity_info};
pub(crate) use page::{count, list};
pub(crate) use workflows::{COLUMNS, execution_info};
