//! The interpreter of plans: a state machine of one run.
//!
//! Everything here is a pure function of the run's input and of the jobs applied so far, in their order. Commands are
//! decided job by job, so it makes no difference how the jobs were grouped into activations.

mod fold;
mod limits;
mod machine;
mod prepare;
mod scope;
mod step;
mod view;

pub use limits::{HEARTBEAT_TIMEOUT, MAX_INPUT_BYTES, MAX_LOST};
pub use machine::Machine;

use std::time::Duration;

use helve_toolbox::run::RunOutput;
use serde_json::Value;

/// Something that happened to a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Job {
    /// An activity ended.
    ActivityResolved {
        /// The number it was scheduled with.
        seq: u32,
        /// How it ended.
        resolution: Resolution,
    },
    /// Somebody asked to cancel the run.
    Cancel,
    /// Somebody sent a signal.
    Signal {
        /// Its name.
        name: String,
        /// Its arguments.
        arguments: Vec<Value>,
    },
}

/// How an activity ended, after all retries.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// With a result.
    Completed(Value),
    /// With an error.
    Failed {
        /// What went wrong, for people.
        reason: String,
        /// Whether the worker went silent: that is not the step's fault.
        worker_lost: bool,
    },
    /// By cancellation.
    Cancelled,
}

/// Something that a run wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Runs an activity.
    Schedule(Activity),
    /// Asks a running activity to stop.
    CancelActivity {
        /// The number it was scheduled with.
        seq: u32,
    },
    /// The run ends well.
    Complete(Box<RunOutput>),
    /// The run fails.
    Fail(Box<RunFailure>),
    /// The run ends by cancellation, with what there is so far.
    Cancelled(Option<Box<RunOutput>>),
}

/// An activity to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    /// Numbers the run's activities from 1.
    pub seq: u32,
    /// For people: the step, or `scan[2]` for an item of a fan-out.
    pub id: String,
    /// Name of the module, or of an internal activity.
    pub kind: String,
    /// Task queue.
    pub queue: String,
    /// The only argument.
    pub input: Value,
    /// Longest time of one attempt.
    pub start_to_close: Duration,
    /// Longest wait for a worker; None waits for as long as it takes.
    pub schedule_to_start: Option<Duration>,
    /// Longest silence of the worker.
    pub heartbeat: Option<Duration>,
    /// How failures are retried, by the server.
    pub retry: helve_toolbox::Retry,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFailure {
    /// One of the `FAILURE_` types of the run protocol.
    pub kind: &'static str,
    /// What went wrong, for people.
    pub message: String,
    /// What there is in spite of it: findings are not lost.
    pub output: Option<RunOutput>,
}
