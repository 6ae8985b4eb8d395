//! Static analysis with tree-sitter: rules from the toolbox, matched by ast-grep's library, judged by a small
//! analysis of where values come from.
//!
//! Owns the rule format, the per-file scan and the module's configuration. It never runs the code it looks at, and
//! says in notifications what it could not look at.

mod assigns;
mod engine;
mod file;
mod flow;
mod lang;
mod light;
mod manifest;
mod php;
mod roles;
mod rules;
mod run;
mod selftest;
mod text;

use std::sync::Arc;

pub use selftest::{Failure, SelfTest, self_test};

use crate::{LoadError, Module, RuleFile};

/// Loads the module from its manifest and rule files.
pub fn load(files: &[RuleFile]) -> Result<Arc<dyn Module>, LoadError> {
    Ok(Arc::new(run::Sast::load(files)?))
}
