//! What `metadata.yaml` of a workflow and `module.yaml` of a module say.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::bundle::Bundle;
use crate::command::CommandSpec;
use crate::parameters::{self, ParameterError};
use crate::problem::Problem;
use crate::run::Isolation;

/// Vertical of workflows that name none: the modules that are linked into Helve itself, which every worker carries.
pub const DEFAULT_VERTICAL: &str = "builtin";

/// `metadata.yaml` of a workflow.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Metadata {
    /// Name; also the Temporal workflow type and the folder.
    pub name: String,
    /// Version, for people.
    pub version: String,
    /// What it does, in a sentence.
    pub description: String,
    /// Who wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// For finding it.
    pub tags: Vec<String>,
    /// Vertical whose workers run the steps.
    pub vertical: String,
    /// What it needs to run.
    pub requirements: Requirements,
    /// How the workspace of a step is laid out.
    pub workspace_isolation: Isolation,
    /// Values of parameters that are not given; they win over `default` in the schema.
    pub default_parameters: Map<String, Value>,
    /// JSON Schema of the parameters, always of type object.
    pub parameters: Value,
    /// JSON Schema of the run's `output`, as documentation.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub output_schema: Value,
}

/// What a workflow needs to run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Requirements {
    /// Names of tools that a worker must have.
    pub tools: Vec<String>,
    /// Limits for a step.
    pub resources: Resources,
}

/// Limits for a step of a workflow.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Resources {
    /// For instance `512Mi`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Cores, for instance `500m` or `2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Longest time of a step that sets no `timeout`, in seconds or as `30m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<crate::duration::Span>,
}

impl Metadata {
    /// Fills in defaults and validates; reports every wrong field.
    pub fn resolve_parameters(&self, given: Map<String, Value>) -> Result<Map<String, Value>, Vec<ParameterError>> {
        parameters::resolve(&self.parameters, &self.default_parameters, given)
    }

    /// Reads `KEY=VALUE` from a command line: the text becomes what the schema wants for that key.
    pub fn coerce_parameter(&self, key: &str, text: &str) -> Result<Value, ParameterError> {
        parameters::coerce(&self.parameters, key, text)
    }
}

/// How a module is implemented.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ModuleKind {
    /// Linked into Helve.
    Builtin,
    /// A program that is started for each step.
    Command(Box<CommandSpec>),
    /// A component of its own that is started for each step.
    Wasm(Box<CommandSpec>),
}

impl ModuleKind {
    /// The names in `module.yaml`.
    pub const NAMES: [&'static str; 3] = ["builtin", "command", "wasm"];

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::Command(_) => "command",
            Self::Wasm(_) => "wasm",
        }
    }

    /// How its program is called and read, if it has one.
    pub fn command(&self) -> Option<&CommandSpec> {
        match self {
            Self::Builtin => None,
            Self::Command(spec) | Self::Wasm(spec) => Some(spec),
        }
    }
}

/// `module.yaml` of a module.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModuleManifest {
    /// Name; also the Temporal activity type and the folder.
    pub name: String,
    /// Version, for people.
    pub version: String,
    /// What it does, in a sentence.
    pub description: String,
    /// Who wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// For finding it.
    pub tags: Vec<String>,
    /// How it is implemented.
    #[serde(flatten)]
    pub kind: ModuleKind,
    /// JSON Schema of `with`.
    pub config_schema: Value,
    /// Facts in the summary that a plan can use, with what they mean.
    pub outputs: BTreeMap<String, String>,
}

impl ModuleManifest {
    /// Reads the manifest of a bundle: what a worker does with the version of a module that a run pinned.
    pub fn of_bundle(name: &str, bundle: &Bundle) -> Result<Self, Vec<Problem>> {
        crate::set::manifest_of(name, bundle)
    }

    /// Fills in the schema's defaults and validates a step's configuration. Afterwards each declared key is there,
    /// null if it has neither a value nor a default, so that a template can name it.
    pub fn resolve_config(&self, given: Map<String, Value>) -> Result<Map<String, Value>, Vec<ParameterError>> {
        parameters::resolve(&self.config_schema, &Map::new(), given)
    }
}
