//! Everything that can happen to a run, as facts handed in by the shell.

use prost::Message;
use temporalio_protos::temporal::api::common::v1::MeteringMetadata;

use crate::{
    ActivityToken, EventId, MessageId, Update, WorkflowTaskToken,
    proto::{
        ActivityOptions, CancelExternalWorkflowExecutionFailedCause, Command, Failure, Header, Link, Payloads,
        Priority, ProtocolMessage, SignalExternalWorkflowExecutionFailedCause, StartChildWorkflowExecutionFailedCause,
        StickyExecutionAttributes, WorkflowExecution, WorkflowTaskCompletedMetadata, WorkflowTaskFailedCause,
    },
};

/// Something that happened to a run, for [`decide`](crate::decide).
#[derive(Clone, Debug)]
pub enum Input {
    /// A signal arrived.
    Signal(Signal),
    /// Somebody asks the workflow to cancel itself.
    RequestCancel(CancelRequest),
    /// Somebody ends the run.
    Terminate(Termination),

    /// Somebody changes options of the running workflow. Answer: [`Reply::Priority`](crate::Reply).
    ChangeOptions(OptionsChange),
    /// A start met this open run, which its policy allows, and leaves something.
    Attach(Attachment),

    /// Somebody updates the workflow. Answer: [`Reply::Update`](crate::Reply).
    Update(Box<Update>),

    /// Matching found a poller for the run's workflow task. Answer: [`Reply::WorkflowTaskStarted`](crate::Reply).
    StartWorkflowTask(WorkflowTaskPoll),
    /// A worker finished its workflow task. Answer: [`Reply::WorkflowTaskCompleted`](crate::Reply).
    CompleteWorkflowTask(Box<WorkflowTaskCompletion>),
    /// A worker could not finish its workflow task.
    FailWorkflowTask(Box<WorkflowTaskFailure>),
    /// The sticky worker is gone: hand the next (or waiting) workflow task to the normal queue.
    ResetSticky,

    /// Matching found a poller for an activity. Answer: [`Reply::ActivityStarted`](crate::Reply).
    StartActivity(ActivityPoll),
    /// A worker reports that an activity is alive. Answer: [`Reply::Heartbeat`](crate::Reply).
    Heartbeat {
        /// Which one.
        activity: ActivityRef,
        /// Progress, given to the next attempt if this one fails.
        details: Option<Payloads>,
        /// Who says so.
        identity: String,
    },
    /// An activity succeeded.
    CompleteActivity {
        /// Which one.
        activity: ActivityRef,
        /// Its result.
        result: Option<Payloads>,
        /// Who says so.
        identity: String,
    },
    /// An attempt of an activity failed.
    FailActivity {
        /// Which one.
        activity: ActivityRef,
        /// Why.
        failure: Option<Box<Failure>>,
        /// Progress of the failed attempt, if it reports any with its failure.
        last_heartbeat_details: Option<Payloads>,
        /// Who says so.
        identity: String,
    },
    /// An activity obeyed a cancel request.
    CancelActivity {
        /// Which one.
        activity: ActivityRef,
        /// What it says about it.
        details: Option<Payloads>,
        /// Who says so.
        identity: String,
    },

    /// An operator pauses, unpauses, resets or changes activities. Answer: [`Reply::ActivityOptions`](crate::Reply) if
    /// options are changed.
    OperateActivities {
        /// Which ones. A standalone activity is meant whatever this says.
        selection: ActivitySelection,
        /// What is done to them.
        operation: ActivityOperation,
    },
    /// Something that only a standalone activity is asked.
    Standalone(StandaloneRequest),

    /// [`MessageBody::StartChild`](crate::MessageBody) was delivered: the child exists.
    ChildStarted {
        /// The StartChildWorkflowExecutionInitiated event.
        initiated_event_id: EventId,
        /// The child's (first) run.
        run_id: String,
    },
    /// [`MessageBody::StartChild`](crate::MessageBody) was refused.
    ChildStartFailed {
        /// The StartChildWorkflowExecutionInitiated event.
        initiated_event_id: EventId,
        /// Why.
        cause: StartChildWorkflowExecutionFailedCause,
    },
    /// A child's last run closed ([`MessageBody::ChildClosed`](crate::MessageBody), delivered to its parent). Answer:
    /// [`Reply::WasReset`](crate::Reply) if that is to be told to another run.
    ChildClosed(Box<ChildClosed>),
    /// [`MessageBody::SignalExternal`](crate::MessageBody) was delivered.
    ExternalSignalDelivered {
        /// The SignalExternalWorkflowExecutionInitiated event.
        initiated_event_id: EventId,
    },
    /// [`MessageBody::SignalExternal`](crate::MessageBody) was refused.
    ExternalSignalFailed {
        /// The SignalExternalWorkflowExecutionInitiated event.
        initiated_event_id: EventId,
        /// Why.
        cause: SignalExternalWorkflowExecutionFailedCause,
    },
    /// [`MessageBody::CancelExternal`](crate::MessageBody) was delivered.
    ExternalCancelDelivered {
        /// The RequestCancelExternalWorkflowExecutionInitiated event.
        initiated_event_id: EventId,
    },
    /// [`MessageBody::CancelExternal`](crate::MessageBody) was refused.
    ExternalCancelFailed {
        /// The RequestCancelExternalWorkflowExecutionInitiated event.
        initiated_event_id: EventId,
        /// Why.
        cause: CancelExternalWorkflowExecutionFailedCause,
    },
    /// A reset made another run of this closed one ([`MessageBody::WasReset`](crate::MessageBody), delivered).
    WasReset {
        /// The other run.
        run_id: String,
    },
    /// A message that needs no answer (to a child or the parent of a closed run) was delivered, or can never be.
    /// Answers to the other messages of a *closed* run may be given this way, too.
    MessageDelivered {
        /// Which one.
        id: MessageId,
    },

    /// [`RunState::next_deadline`](crate::RunState::next_deadline) has come.
    Tick,
}

impl Input {
    /// Roughly how many bytes its caller brought, for whoever gives a run several inputs at once. Commands of a workflow
    /// task are not counted: what is large of them shows in [`RunState::history_size`](crate::RunState::history_size).
    pub fn payload_size(&self) -> usize {
        fn size<M: Message>(part: Option<&M>) -> usize {
            part.map_or(0, Message::encoded_len)
        }
        match self {
            Input::Signal(signal) => size(signal.input.as_ref()) + size(signal.header.as_ref()),
            Input::Terminate(order) => size(order.details.as_ref()),
            Input::Update(update) => update.request.encoded_len(),
            Input::FailWorkflowTask(failed) => size(failed.failure.as_ref()),
            Input::Heartbeat { details, .. } | Input::CancelActivity { details, .. } => size(details.as_ref()),
            Input::CompleteActivity { result, .. } => size(result.as_ref()),
            Input::FailActivity {
                failure,
                last_heartbeat_details,
                ..
            } => size(failure.as_deref()) + size(last_heartbeat_details.as_ref()),
            Input::ChildClosed(closed) => match &closed.close {
                ChildClose::Completed { result: details } | ChildClose::Canceled { details } => size(details.as_ref()),
                ChildClose::Failed { failure, .. } => size(failure.as_deref()),
                ChildClose::TimedOut { .. } | ChildClose::Terminated => 0,
            },
            _ => 0,
        }
    }
}

/// A signal to a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signal {
    /// The signal's name.
    pub name: String,
    /// Its arguments.
    pub input: Option<Payloads>,
    /// Headers of the sender's interceptors.
    pub header: Option<Header>,
    /// Who sends it.
    pub identity: String,
    /// Deduplicates: a second signal with the same non-empty id is a no-op.
    pub request_id: String,
    /// Links for the event.
    pub links: Vec<Link>,
    /// The sending workflow, if one sent it.
    pub external: Option<ExternalSource>,
    /// It came with a start request (signal-with-start), which ends a start delay.
    pub with_start: bool,
}

/// The workflow that sent a signal or a cancel request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExternalSource {
    /// Sender's run.
    pub execution: WorkflowExecution,
    /// The sender's Initiated event.
    pub initiated_event_id: EventId,
    /// Only valid if the sender is the receiver's parent.
    pub child_workflow_only: bool,
    /// Runs of which the sender was made by resets: their children are the sender's.
    pub former_run_ids: Vec<String>,
}

/// A request that the workflow cancel itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CancelRequest {
    /// Why, in the requester's words.
    pub reason: String,
    /// Who asks.
    pub identity: String,
    /// The request's id. A run is asked once: later requests are no-ops whatever their id.
    pub request_id: String,
    /// If not empty: only for the chain of runs that began with this run.
    pub first_execution_run_id: String,
    /// The requesting workflow, if one asks.
    pub external: Option<ExternalSource>,
    /// Only for the child which this parent started: a parent close policy.
    pub only_child_of: Option<ParentRef>,
    /// Links for the event.
    pub links: Vec<Link>,
}

/// What a start leaves that met an open run. A request with the same id leaves it once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attachment {
    /// The start's request, if it is to be remembered; else empty.
    pub request_id: String,
    /// Links for the event.
    pub links: Vec<Link>,
}

/// An order to end a run now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Termination {
    /// Why, in the requester's words.
    pub reason: String,
    /// Further details.
    pub details: Option<Payloads>,
    /// Who orders it.
    pub identity: String,
    /// If not empty: only for the chain of runs that began with this run.
    pub first_execution_run_id: String,
    /// Only for the child which this parent started: a parent close policy.
    pub only_child_of: Option<ParentRef>,
    /// Links for the event.
    pub links: Vec<Link>,
}

/// How the options of a running workflow change. Its priority is the only one that can.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptionsChange {
    /// The new priority.
    pub priority: Option<Priority>,
    /// What of it counts; what comes later counts more.
    pub fields: Vec<PriorityField>,
    /// Who asks.
    pub identity: String,
}

/// What a change of a priority is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriorityField {
    /// All of it.
    All,
    /// The priority key.
    Key,
    /// The fairness key.
    FairnessKey,
    /// The fairness weight.
    FairnessWeight,
}

/// The parent of a run, and the event by which it asked for the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParentRef {
    /// The parent's namespace.
    pub namespace: String,
    /// The parent's workflow id.
    pub workflow_id: String,
    /// The parent's run.
    pub run_id: String,
    /// The StartChildWorkflowExecutionInitiated event in the parent's history.
    pub initiated_event_id: EventId,
}

/// The queue on which a poller took a workflow task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolledQueue {
    /// The workflow's own task queue: the worker knows nothing of the run yet.
    Normal,
    /// A worker's sticky queue: that worker still holds the run in its cache.
    Sticky,
}

/// A poller for a workflow task.
#[derive(Clone, Debug)]
pub struct WorkflowTaskPoll {
    /// From the [`ReadyTask`](crate::ReadyTask).
    pub scheduled_event_id: EventId,
    /// From the [`ReadyTask`](crate::ReadyTask).
    pub attempt: u32,
    /// Where the poller waited.
    pub queue: PolledQueue,
    /// Who polls.
    pub identity: String,
    /// The poll's id: starting again with the same id answers the same, with another one is refused.
    pub request_id: String,
}

/// A worker's answer to a workflow task.
#[derive(Clone, Debug, Default)]
pub struct WorkflowTaskCompletion {
    /// The task.
    pub token: WorkflowTaskToken,
    /// What the workflow wants done.
    pub commands: Vec<Command>,
    /// What it says about updates.
    pub messages: Vec<ProtocolMessage>,
    /// It can be shown events a second time, which lets more speculative tasks vanish. [trap 10]
    pub may_see_events_again: bool,
    /// Where the worker wants the next task. `None` ends stickiness.
    pub sticky: Option<StickyExecutionAttributes>,
    /// Who answers.
    pub identity: String,
    /// A new task is wanted even if nothing happened (a heartbeat, if there are no commands).
    pub force_create_new: bool,
    /// Start the new task, if there is one, for this worker in the same transition.
    pub return_new_task: bool,
    /// The request id of such a new task's start.
    pub new_task_request_id: String,
    /// Start activities for this worker at once if it asked for that: how many it may get.
    pub eager_activities: usize,
    /// For the WorkflowTaskCompleted event.
    pub sdk_metadata: Option<WorkflowTaskCompletedMetadata>,
    /// For the WorkflowTaskCompleted event.
    pub metering: Option<MeteringMetadata>,
    /// Deprecated build id of the worker, for the WorkflowTaskCompleted event.
    pub binary_checksum: String,
}

/// A worker's report that a workflow task failed.
#[derive(Clone, Debug, Default)]
pub struct WorkflowTaskFailure {
    /// The task.
    pub token: WorkflowTaskToken,
    /// Why.
    pub cause: WorkflowTaskFailedCause,
    /// Why, in detail.
    pub failure: Option<Failure>,
    /// Who reports.
    pub identity: String,
    /// Deprecated build id of the worker.
    pub binary_checksum: String,
}

/// A poller for an activity.
#[derive(Clone, Debug)]
pub struct ActivityPoll {
    /// From the [`ReadyTask`](crate::ReadyTask).
    pub scheduled_event_id: EventId,
    /// From the [`ReadyTask`](crate::ReadyTask).
    pub stamp: u32,
    /// Who polls.
    pub identity: String,
    /// What the poller is made with, if it is known.
    pub sdk: Option<Sdk>,
    /// The poll's id: starting again with the same id answers the same, with another one is refused.
    pub request_id: String,
}

/// What a worker is made with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sdk {
    /// `temporal-python`, say.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// How a caller names an activity.
#[derive(Clone, Debug)]
pub enum ActivityRef {
    /// By the token of its attempt.
    Token(ActivityToken),
    /// By the id workflow code gave it (the `...ById` calls): whatever attempt it is in.
    ById(String),
}

/// Pending activities of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActivitySelection {
    /// The one with this id.
    Id(String),
    /// All of this type.
    Type(String),
    /// All.
    All,
}

/// What an operator does to an activity. A standalone one carries out a request with the same id once.
#[derive(Clone, Debug, PartialEq)]
pub enum ActivityOperation {
    /// Do not hand it out any more; an attempt under way may end.
    Pause {
        /// Who pauses it.
        identity: String,
        /// Why.
        reason: String,
        /// The request.
        request_id: String,
    },
    /// Hand it out again.
    Unpause {
        /// Count its attempts from 1 again.
        reset_attempts: bool,
        /// Forget its heartbeat details.
        reset_heartbeat: bool,
        /// At a random time within this duration.
        jitter: std::time::Duration,
        /// The request.
        request_id: String,
    },
    /// Let it begin again.
    Reset(ResetOrder),
    /// Change its options.
    UpdateOptions {
        /// How.
        update: OptionsUpdate,
        /// The request.
        request_id: String,
    },
}

/// How an activity begins again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResetOrder {
    /// Forget its heartbeat details, too.
    pub reset_heartbeat: bool,
    /// If it is paused it stays so.
    pub keep_paused: bool,
    /// With the options it was scheduled with.
    pub restore_original_options: bool,
    /// At a random time within this duration.
    pub jitter: std::time::Duration,
    /// The request.
    pub request_id: String,
}

/// How the options of an activity change.
#[derive(Clone, Debug, PartialEq)]
pub enum OptionsUpdate {
    /// Back to those it was scheduled with.
    Restore,
    /// These fields of these options.
    Fields {
        /// The new values.
        options: Box<ActivityOptions>,
        /// The paths of the fields that count, in the spelling of protobuf or of JSON.
        paths: Vec<String>,
    },
}

/// What only a standalone activity is asked. A request with the same id is carried out once.
#[derive(Clone, Debug, PartialEq)]
pub enum StandaloneRequest {
    /// Cancel yourself. An activity that no worker has is cancelled at once.
    Cancel {
        /// Why.
        reason: String,
        /// Who asks.
        identity: String,
        /// The request.
        request_id: String,
    },
    /// End now.
    Terminate {
        /// Why.
        reason: String,
        /// Who orders it.
        identity: String,
        /// The request.
        request_id: String,
    },
    /// A start met the open activity and left its links.
    AttachLinks {
        /// They.
        links: Vec<Link>,
        /// The request.
        request_id: String,
    },
}

/// The end of a child's last run.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildClosed {
    /// The StartChildWorkflowExecutionInitiated event of the parent.
    pub initiated_event_id: EventId,
    /// The run that closed.
    pub execution: WorkflowExecution,
    /// The child's first run.
    pub first_run_id: String,
    /// How it closed.
    pub close: ChildClose,
}

/// How a child closed.
#[derive(Clone, Debug, PartialEq)]
pub enum ChildClose {
    /// With a result.
    Completed {
        /// It.
        result: Option<Payloads>,
    },
    /// With a failure.
    Failed {
        /// It.
        failure: Option<Box<Failure>>,
        /// Why it was not retried.
        retry_state: i32,
    },
    /// It accepted a cancel request.
    Canceled {
        /// What it says about it.
        details: Option<Payloads>,
    },
    /// It ran out of time.
    TimedOut {
        /// Why it was not retried.
        retry_state: i32,
    },
    /// It was terminated.
    Terminated,
}
