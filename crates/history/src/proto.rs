//! Temporal's messages under the short names this crate uses.

pub(crate) use temporalio_protos::temporal::api::{
    activity::v1::ActivityOptions,
    command::v1::*,
    common::v1::{
        ActivityType, Header, Link, Memo, Payload, Payloads, Priority, RetryPolicy, SearchAttributes,
        WorkflowExecution, WorkflowType,
    },
    enums::v1::*,
    failure::v1::{Failure, failure::FailureInfo, *},
    history::v1::{history_event::Attributes, *},
    protocol::v1::{Message as ProtocolMessage, message::SequencingId},
    sdk::v1::{EventGroupMarker, UserMetadata, WorkflowTaskCompletedMetadata},
    taskqueue::v1::{StickyExecutionAttributes, TaskQueue},
    update::v1::{
        Acceptance, Outcome, Rejection as UpdateRejection, Request as UpdateRequest, Response as UpdateResponse,
        outcome,
    },
};
