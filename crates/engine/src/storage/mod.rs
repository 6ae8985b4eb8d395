//! The engine's tables: the only place that knows their SQL.
//!
//! A run is one row of `runs` (its facts, its version and its visibility columns), its history, and the facts of its
//! activities and buffered events. Timers, task queues and messages have no tables: they are derived from these.

mod batches;
mod delete;
mod events;
mod load;
mod namespaces;
mod schedules;
mod search_attributes;
mod space;
mod task_queues;
mod write;

pub(crate) use batches::{
    Progress as BatchProgress, StoredBatch, close_batch, count_running_batches, insert_batch, list_batches, read_batch,
    running_batches, update_batch,
};
pub(crate) use delete::{
    RunRow, delete_namespace, delete_run, insert_deletion, runs_closed_before, runs_of_namespace, runs_to_delete,
};
use events::stored_batch;
pub(crate) use events::{read_close_event, read_events, read_events_reverse};
pub(crate) use load::{
    StoredHistory, StoredRun, UnsettledRun, current_run, load_run, max_row, read_history, run_by_id, unsettled_runs,
};
pub(crate) use namespaces::{NamespaceRow, insert_namespace, load_namespaces, update_namespace};
pub(crate) use schedules::{StoredSchedule, delete_schedule, insert_schedule, load_schedules, update_schedule};
pub(crate) use search_attributes::{
    add_attribute, delete_attributes, load_attributes, param, purge_attribute, remove_attribute, removed_attributes,
    value, write_attributes,
};
pub(crate) use space::read_space;
pub(crate) use task_queues::{QueueConfigRow, load_queue_configs, put_queue_config};
pub(crate) use write::{CopiedHistory, NewRun, RunUpdate, insert_run, update_run};

use helve_history::EventId;

/// `PRAGMA application_id` of an engine's database: "HLVE".
pub(crate) const APPLICATION_ID: i32 = 0x484c_5645;

/// Schema version `n` to `n + 1`, in order. Never change one that was released: append.
pub(crate) const MIGRATIONS: &[&str] = &[
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
    include_str!("schema_7.sql"),
    include_str!("schema_8.sql"),
    include_str!("schema_9.sql"),
];

/// The row number of a run; names it in every other table.
pub(crate) type RowId = i64;

/// Bits of a position that number things within a run. A history ends long before (at 51,200 events).
const WITHIN_BITS: u32 = 20;
/// Runs one database can number.
pub(crate) const MAX_ROW: RowId = i64::MAX >> WITHIN_BITS;

/// The key of something that belongs to a run. One integer key keeps a run's rows side by side in one b-tree.
fn position(row: RowId, within: EventId) -> i64 {
    debug_assert!((0..1 << WITHIN_BITS).contains(&within), "{within} does not fit");
    row << WITHIN_BITS | within
}

fn within(position: i64) -> EventId {
    position & ((1 << WITHIN_BITS) - 1)
}

/// The keys of all that belongs to a run, for `BETWEEN`.
fn span(row: RowId) -> (i64, i64) {
    (position(row, 0), position(row, (1 << WITHIN_BITS) - 1))
}

mod plans;
