//! Workflows of Helve as WebAssembly components.
//!
//! A workflow is a function in direct style: it calls modules and waits for them, sleeps, waits for signals, and returns.
//! It may sleep for days and outlives every crash: when its worker dies, another one runs it again from the start with
//! the same answers, read from the run's history, and it goes on where it was. No step that ended runs twice.
//!
//! ```no_run
//! use helve_guest::{Input, Module, Result, Task, workflow};
//! use serde::Deserialize;
//! use serde_json::json;
//!
//! #[derive(Deserialize)]
//! struct Parameters {
//!     deep: bool,
//! }
//!
//! fn assess(input: Input<Parameters>) -> Result<serde_json::Value> {
//!     // Both run at the same time, each on a worker that has its tools.
//!     let secrets = Module::new("secrets").start();
//!     let sast = Module::new("sast").config(json!({"deep": input.parameters.deep})).start();
//!     let found = secrets.wait()?.findings + sast.wait()?.findings;
//!     if found > 0 {
//!         helve_guest::set_status("waits for somebody to look");
//!         helve_guest::wait_signal::<String>("reviewed")?;
//!     }
//!     Ok(json!({"found": found}))
//! }
//!
//! workflow!(assess);
//! ```
//!
//! # What a workflow must not do
//!
//! It must be a function of its input and of what it is answered here. There are no files, no network and no threads.
//! The time ([`now`], and the standard library's clocks) is when the run's history last went on and stands still while
//! the workflow computes; random numbers ([`random`]) are the same each time the run is repeated. So ordinary Rust is
//! deterministic here. A workflow that computes for long without waiting is taken for one that loops: do the work in a
//! module.
//!
//! # To build one
//!
//! A library crate with `crate-type = ["cdylib"]`, for the target `wasm32-wasip2`. The component that cargo makes is the
//! `workflow.wasm` of a workflow's folder, beside its `metadata.yaml`.

mod finding;
mod module;
mod output;
mod task;

#[doc(hidden)]
#[allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::all,
    reason = "made from the WIT world"
)]
pub mod bindings;
#[doc(hidden)]
pub mod entry;

use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use bindings::helve::workflow::durable;

pub use bindings::helve::workflow::types::{Level, Severity, Target};
pub use finding::Finding;
pub use module::Module;
pub use output::{Status, StepOutput, StepState};
pub use task::{Answer, Task, all, any};

/// What a run was started with.
#[derive(Debug, Clone)]
pub struct Input<P = Map<String, Value>> {
    /// Name of the workflow.
    pub workflow: String,
    /// The parameters with their defaults, checked against the workflow's metadata.
    pub parameters: P,
    /// What is analysed.
    pub target: Option<Target>,
}

/// What a workflow's functions return.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why something did not end well. Returned by the workflow, it is why the run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In one word.
    pub kind: FailureKind,
    /// For people.
    pub message: String,
}

pub use bindings::helve::workflow::types::FailureKind;

impl Failure {
    /// A failure of the workflow's own.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            kind: FailureKind::Failed,
            message: message.into(),
        }
    }

    /// Whether it is only that somebody cancelled it.
    pub fn is_cancelled(&self) -> bool {
        self.kind == FailureKind::Cancelled
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// So that `?` works on every error. What is a [`Failure`] already stays one.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

/// Waits. Ends early only when the run is cancelled.
pub fn sleep(duration: Duration) -> Result<()> {
    durable::sleep(milliseconds(duration)).map_err(task::failure)
}

/// Starts a timer, to wait for it together with other things.
pub fn timer(duration: Duration) -> Task<()> {
    Task::new(durable::start_timer(milliseconds(duration)))
}

/// Waits for the next signal of that name that was not taken yet.
pub fn wait_signal<T: DeserializeOwned>(name: &str) -> Result<T> {
    signal(name).wait()
}

/// Asks for the next signal of that name that was not taken yet, to wait for it together with other things. Dropping it
/// leaves the signal to the next who asks.
pub fn signal<T: DeserializeOwned>(name: &str) -> Task<T> {
    Task::new(durable::next_signal(name))
}

/// Starts a run of another workflow on the same target. Its answer is the run's output.
pub fn start_child<T: DeserializeOwned>(workflow: &str, parameters: impl Serialize) -> Task<T> {
    Task::new(durable::start_child(workflow, None, &json(&parameters)))
}

/// The same, with an id of your own: a run with that id must not be open already.
pub fn start_child_as<T: DeserializeOwned>(id: &str, workflow: &str, parameters: impl Serialize) -> Task<T> {
    Task::new(durable::start_child(workflow, Some(id), &json(&parameters)))
}

/// Whether somebody asked to cancel the run. What was under way is cancelled then; what is started later runs, so that
/// a workflow can clean up.
pub fn is_cancelled() -> bool {
    durable::is_cancelled()
}

/// When the history last went on.
pub fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(durable::now())
}

/// A random number, the same each time the run is repeated.
pub fn random() -> u64 {
    durable::random()
}

/// Says in a few words what the run does. Shown while it runs.
pub fn set_status(text: &str) {
    durable::set_status(text);
}

/// Says how far the run has come. A total of 0 means that it is not known.
pub fn set_progress(done: u64, total: u64) {
    durable::set_progress(done, total);
}

/// Writes to the worker's log, once: not again when the run is repeated.
pub fn log(level: Level, text: &str) {
    durable::log(level, text);
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn json(value: &impl Serialize) -> String {
    // Maps with keys that are not text, mostly: a mistake in the workflow, which ends it with this message.
    serde_json::to_string(value).expect("what a workflow hands over can be written as JSON")
}
