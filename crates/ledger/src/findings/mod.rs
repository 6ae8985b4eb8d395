//! The index of findings over all runs.
//!
//! [`life`] says what becomes of a finding, as a function of the facts about it. An ingest applies a run to what is stored
//! ([`ingest`]), or puts all facts about the target in order again if the run came late ([`replay`]). Lists walk indices
//! ([`list`]); charts read what is counted beside ([`tally`]).

mod bucket;
mod changes;
mod charts;
pub(crate) mod detail;
mod diff;
mod filter;
mod ingest;
pub(crate) mod life;
pub(crate) mod list;
mod model;
pub(crate) mod names;
mod replay;
mod report;
pub(crate) mod rows;
mod seen;
pub(crate) mod summary;
pub(crate) mod tally;
mod words;

pub use changes::{ChangeCounts, FindingChange, Ingested, MAX_CHANGES};
pub use charts::{DayCounts, Facet, FacetKind, IndexedRun, Overview};
pub use diff::{Baseline, MAX_DIFF, RunDiff};
pub use filter::{FindingFilter, FindingOrder, TimeRange};
pub use ingest::MAX_FINDINGS_OF_RUN;
pub use model::{
    FindingDetail, FindingEvent, FindingSummary, Happened, MAX_HISTORY, Sighting, Status, SuppressedBy, Suppression,
    Triage,
};
pub use report::{ModuleLook, ReportedFinding, RunReport};
