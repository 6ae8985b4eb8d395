//! Making a run.

mod policy;
mod request;

use std::sync::Arc;

pub use policy::{CurrentRun, StartResolution, resolve_start};
pub(crate) use request::Timeouts;

use crate::{
    Attachment, Env, PolledQueue, Rejection, Reply, RunKey, RunState, Signal, Transition, Update,
    draft::{Draft, Entry},
    problems::Problems,
    proto::{
        ActivityTaskScheduledEventAttributes, Attributes, Link, UserMetadata, WorkflowExecutionStartedEventAttributes,
    },
    recorded::Recorded,
    state::Facts,
    update::{Carry, WaitingUpdates},
    workflow_task::WorkflowTask,
};

/// All that makes a run. Build it from a request ([`StartRun::from_request`], [`StartRun::from_signal_with_start`]) or
/// from a parent's wish ([`StartRun::child`]); they validate and fill in defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct StartRun {
    /// The run to be.
    pub key: RunKey,
    /// Its first event.
    pub attributes: Box<WorkflowExecutionStartedEventAttributes>,
    /// The request, for deduplication.
    pub request_id: String,
    /// A signal that arrives with the start.
    pub signal: Option<Signal>,
    /// An update that comes with the start, for its first workflow task.
    pub update: Option<Update>,
    /// Summary and details, for the first event.
    pub user_metadata: Option<UserMetadata>,
    /// Links for the first event.
    pub links: Vec<Link>,
    /// What to leave with the run that is there, if the start's policy is to use it.
    pub on_conflict: Option<Attachment>,
    /// The starter is a worker that would like to have the first workflow task at once, under the request's id.
    pub eager: bool,
    /// What a standalone activity is to do.
    pub activity: Option<Box<ActivityTaskScheduledEventAttributes>>,
}

/// Makes a run. Whether it may be made is [`resolve_start`]'s question.
///
/// If the starter gets the first workflow task at once, the reply is [`Reply::WorkflowTaskStarted`].
pub fn start(mut request: StartRun, env: &Env<'_>) -> Result<Transition, Rejection> {
    let (signal, update, activity) = (request.signal.take(), request.update.take(), request.activity.take());
    let eager = request
        .eager
        .then(|| (request.attributes.identity.clone(), request.request_id.clone()));
    let mut draft = begin(request, env);
    if let Some(activity) = activity {
        // It needs no workflow task: matching may have it at once, or after its start delay.
        draft.record(Attributes::ActivityTaskScheduledEventAttributes(*activity));
        return Ok(draft.finish(Reply::Started));
    }
    if let Some(signal) = signal {
        // The signal comes with the start: it does not end the delay that the start asked for.
        draft.signal(Signal {
            with_start: false,
            ..signal
        })?;
    }
    draft.wake();
    if let Some(update) = update {
        draft.update(update)?;
    }
    let reply = eager
        .and_then(|(identity, request_id)| {
            draft.start_scheduled_task(&identity, &request_id, PolledQueue::Normal, Carry::All)
        })
        .map_or(Reply::Started, |task| Reply::WorkflowTaskStarted(Box::new(task)));
    Ok(draft.finish(reply))
}

/// A run with its first event, and no more.
pub(crate) fn begin<'a>(request: StartRun, env: &Env<'a>) -> Draft<'a> {
    let state = RunState {
        recorded: Recorded::empty(request.key.kind),
        key: request.key,
        buffered: Arc::default(),
        facts: Facts {
            workflow_task: WorkflowTask::Idle { next_attempt: 1 },
            sticky: None,
            start_request_id: request.request_id,
            delivered: Arc::default(),
            transitions: 0,
            reset_run_id: String::new(),
            reset_request_id: String::new(),
            untold_base: None,
            problems: Problems::default(),
            close_attempted: false,
        },
        waiting: WaitingUpdates::default(),
    };
    let mut draft = Draft::new(state, env);
    draft.record(
        Entry::from(Attributes::WorkflowExecutionStartedEventAttributes(*request.attributes))
            .user_metadata(request.user_metadata)
            .links(request.links),
    );
    draft
}
