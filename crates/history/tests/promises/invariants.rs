//! What must hold after every transition, whatever happened: checked by every scenario, and by the random ones above all.

use std::collections::{BTreeMap, BTreeSet};

use helve_history::{
    Buffered, Env, Input, Rejection, Reply, RunKey, RunKind, RunState, Transition, decide, fact_changes,
};
use prost::Message;
use temporalio_protos::temporal::api::{
    enums::v1::EventType,
    history::v1::{HistoryEvent, history_event::Attributes as A},
};

/// A database of one run: what a shell would store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) events: Vec<HistoryEvent>,
    core: Vec<u8>,
    activities: BTreeMap<i64, Vec<u8>>,
    buffered: Vec<Vec<u8>>,
}

impl Stored {
    /// What a new run begins with that was made by a reset.
    pub(crate) fn copied(events: &[HistoryEvent]) -> Self {
        Self {
            events: events.to_vec(),
            ..Self::default()
        }
    }

    /// Stores a transition as the shell does, and checks that nothing else is needed to load the run again.
    pub(crate) fn commit(&mut self, before: Option<&RunState>, transition: &Transition) {
        for event in &transition.events {
            assert_eq!(event.event_id, self.events.len() as i64 + 1, "event ids are contiguous");
            assert_eq!(event.event_type(), expected_type(event), "type and attributes agree");
            // As stored and loaded: what protobuf drops must not matter.
            let bytes = event.encode_to_vec();
            self.events.push(HistoryEvent::decode(bytes.as_slice()).unwrap());
        }
        if let Some(before) = before
            && (transition.is_noop() || transition.is_memory_only())
        {
            assert!(transition.events.is_empty() && transition.successor.is_none());
            assert_eq!(before.durable(), transition.next.durable(), "only memory changed");
            return;
        }
        let changes = fact_changes(before, &transition.next);
        if let Some(core) = changes.core {
            self.core = core;
        }
        for (id, record) in changes.activities {
            match record {
                Some(record) => self.activities.insert(id, record),
                None => Some(self.activities.remove(&id).expect("only stored records are deleted")),
            };
        }
        match changes.buffered {
            Buffered::Unchanged => {}
            Buffered::Cleared => self.buffered.clear(),
            Buffered::Appended(added) => self.buffered.extend(added),
            Buffered::Replaced(all) => self.buffered = all,
        }
        assert_eq!(
            self.rebuild(transition.next.key().clone()),
            transition.next.durable(),
            "fold(events) + facts == state, but for what is in memory only"
        );
    }

    pub(crate) fn rebuild(&self, key: helve_history::RunKey) -> RunState {
        let activities: Vec<_> = self.activities.iter().map(|(id, bytes)| (*id, bytes.clone())).collect();
        RunState::rebuild(
            key,
            self.events.iter().cloned(),
            &self.core,
            &activities,
            &self.buffered,
        )
        .expect("what was stored can be loaded")
    }
}

/// A database of the same run in which inputs share commits, as they do when they come while the disk is busy.
pub(crate) struct Batched {
    stored: Stored,
    /// What waits to be committed: the state before it, and how many inputs it is.
    waiting: Option<(RunState, Transition)>,
    inputs: usize,
}

impl Batched {
    /// How many inputs share a commit.
    const INPUTS: usize = 3;

    /// Of a run as it is stored now.
    pub(crate) fn new(stored: &Stored) -> Self {
        Self {
            stored: stored.clone(),
            waiting: None,
            inputs: 0,
        }
    }

    /// Decides an input on top of what waits.
    pub(crate) fn decide(&mut self, state: &RunState, input: Input, env: &Env<'_>) -> Result<Reply, Rejection> {
        match &mut self.waiting {
            Some((_, waiting)) => waiting.extend(input, env),
            None => {
                let transition = decide(state, input, env)?;
                let reply = transition.reply.clone();
                self.waiting = Some((state.clone(), transition));
                Ok(reply)
            }
        }
    }

    /// It came to what it comes to alone. The end of a run ends the batch.
    pub(crate) fn check(&mut self, combined: Result<Reply, Rejection>, alone: &Transition) {
        assert_eq!(combined.as_ref(), Ok(&alone.reply), "the same answer as alone");
        let (_, waiting) = self.waiting.as_ref().expect("an input that was accepted");
        assert_eq!(waiting.next, alone.next, "the same state as alone");
        self.inputs += 1;
        if self.inputs == Self::INPUTS || alone.successor.is_some() || !alone.next.is_running() {
            self.commit();
        }
    }

    pub(crate) fn commit(&mut self) {
        self.inputs = 0;
        if let Some((before, waiting)) = self.waiting.take() {
            self.stored.commit(Some(&before), &waiting);
        }
    }
}

/// Every beginning of a history is a state that does not contradict what follows: it is open until the last event, and
/// what it waits for is what the events say is begun and not ended. Looks at every `step`th beginning, and the whole.
pub(crate) fn check_prefixes(key: &RunKey, events: &[HistoryEvent], step: usize) {
    for length in (1..events.len()).step_by(step).chain([events.len()]) {
        let prefix = &events[..length];
        let state = RunState::rebuild(key.clone(), prefix.to_vec(), &[], &[], &[])
            .unwrap_or_else(|error| panic!("{key}, first {length} events: {error}"));
        let last = &prefix[length - 1];
        let place = format!("{key}, event {length} ({})", last.event_type().as_str_name());
        assert_eq!(state.history_length(), last.event_id, "{place}");
        assert_eq!(state.is_running(), !is_close(last), "{place}");
        assert!(
            state.is_running() || length == events.len(),
            "{place}: something follows the end"
        );
        if !state.is_running() {
            assert!(state.ready_tasks().is_empty(), "{place}");
            assert_eq!(state.next_deadline(), None, "{place}");
            continue;
        }
        let described = state.describe();
        let (mut activities, mut children) = (BTreeSet::new(), BTreeSet::new());
        for event in prefix {
            match event.attributes.as_ref().unwrap() {
                A::ActivityTaskScheduledEventAttributes(_) => activities.insert(event.event_id),
                A::ActivityTaskCompletedEventAttributes(a) => activities.remove(&a.scheduled_event_id),
                A::ActivityTaskFailedEventAttributes(a) => activities.remove(&a.scheduled_event_id),
                A::ActivityTaskTimedOutEventAttributes(a) => activities.remove(&a.scheduled_event_id),
                A::ActivityTaskCanceledEventAttributes(a) => activities.remove(&a.scheduled_event_id),
                A::StartChildWorkflowExecutionInitiatedEventAttributes(_) => children.insert(event.event_id),
                A::StartChildWorkflowExecutionFailedEventAttributes(a) => children.remove(&a.initiated_event_id),
                A::ChildWorkflowExecutionCompletedEventAttributes(a) => children.remove(&a.initiated_event_id),
                A::ChildWorkflowExecutionFailedEventAttributes(a) => children.remove(&a.initiated_event_id),
                A::ChildWorkflowExecutionCanceledEventAttributes(a) => children.remove(&a.initiated_event_id),
                A::ChildWorkflowExecutionTimedOutEventAttributes(a) => children.remove(&a.initiated_event_id),
                A::ChildWorkflowExecutionTerminatedEventAttributes(a) => children.remove(&a.initiated_event_id),
                _ => false,
            };
        }
        assert_eq!(
            described.pending_activities.len(),
            activities.len(),
            "{place}: activities"
        );
        assert_eq!(described.pending_children.len(), children.len(), "{place}: children");
    }
}

fn expected_type(event: &HistoryEvent) -> EventType {
    let name = format!("{:?}", event.attributes.as_ref().expect("every event has attributes"));
    let name = name.split("EventAttributes").next().unwrap();
    let mut snake = "EVENT_TYPE".to_owned();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_uppercase());
    }
    EventType::from_str_name(&snake).unwrap_or_else(|| panic!("no event type {snake}"))
}

/// Checks one transition and the history it leaves.
pub(crate) fn check(transition: &Transition, history: &[HistoryEvent]) {
    let next = &transition.next;
    assert_eq!(next.history_length() as usize, history.len());
    assert_eq!(
        next.history_size(),
        history.iter().map(|event| event.encoded_len() as u64).sum::<u64>()
    );
    if !next.buffered_events().is_empty() {
        assert!(
            next.workflow_task_in_flight(),
            "events wait only for a workflow task in flight"
        );
    }
    if !next.is_running() {
        assert_eq!(next.next_deadline(), None, "a closed run has no deadline");
        assert!(next.ready_tasks().is_empty(), "a closed run has no tasks");
        let last = history.last().unwrap();
        assert!(
            is_close(last) || (next.key().kind == RunKind::Activity && ends_activity(last)),
            "nothing follows a close event"
        );
    }
    check_closes(history);
    check_workflow_tasks(history);
    check_references(next.key().kind, history);
    check_closed_once(next, history);
    check_updates(history);
}

/// An update is accepted once and completed once, in this order. [trap 11]
fn check_updates(history: &[HistoryEvent]) {
    let (mut admitted, mut accepted, mut completed) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
    for event in history {
        match event.attributes.as_ref().unwrap() {
            A::WorkflowExecutionUpdateAdmittedEventAttributes(a) => {
                let meta = a.request.as_ref().and_then(|request| request.meta.as_ref());
                admitted.insert(meta.unwrap().update_id.as_str());
            }
            A::WorkflowExecutionUpdateAcceptedEventAttributes(a) => {
                let id = a.protocol_instance_id.as_str();
                let is_stored = a.accepted_request.is_some() || admitted.contains(id);
                assert!(is_stored, "the request is stored when it is accepted");
                assert!(a.accepted_request_sequencing_event_id < event.event_id);
                assert_eq!(
                    accepted.insert(id, event.event_id),
                    None,
                    "update {id} was accepted twice"
                );
            }
            A::WorkflowExecutionUpdateCompletedEventAttributes(a) => {
                let id = a.meta.as_ref().unwrap().update_id.as_str();
                assert_eq!(
                    accepted.get(id),
                    Some(&a.accepted_event_id),
                    "update {id} was accepted before"
                );
                assert!(completed.insert(id), "update {id} was completed twice");
            }
            _ => {}
        }
    }
}

fn is_close(event: &HistoryEvent) -> bool {
    use EventType as T;
    matches!(
        event.event_type(),
        T::WorkflowExecutionCompleted
            | T::WorkflowExecutionFailed
            | T::WorkflowExecutionTimedOut
            | T::WorkflowExecutionCanceled
            | T::WorkflowExecutionTerminated
            | T::WorkflowExecutionContinuedAsNew
    )
}

/// The end of a standalone activity is the end of its run.
fn ends_activity(event: &HistoryEvent) -> bool {
    use EventType as T;
    matches!(
        event.event_type(),
        T::ActivityTaskCompleted | T::ActivityTaskFailed | T::ActivityTaskTimedOut | T::ActivityTaskCanceled
    )
}

fn check_closes(history: &[HistoryEvent]) {
    let closes = history.iter().filter(|event| is_close(event)).count();
    assert!(closes <= 1, "a run closes once");
}

/// Workflow tasks follow each other, and nothing is recorded between start and end of one. [traps 1 and 5]
fn check_workflow_tasks(history: &[HistoryEvent]) {
    let (mut scheduled, mut started) = (None, None);
    for event in history {
        let id = event.event_id;
        if started.is_some() {
            let ends = matches!(
                event.event_type(),
                EventType::WorkflowTaskCompleted | EventType::WorkflowTaskFailed | EventType::WorkflowTaskTimedOut
            );
            assert!(
                ends,
                "event {id} came between start and end of a workflow task: {:?}",
                event.event_type()
            );
        }
        match event.attributes.as_ref().unwrap() {
            A::WorkflowTaskScheduledEventAttributes(_) => {
                assert_eq!(scheduled.replace(id), None, "one workflow task at a time");
            }
            A::WorkflowTaskStartedEventAttributes(a) => {
                assert_eq!(scheduled, Some(a.scheduled_event_id));
                started = Some(id);
            }
            A::WorkflowTaskCompletedEventAttributes(a) => {
                assert_eq!(
                    (scheduled.take(), started.take()),
                    (Some(a.scheduled_event_id), Some(a.started_event_id))
                );
            }
            A::WorkflowTaskFailedEventAttributes(a) => {
                assert_eq!(
                    (scheduled.take(), started.take()),
                    (Some(a.scheduled_event_id), Some(a.started_event_id))
                );
            }
            A::WorkflowTaskTimedOutEventAttributes(a) => {
                assert_eq!(scheduled.take(), Some(a.scheduled_event_id));
                assert_eq!(started.take().unwrap_or(0), a.started_event_id);
            }
            _ => {}
        }
    }
}

/// Events refer to the events they mean.
fn check_references(kind: RunKind, history: &[HistoryEvent]) {
    let at = |id: i64| history[usize::try_from(id - 1).unwrap()].attributes.as_ref().unwrap();
    for event in history {
        match event.attributes.as_ref().unwrap() {
            A::ActivityTaskScheduledEventAttributes(a) if kind == RunKind::Workflow => {
                assert!(matches!(
                    at(a.workflow_task_completed_event_id),
                    A::WorkflowTaskCompletedEventAttributes(_)
                ));
            }
            A::ActivityTaskStartedEventAttributes(a) => {
                assert!(matches!(
                    at(a.scheduled_event_id),
                    A::ActivityTaskScheduledEventAttributes(_)
                ));
            }
            A::ActivityTaskCompletedEventAttributes(a) => {
                let A::ActivityTaskStartedEventAttributes(started) = at(a.started_event_id) else {
                    panic!("event {} does not refer to a Started event", event.event_id)
                };
                assert_eq!(started.scheduled_event_id, a.scheduled_event_id);
            }
            A::ActivityTaskFailedEventAttributes(a) => {
                assert!(
                    matches!(at(a.started_event_id), A::ActivityTaskStartedEventAttributes(s)
                    if s.scheduled_event_id == a.scheduled_event_id)
                );
            }
            A::TimerFiredEventAttributes(a) => {
                assert!(
                    matches!(at(a.started_event_id), A::TimerStartedEventAttributes(s) if s.timer_id == a.timer_id)
                );
            }
            A::TimerCanceledEventAttributes(a) => {
                assert!(
                    matches!(at(a.started_event_id), A::TimerStartedEventAttributes(s) if s.timer_id == a.timer_id)
                );
            }
            A::ChildWorkflowExecutionCompletedEventAttributes(a) => {
                let A::ChildWorkflowExecutionStartedEventAttributes(started) = at(a.started_event_id) else {
                    panic!("event {} does not refer to a Started event", event.event_id)
                };
                assert_eq!(started.initiated_event_id, a.initiated_event_id);
            }
            _ => {}
        }
    }
}

/// Nothing is closed twice: no activity, timer, child, or message.
fn check_closed_once(next: &RunState, history: &[HistoryEvent]) {
    let mut closed = BTreeSet::new();
    for event in history.iter().chain(next.buffered_events()) {
        let origin = match event.attributes.as_ref().unwrap() {
            A::ActivityTaskCompletedEventAttributes(a) => a.scheduled_event_id,
            A::ActivityTaskFailedEventAttributes(a) => a.scheduled_event_id,
            A::ActivityTaskTimedOutEventAttributes(a) => a.scheduled_event_id,
            A::ActivityTaskCanceledEventAttributes(a) => a.scheduled_event_id,
            A::TimerFiredEventAttributes(a) => a.started_event_id,
            A::TimerCanceledEventAttributes(a) => a.started_event_id,
            A::StartChildWorkflowExecutionFailedEventAttributes(a) => a.initiated_event_id,
            A::ChildWorkflowExecutionCompletedEventAttributes(a) => a.initiated_event_id,
            A::ChildWorkflowExecutionFailedEventAttributes(a) => a.initiated_event_id,
            A::ChildWorkflowExecutionCanceledEventAttributes(a) => a.initiated_event_id,
            A::ChildWorkflowExecutionTimedOutEventAttributes(a) => a.initiated_event_id,
            A::ChildWorkflowExecutionTerminatedEventAttributes(a) => a.initiated_event_id,
            A::ExternalWorkflowExecutionSignaledEventAttributes(a) => a.initiated_event_id,
            A::SignalExternalWorkflowExecutionFailedEventAttributes(a) => a.initiated_event_id,
            A::ExternalWorkflowExecutionCancelRequestedEventAttributes(a) => a.initiated_event_id,
            A::RequestCancelExternalWorkflowExecutionFailedEventAttributes(a) => a.initiated_event_id,
            _ => continue,
        };
        assert!(closed.insert(origin), "what event {origin} began was ended twice");
    }
}
