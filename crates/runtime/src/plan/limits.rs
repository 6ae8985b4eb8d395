//! Bounds and times that the interpreter uses.
//!
//! Changing a time is safe for running runs: core compares the kind and order of commands with the history, not their
//! timeouts. Changing a bound that decides whether something is scheduled (`MAX_LOST`, `MAX_INPUT_BYTES`) is not: a
//! run that met it would replay differently.

use std::time::Duration;

use helve_toolbox::{Retry, Span};

/// Longest silence of a worker before its step is given to another. Workers heartbeat every second or so.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a step is scheduled anew because its worker died, on top of its own retries.
pub const MAX_LOST: u32 = 8;
/// Longest input of a step: history holds references, not data.
pub const MAX_INPUT_BYTES: usize = 64 * 1024;
/// Longest reason that is kept of a failure.
pub(crate) const MAX_REASON_CHARS: usize = 2_000;
/// Most notes that are kept for the status query; later ones are dropped.
pub(crate) const MAX_NOTES: usize = 20;
/// Most signals that are kept until the plan is known; later ones are dropped.
pub(crate) const MAX_EARLY: usize = 1_000;
/// Longest time of one attempt of a step whose plan sets none.
pub(crate) const STEP_TIMEOUT: Duration = Duration::from_secs(6 * 3600);
/// Longest time of one attempt to look a workflow up.
pub(crate) const PLAN_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time of one attempt to merge the reports. Reports are bounded, so this is plenty even on a slow disk.
pub(crate) const REPORT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a cancelled run waits for a worker to merge the reports of what it has.
pub(crate) const CANCELLED_REPORT_WAIT: Duration = Duration::from_secs(30);

/// For the internal activities, which fail for reasons of the moment: a full disk, a worker that stops.
pub(crate) fn internal_retry() -> Retry {
    Retry {
        max_attempts: 10,
        initial_interval: Span::from_millis(500),
        backoff: 2.0,
        max_interval: Span::from_secs(10),
    }
}
