//! Runs from outside: what the command line and the API both do with them, through Temporal's protocol and nothing else.
//!
//! - [`Client`] makes the few calls of the workflow service that are needed, on whatever engine.
//! - [`Order`] is a run before it starts: parameters checked, plan and modules pinned, the target named.
//! - [`RunHistory`] is a run as its events tell it, [`Shown`] adds what only the engine knows, [`RunResult`] what blobs hold.
//! - [`Watch`] follows a run to its end; [`Events`] makes typed events of it that can be resumed at any of them.
//!
//! Nothing here prints, and errors carry no advice for one way of asking: the command line and the API add their own.

mod artifacts;
mod client;
mod error;
mod events;
mod follow;
mod history;
mod list;
mod order;
mod pending;
mod received;
mod record;
mod result;
mod schedules;
mod show;
mod targets;
pub mod text;
mod words;
mod workers;

pub use artifacts::{Artifact, artifacts, find_artifact};
pub use client::{Client, HistoryPage, Queue, StartRun, Wait, from_payload, from_payloads, json_payload};
pub use error::Error;
pub use events::{EventId, Events, FoundFinding, InvalidEventId, PlannedStep, RunEvent, RunEventKind, StepEnd};
pub use follow::{News, Watch, history_so_far};
pub use history::{Activity, End, Ending, Outcome, RunHistory, failure_message, timestamp};
pub use list::{Filter, Listed, MEMO_STARTED_BY, STATUSES, closed, list, listed, page, status_name};
pub use order::{Order, new_run_id, run_id};
pub use pending::{Pending, pending, pending_activity};
pub use received::ResultDocument;
pub use record::{EventLine, record};
pub use result::{
    Gap, MEMO_TARGET_FACTS, RunResult, StepSummary, TargetFacts, base_id, facts_in, read_blob, status_text, steps,
};
pub use schedules::{Patch, ScheduleOrder, ScheduleView};
pub use show::{RunDetail, RunStatusName, RunSummary, Said, Shown, StepDetail, StepLine, progress_text, says};
pub use targets::{LEAST_DIGITS, Target, find_target, runs_on, targets};
pub use words::Word;
pub use workers::{SANDBOX_FACT, Worker, drain, unserved, verticals, workers};
