//! Workflow executions as a relation, and the attributes that every namespace has.

use std::borrow::Cow;

use crate::{Attribute, Definition, Kind, OrderBy, Relation, StatusName, ValueType};

/// Workflow executions.
pub static RELATION: Relation = Relation {
    table: "runs",
    owner: "runs.id",
    values: "search_attribute_values",
    attributes: ATTRIBUTES,
    order: ORDER,
};

pub(crate) const fn column(name: &'static str, value_type: ValueType, column: &'static str) -> Attribute {
    Attribute {
        name,
        kind: Kind::Value(value_type),
        column,
        absent: None,
        groupable: false,
    }
}

/// Lists are in the order of a column that is highest for open executions: an index knows that way which are open.
pub(crate) const CLOSE_TIME: Attribute = Attribute {
    absent: Some((
        "runs.list_order = 9223372036854775807",
        "runs.list_order < 9223372036854775807",
    )),
    ..column("CloseTime", ValueType::Datetime, "runs.close_time")
};

const ATTRIBUTES: &[Attribute] = &[
    column("WorkflowId", ValueType::Keyword, "runs.workflow_id"),
    column("RunId", ValueType::Keyword, "runs.run_id"),
    column("WorkflowType", ValueType::Keyword, "runs.type"),
    column("TaskQueue", ValueType::Keyword, "runs.task_queue"),
    Attribute {
        name: "ExecutionStatus",
        kind: Kind::Status(STATUSES),
        column: "runs.status",
        absent: None,
        groupable: true,
    },
    column("StartTime", ValueType::Datetime, "runs.start_time"),
    column("ExecutionTime", ValueType::Datetime, "runs.execution_time"),
    CLOSE_TIME,
    Attribute {
        name: "ExecutionDuration",
        kind: Kind::Duration,
        column: "(runs.close_time - runs.execution_time)",
        absent: None,
        groupable: false,
    },
    column("HistoryLength", ValueType::Int, "runs.history_length"),
    column("HistorySizeBytes", ValueType::Int, "runs.history_size"),
    column("StateTransitionCount", ValueType::Int, "runs.transitions"),
    column("ParentWorkflowId", ValueType::Keyword, "runs.parent_workflow_id"),
    column("ParentRunId", ValueType::Keyword, "runs.parent_run_id"),
    column("RootWorkflowId", ValueType::Keyword, "runs.root_workflow_id"),
    column("RootRunId", ValueType::Keyword, "runs.root_run_id"),
];

/// Open ones first, then the last closed; within each the last started.
pub(crate) const ORDER: &[OrderBy] = &[
    OrderBy {
        column: Cow::Borrowed("runs.list_order"),
        descending: true,
        nullable: false,
    },
    OrderBy {
        column: Cow::Borrowed("runs.start_time"),
        descending: true,
        nullable: false,
    },
];

pub(crate) const fn status(name: &'static str, long: &'static str, number: i64) -> StatusName {
    StatusName { name, long, number }
}

/// The statuses of workflow executions.
pub const STATUSES: &[StatusName] = &[
    status("Unspecified", "WORKFLOW_EXECUTION_STATUS_UNSPECIFIED", 0),
    status("Running", "WORKFLOW_EXECUTION_STATUS_RUNNING", 1),
    status("Completed", "WORKFLOW_EXECUTION_STATUS_COMPLETED", 2),
    status("Failed", "WORKFLOW_EXECUTION_STATUS_FAILED", 3),
    status("Canceled", "WORKFLOW_EXECUTION_STATUS_CANCELED", 4),
    status("Terminated", "WORKFLOW_EXECUTION_STATUS_TERMINATED", 5),
    status("ContinuedAsNew", "WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW", 6),
    status("TimedOut", "WORKFLOW_EXECUTION_STATUS_TIMED_OUT", 7),
    status("Paused", "WORKFLOW_EXECUTION_STATUS_PAUSED", 8),
];

/// The attributes that every execution has, with the types that `ListSearchAttributes` shows.
pub const SYSTEM: &[(&str, ValueType)] = &[
    ("WorkflowId", ValueType::Keyword),
    ("RunId", ValueType::Keyword),
    ("WorkflowType", ValueType::Keyword),
    ("TaskQueue", ValueType::Keyword),
    ("ExecutionStatus", ValueType::Keyword),
    ("StartTime", ValueType::Datetime),
    ("ExecutionTime", ValueType::Datetime),
    ("CloseTime", ValueType::Datetime),
    ("ExecutionDuration", ValueType::Int),
    ("HistoryLength", ValueType::Int),
    ("HistorySizeBytes", ValueType::Int),
    ("StateTransitionCount", ValueType::Int),
    ("ParentWorkflowId", ValueType::Keyword),
    ("ParentRunId", ValueType::Keyword),
    ("RootWorkflowId", ValueType::Keyword),
    ("RootRunId", ValueType::Keyword),
];

/// An attribute that the engine or SDKs set among the search attributes of an execution.
#[derive(Debug)]
pub struct Predefined {
    /// Its name.
    pub name: &'static str,
    /// Its type, and a number below 0.
    pub definition: Definition,
    /// Whether clients and workflows may set it themselves.
    pub settable: bool,
}

const fn predefined(name: &'static str, number: i64, value_type: ValueType, settable: bool) -> Predefined {
    Predefined {
        name,
        definition: Definition { number, value_type },
        settable,
    }
}

/// The attributes with a meaning to the engine or SDKs. Their numbers are stored: never give one to another name.
pub const PREDEFINED: &[Predefined] = &[
    predefined("TemporalChangeVersion", -1, ValueType::KeywordList, true),
    predefined("BinaryChecksums", -2, ValueType::KeywordList, true),
    predefined("BuildIds", -3, ValueType::KeywordList, true),
    predefined("BatcherNamespace", -4, ValueType::Keyword, true),
    predefined("BatcherUser", -5, ValueType::Keyword, true),
    predefined("TemporalScheduledStartTime", -6, ValueType::Datetime, true),
    predefined("TemporalScheduledById", -7, ValueType::Keyword, true),
    predefined("TemporalSchedulePaused", -8, ValueType::Bool, true),
    predefined("TemporalNamespaceDivision", -9, ValueType::Keyword, true),
    predefined("TemporalPauseInfo", -10, ValueType::KeywordList, true),
    predefined("TemporalReportedProblems", -11, ValueType::KeywordList, true),
    predefined("TemporalWorkerDeploymentVersion", -12, ValueType::Keyword, false),
    predefined("TemporalWorkflowVersioningBehavior", -13, ValueType::Keyword, false),
    predefined("TemporalWorkerDeployment", -14, ValueType::Keyword, false),
    predefined(
        "TemporalUsedWorkerDeploymentVersions",
        -15,
        ValueType::KeywordList,
        false,
    ),
    predefined("TemporalExternalPayloadCount", -16, ValueType::Int, false),
    predefined("TemporalExternalPayloadSizeBytes", -17, ValueType::Int, false),
];
