//! OpenTelemetry traces: spans of `tracing` go to a collector by OTLP (HTTP, protobuf), and their context goes from process to
//! process as W3C trace context.
//!
//! A span is exported if it has a field with one of two names, which is never given a value: [`TRACED`] begins a trace where
//! there is none, [`WITHIN`] only belongs to one. A span that nobody exports and no log asks for costs a look at a flag.
//!
//! What is to be sent waits in a queue of a bounded length. What does not fit is dropped and counted: no work ever waits for a
//! collector.
//!
//! Why not the official crates: they bring eight, three of them bound to each other's versions and to that of `tracing`, with
//! a global provider and propagator, and all that is needed here are a few messages.

mod context;
mod export;
mod layer;
mod wire;

pub use context::{Context, InvalidContext};
pub use export::{Exporter, InvalidEndpoint, TraceFigures, exporter};
pub use layer::{Exporting, TRACED, WITHIN, adopt, current, rename};

/// The target of spans that are there for traces only: logs leave them out.
pub const TARGET: &str = "trace";

/// The header, of HTTP and of gRPC, that holds a context.
pub const HEADER: &str = "traceparent";

/// The key under which SDKs of Temporal hand a context to workflows and activities: in their headers, as a JSON object with the
/// names of HTTP's headers.
pub const TEMPORAL_HEADER: &str = "_tracer-data";

/// The environment variable by which programs are told.
pub const VARIABLE: &str = "TRACEPARENT";
