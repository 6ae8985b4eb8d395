//! Speculative workflow tasks: they bring updates to a worker, and exist in memory only. [trap 10]
//!
//! Their events are virtual like those of transient tasks. Any durable change of the run makes them real first, with the
//! same ids ([`Draft::edit`] sees to that), so a completion, a failure or a timeout of such a task needs nothing special.
//! Only if the worker rejects all that it was given, and has nothing else to say, the task vanishes without a trace.

use std::time::Duration;

use super::{ScheduledTask, TaskKind, WorkflowTask, start_to_close};
use crate::{RunState, WorkflowTaskCompletion, draft::Draft, update::only_rejections};

/// A task that nobody takes becomes visible in history after this. Memory alone must not wait for long.
pub(crate) const SCHEDULE_TO_START: Duration = Duration::from_secs(5);

impl Draft<'_> {
    /// Updates that wait get a workflow task, if there is none that will take them.
    pub(crate) fn schedule_for_updates(&mut self) {
        let state = self.state();
        let is_idle = matches!(state.facts.workflow_task, WorkflowTask::Idle { .. });
        if !state.is_running() || !is_idle || !state.has_unanswered_updates() {
            return;
        }
        let task = ScheduledTask {
            kind: TaskKind::Speculative,
            event_id: state.recorded.next_event_id(),
            attempt: 1,
            time: self.now,
            original_time: self.now,
            start_to_close: start_to_close(state.workflow_task_timeout(), 1, self.env.limits),
            sticky: state.facts.sticky.is_some(),
        };
        self.edit_in_memory().facts.workflow_task = WorkflowTask::Scheduled(task);
    }

    /// Writes down the events of a speculative task, which is a normal one from here on.
    pub(crate) fn make_task_real(&mut self) {
        let (scheduled, started) = match &self.state().facts.workflow_task {
            WorkflowTask::Scheduled(scheduled) => (scheduled.clone(), None),
            WorkflowTask::Started(scheduled, started) => (scheduled.clone(), Some(started.clone())),
            WorkflowTask::Idle { .. } => return,
        };
        if scheduled.kind != TaskKind::Speculative {
            return;
        }
        if let WorkflowTask::Scheduled(task) | WorkflowTask::Started(task, _) =
            &mut self.edit_in_memory().facts.workflow_task
        {
            task.kind = TaskKind::Normal;
        }
        let entry = scheduled.scheduled_entry(self.state());
        self.record(entry);
        if let Some(started) = started {
            self.record(started.started_entry(scheduled.event_id));
            if !started.sticky {
                // Another worker took it, which was not worth a write until now.
                self.edit().facts.sticky = None;
            }
        }
    }

    /// May the task vanish? Only if the worker neither did nor saw anything: else it would be shown the same events again.
    pub(crate) fn leaves_no_trace(&self, scheduled: &ScheduledTask, completion: &WorkflowTaskCompletion) -> bool {
        let recorded = &self.state().recorded;
        let seen = recorded.last_completed_started_id;
        let unseen = recorded.next_event_id() - (seen + 2);
        let tolerable = if completion.may_see_events_again {
            self.env.limits.speculative_events_max
        } else {
            0
        };
        scheduled.kind == TaskKind::Speculative
            && completion.commands.is_empty()
            && !completion.force_create_new
            && only_rejections(&completion.messages)
            // The first task of a run runs its code for the first time.
            && seen > 0
            && unseen <= tolerable
            && recorded.updates.admitted.len() == 0
    }
}

impl RunState {
    /// A restart would find all of this state: none of it is in memory only.
    pub fn is_durable(&self) -> bool {
        self.waiting.is_empty() && !self.facts.workflow_task.is_speculative()
    }

    /// What a restart would find of this state: all but what is in memory only.
    pub fn durable(&self) -> Self {
        let mut durable = self.clone();
        durable.waiting.clear();
        if self.facts.workflow_task.is_speculative() {
            durable.facts.workflow_task = WorkflowTask::Idle { next_attempt: 1 };
        }
        durable
    }
}
