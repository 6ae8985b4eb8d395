//! The interpreter of plans: a state machine of one run.
//!
//! Everything here is a pure function of the run's input and of the jobs applied so far, in their order. Commands are
//! decided job by job, so it makes no difference how the jobs were grouped into activations.

pub(crate) mod fold;
pub(crate) mod limits;
mod machine;
mod prepare;
mod scope;
mod step;
mod view;

pub use limits::{HEARTBEAT_TIMEOUT, MAX_INPUT_BYTES, MAX_LOST};
pub use machine::{Handover, Machine};

pub use crate::exchange::{Activity, Cause, Command, Job, Resolution, RunFailure};
