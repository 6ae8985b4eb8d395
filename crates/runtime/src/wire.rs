//! Between the interpreter's plain types and core's messages.

use helve_toolbox::run::{RunInput, WORKFLOW_QUEUE};
use helve_wasm::Moment;
use serde::Serialize;
use serde_json::Value;
use temporalio_protos::coresdk::activity_result::{ActivityResolution, activity_resolution};
use temporalio_protos::coresdk::child_workflow::{
    ChildWorkflowCancellationType, ChildWorkflowResult, ParentClosePolicy, StartChildWorkflowExecutionFailedCause,
    child_workflow_result,
};
use temporalio_protos::coresdk::workflow_activation::{
    QueryWorkflow, ResolveChildWorkflowExecutionStart, SignalWorkflow, WorkflowActivation,
    resolve_child_workflow_execution_start, workflow_activation_job::Variant as JobVariant,
};
use temporalio_protos::coresdk::workflow_commands::{
    ActivityCancellationType, CancelChildWorkflowExecution, CancelTimer, CancelWorkflowExecution,
    CompleteWorkflowExecution, FailWorkflowExecution, QueryResult, QuerySuccess, RequestCancelActivity,
    ScheduleActivity, StartChildWorkflowExecution, StartTimer, WorkflowCommand, query_result,
    workflow_command::Variant,
};
use temporalio_protos::temporal::api::common::v1::{Payload, Payloads, RetryPolicy};
use temporalio_protos::temporal::api::enums::v1::TimeoutType;
use temporalio_protos::temporal::api::failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo};
use temporalio_protos::temporal::api::sdk::v1::UserMetadata;

use crate::code::At;
use crate::exchange::{Activity, Cause, Child, Command, Job, Resolution, RunFailure};

/// Where failures say that they come from.
const SOURCE: &str = "helve";
/// Failure type by which a worker that shuts down gives a step back.
const GIVEN_BACK: &str = "helve.GivenBack";

/// A value as JSON, as every official SDK writes it by default.
pub(crate) fn payload(value: &impl Serialize) -> Payload {
    Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        data: serde_json::to_vec(value).expect("the run protocol holds only JSON types"),
        ..Default::default()
    }
}

/// The value of a payload that holds JSON.
fn value(payload: &Payload) -> Result<Value, String> {
    match payload.metadata.get("encoding").map(Vec::as_slice) {
        Some(b"binary/null") => Ok(Value::Null),
        Some(b"json/plain" | b"json/protobuf") | None => {
            serde_json::from_slice(&payload.data).map_err(|e| format!("not valid JSON: {e}"))
        }
        Some(other) => Err(format!(
            "encoded as {}, not as json/plain",
            String::from_utf8_lossy(other)
        )),
    }
}

/// The argument of a workflow execution. Nothing at all is a run without target and with default parameters.
pub(crate) fn run_input(arguments: &[Payload]) -> Result<RunInput, String> {
    let first = match arguments {
        [] => return Ok(RunInput::default()),
        [one] => value(one).map_err(|e| format!("its argument is {e}"))?,
        many => return Err(format!("it takes one argument, not {}", many.len())),
    };
    if first.is_null() {
        return Ok(RunInput::default());
    }
    serde_json::from_value(first).map_err(|e| format!("its argument is not a run's input: {e}"))
}

/// The end of an activity.
fn resolution(result: Option<&ActivityResolution>) -> Resolution {
    match result.and_then(|r| r.status.as_ref()) {
        Some(activity_resolution::Status::Completed(success)) => match success.result.as_ref().map(value) {
            None => Resolution::Completed(Value::Null),
            Some(Ok(value)) => Resolution::Completed(value),
            Some(Err(reason)) => failed(format!("its result is {reason}")),
        },
        Some(activity_resolution::Status::Failed(failure)) => match &failure.failure {
            Some(failure) => Resolution::Failed {
                reason: reason(failure),
                cause: cause(failure),
            },
            None => failed("no reason was given".to_owned()),
        },
        Some(activity_resolution::Status::Cancelled(_)) => Resolution::Cancelled,
        Some(activity_resolution::Status::Backoff(_)) | None => failed("the engine gave no result".to_owned()),
    }
}

/// The end of a child that was started.
fn child_resolution(result: Option<&ChildWorkflowResult>) -> Resolution {
    match result.and_then(|r| r.status.as_ref()) {
        Some(child_workflow_result::Status::Completed(success)) => match success.result.as_ref().map(value) {
            None => Resolution::Completed(Value::Null),
            Some(Ok(value)) => Resolution::Completed(value),
            Some(Err(reason)) => failed(format!("its result is {reason}")),
        },
        Some(child_workflow_result::Status::Failed(ended)) => match &ended.failure {
            Some(failure) => Resolution::Failed {
                reason: reason(failure),
                cause: cause(failure),
            },
            None => failed("no reason was given".to_owned()),
        },
        Some(child_workflow_result::Status::Cancelled(_)) => Resolution::Cancelled,
        None => failed("the engine gave no result".to_owned()),
    }
}

/// What became of the start of a child; None if it runs.
fn child_start(resolve: &ResolveChildWorkflowExecutionStart) -> Option<Resolution> {
    use resolve_child_workflow_execution_start::Status;
    match &resolve.status {
        Some(Status::Succeeded(_)) => None,
        Some(Status::Failed(start)) => Some(failed(match start.cause() {
            StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists => {
                format!("there is a run `{}` already", start.workflow_id)
            }
            other => format!("it cannot be started: {}", other.as_str_name()),
        })),
        Some(Status::Cancelled(_)) => Some(Resolution::Cancelled),
        None => Some(failed("the engine did not say whether it was started".to_owned())),
    }
}

fn failed(reason: String) -> Resolution {
    Resolution::Failed {
        reason,
        cause: Cause::Error,
    }
}

/// What happened, for the machine of a run; None for what it needs not know.
pub(crate) fn job(variant: &JobVariant) -> Result<Option<Job>, String> {
    Ok(Some(match variant {
        JobVariant::ResolveActivity(resolve) => Job::ActivityResolved {
            seq: resolve.seq,
            resolution: resolution(resolve.result.as_ref()),
        },
        JobVariant::FireTimer(timer) => Job::TimerFired { seq: timer.seq },
        JobVariant::ResolveChildWorkflowExecutionStart(resolve) => match child_start(resolve) {
            Some(resolution) => Job::ChildResolved {
                seq: resolve.seq,
                resolution,
            },
            None => Job::ChildStarted { seq: resolve.seq },
        },
        JobVariant::ResolveChildWorkflowExecution(resolve) => Job::ChildResolved {
            seq: resolve.seq,
            resolution: child_resolution(resolve.result.as_ref()),
        },
        JobVariant::CancelWorkflow(_) => Job::Cancel,
        JobVariant::SignalWorkflow(sent) => signal(sent),
        JobVariant::UpdateRandomSeed(update) => Job::Seed(update.randomness_seed),
        other => {
            return Err(format!(
                "the engine sent something that workflows here do not use: {other:?}"
            ));
        }
    }))
}

/// Where in its history a run is.
pub(crate) fn at(activation: &WorkflowActivation) -> At {
    At {
        moment: Moment {
            now: milliseconds(activation.timestamp.as_ref()),
            replaying: activation.is_replaying,
        },
        event: activation.history_length,
    }
}

/// Milliseconds since 1970.
fn milliseconds(time: Option<&prost_types::Timestamp>) -> u64 {
    let time = time.cloned().unwrap_or_default();
    let milliseconds = i128::from(time.seconds) * 1000 + i128::from(time.nanos) / 1_000_000;
    u64::try_from(milliseconds).unwrap_or_default()
}

/// The innermost message: what went wrong, without the layers that carried it here.
fn reason(failure: &Failure) -> String {
    let inner = innermost(failure);
    match &inner.failure_info {
        Some(FailureInfo::TimeoutFailureInfo(timeout)) => match timeout.timeout_type() {
            TimeoutType::Heartbeat => "its worker stopped answering".to_owned(),
            TimeoutType::StartToClose => "it took longer than its timeout".to_owned(),
            TimeoutType::ScheduleToStart => "no worker took it in time".to_owned(),
            TimeoutType::ScheduleToClose => "it took longer than it may, with all retries".to_owned(),
            TimeoutType::Unspecified => inner.message.clone(),
        },
        _ if inner.message.is_empty() => "no reason was given".to_owned(),
        _ => inner.message.clone(),
    }
}

// A worker that was lost or left is no fault of the step.
fn cause(failure: &Failure) -> Cause {
    match &innermost(failure).failure_info {
        Some(FailureInfo::TimeoutFailureInfo(timeout)) => match timeout.timeout_type() {
            TimeoutType::Heartbeat => Cause::WorkerLost,
            _ => Cause::TimedOut,
        },
        Some(FailureInfo::ApplicationFailureInfo(info)) if info.r#type == GIVEN_BACK => Cause::WorkerLost,
        _ => Cause::Error,
    }
}

fn innermost(failure: &Failure) -> &Failure {
    let mut inner = failure;
    while let Some(cause) = &inner.cause {
        // The last error of a step that then ran out of time is the cause of the timeout; the timeout is what counts.
        if matches!(inner.failure_info, Some(FailureInfo::TimeoutFailureInfo(_))) {
            break;
        }
        inner = cause;
    }
    inner
}

/// A signal. Arguments that are not JSON count as null.
fn signal(signal: &SignalWorkflow) -> Job {
    Job::Signal {
        name: signal.signal_name.clone(),
        arguments: signal.input.iter().map(|p| value(p).unwrap_or_default()).collect(),
    }
}

/// The answer to a query.
pub(crate) fn answer(query: &QueryWorkflow, answer: Result<Value, String>) -> WorkflowCommand {
    let variant = match answer {
        Ok(value) => query_result::Variant::Succeeded(QuerySuccess {
            response: Some(payload(&value)),
        }),
        Err(message) => query_result::Variant::Failed(failure(&message, None, None)),
    };
    Variant::RespondToQuery(QueryResult {
        query_id: query.query_id.clone(),
        variant: Some(variant),
    })
    .into()
}

/// A failure that does not go away by retrying.
pub(crate) fn failure(message: &str, kind: Option<&str>, details: Option<Payloads>) -> Failure {
    Failure {
        message: message.to_owned(),
        source: SOURCE.to_owned(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: kind.unwrap_or_default().to_owned(),
            non_retryable: true,
            details,
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn details(value: &impl Serialize) -> Payloads {
    Payloads {
        payloads: vec![payload(value)],
    }
}

/// A command for core.
pub(crate) fn command(command: Command) -> WorkflowCommand {
    match command {
        Command::Schedule(activity) => schedule(activity),
        Command::CancelActivity { seq } => Variant::RequestCancelActivity(RequestCancelActivity { seq }).into(),
        Command::StartTimer { seq, duration } => Variant::StartTimer(StartTimer {
            seq,
            start_to_fire_timeout: prost_types::Duration::try_from(duration).ok(),
        })
        .into(),
        Command::CancelTimer { seq } => Variant::CancelTimer(CancelTimer { seq }).into(),
        Command::StartChild(child) => start_child(child),
        Command::CancelChild { seq } => Variant::CancelChildWorkflowExecution(CancelChildWorkflowExecution {
            child_workflow_seq: seq,
            reason: "the workflow that started it cancelled it".to_owned(),
        })
        .into(),
        Command::Complete(output) => {
            let result = Some(payload(&output));
            Variant::CompleteWorkflowExecution(CompleteWorkflowExecution { result }).into()
        }
        Command::Fail(run) => {
            let RunFailure { kind, message, output } = *run;
            let failure = failure(&message, Some(kind), output.as_ref().map(details));
            Variant::FailWorkflowExecution(FailWorkflowExecution { failure: Some(failure) }).into()
        }
        Command::Cancelled(output) => {
            let details = output.as_ref().map(details);
            Variant::CancelWorkflowExecution(CancelWorkflowExecution { details }).into()
        }
    }
}

fn start_child(child: Child) -> WorkflowCommand {
    let Child {
        seq,
        id,
        abandoned,
        workflow,
        input,
    } = child;
    // A child cleans up, as its parent does.
    let (at_the_end, at_cancellation) = match abandoned {
        true => (ParentClosePolicy::Abandon, ChildWorkflowCancellationType::Abandon),
        false => (
            ParentClosePolicy::RequestCancel,
            ChildWorkflowCancellationType::WaitCancellationCompleted,
        ),
    };
    Variant::StartChildWorkflowExecution(StartChildWorkflowExecution {
        seq,
        workflow_id: id,
        workflow_type: workflow,
        task_queue: WORKFLOW_QUEUE.to_owned(),
        input: vec![payload(&input)],
        parent_close_policy: at_the_end as i32,
        cancellation_type: at_cancellation as i32,
        ..Default::default()
    })
    .into()
}

fn schedule(activity: Activity) -> WorkflowCommand {
    let Activity {
        seq,
        id,
        kind,
        queue,
        input,
        start_to_close,
        schedule_to_start,
        heartbeat,
        retry,
    } = activity;
    let summary = UserMetadata {
        summary: Some(payload(&id)),
        details: None,
    };
    let variant = Variant::ScheduleActivity(ScheduleActivity {
        seq,
        // An id names one activity of a run at a time, so a step that is scheduled anew keeps it.
        activity_id: id,
        activity_type: kind,
        task_queue: queue,
        arguments: vec![payload(&input)],
        start_to_close_timeout: prost_types::Duration::try_from(start_to_close).ok(),
        schedule_to_start_timeout: schedule_to_start.and_then(|d| prost_types::Duration::try_from(d).ok()),
        heartbeat_timeout: heartbeat.and_then(|d| prost_types::Duration::try_from(d).ok()),
        retry_policy: Some(RetryPolicy {
            initial_interval: prost_types::Duration::try_from(retry.initial_interval.duration()).ok(),
            backoff_coefficient: retry.backoff,
            maximum_interval: prost_types::Duration::try_from(retry.max_interval.duration()).ok(),
            maximum_attempts: i32::try_from(retry.max_attempts).unwrap_or(i32::MAX),
            non_retryable_error_types: Vec::new(),
        }),
        // A cancelled step cleans up and may still deliver.
        cancellation_type: ActivityCancellationType::WaitCancellationCompleted as i32,
        ..Default::default()
    });
    WorkflowCommand {
        user_metadata: Some(summary),
        variant: Some(variant),
        event_group_markers: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use temporalio_protos::temporal::api::failure::v1::{ActivityFailureInfo, TimeoutFailureInfo};

    fn raw(encoding: Option<&str>, data: &str) -> Payload {
        let metadata = encoding
            .map(|e| ("encoding".to_owned(), e.as_bytes().to_vec()))
            .into_iter()
            .collect();
        Payload {
            metadata,
            data: data.as_bytes().to_vec(),
            ..Default::default()
        }
    }

    #[test]
    fn a_run_starts_with_nothing_null_or_its_input() {
        assert_eq!(run_input(&[]), Ok(RunInput::default()));
        assert_eq!(run_input(&[raw(Some("binary/null"), "")]), Ok(RunInput::default()));
        assert_eq!(run_input(&[raw(Some("json/plain"), "null")]), Ok(RunInput::default()));
        let input = run_input(&[raw(Some("json/plain"), r#"{"parameters": {"a": 1}}"#)]).unwrap();
        assert_eq!(input.parameters["a"], 1);
    }

    #[test]
    fn an_argument_that_cannot_be_read_says_why() {
        for (arguments, message) in [
            (
                vec![raw(Some("json/plain"), "{")],
                "its argument is not valid JSON: EOF while parsing an object at line 1 column 1",
            ),
            (
                vec![raw(Some("binary/plain"), "x")],
                "its argument is encoded as binary/plain, not as json/plain",
            ),
            (vec![raw(None, "1"), raw(None, "2")], "it takes one argument, not 2"),
            (
                vec![raw(Some("json/plain"), r#"{"params": {}}"#)],
                "its argument is not a run's input: unknown field `params`, expected one of `target`, `parameters`, `plan`",
            ),
        ] {
            assert_eq!(run_input(&arguments), Err(message.to_owned()));
        }
    }

    fn timeout(kind: TimeoutType, cause: Option<Failure>) -> Failure {
        Failure {
            message: "activity timed out".to_owned(),
            cause: cause.map(Box::new),
            failure_info: Some(FailureInfo::TimeoutFailureInfo(TimeoutFailureInfo {
                timeout_type: kind as i32,
                last_heartbeat_details: None,
            })),
            ..Default::default()
        }
    }

    #[test]
    fn the_reason_of_a_failure_is_its_innermost_message() {
        let carried = |cause: Failure| Failure {
            message: "activity error".to_owned(),
            cause: Some(Box::new(cause)),
            failure_info: Some(FailureInfo::ActivityFailureInfo(ActivityFailureInfo::default())),
            ..Default::default()
        };
        let resolved = |failure: Failure| {
            resolution(Some(&ActivityResolution {
                status: Some(activity_resolution::Status::Failed(
                    temporalio_protos::coresdk::activity_result::Failure {
                        failure: Some(failure),
                        cause: 0,
                    },
                )),
            }))
        };
        for (failure, reason, cause) in [
            (failure("disk full", Some("x"), None), "disk full", Cause::Error),
            (failure("", None, None), "no reason was given", Cause::Error),
            (
                failure("the worker shut down", Some(GIVEN_BACK), None),
                "the worker shut down",
                Cause::WorkerLost,
            ),
            (
                timeout(TimeoutType::Heartbeat, None),
                "its worker stopped answering",
                Cause::WorkerLost,
            ),
            (
                timeout(TimeoutType::StartToClose, None),
                "it took longer than its timeout",
                Cause::TimedOut,
            ),
            (
                timeout(TimeoutType::ScheduleToClose, Some(failure("disk full", None, None))),
                "it took longer than it may, with all retries",
                Cause::TimedOut,
            ),
        ] {
            assert_eq!(
                resolved(carried(failure)),
                Resolution::Failed {
                    reason: reason.to_owned(),
                    cause
                }
            );
        }
    }
}
