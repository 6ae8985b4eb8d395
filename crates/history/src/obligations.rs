//! What a run obliges the shell to do: derived from its state alone, so that nothing can be forgotten.
//!
//! The shell compares what a run owes before and after a transition, and asks the same questions after a restart.

use std::sync::Arc;

use crate::{
    CancelRequest, ChildClosed, EventId, ParentRef, Signal, Termination, Timestamp,
    proto::{Priority, StartChildWorkflowExecutionInitiatedEventAttributes, UserMetadata, WorkflowExecution},
};

/// What must be known of an open run that is not in memory. Derived like all obligations; stored beside the run, so that
/// runs without anything to do need not be loaded after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// When to look at it: [`RunState::next_deadline`].
    pub due: Option<Timestamp>,
    /// A task waits for a poller, or a message is to be delivered.
    pub owes: bool,
}

/// A task that waits for a poller.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadyTask {
    /// What sort of task.
    pub kind: ReadyKind,
    /// Its Scheduled event, maybe a virtual one.
    pub scheduled_event_id: EventId,
    /// From 1.
    pub attempt: u32,
    /// Of an activity: what tells the task from earlier ones for the same attempt. 0 for workflow tasks.
    pub stamp: u32,
    /// The queue to offer it on: for a sticky workflow task the worker's own.
    pub task_queue: String,
}

/// The sorts of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadyKind {
    /// For a workflow's normal task queue.
    Workflow,
    /// For one worker's sticky queue. If nobody polls there, say [`Input::ResetSticky`](crate::Input).
    StickyWorkflow,
    /// For an activity task queue.
    Activity,
}

/// A message owed to another run. Deliver it at least once; its [`MessageId`] makes delivery idempotent.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Names it within the owing run.
    pub id: MessageId,
    /// What to deliver.
    pub body: MessageBody,
}

/// Names a message within the run that owes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageId {
    /// Of the StartChildWorkflowExecutionInitiated event.
    StartChild(EventId),
    /// Of the SignalExternalWorkflowExecutionInitiated event.
    SignalExternal(EventId),
    /// Of the RequestCancelExternalWorkflowExecutionInitiated event.
    CancelExternal(EventId),
    /// To the child of that StartChildWorkflowExecutionInitiated event.
    ParentClosed(EventId),
    /// To the run's parent.
    ChildClosed,
    /// To the run from which a reset made this one.
    WasReset,
}

/// What is owed to another run. All of them go to the owing run's namespace.
#[derive(Clone, Debug, PartialEq)]
pub enum MessageBody {
    /// Start a child. Answer with `ChildStarted` or `ChildStartFailed`.
    StartChild(Box<ChildStart>),
    /// Deliver a signal. Answer with `ExternalSignalDelivered` or `ExternalSignalFailed`.
    SignalExternal {
        /// Whom; without a run id, the current run.
        target: WorkflowExecution,
        /// What.
        signal: Box<Signal>,
    },
    /// Deliver a cancel request. Answer with `ExternalCancelDelivered` or `ExternalCancelFailed`.
    CancelExternal {
        /// Whom; without a run id, the current run.
        target: WorkflowExecution,
        /// What.
        request: Box<CancelRequest>,
    },
    /// The run closed: terminate its child. To the child's current run, if there is one. Answer `MessageDelivered`.
    TerminateChild {
        /// The child's workflow id.
        workflow_id: String,
        /// For [`Input::Terminate`](crate::Input).
        termination: Box<Termination>,
    },
    /// The run closed: ask its child to cancel. To the child's current run, if there is one. Answer `MessageDelivered`.
    CancelChild {
        /// The child's workflow id.
        workflow_id: String,
        /// For [`Input::RequestCancel`](crate::Input).
        request: Box<CancelRequest>,
    },
    /// Tell a closed run what was made of it. Answer `MessageDelivered`.
    WasReset {
        /// That run's id; its workflow id is the owing run's.
        base_run_id: String,
    },
    /// Tell the parent that its child's last run closed. Answer `MessageDelivered`.
    ChildClosed {
        /// The parent's run.
        parent: ParentRef,
        /// What to tell: for [`Input::ChildClosed`](crate::Input).
        closed: Box<ChildClosed>,
    },
}

/// All that starting a child needs; see [`StartRun::child`](crate::StartRun::child).
#[derive(Clone, Debug, PartialEq)]
pub struct ChildStart {
    /// The parent, and the event that asks for the child.
    pub parent: ParentRef,
    /// The namespace id of both.
    pub namespace_id: String,
    /// The root of the tree of workflows.
    pub root: WorkflowExecution,
    /// The priority of the parent, of which the child inherits what it is not given itself.
    pub parent_priority: Option<Priority>,
    /// What was asked for.
    pub attributes: Arc<StartChildWorkflowExecutionInitiatedEventAttributes>,
    /// Summary and details of the child.
    pub user_metadata: Option<UserMetadata>,
}

impl ChildStart {
    /// The request id under which this child is started, however often delivery is tried.
    pub fn request_id(&self) -> String {
        format!("{}:{}", self.parent.run_id, self.parent.initiated_event_id)
    }
}
