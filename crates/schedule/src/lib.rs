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
//! | `decide` | `decide(state, input, now) -> state`: what a schedule makes of what happened |
//! | `overlap` | which of the waiting starts may go ahead |
//! | `state`, `stored` | what is kept of a schedule, and the duties that follow from it |
//! | `describe` | what a schedule shows, and what it starts |
//!
//! A schedule's state holds starts whose turn has come until it is told that they happened. Whatever the engine owes is
//! derived from the state ([`ScheduleState::duties`]), so a restart neither loses nor doubles an action.

mod canonical;
pub mod cron;
mod decide;
mod describe;
mod fields;
mod overlap;
mod pattern;
mod period;
mod spec;
mod state;
mod steps;
mod stored;
mod time;
mod zone;

pub use canonical::{SpecError, canonical_spec, explicit_spec};
pub use decide::{Closed, Input, ScheduleRejection, create, decide};
pub use describe::{StartOrder, start_request};
pub use jiff::Timestamp;
pub use spec::{ActionTime, CompiledSpec};
pub use state::{Duty, Execution, ScheduleState, Unreadable};
pub use steps::{OutOfSteps, Steps};
