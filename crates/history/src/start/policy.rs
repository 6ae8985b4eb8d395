//! May a workflow id be used (again)? A pure question about the run that holds it.

use crate::{
    Rejection, RunKind,
    proto::{WorkflowExecutionStatus, WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
};

/// The latest run of a workflow id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentRun {
    /// What it executes.
    pub kind: RunKind,
    /// Its workflow id.
    pub workflow_id: String,
    /// Its run id.
    pub run_id: String,
    /// The first run of its chain.
    pub first_run_id: String,
    /// Its status.
    pub status: WorkflowExecutionStatus,
    /// The request that started it.
    pub start_request_id: String,
    /// The request that asks for a start now was carried out by this run before, in another way.
    pub knows_request: bool,
}

/// What becomes of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartResolution {
    /// Make a run.
    Start,
    /// The request was carried out before: answer with this run.
    Deduplicated {
        /// It.
        run_id: String,
    },
    /// The request was carried out before by a run that it did not start: answer with this run.
    Attached {
        /// It.
        run_id: String,
    },
    /// Make none: answer with this run, which is open (and signal it, if the start came with a signal).
    UseExisting {
        /// It.
        run_id: String,
    },
    /// Terminate this run and make a new one, in one batch.
    TerminateThenStart {
        /// It.
        run_id: String,
    },
    /// Refuse.
    Reject(Rejection),
}

/// Decides whether a run may be made, by the policies and the workflow id's latest run.
///
/// An unspecified conflict policy means `Fail`; for signal-with-start pass `UseExisting` in its place.
pub fn resolve_start(
    current: Option<&CurrentRun>,
    reuse: WorkflowIdReusePolicy,
    conflict: WorkflowIdConflictPolicy,
    request_id: &str,
) -> StartResolution {
    let Some(current) = current else {
        return StartResolution::Start;
    };
    let run_id = current.run_id.clone();
    if !request_id.is_empty() && current.start_request_id == request_id {
        return StartResolution::Deduplicated { run_id };
    }
    if current.knows_request {
        return StartResolution::Attached { run_id };
    }
    if current.status == WorkflowExecutionStatus::Running {
        resolve_running(current, reuse, conflict)
    } else {
        resolve_closed(current, reuse)
    }
}

fn resolve_running(
    current: &CurrentRun,
    reuse: WorkflowIdReusePolicy,
    conflict: WorkflowIdConflictPolicy,
) -> StartResolution {
    let run_id = current.run_id.clone();
    #[expect(
        deprecated,
        reason = "clients still send this reuse policy; it means the conflict policy that replaced it"
    )]
    if reuse == WorkflowIdReusePolicy::TerminateIfRunning {
        return StartResolution::TerminateThenStart { run_id };
    }
    match conflict {
        WorkflowIdConflictPolicy::UseExisting => StartResolution::UseExisting { run_id },
        WorkflowIdConflictPolicy::TerminateExisting => StartResolution::TerminateThenStart { run_id },
        WorkflowIdConflictPolicy::Fail | WorkflowIdConflictPolicy::Unspecified => {
            reject(current, "Workflow execution is already running", "")
        }
    }
}

fn resolve_closed(current: &CurrentRun, reuse: WorkflowIdReusePolicy) -> StartResolution {
    let failed = matches!(
        current.status,
        WorkflowExecutionStatus::Failed
            | WorkflowExecutionStatus::Canceled
            | WorkflowExecutionStatus::Terminated
            | WorkflowExecutionStatus::TimedOut
    );
    match reuse {
        WorkflowIdReusePolicy::RejectDuplicate => reject(
            current,
            "Workflow execution already finished",
            " Workflow Id reuse policy: reject duplicate workflow Id.",
        ),
        WorkflowIdReusePolicy::AllowDuplicateFailedOnly if !failed => reject(
            current,
            "Workflow execution already finished successfully",
            " Workflow Id reuse policy: allow duplicate workflow Id if last run failed.",
        ),
        _ => StartResolution::Start,
    }
}

fn reject(current: &CurrentRun, what: &str, why: &str) -> StartResolution {
    StartResolution::Reject(Rejection::AlreadyStarted {
        kind: current.kind,
        message: match current.kind {
            RunKind::Workflow => format!(
                "{what}. WorkflowId: {}, RunId: {}.{why}",
                current.workflow_id, current.run_id
            ),
            RunKind::Activity => "activity execution already started".to_owned(),
        },
        start_request_id: current.start_request_id.clone(),
        run_id: current.run_id.clone(),
        first_run_id: current.first_run_id.clone(),
    })
}
