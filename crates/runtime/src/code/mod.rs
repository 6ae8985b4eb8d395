//! Runs whose workflow is code: a guest of crate `wasm`, its wishes as activities, timers and children.
//!
//! [`CodeRun`] is to code what [`crate::plan::Machine`] is to plans, and as pure: jobs go in one by one, commands come
//! out. The guest decides what happens; everything that is the same for every workflow of Helve is here: steps and
//! their workers, the merged report, the run's output.

mod codes;
mod end;
mod launch;
mod orders;
mod run;
mod steps;
mod view;
mod web;

pub use codes::{CodeSource, Codes};
pub use helve_wasm::{Limits as GuestLimits, Moment};
pub use run::{At, CodeRun};
