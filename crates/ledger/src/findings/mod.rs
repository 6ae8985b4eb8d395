//! The index of findings over all runs.

mod model;
mod report;

pub use model::{
    FindingDetail, FindingEvent, FindingSummary, Happened, MAX_HISTORY, Sighting, Status, SuppressedBy, Suppression,
    Triage,
};
pub use report::{ModuleLook, ReportedFinding, RunReport};
