//! From a start request to a standalone activity.

use std::time::Duration;

use temporalio_protos::temporal::api::workflowservice::v1::StartActivityExecutionRequest;

use crate::{
    Env, Rejection, RunKey, RunKind, StartRun,
    activity::Timeouts,
    check_links, check_priority,
    proto::{
        ActivityOptions, ActivityTaskScheduledEventAttributes, UserMetadata, WorkflowExecutionStartedEventAttributes,
        WorkflowType,
    },
    retry,
    timestamp::{duration, proto_duration},
    validate,
    workflow_task::normal_queue,
};

impl StartRun {
    /// From the request to start a standalone activity. The run gets the id `run_id`.
    pub fn activity(request: StartActivityExecutionRequest, run_id: &str, env: &Env<'_>) -> Result<Self, Rejection> {
        let queue = request.task_queue.unwrap_or_default().name;
        let kind = request.activity_type.unwrap_or_default();
        given("taskQueue", &queue, env)?;
        validate::task_queue(&queue).map_err(Rejection::InvalidArgument)?;
        given("activityId", &request.activity_id, env)?;
        given("activityType", &kind.name, env)?;
        validate::id("request ID", &request.request_id, env.limits)?;
        check_priority(request.priority.as_ref()).map_err(Rejection::invalid)?;
        check_links(&request.links, env.limits)?;
        given_at_most("identity", request.identity.len(), env.limits.id_length_max)?;
        metadata(request.user_metadata.as_ref(), env)?;
        let delay = start_delay(request.start_delay.as_ref())?;
        let mut options = ActivityOptions {
            schedule_to_close_timeout: request.schedule_to_close_timeout,
            schedule_to_start_timeout: request.schedule_to_start_timeout,
            start_to_close_timeout: request.start_to_close_timeout,
            heartbeat_timeout: request.heartbeat_timeout,
            ..ActivityOptions::default()
        };
        Timeouts::of(&options)
            .map_err(Rejection::InvalidArgument)?
            .consistent(Duration::ZERO)
            .ok_or_else(|| {
                Rejection::invalid(format!(
                    "a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the activity. ActivityId={} \
                     ActivityType={}",
                    request.activity_id, kind.name
                ))
            })?
            .put_into(&mut options);
        let retry_policy = retry::normalize(request.retry_policy.unwrap_or_default(), env.limits)
            .map_err(Rejection::InvalidArgument)?;
        let attributes = WorkflowExecutionStartedEventAttributes {
            workflow_type: Some(WorkflowType {
                name: kind.name.clone(),
            }),
            task_queue: Some(normal_queue(&queue)),
            search_attributes: request.search_attributes,
            identity: request.identity,
            first_workflow_task_backoff: Some(proto_duration(delay)),
            workflow_id: request.activity_id.clone(),
            original_execution_run_id: run_id.to_owned(),
            first_execution_run_id: run_id.to_owned(),
            attempt: 1,
            ..WorkflowExecutionStartedEventAttributes::default()
        };
        validate::start_sizes(&attributes, env.limits)?;
        env.search_attributes
            .check(attributes.search_attributes.as_ref().map(|s| &s.indexed_fields))
            .map_err(Rejection::InvalidArgument)?;
        validate::payloads(request.input.as_ref(), env.limits)
            .map_err(|_| Rejection::invalid("input exceeds length limit"))?;
        let activity = ActivityTaskScheduledEventAttributes {
            activity_id: request.activity_id.clone(),
            activity_type: Some(kind),
            task_queue: Some(normal_queue(&queue)),
            header: request.header,
            input: request.input,
            schedule_to_close_timeout: options.schedule_to_close_timeout,
            schedule_to_start_timeout: options.schedule_to_start_timeout,
            start_to_close_timeout: options.start_to_close_timeout,
            heartbeat_timeout: options.heartbeat_timeout,
            retry_policy: Some(retry_policy),
            priority: request.priority,
            ..ActivityTaskScheduledEventAttributes::default()
        };
        Ok(Self {
            key: RunKey {
                namespace: request.namespace,
                kind: RunKind::Activity,
                workflow_id: request.activity_id,
                run_id: run_id.to_owned(),
            },
            attributes: Box::new(attributes),
            request_id: request.request_id,
            signal: None,
            user_metadata: request.user_metadata,
            links: request.links,
            on_conflict: None,
            eager: false,
            update: None,
            activity: Some(Box::new(activity)),
        })
    }
}

fn given(field: &str, value: &str, env: &Env<'_>) -> Result<(), Rejection> {
    if value.is_empty() {
        return Err(Rejection::invalid(format!("{field} is not set")));
    }
    given_at_most(field, value.len(), env.limits.id_length_max)
}

fn given_at_most(field: &str, length: usize, limit: usize) -> Result<(), Rejection> {
    if length > limit {
        return Err(Rejection::invalid(format!(
            "{field} exceeds length limit. Length={length} Limit={limit}"
        )));
    }
    Ok(())
}

/// What user interfaces show of it.
fn metadata(given: Option<&UserMetadata>, env: &Env<'_>) -> Result<(), Rejection> {
    let Some(given) = given else { return Ok(()) };
    for (field, payload, limit) in [
        ("summary", &given.summary, env.limits.summary_size_max),
        ("details", &given.details, env.limits.details_size_max),
    ] {
        let size = payload.as_ref().map_or(0, prost::Message::encoded_len);
        if size > limit {
            return Err(Rejection::invalid(format!(
                "user_metadata.{field} exceeds size limit. Length={size} Limit={limit}"
            )));
        }
    }
    Ok(())
}

fn start_delay(given: Option<&prost_types::Duration>) -> Result<Duration, Rejection> {
    if given.is_some_and(|d| d.seconds < 0 || d.nanos < 0) {
        return Err(Rejection::invalid("invalid StartDelay: negative duration"));
    }
    Ok(duration(given))
}
