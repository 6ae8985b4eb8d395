//! When a run has to be looked at again without anything happening to it.

use crate::{
    ReadyKind, ReadyTask, RunState, Summary, Timestamp,
    activity::activity_deadline,
    attempt::Phase,
    draft::Draft,
    recorded::Activity,
    timestamp::earliest,
    workflow_task::{TaskKind, WorkflowTask, speculative},
};

impl RunState {
    /// When to send [`Input::Tick`](crate::Input::Tick) next: one timer per run. A closed run has none.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if !self.is_running() {
            return None;
        }
        let recorded = &self.recorded;
        let timers = recorded.timers.values().map(|timer| timer.fires_at).min();
        let activities = recorded
            .activities
            .values()
            .filter_map(|activity| activity_deadline(activity))
            .min();
        [
            self.expiration(),
            self.first_backoff_end(),
            self.workflow_task_deadline(),
            timers,
            activities,
        ]
        .into_iter()
        .fold(None, earliest)
    }

    /// What is to be known of the run when it is not in memory: of all that a restart would find of it.
    pub fn summary(&self) -> Summary {
        if !self.is_durable() {
            return self.durable().summary();
        }
        Summary {
            due: self.next_deadline(),
            owes: self.has_ready_tasks() || !self.outbox_ids().is_empty(),
        }
    }

    fn has_ready_tasks(&self) -> bool {
        let is_ready = |activity: &Activity| {
            matches!(activity.attempt.phase, Phase::Ready { .. }) && activity.attempt.paused.is_none()
        };
        self.is_running()
            && (matches!(self.facts.workflow_task, WorkflowTask::Scheduled(_))
                || self.recorded.activities.values().any(|activity| is_ready(activity)))
    }

    /// Tasks to be offered to pollers now. A closed run has none.
    pub fn ready_tasks(&self) -> Vec<ReadyTask> {
        if !self.is_running() {
            return Vec::new();
        }
        let activities = self
            .recorded
            .activities
            .iter()
            .filter_map(|(id, activity)| match activity.attempt.phase {
                Phase::Ready { .. } if activity.attempt.paused.is_none() => Some(ReadyTask {
                    kind: ReadyKind::Activity,
                    scheduled_event_id: *id,
                    attempt: activity.attempt.number,
                    stamp: activity.attempt.stamp,
                    task_queue: activity.task_queue().to_owned(),
                }),
                Phase::Ready { .. } | Phase::BackingOff { .. } | Phase::Started(_) => None,
            });
        self.ready_workflow_task().into_iter().chain(activities).collect()
    }

    fn ready_workflow_task(&self) -> Option<ReadyTask> {
        let WorkflowTask::Scheduled(task) = &self.facts.workflow_task else {
            return None;
        };
        let (kind, task_queue) = match (&self.facts.sticky, task.sticky) {
            (Some(sticky), true) => (ReadyKind::StickyWorkflow, sticky.queue.as_str()),
            _ => (ReadyKind::Workflow, self.task_queue()),
        };
        Some(ReadyTask {
            kind,
            scheduled_event_id: task.event_id,
            attempt: task.attempt,
            stamp: 0,
            task_queue: task_queue.to_owned(),
        })
    }

    /// When the run or its chain times out, whichever comes first.
    pub(crate) fn expiration(&self) -> Option<Timestamp> {
        earliest(self.recorded.run_expiration(), self.recorded.execution_expiration())
    }

    fn first_backoff_end(&self) -> Option<Timestamp> {
        // A speculative task may come before: it ends the wait if it becomes real, and else the wait goes on.
        let waits = self.recorded.in_first_backoff() && !self.has_workflow_task();
        waits.then(|| self.execution_time())
    }

    /// Waiting has a limit only on a sticky queue, whose one worker may be gone, or in memory alone; working always has one.
    /// [traps 7 and 10]
    pub(crate) fn workflow_task_deadline(&self) -> Option<Timestamp> {
        match &self.facts.workflow_task {
            WorkflowTask::Idle { .. } => None,
            WorkflowTask::Scheduled(task) if task.kind == TaskKind::Speculative => {
                Some(task.time + speculative::SCHEDULE_TO_START)
            }
            WorkflowTask::Scheduled(task) => self
                .facts
                .sticky
                .as_ref()
                .filter(|_| task.sticky)
                .map(|sticky| task.time + sticky.schedule_to_start),
            WorkflowTask::Started(task, started) => Some(started.time + task.start_to_close),
        }
    }
}

impl Draft<'_> {
    /// Handles all that is due.
    pub(crate) fn tick(&mut self) {
        if !self.state().is_running() {
            return;
        }
        if self
            .state()
            .expiration()
            .is_some_and(|expiration| expiration <= self.now)
        {
            self.close_as_timed_out();
            return;
        }
        if self.state().first_backoff_end().is_some_and(|end| end <= self.now) {
            self.wake_at_once();
        }
        self.fire_timers();
        self.tick_activities();
        self.time_out_workflow_task();
    }
}
