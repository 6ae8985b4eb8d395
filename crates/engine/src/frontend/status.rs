//! Errors as gRPC statuses with the details that SDKs unpack (`grpc-status-details-bin`).

use helve_history::{Rejection, RunKind};
use prost::{Message, Name};
use temporalio_protos::{
    google::rpc,
    temporal::api::{
        enums::v1::{NamespaceState, ResourceExhaustedScope},
        errordetails::v1::{
            ActivityExecutionAlreadyStartedFailure, NamespaceAlreadyExistsFailure, NamespaceInvalidStateFailure,
            NamespaceNotFoundFailure, NotFoundFailure, QueryFailedFailure, ResourceExhaustedFailure,
            WorkflowExecutionAlreadyStartedFailure, WorkflowNotReadyFailure,
        },
        failure::v1::Failure,
    },
};
use tonic::{Code, Status};

use crate::error::{Failed, Fault};

impl From<Failed> for Status {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Rejected(rejection) => from_rejection(rejection),
            Failed::Fault(fault) => from_fault(&fault),
        }
    }
}

pub(crate) fn from_rejection(rejection: Rejection) -> Status {
    match rejection {
        Rejection::NotFound(message) => not_found(message),
        Rejection::InvalidArgument(message) => Status::invalid_argument(message),
        Rejection::AlreadyStarted {
            kind: RunKind::Activity,
            message,
            start_request_id,
            run_id,
            ..
        } => {
            let details = ActivityExecutionAlreadyStartedFailure {
                start_request_id,
                run_id,
            };
            detailed(Code::AlreadyExists, message, &details)
        }
        Rejection::AlreadyStarted {
            kind: RunKind::Workflow,
            message,
            start_request_id,
            run_id,
            first_run_id,
        } => {
            let details = WorkflowExecutionAlreadyStartedFailure {
                start_request_id,
                first_execution_run_id: first_run_id,
                run_id,
            };
            detailed(Code::AlreadyExists, message, &details)
        }
        Rejection::FailedPrecondition(message) => Status::failed_precondition(message),
        Rejection::NotReady(message) => workflow_not_ready(message),
        Rejection::Unsupported(message) => Status::unimplemented(message),
        Rejection::Busy { cause, message } => {
            let details = ResourceExhaustedFailure {
                cause: cause as i32,
                scope: ResourceExhaustedScope::Namespace as i32,
            };
            detailed(Code::ResourceExhausted, message, &details)
        }
        Rejection::Obsolete(why) => not_found(format!("task is obsolete: {why}")),
    }
}

fn from_fault(fault: &Fault) -> Status {
    let message = fault.to_string();
    match fault {
        // Clients retry UNAVAILABLE by themselves.
        Fault::Conflict | Fault::Unavailable(_) | Fault::ShuttingDown => Status::unavailable(message),
        Fault::Corrupt(_) => {
            tracing::error!("{message}");
            Status::data_loss(message)
        }
        Fault::Bug(_) => {
            tracing::error!("{message}");
            Status::internal(message)
        }
    }
}

pub(crate) fn not_found(message: impl Into<String>) -> Status {
    detailed(Code::NotFound, message, &NotFoundFailure::default())
}

pub(crate) fn namespace_not_found(namespace: &str) -> Status {
    let details = NamespaceNotFoundFailure {
        namespace: namespace.to_owned(),
    };
    detailed(Code::NotFound, format!("Namespace {namespace} is not found."), &details)
}

pub(crate) fn namespace_already_exists(namespace: &str) -> Status {
    detailed(
        Code::AlreadyExists,
        format!("Namespace {namespace:?} already exists"),
        &NamespaceAlreadyExistsFailure::default(),
    )
}

/// A namespace is in a state in which this cannot be done.
pub(crate) fn namespace_state(namespace: &str, state: NamespaceState, allowed: &[NamespaceState]) -> Status {
    let name = |state: &NamespaceState| format!("{state:?}");
    let message = format!(
        "Namespace has invalid state: {}. Must be {}.",
        name(&state),
        allowed.iter().map(name).collect::<Vec<_>>().join(" or ")
    );
    let details = NamespaceInvalidStateFailure {
        namespace: namespace.to_owned(),
        state: state as i32,
        allowed_states: allowed.iter().map(|state| *state as i32).collect(),
    };
    detailed(Code::FailedPrecondition, message, &details)
}

pub(crate) fn query_failed(message: impl Into<String>, failure: Option<Failure>) -> Status {
    detailed(Code::InvalidArgument, message, &QueryFailedFailure { failure })
}

pub(crate) fn workflow_not_ready(message: impl Into<String>) -> Status {
    detailed(Code::FailedPrecondition, message, &WorkflowNotReadyFailure::default())
}

/// The details that a status carries.
pub(crate) fn details_of(status: &Status) -> Vec<prost_types::Any> {
    rpc::Status::decode(status.details())
        .map(|status| status.details)
        .unwrap_or_default()
}

pub(crate) fn detailed<M: Message + Name>(code: Code, message: impl Into<String>, details: &M) -> Status {
    let message = message.into();
    let any = prost_types::Any {
        type_url: format!("type.googleapis.com/{}", M::full_name()),
        value: details.encode_to_vec(),
    };
    let status = rpc::Status {
        code: code as i32,
        message: message.clone(),
        details: vec![any],
    };
    Status::with_details(code, message, status.encode_to_vec().into())
}
