//! Reset: a new run that begins with a copy of an older run's first events, and goes on from there in its own way.
//!
//! The copied events mean the same in both runs, so the new run's state is their fold. One event divides what was copied
//! from what is new: a WorkflowTaskFailed event that names the base run. From it follows all that begins anew: the run's
//! start time and timeouts, the clocks of pending activities, and which run asked for which child. [trap 15]

mod reapply;

pub use reapply::{Reapply, is_reapplied};

use std::sync::Arc;

use crate::{
    Env, EventId, Rejection, Reply, RunState, Termination, Transition,
    close::{ENGINE_IDENTITY, RESETTER_IDENTITY},
    draft::Draft,
    problems::Problems,
    proto::{
        Attributes, Failure, FailureInfo, HistoryEvent, ResetWorkflowFailureInfo, WorkflowTaskFailedCause,
        WorkflowTaskFailedEventAttributes, WorkflowTaskStartedEventAttributes,
    },
    recorded::Recorded,
    state::Facts,
    update::WaitingUpdates,
    workflow_task::WorkflowTask,
};

/// What a reset asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResetRequest {
    /// The event of the base run that the new run does not have any more: the WorkflowTaskCompleted, Failed, TimedOut or
    /// Started event of a workflow task, which will be repeated.
    pub event_id: EventId,
    /// Why, in the requester's words.
    pub reason: String,
    /// Deduplicates.
    pub request_id: String,
    /// What happens again in the new run.
    pub reapply: Reapply,
}

/// The run to be reset, and what followed it.
#[derive(Clone, Copy, Debug)]
pub struct ResetBase<'a> {
    /// Its state.
    pub state: &'a RunState,
    /// Its whole history.
    pub events: &'a [HistoryEvent],
    /// The runs that continued it as new, one after the other, as far as they still exist: their ids, and at least those
    /// events for which [`is_reapplied`] holds.
    pub continued: &'a [(String, Vec<HistoryEvent>)],
}

/// What a reset leads to: all of it is to be committed in one batch.
#[derive(Clone, Debug)]
pub struct Reset {
    /// The new run. It begins with events `1..=copied` of the base run; the transition's events follow them.
    pub run: Transition,
    /// The last event to be copied.
    pub copied: EventId,
    /// What becomes of the workflow id's current run, if anything.
    pub current: Option<Transition>,
}

/// Decides a reset. `current` is the workflow id's latest run; it may be the base run itself.
pub fn reset(
    base: &ResetBase<'_>,
    current: &RunState,
    request: &ResetRequest,
    env: &Env<'_>,
) -> Result<Reset, Rejection> {
    if request.event_id <= 1 || request.event_id > base.state.history_length() {
        return Err(Rejection::invalid(
            "Workflow task finish ID must be > 1 && <= workflow last event ID.",
        ));
    }
    let copied = request.event_id - 1;
    let at = usize::try_from(copied).unwrap_or(usize::MAX).min(base.events.len());
    let (before, after) = base.events.split_at(at);
    let task = pending_task(before).ok_or_else(|| {
        Rejection::InvalidArgument(format!(
            "Can only reset workflow to event ID in range [WorkflowTaskScheduled +1, WorkflowTaskStarted + 1]: {}",
            request.event_id
        ))
    })?;

    let is_current = base.state.key == current.key;
    let ended = end_current(current, is_current, request, env);
    let mut draft = Draft::new(copy(base.state, before, is_current, request, env), env);
    draft.fail_copied_task(task, &base.state.key.run_id, &request.reason);
    draft.reapply_from_base(after, request.reapply);
    for (_, events) in base.continued {
        draft.reapply_from_successor(events, request.reapply);
    }
    // What the current run buffered when it was terminated.
    let last_words = ended.as_ref().map_or(&[][..], |transition| &transition.events);
    if is_current {
        draft.reapply_from_base(last_words, request.reapply);
    } else if base
        .continued
        .last()
        .is_some_and(|(run_id, _)| *run_id == current.key.run_id)
    {
        draft.reapply_from_successor(last_words, request.reapply);
    }
    draft.wake_at_once();
    Ok(Reset {
        run: draft.finish(Reply::Started),
        copied,
        current: ended,
    })
}

/// The workflow task that is scheduled or started at the end of `events`: its Scheduled and its Started event.
fn pending_task(events: &[HistoryEvent]) -> Option<(EventId, Option<EventId>)> {
    events
        .iter()
        .rev()
        .find_map(|event| match event.attributes.as_ref()? {
            Attributes::WorkflowTaskScheduledEventAttributes(_) => Some(Some((event.event_id, None))),
            Attributes::WorkflowTaskStartedEventAttributes(a) => {
                Some(Some((a.scheduled_event_id, Some(event.event_id))))
            }
            Attributes::WorkflowTaskCompletedEventAttributes(_)
            | Attributes::WorkflowTaskFailedEventAttributes(_)
            | Attributes::WorkflowTaskTimedOutEventAttributes(_) => Some(None),
            _ => None,
        })
        .flatten()
}

/// The new run as far as it is a copy.
fn copy(base: &RunState, events: &[HistoryEvent], is_current: bool, request: &ResetRequest, env: &Env<'_>) -> RunState {
    let mut recorded = Recorded::default();
    for event in events {
        recorded.apply(event);
    }
    RunState {
        key: base.key.with_run_id(env.fresh_run_id),
        recorded,
        buffered: Arc::default(),
        facts: Facts {
            workflow_task: WorkflowTask::Idle { next_attempt: 1 },
            sticky: None,
            start_request_id: base.facts.start_request_id.clone(),
            delivered: Arc::default(),
            transitions: 0,
            reset_run_id: String::new(),
            reset_request_id: request.request_id.clone(),
            // The current run learns of it in the same batch.
            untold_base: (!is_current).then(|| base.key.run_id.clone()),
            problems: Problems::default(),
            close_attempted: false,
        },
        waiting: WaitingUpdates::default(),
    }
}

/// There is one open run at most: the new one. A closed base run notes what was made of it.
fn end_current(current: &RunState, is_base: bool, request: &ResetRequest, env: &Env<'_>) -> Option<Transition> {
    let mut draft = Draft::new(current.clone(), env);
    if is_base {
        draft.was_reset(env.fresh_run_id.to_owned());
    }
    if current.is_running() {
        draft.close_as_terminated(Termination {
            reason: request.reason.clone(),
            identity: RESETTER_IDENTITY.to_owned(),
            ..Termination::default()
        });
    }
    let transition = draft.finish(Reply::Done);
    (!transition.is_noop()).then_some(transition)
}

impl Draft<'_> {
    /// Takes note that a reset made another run of this one.
    pub(crate) fn was_reset(&mut self, run_id: String) {
        if self.state().facts.reset_run_id != run_id {
            self.edit().facts.reset_run_id = run_id;
        }
    }

    /// Ends the copied workflow task: here the new run leaves the base run's history.
    fn fail_copied_task(&mut self, (scheduled, started): (EventId, Option<EventId>), base_run_id: &str, reason: &str) {
        let started_event_id = started.unwrap_or_else(|| {
            self.record(Attributes::WorkflowTaskStartedEventAttributes(
                WorkflowTaskStartedEventAttributes {
                    scheduled_event_id: scheduled,
                    identity: ENGINE_IDENTITY.to_owned(),
                    history_size_bytes: i64::try_from(self.state().recorded.size).unwrap_or(i64::MAX),
                    ..WorkflowTaskStartedEventAttributes::default()
                },
            ))
        });
        let failure = Failure {
            message: reason.to_owned(),
            failure_info: Some(FailureInfo::ResetWorkflowFailureInfo(
                ResetWorkflowFailureInfo::default(),
            )),
            ..Failure::default()
        };
        self.record(Attributes::WorkflowTaskFailedEventAttributes(
            WorkflowTaskFailedEventAttributes {
                scheduled_event_id: scheduled,
                started_event_id,
                cause: WorkflowTaskFailedCause::ResetWorkflow.into(),
                failure: Some(failure),
                identity: ENGINE_IDENTITY.to_owned(),
                base_run_id: base_run_id.to_owned(),
                new_run_id: self.state().key.run_id.clone(),
                ..WorkflowTaskFailedEventAttributes::default()
            },
        ));
    }
}
