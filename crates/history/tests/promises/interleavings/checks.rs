//! What holds after every step.

use std::collections::BTreeSet;

use helve_history::{ReadyKind, UpdateAnswer, UpdateStage};
use temporalio_protos::temporal::api::{
    enums::v1::{EventType, PendingActivityState},
    history::v1::history_event::Attributes,
    workflow::v1::PendingActivityInfo,
};

use super::world::World;

impl World {
    /// Every caller is told once, at the right time. [trap 11]
    fn check_updates(&mut self) {
        for news in &self.s.news[self.heard..] {
            let id = &news.update_id;
            assert!(!self.answered.contains(id), "update {id} was answered twice");
            match &news.answer {
                UpdateAnswer::Accepted => assert!(self.accepted.insert(id.clone()), "update {id} was accepted twice"),
                UpdateAnswer::Completed(_) => {
                    if self.s.state.update_stage(id).is_some() {
                        self.accepted.insert(id.clone());
                    }
                    self.answered.insert(id.clone());
                    self.callers.remove(id);
                }
                UpdateAnswer::Refused(_) | UpdateAnswer::Closed | UpdateAnswer::Moved => {
                    assert!(!self.accepted.contains(id), "what was accepted gets an outcome");
                    self.answered.insert(id.clone());
                    self.callers.remove(id);
                }
            }
        }
        self.heard = self.s.news.len();
        for id in &self.callers {
            assert!(
                self.s.state.is_running(),
                "no caller of update {id} waits for a closed run"
            );
            let stage = self.s.state.update_stage(id);
            assert!(stage.is_some(), "update {id} was lost while its caller waits");
            if stage == Some(UpdateStage::Admitted) {
                assert!(
                    self.s.state.has_workflow_task(),
                    "a task will take update {id} to a worker"
                );
            }
        }
        for id in &self.accepted {
            assert!(
                self.s.state.update_stage(id).is_some(),
                "what was accepted is never forgotten"
            );
        }
        let recorded = self.s.count(EventType::WorkflowExecutionUpdateAccepted);
        assert_eq!(recorded, self.accepted.len(), "only what was accepted is in history");
    }

    /// Nobody is offered what is paused, and nothing that is open is forgotten.
    fn check_activities(&self) {
        if !self.s.state.is_running() {
            return;
        }
        let described = self.s.state.describe();
        let is_paused = |info: &&PendingActivityInfo| info.paused;
        let paused: BTreeSet<_> = described
            .pending_activities
            .iter()
            .filter(is_paused)
            .map(|info| info.activity_id.clone())
            .collect();
        let ready = self.s.state.ready_tasks();
        let ready: BTreeSet<_> = ready
            .iter()
            .filter(|task| task.kind == ReadyKind::Activity)
            .map(
                |task| match &self.s.stored.events[task.scheduled_event_id as usize - 1].attributes {
                    Some(Attributes::ActivityTaskScheduledEventAttributes(a)) => a.activity_id.clone(),
                    other => panic!("an activity task is of {other:?}"),
                },
            )
            .collect();
        assert!(
            ready.is_disjoint(&paused),
            "{paused:?} are paused, and {ready:?} are offered"
        );
        let waits = |info: &PendingActivityInfo| info.state() != PendingActivityState::Scheduled || info.paused;
        for info in &described.pending_activities {
            assert!(
                waits(info) || ready.contains(&info.activity_id) || self.s.state.next_deadline().is_some(),
                "nothing will bring this activity on: {info:?}"
            );
        }
    }

    pub(super) fn check(&mut self) {
        self.check_updates();
        self.check_activities();
        let recorded = self.s.count(EventType::WorkflowExecutionSignaled);
        let buffered = self.s.state.buffered_events().iter();
        let waiting = buffered
            .filter(|event| event.event_type() == EventType::WorkflowExecutionSignaled)
            .count();
        assert_eq!(recorded + waiting, self.signals, "no signal is lost or taken twice");
        if self.s.state.is_running() && recorded > 0 && !self.s.state.has_workflow_task() {
            let last_signal = self.s.last(EventType::WorkflowExecutionSignaled).event_id;
            let seen = self.s.state.previous_started_event_id();
            let delayed = self.s.count(EventType::WorkflowTaskScheduled) == 0;
            // A signal recorded by a completion's flush comes after the completed task's start, and wakes a new one.
            assert!(
                last_signal < seen || delayed,
                "a signal that no worker has seen has a task coming"
            );
        }
    }
}
