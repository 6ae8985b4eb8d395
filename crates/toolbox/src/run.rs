//! The run protocol: what the CLI, the runtime and the workers say to each other through Temporal.
//!
//! Pure data, JSON on the wire. History keeps these values, so a field may be added (with a default) but never
//! renamed or given another meaning. Everything big is a reference to a blob.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::plan::Plan;

/// The task queue of workflow tasks: any worker with the `workflows` role polls it.
pub const WORKFLOW_QUEUE: &str = "helve-workflows";
/// Activity that looks a workflow up and pins it, for runs that were started without a plan.
pub const PLAN_ACTIVITY: &str = "helve.plan";
/// Activity that merges the steps' reports into one.
pub const REPORT_ACTIVITY: &str = "helve.report";
/// Activity that sends an HTTP request of a workflow that is code.
pub const HTTP_ACTIVITY: &str = "helve.http";
/// Activity that says whether there is a secret that a workflow may use: a [`SecretInput`], true or false.
pub const SECRET_ACTIVITY: &str = "helve.secret";
/// Activity type that asks a worker to leave, in the queue of that worker ([`control_queue`]).
pub const DRAIN_ACTIVITY: &str = "helve.drain";
/// The prefix that no module name may begin with.
pub const INTERNAL_PREFIX: &str = "helve.";
/// Query that answers a [`RunView`].
pub const STATUS_QUERY: &str = "status";
/// Signal whose argument is the id of a step that is to be cancelled.
pub const CANCEL_STEP_SIGNAL: &str = "cancel-step";
/// Memo key: the name of the target, for lists of runs.
pub const MEMO_TARGET: &str = "helve.target";
/// Memo key: the version of the workflow that the run was started with.
pub const MEMO_WORKFLOW_VERSION: &str = "helve.workflow_version";
/// Application failure type of a run some of whose steps failed; its details hold a [`RunOutput`].
pub const FAILURE_STEPS: &str = "helve.StepsFailed";
/// Application failure type of a run whose workflow is code and failed by its own decision; its details hold a
/// [`RunOutput`].
pub const FAILURE_WORKFLOW: &str = "helve.WorkflowFailed";
/// Application failure type of a run whose workflow is code that did what it may not do: it trapped, looped or took too
/// much memory; its details hold a [`RunOutput`].
pub const FAILURE_CODE: &str = "helve.WorkflowFault";
/// Application failure type of a run whose input cannot be used.
pub const FAILURE_INPUT: &str = "helve.InvalidInput";
/// Application failure type of an activity whose workflow, module or parameters are wrong: retrying cannot help.
pub const FAILURE_CONFIG: &str = "helve.InvalidConfig";

/// How the task queues begin that are of one worker alone.
pub const CONTROL_QUEUE_PREFIX: &str = "helve-worker:";

/// The task queue of one worker, for what is asked of it alone.
pub fn control_queue(identity: &str) -> String {
    format!("{CONTROL_QUEUE_PREFIX}{identity}")
}

/// The task queue that the workers of a vertical poll.
pub fn vertical_queue(vertical: &str) -> String {
    format!("helve-vertical-{vertical}")
}

/// What a task queue is called for people: the vertical that its workers carry, or the queue itself.
pub fn queue_vertical(queue: &str) -> &str {
    queue.strip_prefix("helve-vertical-").unwrap_or(queue)
}

/// A packed target in the blob store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRef {
    /// BLAKE3 of the packed target, in hex.
    pub id: String,
    /// What the user calls it, for people to read.
    pub name: String,
}

/// A value in the blob store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// BLAKE3 of the bytes, in hex.
    pub id: String,
    /// Length in bytes.
    pub size: u64,
    /// Media type, for instance `application/sarif+json`.
    pub media_type: String,
}

/// A blob that a step leaves for its user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedBlob {
    /// File name that the module gave it.
    pub name: String,
    /// Where the bytes are.
    pub blob: BlobRef,
}

/// A plan with where it came from: stored in the run's history, so the run finishes on the plan it began with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PinnedPlan {
    /// Name of the workflow.
    pub workflow: String,
    /// Version of the workflow, from its metadata.
    pub version: String,
    /// BLAKE3 of the plan's canonical JSON, or of the code.
    pub digest: String,
    /// Vertical of the steps that do not name their own.
    pub vertical: String,
    /// How the workspaces of its steps are laid out.
    #[serde(default)]
    pub isolation: Isolation,
    /// The plan itself. Without steps if the workflow is code.
    #[serde(default)]
    pub plan: Plan,
    /// Of a workflow that is code: BLAKE3 of its component, which is also the id of the blob that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The versions of the modules that it uses: BLAKE3 of [`crate::Bundle`], which is also the id of the blob that
    /// holds it. A plan from elsewhere may have none; then the worker takes the module that it carries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modules: BTreeMap<String, String>,
}

/// The argument of a workflow execution.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunInput {
    /// What is scanned. Steps of a run without a target get an empty workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetRef>,
    /// Parameters; resolved (defaults filled in, validated) when `plan` is given.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// The plan. Without it the run asks [`PLAN_ACTIVITY`] first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PinnedPlan>,
}

/// The argument of [`PLAN_ACTIVITY`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanInput {
    /// Name of the workflow.
    pub workflow: String,
    /// Parameters as the starter gave them.
    #[serde(default)]
    pub parameters: Map<String, Value>,
}

/// The result of [`PLAN_ACTIVITY`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanOutput {
    /// The plan to run.
    pub plan: PinnedPlan,
    /// Parameters with defaults, validated.
    pub parameters: Map<String, Value>,
}

/// The argument of a module's activity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepInput {
    /// Id of the step, with the item's index for a fan-out: `scan`, `scan[2]`. Also the activity id.
    pub step: String,
    /// Name of the module. Also the activity type.
    pub module: String,
    /// The version of the module, as [`PinnedPlan::modules`] has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What to look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetRef>,
    /// The module's configuration: the step's `with`, rendered.
    #[serde(default)]
    pub config: Value,
    /// How the workspace is laid out.
    #[serde(default)]
    pub isolation: Isolation,
}

/// How a step's workspace relates to those of other steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// A copy of its own.
    #[default]
    Isolated,
    /// One read-only copy for all steps.
    Shared,
    /// A private view of a shared copy.
    CopyOnWrite,
}

/// How a step ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum StepStatus {
    /// It looked at everything.
    #[default]
    Completed,
    /// It could not look at everything: no findings does not mean clean.
    Inconclusive {
        /// What it could not do.
        reason: String,
    },
    /// It did not run.
    Skipped {
        /// Why not.
        reason: String,
    },
    /// It ran and failed, after all retries.
    Failed {
        /// The last error.
        reason: String,
    },
    /// It was cancelled.
    Cancelled,
}

impl StepStatus {
    /// The name of the state, as templates and listings show it.
    pub fn state(&self) -> StepState {
        match self {
            Self::Completed => StepState::Completed,
            Self::Inconclusive { .. } => StepState::Inconclusive,
            Self::Skipped { .. } => StepState::Skipped,
            Self::Failed { .. } => StepState::Failed,
            Self::Cancelled => StepState::Cancelled,
        }
    }

    /// The reason, where there is one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Inconclusive { reason } | Self::Skipped { reason } | Self::Failed { reason } => Some(reason),
            Self::Completed | Self::Cancelled => None,
        }
    }
}

/// The argument of [`SECRET_ACTIVITY`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretInput {
    /// Name of the secret.
    pub name: String,
}

/// The result of a module's activity, and what a run says about each of its steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StepOutput {
    /// How it ended.
    pub status: StepStatus,
    /// Number of findings.
    #[serde(default)]
    pub findings: u64,
    /// Number of findings by severity (`critical`, `high`, `medium`, `low`, `note`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_severity: BTreeMap<String, u64>,
    /// Small facts that a plan can use.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub summary: Map<String, Value>,
    /// The module's report (`findings::ModuleReport` as JSON).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<BlobRef>,
    /// Files that the step leaves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<NamedBlob>,
    /// Number of notifications in the report.
    #[serde(default)]
    pub notifications: u64,
}

/// One step in the input of [`REPORT_ACTIVITY`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Id of the step (with the item's index for a fan-out).
    pub step: String,
    /// Name of the module.
    pub module: String,
    /// How it ended: a step that failed or was cancelled must show up in the report as "could not look".
    pub status: StepStatus,
    /// The module's report, if the step got that far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<BlobRef>,
}

/// The argument of [`REPORT_ACTIVITY`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportInput {
    /// Name of the workflow.
    pub workflow: String,
    /// Version of the workflow.
    pub version: String,
    /// Digest of the plan.
    pub digest: String,
    /// What was scanned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetRef>,
    /// The steps in plan order; skipped ones are left out.
    pub steps: Vec<StepReport>,
    /// What the workflow itself found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<EmittedFinding>,
}

/// A finding of the workflow itself, made from what its modules said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmittedFinding {
    /// A stable name, such as `no-update-in-a-year`.
    pub rule: String,
    /// `critical`, `high`, `medium`, `low` or `note`.
    pub severity: String,
    /// One or two sentences for people.
    pub message: String,
    /// A path within the target.
    pub path: String,
    /// From 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// The result of [`REPORT_ACTIVITY`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportOutput {
    /// `findings::Report` as JSON.
    pub report: BlobRef,
    /// The same as SARIF 2.1.0.
    pub sarif: BlobRef,
    /// Number of findings after deduplication.
    pub total: u64,
    /// The same by severity.
    #[serde(default)]
    pub by_severity: BTreeMap<String, u64>,
}

/// How a run stands or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Not ended.
    Running,
    /// Every step looked at everything, or was skipped by its condition.
    Completed,
    /// Some step could not look at everything.
    Inconclusive,
    /// Some step failed that was not allowed to.
    Failed,
    /// It was cancelled.
    Cancelled,
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Inconclusive => "inconclusive",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        })
    }
}

/// The result of a workflow execution. A failed run carries it in its failure's details, a cancelled run in the
/// cancellation's details, so findings are not lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunOutput {
    /// How the run ended.
    pub status: RunStatus,
    /// The steps by id; a fan-out is summed up in one entry.
    pub steps: BTreeMap<String, StepOutput>,
    /// `findings::Report` as JSON. None only when merging the reports failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<BlobRef>,
    /// The same as SARIF 2.1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sarif: Option<BlobRef>,
    /// Number of findings after deduplication.
    #[serde(default)]
    pub total: u64,
    /// The same by severity.
    #[serde(default)]
    pub by_severity: BTreeMap<String, u64>,
    /// The plan's `output`, rendered.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// Waits for the steps it needs.
    Pending,
    /// Its activity was scheduled.
    Running,
    /// It looked at everything.
    Completed,
    /// It could not look at everything.
    Inconclusive,
    /// It failed after all retries.
    Failed,
    /// It did not run: its condition was false, or a step that it needs failed.
    Skipped,
    /// It was cancelled.
    Cancelled,
}

impl StepState {
    /// Whether nothing more will happen to the step.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

impl fmt::Display for StepState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Inconclusive => "inconclusive",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        })
    }
}

/// The answer to the query `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunView {
    /// Name of the workflow.
    pub workflow: String,
    /// Version of the workflow; empty until the plan is known.
    pub version: String,
    /// How the run stands.
    pub status: RunStatus,
    /// The steps in plan order.
    pub steps: Vec<StepView>,
    /// What the run was told and did not act on: unknown signals and the like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What a workflow that is code says about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<RunProgress>,
}

/// What a workflow that is code says about itself while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProgress {
    /// In a few words.
    pub text: String,
    /// How much is done.
    pub done: u64,
    /// Of how much; 0 when that is not known.
    pub total: u64,
}

/// One step in a [`RunView`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepView {
    /// Id of the step.
    pub id: String,
    /// Name of its module.
    pub module: String,
    /// Where it stands.
    pub state: StepState,
    /// Why, for a step that is inconclusive, failed or skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Findings so far.
    #[serde(default)]
    pub findings: u64,
    /// Number of items of a fan-out, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// Number of items that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_done: Option<u64>,
}
