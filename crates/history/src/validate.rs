//! Checks of what clients send. Each says which field is wrong and why.

use std::{collections::HashMap, time::Duration};

use prost::Message;
use temporalio_protos::temporal::api::workflowservice::v1::StartWorkflowExecutionRequest;

use crate::{
    Limits, Rejection, Signal, check_links,
    proto::{Payload, Payloads, WorkflowExecutionStartedEventAttributes},
    timestamp::duration,
};

pub(crate) const BLOB_TOO_LARGE: &str = "Blob data size exceeds limit.";

pub(crate) fn id(field: &str, value: &str, limits: &Limits) -> Result<(), Rejection> {
    if value.len() > limits.id_length_max {
        return Err(Rejection::InvalidArgument(format!(
            "{field} length exceeds limit: it has {} bytes, {} are allowed.",
            value.len(),
            limits.id_length_max
        )));
    }
    Ok(())
}

pub(crate) fn required_id(field: &str, value: &str, limits: &Limits) -> Result<(), Rejection> {
    if value.is_empty() {
        return Err(Rejection::InvalidArgument(format!("{field} is not set on request.")));
    }
    id(field, value, limits)
}

/// A timeout as it was sent; negative ones are refused.
pub(crate) fn timeout(field: &str, value: Option<&prost_types::Duration>) -> Result<Duration, Rejection> {
    if value.is_some_and(|d| d.seconds < 0 || d.nanos < 0) {
        return Err(Rejection::InvalidArgument(format!("Invalid {field}: it is negative.")));
    }
    Ok(duration(value))
}

pub(crate) fn payloads(value: Option<&Payloads>, limits: &Limits) -> Result<(), Rejection> {
    if value.map_or(0, Message::encoded_len) > limits.blob_size_max {
        return Err(Rejection::invalid(BLOB_TOO_LARGE));
    }
    Ok(())
}

pub(crate) fn signal(signal: &Signal, limits: &Limits) -> Result<(), Rejection> {
    required_id("SignalName", &signal.name, limits)?;
    id("RequestId", &signal.request_id, limits)?;
    check_links(&signal.links, limits)?;
    payloads(signal.input.as_ref(), limits)
}

pub(crate) fn start_sizes(a: &WorkflowExecutionStartedEventAttributes, limits: &Limits) -> Result<(), Rejection> {
    payloads(a.input.as_ref(), limits)?;
    if a.memo.as_ref().map_or(0, Message::encoded_len) > limits.memo_size_max {
        return Err(Rejection::invalid("Memo size exceeds limit."));
    }
    let Some(search_attributes) = &a.search_attributes else {
        return Ok(());
    };
    let total = search_attributes.encoded_len();
    check_search_attribute_sizes(&search_attributes.indexed_fields, total, limits).map_err(Rejection::InvalidArgument)
}

/// Refuses search attributes that are too large, one by one or all together: `total` bytes.
pub(crate) fn check_search_attribute_sizes(
    fields: &HashMap<String, Payload>,
    total: usize,
    limits: &Limits,
) -> Result<(), String> {
    let max = limits.search_attribute_value_max;
    // By name, so that the message is the same every time.
    let too_large = fields.iter().filter(|(_, value)| value.data.len() > max);
    if let Some((name, value)) = too_large.min_by_key(|(name, _)| *name) {
        let size = value.data.len();
        return Err(format!(
            "search attribute {name} value size {size} exceeds size limit {max}"
        ));
    }
    let max = limits.search_attributes_size_max;
    if total > max {
        return Err(format!(
            "total size of search attributes {total} exceeds size limit {max}"
        ));
    }
    Ok(())
}

/// What Temporal's own task queues begin with.
const RESERVED_QUEUES: &str = "/_sys/";

/// A task queue that users may name.
pub(crate) fn task_queue(name: &str) -> Result<(), String> {
    if name.starts_with(RESERVED_QUEUES) {
        return Err(format!(
            "task queue name cannot start with reserved prefix {RESERVED_QUEUES}"
        ));
    }
    Ok(())
}

/// Refuses what belongs to features that are left out, so that nothing is silently half done.
pub(crate) fn left_out(request: &StartWorkflowExecutionRequest) -> Result<(), Rejection> {
    if request.versioning_override.is_some() {
        return Err(Rejection::Unsupported(
            "this server does not support worker versioning: versioning_override cannot be set",
        ));
    }
    if request.time_skipping_config.is_some() {
        return Err(Rejection::Unsupported(
            "this server does not support time skipping: time_skipping_config cannot be set",
        ));
    }
    if !request.completion_callbacks.is_empty() {
        return Err(Rejection::invalid(
            "attaching workflow callbacks is disabled for this namespace: this server does not support Nexus",
        ));
    }
    Ok(())
}
