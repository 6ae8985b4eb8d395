//! The state of one run, and what can be read from it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use crate::{
    ActivityRef, EventId, Limits, MessageId, ParentRef, RunKey, Timestamp,
    fold::event_time,
    problems::Problems,
    proto::{
        Attributes, HistoryEvent, Payload, RetryPolicy, UserMetadata, WorkflowExecution,
        WorkflowExecutionStartedEventAttributes, WorkflowExecutionStatus,
    },
    recorded::Recorded,
    update::WaitingUpdates,
    workflow_task::{Sticky, WorkflowTask},
};

/// The state of one run: the fold of its events, and the facts its history does not contain.
///
/// A clone shares everything with its original until one of them is changed.
#[derive(Clone, Debug, PartialEq)]
pub struct RunState {
    pub(crate) key: RunKey,
    pub(crate) recorded: Recorded,
    /// Events that happened while a workflow task was in flight: meant already, not yet numbered. [trap 1]
    pub(crate) buffered: Arc<Vec<HistoryEvent>>,
    pub(crate) facts: Facts,
    /// Updates that no worker has answered. In memory only, like speculative workflow tasks: see [`RunState::durable`].
    pub(crate) waiting: WaitingUpdates,
}

/// Facts about the run as a whole. (Those about activities are [`Attempt`](crate::attempt::Attempt)s.)
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    pub(crate) workflow_task: WorkflowTask,
    pub(crate) sticky: Option<Sticky>,
    /// The request that started the run, for deduplication of starts.
    pub(crate) start_request_id: String,
    /// Messages of the closed run that were delivered.
    pub(crate) delivered: Arc<BTreeSet<MessageId>>,
    /// Committed transitions.
    pub(crate) transitions: i64,
    /// The latest run that a reset made of this one.
    pub(crate) reset_run_id: String,
    /// The reset that made this run, for deduplication; empty if none did.
    pub(crate) reset_request_id: String,
    /// The run that was reset to make this one, if it has yet to be told.
    pub(crate) untold_base: Option<String>,
    /// Workflow tasks that did not succeed.
    pub(crate) problems: Problems,
    /// A close command was refused since events were buffered: others must not keep the run from closing. [trap 3]
    pub(crate) close_attempted: bool,
}

impl RunState {
    /// Names the run.
    pub fn key(&self) -> &RunKey {
        &self.key
    }

    /// Is it open?
    pub fn is_running(&self) -> bool {
        self.recorded.is_running()
    }

    /// Its status as visibility shows it.
    pub fn status(&self) -> WorkflowExecutionStatus {
        let Some(close) = &self.recorded.close else {
            return WorkflowExecutionStatus::Running;
        };
        match &close.attributes {
            Some(
                Attributes::WorkflowExecutionCompletedEventAttributes(_)
                | Attributes::ActivityTaskCompletedEventAttributes(_),
            ) => WorkflowExecutionStatus::Completed,
            Some(
                Attributes::WorkflowExecutionFailedEventAttributes(_)
                | Attributes::ActivityTaskFailedEventAttributes(_),
            ) => WorkflowExecutionStatus::Failed,
            Some(
                Attributes::WorkflowExecutionTimedOutEventAttributes(_)
                | Attributes::ActivityTaskTimedOutEventAttributes(_),
            ) => WorkflowExecutionStatus::TimedOut,
            Some(
                Attributes::WorkflowExecutionCanceledEventAttributes(_)
                | Attributes::ActivityTaskCanceledEventAttributes(_),
            ) => WorkflowExecutionStatus::Canceled,
            Some(Attributes::WorkflowExecutionTerminatedEventAttributes(_)) => WorkflowExecutionStatus::Terminated,
            Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(_)) => {
                WorkflowExecutionStatus::ContinuedAsNew
            }
            _ => WorkflowExecutionStatus::Unspecified,
        }
    }

    /// Its status as lists number it: by the protocol's numbers for its kind.
    pub fn listed_status(&self) -> i32 {
        match self.standalone_activity() {
            None => self.status() as i32,
            Some((_, activity)) => self.stage(activity).status() as i32,
        }
    }

    /// The attributes of its first event.
    pub fn started_attributes(&self) -> &WorkflowExecutionStartedEventAttributes {
        &self.recorded.started.attributes
    }

    /// Its workflow type, or the type of the standalone activity.
    pub fn workflow_type(&self) -> &str {
        self.recorded.started.workflow_type()
    }

    /// The task queue of an activity that has not ended, whatever attempt it is in.
    pub fn task_queue_of(&self, activity: &ActivityRef) -> Option<&str> {
        let scheduled_event_id = match activity {
            ActivityRef::Token(token) => token.scheduled_event_id,
            ActivityRef::ById(id) => self.recorded.activity_by_id(id)?,
        };
        let activity = self.recorded.activities.get(&scheduled_event_id)?;
        Some(activity.task_queue())
    }

    /// Its normal task queue; that of a standalone activity may be changed.
    pub fn task_queue(&self) -> &str {
        match self.standalone_activity() {
            Some((_, activity)) => activity.task_queue(),
            None => self.recorded.started.task_queue(),
        }
    }

    /// When it was started, or made by a reset.
    pub fn start_time(&self) -> Timestamp {
        self.recorded.start_time()
    }

    /// When its first workflow task was, or is, due; or the first attempt of a standalone activity.
    pub fn execution_time(&self) -> Timestamp {
        match self.standalone_activity() {
            Some((_, activity)) => activity.first_due(),
            None => self.recorded.execution_time(),
        }
    }

    /// When it closed.
    pub fn close_time(&self) -> Option<Timestamp> {
        self.recorded.close.as_deref().map(event_time)
    }

    /// Its close event.
    pub fn close_event(&self) -> Option<&HistoryEvent> {
        self.recorded.close.as_deref()
    }

    /// The run that continues this closed one, if any.
    pub fn successor_run_id(&self) -> Option<&str> {
        let run_id = match self.recorded.close.as_deref()?.attributes.as_ref()? {
            Attributes::WorkflowExecutionCompletedEventAttributes(a) => &a.new_execution_run_id,
            Attributes::WorkflowExecutionFailedEventAttributes(a) => &a.new_execution_run_id,
            Attributes::WorkflowExecutionTimedOutEventAttributes(a) => &a.new_execution_run_id,
            Attributes::WorkflowExecutionContinuedAsNewEventAttributes(a) => &a.new_execution_run_id,
            _ => return None,
        };
        (!run_id.is_empty()).then_some(run_id)
    }

    /// Number of events in its history, and so the id of the last one.
    pub fn history_length(&self) -> EventId {
        self.recorded.length
    }

    /// Encoded bytes of its history.
    pub fn history_size(&self) -> u64 {
        self.recorded.size
    }

    /// How often it changed.
    pub fn transition_count(&self) -> i64 {
        self.facts.transitions
    }

    /// Its memo.
    pub fn memo(&self) -> &HashMap<String, Payload> {
        &self.recorded.memo
    }

    /// Summary and details its starter gave it.
    pub fn user_metadata(&self) -> Option<&UserMetadata> {
        self.recorded.started.user_metadata.as_ref()
    }

    /// Its parent, if it is a child.
    pub fn parent(&self) -> Option<ParentRef> {
        let a = self.started_attributes();
        let execution = a.parent_workflow_execution.as_ref()?;
        Some(ParentRef {
            namespace: a.parent_workflow_namespace.clone(),
            workflow_id: execution.workflow_id.clone(),
            run_id: execution.run_id.clone(),
            initiated_event_id: a.parent_initiated_event_id,
        })
    }

    /// The root of its tree of workflows: itself, unless it is a child.
    pub fn root(&self) -> WorkflowExecution {
        self.started_attributes()
            .root_workflow_execution
            .clone()
            .unwrap_or_else(|| self.key.execution())
    }

    /// The first run of its chain.
    pub fn first_run_id(&self) -> &str {
        let first = &self.started_attributes().first_execution_run_id;
        if first.is_empty() { &self.key.run_id } else { first }
    }

    /// The request that started it.
    pub fn start_request_id(&self) -> &str {
        &self.facts.start_request_id
    }

    /// The reset request that made it, or nothing.
    pub fn reset_request_id(&self) -> &str {
        &self.facts.reset_request_id
    }

    /// Was it asked to cancel itself?
    pub fn cancel_requested(&self) -> bool {
        self.recorded.cancel_requested
    }

    /// Its retry policy.
    pub fn retry_policy(&self) -> Option<&RetryPolicy> {
        self.started_attributes().retry_policy.as_ref()
    }

    /// The Started event of its last completed workflow task, or 0.
    pub fn previous_started_event_id(&self) -> EventId {
        self.recorded.last_completed_started_id
    }

    /// The sticky queue its next workflow task goes to, if a worker holds it in its cache.
    pub fn sticky_queue(&self) -> Option<&str> {
        self.facts.sticky.as_ref().map(|sticky| sticky.queue.as_str())
    }

    /// A worker has its workflow task now.
    pub fn workflow_task_in_flight(&self) -> bool {
        matches!(self.facts.workflow_task, WorkflowTask::Started(..))
    }

    /// A workflow task waits for a poller, or a worker has it.
    pub fn has_workflow_task(&self) -> bool {
        !matches!(self.facts.workflow_task, WorkflowTask::Idle { .. })
    }

    /// Events that happened but have no id yet.
    pub fn buffered_events(&self) -> &[HistoryEvent] {
        &self.buffered
    }

    /// A worker completed a workflow task: workers can answer queries from here on.
    pub fn has_completed_workflow_task(&self) -> bool {
        self.recorded.last_completed_started_id != 0
    }

    /// Its workflow task fails again and again: a query that comes now is refused at once. [trap 17]
    pub fn refuses_queries(&self, limits: &Limits) -> bool {
        self.is_running() && self.facts.workflow_task.attempt() >= limits.query_failing_attempts
    }

    /// The workflow task timeout its starter chose.
    pub fn workflow_task_timeout(&self) -> Duration {
        self.recorded.started.workflow_task_timeout()
    }
}
