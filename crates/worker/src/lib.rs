//! The worker: an ordinary Temporal worker that carries the modules of its verticals.
//!
//! It polls one activity queue per vertical, lays out a workspace per step, runs the module on a blocking thread,
//! heartbeats with its progress, and leaves the report in the blob store. It also answers the two internal activities
//! ([`helve_toolbox::run::PLAN_ACTIVITY`], [`helve_toolbox::run::REPORT_ACTIVITY`]) and, with the `workflows` role,
//! hosts the workflow worker of crate `runtime`. It never sees the engine: everything goes through Temporal's protocol.

mod activities;
mod check;
mod code;
mod components;
mod confined;
mod control;
mod error;
mod events;
mod figures;
mod http;
mod internal;
mod memory;
mod modules;
mod options;
mod payload;
mod progress;
mod pulse;
mod register;
mod report;
mod service;
mod step;
mod tree;
mod web;
mod work;
mod workspace;

pub use check::check_components;
pub use code::{Code, check_code, replay, store_pinned};
pub use confined::Confined;
pub use error::{StartError, StepError};
pub use events::{StepEvent, StepEventKind, StepProgress};
pub use figures::WorkerFigures;
pub use helve_net::{Allow, InvalidAllow};
pub use helve_runtime::{ReplayError, Verdict};
pub use http::HttpOptions;
pub use memory::held as memory_held;
pub use modules::check_modules;
pub use options::{Limits, Reads, Roles, WorkerOptions};
pub use pulse::Pulse;
pub use register::SDK_NAME;
pub use service::{Worker, WorkerHandle};
pub use work::Work;
pub use workspace::WorkspaceError;
