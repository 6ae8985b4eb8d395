//! What a decision yields: the next state, the events to append, the answer, and perhaps a successor run.

use std::time::Duration;

use crate::{
    ActivityToken, EventId, Rejection, RunKey, RunState, Timestamp, UpdateNews, UpdateStage, WorkflowTaskToken,
    proto::{
        ActivityOptions, ActivityType, Failure, Header, HistoryEvent, Payloads, Priority, ProtocolMessage, RetryPolicy,
        TaskQueue, WorkflowExecution, WorkflowType,
    },
};

/// The outcome of a decision. Commit it, then install `next`, then publish what `next` is obliged to.
#[derive(Clone, Debug)]
#[must_use = "a transition that is not committed never happened"]
pub struct Transition {
    /// The run's state from now on.
    pub next: RunState,
    /// Events to append; their ids continue the stored history.
    pub events: Vec<HistoryEvent>,
    /// The answer to the input.
    pub reply: Reply,
    /// The run that follows a closed one (continue-as-new, retry, cron): to be committed in the same batch, and to
    /// become the workflow id's current run.
    pub successor: Option<Box<Transition>>,
    /// What became of updates.
    pub updates: Vec<UpdateNews>,
    pub(crate) changed: bool,
    pub(crate) remembered: bool,
}

impl Transition {
    /// Nothing changed: there is nothing to commit, only to answer.
    pub fn is_noop(&self) -> bool {
        !self.changed && !self.remembered
    }

    /// Only memory changed: there is nothing to commit, but `next` is to be installed and published. A crash loses no more
    /// than updates whose callers are still waiting, and they ask again. [trap 10]
    pub fn is_memory_only(&self) -> bool {
        !self.changed && self.remembered
    }

    /// The run this transition is about.
    pub fn key(&self) -> &RunKey {
        self.next.key()
    }
}

/// The answer to an input.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Done (or already done), nothing to say.
    Done,
    /// [`start`](crate::start) made a run.
    Started,
    /// A workflow task for a worker.
    WorkflowTaskStarted(Box<WorkflowTaskStarted>),
    /// A workflow task's completion was taken, or recorded as a failure.
    WorkflowTaskCompleted(Box<WorkflowTaskCompleted>),
    /// How far an update is. Its caller may have to wait for [`Transition::updates`] to come.
    Update(UpdateStage),
    /// An activity for a worker.
    ActivityStarted(Box<ActivityStarted>),
    /// The run was reset: what it was told concerns the run that was made of it.
    WasReset {
        /// That run.
        run_id: String,
    },
    /// What an activity learns by its heartbeat.
    Heartbeat {
        /// The activity is asked to cancel itself.
        cancel_requested: bool,
        /// It was paused.
        paused: bool,
        /// It was reset: the next attempt is the first one again.
        reset: bool,
    },
    /// An activity's failure was taken, but not all that came with it: it was too large.
    TooLarge(Vec<Failure>),
    /// The options of an activity after they were changed.
    ActivityOptions(Box<ActivityOptions>),
}

/// A started workflow task: what `PollWorkflowTaskQueueResponse` needs besides the events themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkflowTaskStarted {
    /// Proof for the answer; `prost::Message::encode_to_vec` makes the wire form.
    pub token: WorkflowTaskToken,
    /// The run.
    pub execution: WorkflowExecution,
    /// Its type.
    pub workflow_type: WorkflowType,
    /// The Started event of the last completed workflow task, or 0.
    pub previous_started_event_id: EventId,
    /// This task's Started event, maybe a virtual one.
    pub started_event_id: EventId,
    /// From 1.
    pub attempt: u32,
    /// When it was scheduled.
    pub scheduled_time: Timestamp,
    /// When it was started.
    pub started_time: Timestamp,
    /// The workflow's normal task queue.
    pub task_queue: TaskQueue,
    /// The worker holds the run up to `previous_started_event_id`: it wants the later events only. [trap 7]
    pub sticky: bool,
    /// First stored event the worker needs.
    pub history_from: EventId,
    /// Last stored event the worker needs.
    pub history_to: EventId,
    /// Virtual events to send after `history_to`: a transient or speculative task's Scheduled and Started, not stored.
    /// [traps 5 and 10]
    pub suffix: Vec<HistoryEvent>,
    /// Updates for the workflow.
    pub messages: Vec<ProtocolMessage>,
}

/// What became of a workflow task's completion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkflowTaskCompleted {
    /// Set if the completion was bad and is now recorded as a failed task: commit, then answer the worker this error.
    pub answer_error: Option<Rejection>,
    /// The task vanished: the worker goes back to this Started event, or to where it was if there is none. [trap 10]
    pub reset_history_event_id: EventId,
    /// The next task, started in the same transition for the same worker.
    pub new_task: Option<Box<WorkflowTaskStarted>>,
    /// Activities started in the same transition for the same worker.
    pub activities: Vec<ActivityStarted>,
}

/// A started attempt of an activity: what `PollActivityTaskQueueResponse` needs.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivityStarted {
    /// Proof for the answer; `prost::Message::encode_to_vec` makes the wire form.
    pub token: ActivityToken,
    /// The run it belongs to.
    pub execution: WorkflowExecution,
    /// That run's type.
    pub workflow_type: WorkflowType,
    /// The run is a standalone activity, and not a workflow.
    pub standalone: bool,
    /// That run's namespace.
    pub workflow_namespace: String,
    /// What to do.
    pub activity_type: ActivityType,
    /// The id workflow code gave it.
    pub activity_id: String,
    /// Headers of the workflow's interceptors.
    pub header: Option<Header>,
    /// Its arguments.
    pub input: Option<Payloads>,
    /// Progress of earlier attempts.
    pub heartbeat_details: Option<Payloads>,
    /// When the activity was scheduled.
    pub scheduled_time: Timestamp,
    /// When this attempt became ready.
    pub current_attempt_scheduled_time: Timestamp,
    /// When this attempt was started.
    pub started_time: Timestamp,
    /// From 1.
    pub attempt: u32,
    /// For all attempts together; zero is none.
    pub schedule_to_close_timeout: Duration,
    /// For this attempt; zero is none.
    pub start_to_close_timeout: Duration,
    /// Between heartbeats; zero is none.
    pub heartbeat_timeout: Duration,
    /// How it is retried.
    pub retry_policy: Option<RetryPolicy>,
    /// Its place among others.
    pub priority: Option<Priority>,
}
