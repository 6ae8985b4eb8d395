//! From what clients and parents ask for to the first event of a run.

use std::time::Duration;

use helve_schedule::cron;
use temporalio_protos::temporal::api::workflowservice::v1::{
    SignalWithStartWorkflowExecutionRequest, StartWorkflowExecutionRequest,
};

use crate::{
    Attachment, ChildStart, Env, Rejection, RunKey, RunKind, Signal, StartRun, check_links, priority,
    proto::{RetryPolicy, TaskQueue, WorkflowExecutionStartedEventAttributes, WorkflowType},
    retry,
    timestamp::{duration, proto_duration},
    validate,
    workflow_task::normal_queue,
};

/// The timeouts of a run, made consistent with each other.
pub(crate) struct Timeouts {
    pub(crate) execution: Duration,
    pub(crate) run: Duration,
    pub(crate) task: Duration,
}

impl Timeouts {
    /// A run may not outlive its chain, nor a task its run; zero means none, but a task always has a timeout.
    pub(crate) fn normalize(execution: Duration, run: Duration, task: Duration, env: &Env<'_>) -> Self {
        let shorter = |a: Duration, b: Duration| if a.is_zero() || b.is_zero() { a.max(b) } else { a.min(b) };
        let run = shorter(run, execution);
        let task = if task.is_zero() {
            env.limits.workflow_task_timeout_default
        } else {
            task
        };
        Self {
            execution,
            run,
            task: shorter(task.min(env.limits.workflow_task_timeout_max), run),
        }
    }
}

impl StartRun {
    /// From a start request. The run gets the id `run_id`.
    pub fn from_request(
        request: StartWorkflowExecutionRequest,
        run_id: &str,
        env: &Env<'_>,
    ) -> Result<Self, Rejection> {
        let timeouts = Timeouts::normalize(
            validate::timeout("WorkflowExecutionTimeout", request.workflow_execution_timeout.as_ref())?,
            validate::timeout("WorkflowRunTimeout", request.workflow_run_timeout.as_ref())?,
            validate::timeout("WorkflowTaskTimeout", request.workflow_task_timeout.as_ref())?,
            env,
        );
        validate::left_out(&request)?;
        let delay = validate::timeout("WorkflowStartDelay", request.workflow_start_delay.as_ref())?;
        if !delay.is_zero() && !request.cron_schedule.is_empty() {
            return Err(Rejection::invalid(
                "CronSchedule and WorkflowStartDelay may not be used together.",
            ));
        }
        let mut attributes = WorkflowExecutionStartedEventAttributes {
            workflow_type: request.workflow_type,
            task_queue: request.task_queue,
            input: request.input,
            header: request.header,
            identity: request.identity,
            retry_policy: request.retry_policy,
            cron_schedule: request.cron_schedule,
            memo: request.memo,
            search_attributes: request.search_attributes,
            workflow_id: request.workflow_id,
            completion_callbacks: request.completion_callbacks,
            versioning_override: request.versioning_override,
            priority: request.priority,
            continued_failure: request.continued_failure,
            last_completion_result: request.last_completion_result,
            ..WorkflowExecutionStartedEventAttributes::default()
        };
        fill(&mut attributes, run_id, &timeouts, delay, env)?;
        priority::check_priority(attributes.priority.as_ref()).map_err(Rejection::invalid)?;
        validate::id("RequestId", &request.request_id, env.limits)?;
        check_links(&request.links, env.limits)?;
        env.search_attributes
            .check(attributes.search_attributes.as_ref().map(|s| &s.indexed_fields))
            .map_err(Rejection::InvalidArgument)?;
        Ok(Self {
            key: RunKey {
                namespace: request.namespace,
                kind: RunKind::Workflow,
                workflow_id: attributes.workflow_id.clone(),
                run_id: run_id.to_owned(),
            },
            attributes: Box::new(attributes),
            signal: None,
            update: None,
            user_metadata: request.user_metadata,
            on_conflict: request.on_conflict_options.map(|options| Attachment {
                request_id: if options.attach_request_id {
                    request.request_id.clone()
                } else {
                    String::new()
                },
                links: if options.attach_links {
                    request.links.clone()
                } else {
                    Vec::new()
                },
            }),
            request_id: request.request_id,
            links: request.links,
            eager: request.request_eager_execution,
            activity: None,
        })
    }

    /// From a signal-with-start request. If the run exists already, [`StartRun::signal`] is the signal to send it.
    pub fn from_signal_with_start(
        request: SignalWithStartWorkflowExecutionRequest,
        run_id: &str,
        env: &Env<'_>,
    ) -> Result<Self, Rejection> {
        let signal = Signal {
            name: request.signal_name,
            input: request.signal_input,
            header: request.header.clone(),
            identity: request.identity.clone(),
            request_id: request.request_id.clone(),
            links: request.links.clone(),
            external: None,
            with_start: true,
        };
        validate::signal(&signal, env.limits)?;
        let start = StartWorkflowExecutionRequest {
            namespace: request.namespace,
            workflow_id: request.workflow_id,
            workflow_type: request.workflow_type,
            task_queue: request.task_queue,
            input: request.input,
            workflow_execution_timeout: request.workflow_execution_timeout,
            workflow_run_timeout: request.workflow_run_timeout,
            workflow_task_timeout: request.workflow_task_timeout,
            identity: request.identity,
            request_id: request.request_id,
            retry_policy: request.retry_policy,
            cron_schedule: request.cron_schedule,
            memo: request.memo,
            search_attributes: request.search_attributes,
            header: request.header,
            workflow_start_delay: request.workflow_start_delay,
            user_metadata: request.user_metadata,
            links: request.links,
            versioning_override: request.versioning_override,
            priority: request.priority,
            ..StartWorkflowExecutionRequest::default()
        };
        Ok(Self {
            signal: Some(signal),
            ..Self::from_request(start, run_id, env)?
        })
    }

    /// From a parent's StartChildWorkflowExecutionInitiated event.
    ///
    /// Its policies are in `child.attributes`; the conflict policy of children is always `Fail`.
    pub fn child(child: &ChildStart, run_id: &str, env: &Env<'_>) -> Result<Self, Rejection> {
        let a = &child.attributes;
        let timeouts = Timeouts::normalize(
            duration(a.workflow_execution_timeout.as_ref()),
            duration(a.workflow_run_timeout.as_ref()),
            duration(a.workflow_task_timeout.as_ref()),
            env,
        );
        let mut attributes = WorkflowExecutionStartedEventAttributes {
            workflow_type: a.workflow_type.clone(),
            parent_workflow_namespace: child.parent.namespace.clone(),
            parent_workflow_namespace_id: child.namespace_id.clone(),
            parent_workflow_execution: Some(crate::proto::WorkflowExecution {
                workflow_id: child.parent.workflow_id.clone(),
                run_id: child.parent.run_id.clone(),
            }),
            parent_initiated_event_id: child.parent.initiated_event_id,
            root_workflow_execution: Some(child.root.clone()),
            task_queue: a.task_queue.clone(),
            input: a.input.clone(),
            header: a.header.clone(),
            retry_policy: a.retry_policy.clone(),
            cron_schedule: a.cron_schedule.clone(),
            memo: a.memo.clone(),
            search_attributes: a.search_attributes.clone(),
            workflow_id: a.workflow_id.clone(),
            priority: priority::inherit(child.parent_priority.as_ref(), a.priority.as_ref()),
            versioning_override: a.versioning_override.clone(),
            ..WorkflowExecutionStartedEventAttributes::default()
        };
        fill(&mut attributes, run_id, &timeouts, Duration::ZERO, env)?;
        Ok(Self {
            key: RunKey {
                namespace: child.parent.namespace.clone(),
                kind: RunKind::Workflow,
                workflow_id: a.workflow_id.clone(),
                run_id: run_id.to_owned(),
            },
            attributes: Box::new(attributes),
            request_id: child.request_id(),
            signal: None,
            update: None,
            user_metadata: child.user_metadata.clone(),
            links: Vec::new(),
            on_conflict: None,
            eager: false,
            activity: None,
        })
    }
}

/// Validates what the starter chose, and fills in what follows from it.
fn fill(
    a: &mut WorkflowExecutionStartedEventAttributes,
    run_id: &str,
    timeouts: &Timeouts,
    delay: Duration,
    env: &Env<'_>,
) -> Result<(), Rejection> {
    validate::required_id("WorkflowId", &a.workflow_id, env.limits)?;
    a.workflow_type = Some(workflow_type(a.workflow_type.take(), env)?);
    a.task_queue = Some(task_queue(a.task_queue.take(), env)?);
    a.retry_policy = a
        .retry_policy
        .take()
        .map(|policy| workflow_retry_policy(policy, env))
        .transpose()?;
    validate::start_sizes(a, env.limits)?;

    let backoff = if a.cron_schedule.is_empty() {
        delay
    } else {
        cron::validate(&a.cron_schedule).map_err(Rejection::InvalidArgument)?;
        cron::backoff(&a.cron_schedule, env.now.into(), env.now.into()).unwrap_or_default()
    };
    a.first_workflow_task_backoff = Some(proto_duration(backoff));
    // Left out if there is none: SDKs tell workflow code "none" and "zero" apart.
    a.workflow_execution_timeout = (!timeouts.execution.is_zero()).then(|| proto_duration(timeouts.execution));
    a.workflow_run_timeout = (!timeouts.run.is_zero()).then(|| proto_duration(timeouts.run));
    a.workflow_task_timeout = Some(proto_duration(timeouts.task));
    if !timeouts.execution.is_zero() {
        a.workflow_execution_expiration_time = Some((env.now + backoff + timeouts.execution).into());
    }
    a.attempt = 1;
    run_id.clone_into(&mut a.original_execution_run_id);
    run_id.clone_into(&mut a.first_execution_run_id);
    Ok(())
}

fn workflow_type(given: Option<WorkflowType>, env: &Env<'_>) -> Result<WorkflowType, Rejection> {
    let given = given.unwrap_or_default();
    validate::required_id("WorkflowType", &given.name, env.limits)?;
    Ok(given)
}

fn task_queue(given: Option<TaskQueue>, env: &Env<'_>) -> Result<TaskQueue, Rejection> {
    let given = given.unwrap_or_default();
    validate::required_id("TaskQueue", &given.name, env.limits)?;
    validate::task_queue(&given.name).map_err(Rejection::InvalidArgument)?;
    Ok(normal_queue(&given.name))
}

fn workflow_retry_policy(policy: RetryPolicy, env: &Env<'_>) -> Result<RetryPolicy, Rejection> {
    retry::normalize(policy, env.limits).map_err(Rejection::InvalidArgument)
}
