//! Analysis modules behind one trait: built-in ones (`secrets`, `sast`, `supply-chain`, `hardening`), and programs
//! ([`command`]).
//!
//! A module looks at a workspace and answers with findings, a small summary and artifacts. What it could not look at it
//! says in notifications: "no data" is never "clean". Built-in modules do no network IO, and read nothing outside of the
//! workspace but what their configuration names and the worker's owner allows ([`Allowed`]); programs run in whatever the
//! worker puts around them.

mod allowed;
pub mod command;
mod config;
mod doubts;
mod globs;
mod hardening;
mod limit;
pub mod sast;
pub mod secrets;
mod supply;
pub mod walk;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use helve_findings::ModuleReport;

pub use allowed::{Allowed, NotAllowed, Place};

/// The modules that are compiled in, sorted by name.
pub const BUILTIN: &[&str] = &["hardening", "sast", "secrets", "supply-chain"];

/// One analysis step: an activity type of the worker.
pub trait Module: Send + Sync {
    /// What the module is called, what it does and which configuration it takes.
    fn metadata(&self) -> &Metadata;

    /// Looks at the workspace. Blocking; uses every core through rayon.
    ///
    /// `config` may be `null` or an object; it is checked against [`Metadata::config_schema`].
    fn execute(&self, cx: &Context<'_>, config: &Value) -> Result<Output, ModuleError>;
}

/// What a module says about itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Metadata {
    /// Unique name, as plans use it (`uses: secrets`).
    pub name: String,
    /// Version of the module; changes when its findings may change.
    pub version: String,
    /// One sentence for listings.
    pub description: String,
    /// JSON Schema of the configuration.
    pub config_schema: Value,
    /// The keys of [`Output::summary`] and what they mean.
    pub outputs: BTreeMap<String, String>,
}

/// What a module may touch while it runs.
pub struct Context<'a> {
    /// The directory to look at; what is outside of it is no part of the target.
    pub workspace: &'a Path,
    /// Called now and then, from any thread; becomes the activity's heartbeat.
    pub progress: &'a (dyn Fn(Progress) + Sync),
    /// Set when the run was cancelled; the module then stops with [`ModuleError::Cancelled`].
    pub cancelled: &'a AtomicBool,
    /// What its configuration may name outside of the workspace.
    pub allowed: &'a Allowed,
}

impl Context<'_> {
    /// Fails when the run was cancelled; call it once per file or so.
    pub fn check_cancelled(&self) -> Result<(), ModuleError> {
        if self.cancelled.load(Ordering::Relaxed) {
            Err(ModuleError::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// How far a module is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all, when known.
    pub total: Option<u64>,
    /// What is counted, for example `files`.
    pub unit: &'static str,
    /// What is being done, for people.
    pub message: Option<String>,
}

impl Metadata {
    /// Of a module that is linked in: its outputs are keys with what they mean.
    pub(crate) fn builtin(
        name: &str,
        version: &str,
        description: &str,
        config_schema: Value,
        outputs: &[(&str, &str)],
    ) -> Self {
        let outputs = outputs
            .iter()
            .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            description: description.to_owned(),
            config_schema,
            outputs: outputs.collect(),
        }
    }
}

/// The result of a module.
#[derive(Debug, Clone)]
pub struct Output {
    /// Findings, the rules that ran, and what could not be looked at.
    pub report: ModuleReport,
    /// Small facts that a plan can use, for example `files_scanned`.
    pub summary: Map<String, Value>,
    /// Files for people or later steps.
    pub artifacts: Vec<Artifact>,
}

/// A file that a module produced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// File name, unique within the step.
    pub name: String,
    /// Media type, for example `application/json`.
    pub media_type: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Why a module gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The configuration is wrong; trying again does not help.
    #[error("module {module}: configuration field `{field}`: {message}")]
    Config {
        /// The module that refused.
        module: String,
        /// Dotted path of the field, or `.` for the whole.
        field: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The run was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The workspace itself could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// What was being read.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A defect of the module.
    #[error("internal error: {0}")]
    Internal(String),
}

impl ModuleError {
    /// Whether another attempt may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, ModuleError::Io { .. })
    }
}

/// A data file of a module, from the toolbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFile {
    /// Path relative to the toolbox, for error messages.
    pub path: String,
    /// Content.
    pub text: String,
}

/// Why a module's data files were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct LoadError {
    /// The file, relative to the toolbox.
    pub file: String,
    /// 1-based line, when known.
    pub line: Option<u32>,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.reason),
            None => write!(f, "{}: {}", self.file, self.reason),
        }
    }
}

/// Loads a built-in module from its data files; `None` if there is no module of that name.
pub fn builtin(name: &str, files: &[RuleFile]) -> Option<Result<Arc<dyn Module>, LoadError>> {
    match name {
        "hardening" => Some(hardening::load(files)),
        "secrets" => Some(secrets::load(files)),
        "sast" => Some(sast::load(files)),
        "supply-chain" => Some(supply::load(files)),
        _ => None,
    }
}
