//! What goes in and comes out of a run.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::HttpCall;

/// Something that a run started. Numbers count from 0 in the order of the starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u32);

/// When something happened, as the history has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since 1970.
    pub now: u64,
    /// Whether this happened before, so that the guest's log has been written already.
    pub replaying: bool,
}

/// Something that happened to a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Something that it started has ended. What it did not start, or saw end before, is ignored.
    Ended {
        /// What.
        task: TaskId,
        /// How.
        result: Result<Value, Failure>,
    },
    /// Somebody sent a signal.
    Signal {
        /// Its name.
        name: String,
        /// Its argument.
        argument: Value,
    },
    /// Somebody asked to cancel the run.
    Cancel,
    /// Random numbers come from another seed from now on: the run was reset.
    Seed(u64),
}

/// Something that a run wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Runs a module.
    Module {
        /// Names it in [`Event::Ended`].
        task: TaskId,
        /// What to run.
        call: ModuleCall,
    },
    /// Starts a timer.
    Timer {
        /// Names it in [`Event::Ended`].
        task: TaskId,
        /// How long.
        duration: Duration,
    },
    /// Starts a run of another workflow.
    Child {
        /// Names it in [`Event::Ended`].
        task: TaskId,
        /// Name of the workflow.
        workflow: String,
        /// Id of its run; None makes one.
        id: Option<String>,
        /// Its parameters.
        parameters: Value,
    },
    /// Starts a run that goes on by itself, and ends as soon as that has started, with its id as a text.
    Launch {
        /// Names it in [`Event::Ended`].
        task: TaskId,
        /// Name of the workflow.
        workflow: String,
        /// Its parameters.
        parameters: Value,
        /// Whether it is another workflow of the same code, and not one of the toolbox.
        same_code: bool,
    },
    /// Sends an HTTP request. Ends with an [`crate::http::HttpEnd`].
    Http {
        /// Names it in [`Event::Ended`].
        task: TaskId,
        /// The request.
        call: HttpCall,
    },
    /// Asks whether there is a secret that the guest may use. Ends with true or false.
    Secret {
        /// Names it in [`Event::Ended`].
        task: TaskId,
        /// Its name.
        name: String,
    },
    /// Asks something to end. A timer needs no answer: for the guest it has ended.
    Cancel {
        /// What.
        task: TaskId,
    },
}

/// A call of a module.
#[derive(Debug, Clone, PartialEq)]
pub struct ModuleCall {
    /// Id of the step. No two calls of a run have the same.
    pub step: String,
    /// Name of the module.
    pub module: String,
    /// Its configuration.
    pub config: Value,
    /// What else the guest said.
    pub options: Options,
}

/// How a module is called.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// Whose workers run it.
    pub vertical: Option<String>,
    /// The longest time of one attempt.
    pub timeout: Option<Duration>,
    /// How failed attempts are repeated.
    pub retry: Option<Retry>,
}

/// How failed attempts are repeated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// 1 means never.
    pub max_attempts: u32,
    /// Pause before the second attempt.
    pub initial_interval: Duration,
    /// Each pause is this many times as long as the one before.
    pub backoff: f64,
    /// Longest pause.
    pub max_interval: Duration,
}

/// Why something did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In one word.
    pub kind: FailureKind,
    /// For people.
    pub message: String,
}

impl Failure {
    /// A failure of that kind.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

/// Why something did not end well, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// It failed, after all its retries.
    Failed,
    /// It took longer than it may.
    TimedOut,
    /// It was cancelled.
    Cancelled,
}

/// How a run stands after an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It waits for something.
    Waiting,
    /// It has returned. Nothing more happens.
    Returned(Result<Value, Failure>),
}

/// What the guest says about itself while it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// In a few words.
    pub status: String,
    /// How much is done.
    pub done: u64,
    /// Of how much; 0 when that is not known.
    pub total: u64,
}

/// What is analysed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// BLAKE3 of the packed target, in hex.
    pub id: String,
    /// What its user calls it.
    pub name: String,
}

/// Something that the workflow itself found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A stable name.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// For people.
    pub message: String,
    /// A path within the target.
    pub path: String,
    /// From 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Hardly matters.
    Low,
    /// Should be looked at.
    Medium,
    /// Must be repaired.
    High,
    /// Must be repaired at once.
    Critical,
}

/// How important a line of a guest's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// For its author.
    Debug,
    /// What it does.
    Info,
    /// What its user should know.
    Warn,
    /// What went wrong.
    Error,
}
