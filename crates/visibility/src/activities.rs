//! Standalone activities as a relation: runs of another kind, with other names for what they have.

use crate::{
    Attribute, Kind, Relation, StatusName, ValueType,
    workflows::{CLOSE_TIME, ORDER, column, status},
};

/// Standalone activities.
pub static RELATION: Relation = Relation {
    table: "runs",
    owner: "runs.id",
    values: "search_attribute_values",
    attributes: ATTRIBUTES,
    order: ORDER,
};

const ATTRIBUTES: &[Attribute] = &[
    column("ActivityId", ValueType::Keyword, "runs.workflow_id"),
    column("RunId", ValueType::Keyword, "runs.run_id"),
    column("ActivityType", ValueType::Keyword, "runs.type"),
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
        column: "(runs.close_time - runs.start_time)",
        absent: None,
        groupable: false,
    },
    column("StateTransitionCount", ValueType::Int, "runs.transitions"),
    column("StateSizeBytes", ValueType::Int, "runs.history_size"),
];

/// The statuses of standalone activities.
pub const STATUSES: &[StatusName] = &[
    status("Unspecified", "ACTIVITY_EXECUTION_STATUS_UNSPECIFIED", 0),
    status("Running", "ACTIVITY_EXECUTION_STATUS_RUNNING", 1),
    status("Completed", "ACTIVITY_EXECUTION_STATUS_COMPLETED", 2),
    status("Failed", "ACTIVITY_EXECUTION_STATUS_FAILED", 3),
    status("Canceled", "ACTIVITY_EXECUTION_STATUS_CANCELED", 4),
    status("Terminated", "ACTIVITY_EXECUTION_STATUS_TERMINATED", 5),
    status("TimedOut", "ACTIVITY_EXECUTION_STATUS_TIMED_OUT", 6),
    status("Paused", "ACTIVITY_EXECUTION_STATUS_PAUSED", 7),
];
