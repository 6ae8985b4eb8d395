//! Workflow code on Temporal's sdk-core.
//!
//! A workflow is a plan, which [`plan`] interprets, or WebAssembly, which [`code`] runs as a guest. Both are pure: what
//! happened goes in, commands come out ([`exchange`]); no clock, no IO, no randomness, so core can replay a run from its
//! history. [`WorkflowWorker`] drives them: it polls activations, keeps one machine per run, and never decides anything
//! about a run itself.

mod cached;
pub mod code;
pub mod exchange;
pub mod plan;
mod queries;
mod replay;
mod wire;
mod worker;

pub use helve_wasm::http;
pub use replay::{ReplayError, Verdict, replay};
pub use worker::{StartError, WorkflowOptions, WorkflowWorker};
