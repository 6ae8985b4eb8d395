//! The toolbox: discovery and validation of workflows and modules, templates, and the run protocol.
//!
//! A toolbox is folders of data. Whatever is wrong with them is found when they are loaded, all of it at once, with
//! file, line, reason and a hint; a broken workflow does not hide the others. Nothing here runs anything.

mod check;
mod duration;
mod embedded;
mod layer;
mod manifest;
mod metadata;
mod parameters;
mod plan;
mod plan_file;
mod problem;
mod read;
pub mod run;
mod schema;
mod set;
pub mod template;
mod yaml;

pub use duration::{NotADuration, Span};
pub use layer::{Layer, LayerError};
pub use metadata::{DEFAULT_VERTICAL, Metadata, ModuleKind, ModuleManifest, Requirements, Resources};
pub use parameters::ParameterError;
pub use plan::{ForEach, Plan, Retry, Step};
pub use problem::Problem;
pub use set::{Loaded, NotFound, PinError, Toolbox, Workflow};
