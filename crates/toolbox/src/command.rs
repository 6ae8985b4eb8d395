//! What `module.yaml` says of a module that runs a program, a tool (`command`) or a component of its own (`wasm`): how it is
//! called, and how its output is read.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::duration::Span;
use crate::version::VersionRange;

/// A module that runs a program.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CommandSpec {
    /// The program that must be there; None means the module's own component, [`COMPONENT`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolRequirement>,
    /// Commands that come first, such as those that build a harness: the next one runs if the one before did its work.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Preparation>,
    /// A program that these made, by its path in `out`: it is run in place of the tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Arguments after the program. Each is a template over `config`, `workspace`, `out` and `files`; one that is a
    /// whole expression and yields a list becomes several arguments, one that yields null none. There is no shell.
    pub args: Vec<String>,
    /// Environment variables: templates too. Nothing is inherited but `PATH` and the locale.
    pub env: BTreeMap<String, String>,
    /// Further files and folders of the worker that the program may read: templates too. A relative one is in the target.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<String>,
    /// Whether the program may use the network.
    pub network: bool,
    /// Exit codes of a program that did its work, whether it found something or not.
    pub exit_codes: Vec<i32>,
    /// Exit codes of a program that did part of its work, with what that means.
    pub inconclusive_exit_codes: BTreeMap<i32, String>,
    /// What is run for each file that the program left; the findings are in what that prints then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// Small facts for the step's summary, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, FactSpec>,
    /// What the program says of its progress while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressSpec>,
    /// Where the findings are, and in which format.
    pub output: OutputSpec,
    /// Lines by which the program says that it skipped something.
    pub gaps: Vec<GapSpec>,
    /// Files to keep for the user.
    pub artifacts: Vec<ArtifactSpec>,
    /// Bounds of the process.
    pub limits: ProcessLimits,
    /// What is known of the rules; formats such as SARIF bring their own descriptions.
    pub rules: Vec<RuleSpec>,
    /// Severity of findings whose output and rule tell none.
    pub default_severity: String,
}

/// The component of a module of kind `wasm`, in its folder.
pub const COMPONENT: &str = "module.wasm";

impl CommandSpec {
    /// What is started, for people.
    pub fn program(&self) -> &str {
        self.tool.as_ref().map_or(COMPONENT, ToolRequirement::name)
    }
}

/// A command that comes before the module's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preparation {
    /// Name of the program, where it is not the tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Its arguments: templates, as those of the tool.
    pub args: Vec<String>,
    /// What it means when it fails; the step is inconclusive then.
    pub failure: String,
}

/// A command that is run for each file that the program left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replay {
    /// The files, by their paths in `out`; `*` stands for any part of a name.
    pub each: String,
    /// A program that `before` made, by its path in `out`; the tool if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Its arguments: templates, as those of the tool, that know the file as `input`.
    pub args: Vec<String>,
    /// Longest time for one file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Span>,
}

/// A small fact in what a program says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FactSpec {
    /// Where it is.
    pub from: Source,
    /// Regular expression over a line; its first group is the fact, and the last line that matches counts.
    pub pattern: String,
    /// What it means when no line matches; the step is inconclusive then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// A file that a program writes its progress to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProgressSpec {
    /// Its path in `out`.
    pub file: String,
    /// Regular expression over a line; its first group is a number, and the last line that matches counts.
    pub pattern: String,
    /// What the number counts, such as `executions/s`.
    pub unit: String,
}

/// A program, how to ask for its version, and which versions will do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolRequirement {
    /// What the tool is called where that is not its program's name: a library that an interpreter runs. Of Helve's own
    /// tools only the folder of that name is looked into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of the program, looked up in the tools that Helve installed and then in `PATH`.
    pub program: String,
    /// How to ask for its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// Versions that the module was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionRange>,
    /// Folders of the worker's owner that the tool needs, by the environment variables that name them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub homes: BTreeMap<String, HomeSpec>,
}

impl ToolRequirement {
    /// What the tool is called: in messages, in verticals, and in the folder of Helve's own tools.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.program)
    }
}

/// A folder of the worker's owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HomeSpec {
    /// Where it is in the owner's home, if the variable is not set.
    pub at: String,
    /// What of it may be read: the rest may hold the owner's secrets.
    pub read: Vec<String>,
}

/// How to ask a program for its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// Arguments.
    pub args: Vec<String>,
    /// Regular expression over what it prints, on either stream; its first group is the version.
    pub pattern: String,
}

/// Where the findings are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutputSpec {
    /// Which text is read.
    pub from: Source,
    /// How it is read.
    pub format: Format,
}

/// What a program prints or writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file in the folder `out`.
    File(String),
}

/// A format of findings.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum Format {
    /// SARIF 2.1.0.
    Sarif,
    /// JSON whose findings are found by paths.
    Json(JsonFormat),
    /// Lines that a regular expression takes apart.
    Lines(LinesFormat),
    /// JUnit's XML: each failure and error is a finding.
    Junit,
    /// Logs of fuzzers: reports of sanitizers, panics and exceptions.
    Crashes,
}

impl Format {
    /// The names, for messages.
    pub const NAMES: [&'static str; 5] = ["sarif", "json", "lines", "junit", "crashes"];
}

/// Where findings and their parts are in a JSON document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JsonFormat {
    /// Path of the findings, such as `results[*]`.
    pub items: String,
    /// Paths within a finding, by what they tell (see [`FINDING_FIELDS`]); `^` is what the finding lies in.
    pub fields: BTreeMap<String, String>,
    /// Paths that must yield nothing, with what it means when they do: what the tool skipped.
    pub gaps: BTreeMap<String, String>,
    /// The tool's words for severities.
    pub severities: BTreeMap<String, String>,
    /// Whether each line is a document of its own; the paths begin at the list of all then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub lines: bool,
    /// Paths within a finding, with regular expressions: what does not match them all is no finding.
    #[serde(rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub only: BTreeMap<String, String>,
}

/// How a line is taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinesFormat {
    /// Regular expression with groups named as in [`FINDING_FIELDS`].
    pub pattern: String,
    /// Lines that say nothing of findings. A line that neither matches makes the step inconclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore: Option<String>,
    /// The tool's words for severities.
    pub severities: BTreeMap<String, String>,
}

/// What a line or a JSON value can tell of a finding.
pub const FINDING_FIELDS: [&str; 10] = [
    "rule",
    "message",
    "path",
    "line",
    "column",
    "end_line",
    "end_column",
    "severity",
    "confidence",
    "cwe",
];

/// A line by which a program says that it skipped something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GapSpec {
    /// Where such lines are.
    pub from: Source,
    /// Regular expression; the line is quoted in the reason.
    pub pattern: String,
}

/// A file to keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArtifactSpec {
    /// Path in the folder `out`; `*` stands for any part of a name.
    pub file: String,
    /// Media type.
    pub media_type: String,
}

/// Bounds of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ProcessLimits {
    /// Longest time on the wall clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Span>,
    /// Time on all CPUs together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Span>,
    /// Memory in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
    /// Bytes that it may print.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// Open files of one process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u32>,
    /// Bytes of one file that it writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<u64>,
    /// Bytes that it may add to the disk, in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<u64>,
}

impl ProcessLimits {
    /// These limits, and the others' where these say nothing.
    pub fn or(&self, others: &Self) -> Self {
        Self {
            time: self.time.or(others.time),
            cpu: self.cpu.or(others.cpu),
            memory: self.memory.or(others.memory),
            processes: self.processes.or(others.processes),
            output: self.output.or(others.output),
            files: self.files.or(others.files),
            file_size: self.file_size.or(others.file_size),
            disk: self.disk.or(others.disk),
        }
    }
}

/// What is known of a rule of the tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleSpec {
    /// As the tool calls it.
    pub id: String,
    /// A short title.
    pub name: String,
    /// What it looks for and why it matters.
    pub description: String,
    /// Severity, if the output tells none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// Weakness numbers.
    pub cwe: Vec<u32>,
    /// What to do about a finding.
    pub remediation: String,
}
