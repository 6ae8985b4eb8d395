//! What a schedule shows, and what it starts.

use jiff::Timestamp;
use temporalio_protos::temporal::api::{
    common::v1::WorkflowExecution,
    enums::v1::WorkflowIdReusePolicy,
    schedule::v1::{Schedule, ScheduleInfo, ScheduleListInfo, ScheduleSpec},
    workflow::v1::NewWorkflowExecutionInfo,
    workflowservice::v1::StartWorkflowExecutionRequest,
};

use crate::{
    canonical::explicit_spec,
    state::ScheduleState,
    steps::{OutOfSteps, Steps},
    stored::Start,
    time::{proto_timestamp, timestamp},
};

/// Future times that a description shows.
const FUTURE: usize = 10;
/// Future times, and recent actions, that a list shows.
const LISTED: usize = 5;
/// Calendars and intervals of each kind that a list shows.
const LISTED_PARTS: usize = 10;
/// Times that are answered at most.
const MATCHING: usize = 1000;

/// What to start, and how it counts.
#[derive(Debug, Clone, PartialEq)]
pub struct StartOrder {
    /// The request, but for namespace, identity and the search attributes that name schedule and time.
    pub request: StartWorkflowExecutionRequest,
    /// The nominal time, in whole seconds.
    pub nominal: Timestamp,
    /// Asked for by somebody, rather than by the spec.
    pub manual: bool,
}

impl ScheduleState {
    /// The schedule as its owner sees it, with all defaults written out.
    pub fn describe(&self) -> Schedule {
        let mut schedule = self.message();
        schedule.spec = schedule.spec.map(explicit_spec);
        schedule
    }

    /// What it did and will do.
    pub fn info(&self, now: Timestamp) -> ScheduleInfo {
        let progress = &self.progress;
        #[expect(deprecated, reason = "the message has a field that nobody fills any more")]
        ScheduleInfo {
            action_count: progress.actions,
            missed_catchup_window: progress.missed_catchup,
            overlap_skipped: progress.overlap_skipped,
            buffer_dropped: progress.buffer_dropped,
            buffer_size: i64::try_from(progress.waiting.len()).unwrap_or(i64::MAX),
            running_workflows: progress
                .running
                .iter()
                .map(|running| WorkflowExecution {
                    workflow_id: running.workflow_id.clone(),
                    run_id: running.run_id.clone(),
                })
                .collect(),
            recent_actions: progress.recent.clone(),
            future_action_times: self.future(now, FUTURE),
            create_time: progress.created,
            update_time: progress.updated,
            invalid_schedule_error: String::new(),
            state_size_bytes: 0,
        }
    }

    /// What lists show.
    pub fn list_info(&self, now: Timestamp) -> ScheduleListInfo {
        let progress = &self.progress;
        let mut spec = ScheduleSpec {
            timezone_data: Vec::new(),
            ..self.definition.spec.canonical().clone()
        };
        spec.structured_calendar.truncate(LISTED_PARTS);
        spec.exclude_structured_calendar.truncate(LISTED_PARTS);
        spec.interval.truncate(LISTED_PARTS);
        let recent = progress.recent.len().saturating_sub(LISTED);
        ScheduleListInfo {
            spec: Some(explicit_spec(spec)),
            workflow_type: self
                .definition
                .workflow()
                .and_then(|workflow| workflow.workflow_type.clone()),
            notes: progress.switches.notes.clone(),
            paused: progress.switches.paused,
            recent_actions: progress.recent[recent..].to_vec(),
            future_action_times: self.future(now, LISTED),
            state_size_bytes: 0,
        }
    }

    fn future(&self, now: Timestamp, count: usize) -> Vec<prost_types::Timestamp> {
        let switches = &self.progress.switches;
        let count = match switches.limited_actions {
            true => count.min(usize::try_from(switches.remaining_actions).unwrap_or(0)),
            false => count,
        };
        // A schedule that rests does not keep its mark up to date.
        let mut after = self.progress.seen_to();
        if !self.may_act() {
            after = after.max(now);
        }
        let mut steps = Steps::default();
        let mut times = Vec::new();
        while times.len() < count
            && let Ok(Some(next)) = self.next_after(after, &mut steps)
        {
            after = next.actual;
            if next.actual >= self.progress.updated() {
                times.push(proto_timestamp(next.actual));
            }
        }
        times
    }

    /// When the spec matches, after `from` and up to `to`; a thousand times at most.
    pub fn matching_times(&self, from: Timestamp, to: Timestamp) -> Result<Vec<prost_types::Timestamp>, OutOfSteps> {
        let mut steps = Steps::default();
        let mut after = from;
        let mut times = Vec::new();
        while times.len() < MATCHING
            && let Some(next) = self.next_after(after, &mut steps)?
            && next.actual <= to
        {
            after = next.actual;
            times.push(proto_timestamp(next.actual));
        }
        Ok(times)
    }

    /// What a start that is owed asks for; `None` if it is not owed.
    pub fn start_order(&self, request_id: &str) -> Option<StartOrder> {
        let start = self
            .progress
            .starting
            .iter()
            .find(|start| start.request_id == request_id)?;
        let workflow = self.definition.workflow()?.clone();
        let mut request = StartWorkflowExecutionRequest {
            request_id: start.request_id.clone(),
            ..start_request(workflow, start.workflow_id.clone())
        };
        // A time of the spec is acted on once; what somebody asks for may be asked for again.
        request.set_workflow_id_reuse_policy(if start.manual {
            WorkflowIdReusePolicy::AllowDuplicate
        } else {
            WorkflowIdReusePolicy::RejectDuplicate
        });
        // Those that run beside others are handed nothing.
        if !start.beside {
            request.last_completion_result = self.progress.last_result.clone();
            request.continued_failure = self.progress.last_failure.clone();
        }
        Some(StartOrder {
            request,
            nominal: start.nominal_time(),
            manual: start.manual,
        })
    }
}

/// The start of a schedule's workflow under an id. What only the occasion tells is left out: the request id, the policy for
/// the workflow id, what the run before left behind.
pub fn start_request(workflow: NewWorkflowExecutionInfo, workflow_id: String) -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest {
        workflow_id,
        workflow_type: workflow.workflow_type,
        task_queue: workflow.task_queue,
        input: workflow.input,
        workflow_execution_timeout: workflow.workflow_execution_timeout,
        workflow_run_timeout: workflow.workflow_run_timeout,
        workflow_task_timeout: workflow.workflow_task_timeout,
        retry_policy: workflow.retry_policy,
        memo: workflow.memo,
        search_attributes: workflow.search_attributes,
        header: workflow.header,
        user_metadata: workflow.user_metadata,
        priority: workflow.priority,
        ..StartWorkflowExecutionRequest::default()
    }
}

impl Start {
    fn nominal_time(&self) -> Timestamp {
        timestamp(self.nominal.as_ref())
            .and_then(|time| Timestamp::from_second(time.as_second()).ok())
            .unwrap_or_default()
    }
}
