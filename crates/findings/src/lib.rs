//! The finding model, fingerprints, deduplication and SARIF.
//!
//! Pure: no IO, no clock, no randomness. Modules fill [`ModuleReport`]s; [`merge`] turns any number of them into one
//! sorted, fingerprinted, deduplicated [`Report`]; [`sarif`] writes it for code-scanning pages, [`export`] for everybody else. [`Annotator`]
//! adds what the target says of its findings: suppressions and owners; [`diff`] and [`Baseline`] compare reports.

mod anchor;
mod annotate;
mod cwe;
mod diff;
pub mod export;
mod fingerprint;
mod level;
mod merge;
mod model;
mod owners;
mod pattern;
mod report;
pub mod sarif;
mod suppression;
mod text;

pub use anchor::{code_anchor, secret_anchor};
pub use annotate::{Annotator, SUPPRESSIONS_FILE};
pub use cwe::{cwe_name, holds_secret};
pub use diff::{Baseline, BaselineError, Diff, diff};
pub use fingerprint::{FINGERPRINT_KEY, finish};
pub use level::{Confidence, Severity, UnknownName};
pub use merge::merge;
pub use model::{
    BaselineState, Finding, Location, ModuleReport, Notification, NotificationLevel, Position, Region, Rule, Status,
};
pub use owners::CodeOwners;
pub use report::{Counts, Report};
pub use suppression::{Decision, Suppression, SuppressionKind};
