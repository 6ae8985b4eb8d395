//! Workflow updates: requests that workflow code accepts or rejects, and whose callers wait for the outcome. [traps 10, 11]

mod recorded;

pub(crate) use recorded::RecordedUpdates;
