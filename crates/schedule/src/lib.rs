//! When a schedule acts: specs, calendars, cron, time zones, and the pure decision about its next action.
//!
//! No clock, no IO, no randomness. Time zones come from the database that is built in.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `cron` | cron schedules of workflows (classic cron) |
//! | `canonical`, `fields`, `period` | specs as text and as messages, brought into one form |
//! | `spec` | the next time of a spec: calendars, intervals, exclusions, jitter |
//! | `pattern`, `zone` | what the clock on the wall must show, and where the wall is |
//! | `steps` | the bound on the search |

mod canonical;
pub mod cron;
mod fields;
mod pattern;
mod period;
mod spec;
mod steps;
mod time;
mod zone;

pub use canonical::{SpecError, canonical_spec, explicit_spec};
pub use jiff::Timestamp;
pub use spec::{ActionTime, CompiledSpec};
pub use steps::{OutOfSteps, Steps};
