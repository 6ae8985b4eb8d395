//! What `module.yaml` says of a module of kind `command`: a tool, how it is called, and how its output is read.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::duration::Span;
use crate::version::VersionRange;

/// A module that runs a program.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CommandSpec {
    /// The program that must be there.
    pub tool: ToolRequirement,
    /// Arguments after the program. Each is a template over `config`, `workspace`, `out` and `files`; one that is a
    /// whole expression and yields a list becomes several arguments, one that yields null none. There is no shell.
    pub args: Vec<String>,
    /// Environment variables: templates too. Nothing is inherited but `PATH` and the locale.
    pub env: BTreeMap<String, String>,
    /// Whether the program may use the network.
    pub network: bool,
    /// Exit codes of a program that did its work, whether it found something or not.
    pub exit_codes: Vec<i32>,
    /// Exit codes of a program that did part of its work, with what that means.
    pub inconclusive_exit_codes: BTreeMap<i32, String>,
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

/// A program, how to ask for its version, and which versions will do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolRequirement {
    /// Name of the program, looked up in the tools that Helve installed and then in `PATH`.
    pub program: String,
    /// How to ask for its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// Versions that the module was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionRange>,
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
}

impl Format {
    /// The names, for messages.
    pub const NAMES: [&'static str; 4] = ["sarif", "json", "lines", "junit"];
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
