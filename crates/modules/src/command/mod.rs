//! Modules of kind `command` and `wasm`: a program, of the machine or of the module, is started, bounded, and its output
//! becomes findings.
//!
//! Whatever keeps the program from looking at everything (it is missing, it ends oddly, it is stopped, it says that it
//! skipped something, its output cannot be read) makes the report inconclusive. Only a program that did all its work
//! and said nothing is "clean".

mod collect;
mod facts;
mod host;
mod job;
mod parse;
mod place;
mod room;
mod run;
mod runner;
mod tool;

use std::collections::BTreeMap;
use std::sync::Arc;

use helve_toolbox::command::{CommandSpec, ProcessLimits};
use helve_toolbox::{Bundle, ModuleManifest};

pub use host::Host;
pub use runner::{Bounds, End, Job, Ran, RunError, Runner, Unconfined};
pub use tool::{Found, Missing, Search, look_for};

use crate::{LoadError, Metadata, Module};

/// What the verticals that carry a module's program add to it.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// Environment variables that the module does not set itself.
    pub env: BTreeMap<String, String>,
    /// Bounds that the module does not set itself.
    pub limits: ProcessLimits,
}

/// Loads a module of kind `command` or `wasm` from its bundle.
pub fn load(
    manifest: &ModuleManifest,
    bundle: Bundle,
    defaults: Defaults,
    host: Arc<Host>,
) -> Result<Arc<dyn Module>, LoadError> {
    let Some(spec) = manifest.kind.command() else {
        return Err(LoadError {
            file: "module.yaml".to_owned(),
            line: None,
            reason: "it is not a module that runs a program".to_owned(),
        });
    };
    let CommandSpec { output, gaps, .. } = spec;
    let wrong = |reason: String| LoadError {
        file: "module.yaml".to_owned(),
        line: None,
        reason,
    };
    let parser = parse::Parser::new(&output.format).map_err(wrong)?;
    let gaps = run::gaps(gaps).map_err(wrong)?;
    let facts = spec.facts.iter();
    let facts = facts
        .map(|(name, fact)| Ok((name.clone(), facts::Fact::new(fact)?)))
        .collect::<Result<_, String>>()
        .map_err(wrong)?;
    let progress = spec
        .progress
        .as_ref()
        .map(facts::Spoken::new)
        .transpose()
        .map_err(wrong)?;
    Ok(Arc::new(run::Command {
        metadata: Metadata {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            description: manifest.description.clone(),
            config_schema: manifest.config_schema.clone(),
            outputs: manifest.outputs.clone(),
        },
        manifest: manifest.clone(),
        spec: spec.clone(),
        bundle,
        defaults,
        parser,
        gaps,
        facts,
        progress,
        host,
    }))
}
