//! The host of workflows that are WebAssembly: components of Helve's WIT world, and core modules built with `flawless`.
//!
//! A guest is a function in direct style ([the world](../../guest/wit/workflow.wit)). Its [`Run`] is one fiber: it
//! computes until it waits for something that has not happened, and sleeps there. What happens goes in one [`Event`] at
//! a time, what the guest wants done comes out as [`Command`]s; nothing here knows Temporal, does IO, or reads a clock.
//! So a run is a pure function of its code, its input and its events, and a new process brings it back by giving it the
//! same events again.
//!
//! [`Engine`] compiles code, once, keeps it by content, and holds the guests' limits: a guest that computes without end,
//! takes too much memory or traps ends in a [`Fault`], and nobody else notices.
//!
//! [`Programs`] are another kind of component: commands of WASI that look at files, for modules.

mod bindings;
mod cache;
mod compile;
mod engine;
mod fault;
mod flawless;
pub mod http;
mod imports;
mod ledger;
mod limits;
mod program;
mod run;
mod types;
mod wasi;

pub use compile::{CodeError, EngineError};
pub use engine::{Code, Engine};
pub use fault::Fault;
pub use limits::Limits;
pub use program::{Call, Folder, Program, ProgramEnd, Programs, Running};
pub use run::{Run, Start};
pub use types::{
    Command, Event, Failure, FailureKind, Finding, LogLevel, ModuleCall, Moment, Options, Outcome, Progress, Retry,
    Severity, Target, TaskId,
};
