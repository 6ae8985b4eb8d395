//! What the core promises, one test per promise. `[trap n]` names the semantic trap it guards.

mod activities;
mod buffering;
mod children;
mod closing;
mod commands;
mod interleavings;
mod invariants;
mod limits;
mod loading;
mod pausing;
mod problems;
mod recordings;
mod requests;
mod reset;
mod scenario;
mod standalone;
mod starts;
mod successors;
mod updates;
mod workflow_tasks;
