//! Figures that programs of monitoring read: counters, gauges and histograms on atomics, in Prometheus' text format.
//!
//! Each crate keeps a plain struct of what it counts and says how it is written ([`Collect`]). Counting is one atomic addition;
//! names, labels and texts exist only while somebody reads. There is no global state: the composition root puts the structs
//! into one [`Registry`], which [`Registry::text`] writes down.
//!
//! Why not the official client for Rust: its histograms lock, its labels are hashed on every count, and a figure must be
//! registered where it is made. Here the hot paths of the engine count a million times a second.
//!
//! Labels have few values, always: what comes from outside goes through [`Few`], which calls all beyond a number of them
//! `other`.

mod few;
mod figure;
mod process;
mod registry;
mod text;

pub use few::{Few, OTHER};
pub use figure::{BATCHES, BYTES, Bounds, Counter, Gauge, Histogram, LONG_SECONDS, SECONDS, Unit};
pub use process::Process;
pub use registry::{Collect, Registry};
pub use text::Text;

/// What the text is, for an HTTP header.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
