//! What goes into the machine of a run and what comes out of it, whatever the machine interprets.

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
    /// A timer fired.
    TimerFired {
        /// The number it was started with.
        seq: u32,
    },
    /// A child was started.
    ChildStarted {
        /// The number it was started with.
        seq: u32,
    },
    /// A child could not be started, or ended.
    ChildResolved {
        /// The number it was started with.
        seq: u32,
        /// How it ended.
        resolution: Resolution,
    },
    /// Somebody asked to cancel the run.
    Cancel,
    /// Random numbers come from another seed from now on.
    Seed(u64),
    /// Somebody sent a signal.
    Signal {
        /// Its name.
        name: String,
        /// Its arguments.
        arguments: Vec<Value>,
    },
}

/// How an activity or a child ended, after all retries.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// With a result.
    Completed(Value),
    /// With an error.
    Failed {
        /// What went wrong, for people.
        reason: String,
        /// Why, in one word.
        cause: Cause,
    },
    /// By cancellation.
    Cancelled,
}

/// Why an activity or a child failed, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It did, by itself.
    Error,
    /// It took longer than it may.
    TimedOut,
    /// Its worker went silent: that is not its own fault.
    WorkerLost,
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
    /// Starts a timer.
    StartTimer {
        /// Numbers it, as [`Activity::seq`] does.
        seq: u32,
        /// How long.
        duration: Duration,
    },
    /// Stops a timer, which then does not fire.
    CancelTimer {
        /// The number it was started with.
        seq: u32,
    },
    /// Starts a run of another workflow.
    StartChild(Child),
    /// Asks a child to end.
    CancelChild {
        /// The number it was started with.
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

/// A run of another workflow to start.
#[derive(Debug, Clone, PartialEq)]
pub struct Child {
    /// Numbers it, as [`Activity::seq`] does.
    pub seq: u32,
    /// Id of its run.
    pub id: String,
    /// Whether it goes on by itself, whatever becomes of the run.
    pub abandoned: bool,
    /// Name of the workflow.
    pub workflow: String,
    /// The only argument.
    pub input: Value,
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
