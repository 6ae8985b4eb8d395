//! The finding model, fingerprints, deduplication and SARIF.
//!
//! Pure: no IO, no clock, no randomness. Modules fill [`ModuleReport`]s; [`merge`] turns any number of them into one
//! sorted, fingerprinted, deduplicated [`Report`]; [`sarif`] writes it for code-scanning pages.

mod anchor;
mod cwe;
mod fingerprint;
mod level;
mod merge;
mod model;
mod report;
pub mod sarif;

pub use anchor::{code_anchor, secret_anchor};
pub use cwe::{cwe_name, holds_secret};
pub use fingerprint::{FINGERPRINT_KEY, finish};
pub use level::{Confidence, Severity, UnknownName};
pub use merge::merge;
pub use model::{Finding, Location, ModuleReport, Notification, NotificationLevel, Position, Region, Rule, Status};
pub use report::{Counts, Report};
