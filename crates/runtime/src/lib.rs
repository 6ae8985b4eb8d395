//! Workflow code on Temporal's sdk-core.
//!
//! [`plan`] is the pure interpreter of YAML plans: what happened goes in, commands come out; no clock, no IO, no
//! randomness, so core can replay a run from its history. [`WorkflowWorker`] drives it: it polls activations, keeps
//! one machine per run, and never decides anything about a run itself.

pub mod plan;
mod wire;
mod worker;

pub use worker::{StartError, WorkflowOptions, WorkflowWorker};
