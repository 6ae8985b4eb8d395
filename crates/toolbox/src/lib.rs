//! The toolbox: discovery and validation of workflows, modules and verticals, templates, and the run protocol.
//!
//! A toolbox is folders of data. Whatever is wrong with them is found when they are loaded, all of it at once, with
//! file, line, reason and a hint; a broken workflow does not hide the others. Nothing here runs anything.

mod bundle;
mod check;
pub mod command;
mod command_file;
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
pub mod scaffold;
mod schema;
mod set;
mod shelf;
pub mod template;
mod version;
pub mod vertical;
mod vertical_file;
mod yaml;

pub use bundle::Bundle;
pub use duration::{NotADuration, Span};
pub use layer::{Layer, LayerError};
pub use metadata::{DEFAULT_VERTICAL, Metadata, ModuleKind, ModuleManifest, Requirements, Resources};
pub use parameters::ParameterError;
pub use plan::{ForEach, Plan, Retry, Step};
pub use problem::Problem;
pub use set::{Loaded, Module, NotFound, PinError, Toolbox, Workflow};
pub use shelf::{Change, Keeper, Shelf};
pub use version::{NotARange, NotAVersion, Version, VersionRange};
