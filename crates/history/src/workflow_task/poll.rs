//! Handing a workflow task to a worker.

use super::{ScheduledTask, StartedTask, TaskKind, WorkflowTask, normal_queue};
use crate::{
    EventId, PolledQueue, Rejection, Reply, WorkflowTaskPoll, WorkflowTaskStarted, WorkflowTaskToken,
    draft::Draft,
    proto::{SuggestContinueAsNewReason, WorkflowType},
    update::Carry,
};

impl Draft<'_> {
    pub(crate) fn start_workflow_task(&mut self, poll: &WorkflowTaskPoll) -> Result<Reply, Rejection> {
        match &self.state().facts.workflow_task {
            _ if !self.state().is_running() => Err(Rejection::Obsolete("the run is closed")),
            WorkflowTask::Idle { .. } => Err(Rejection::Obsolete("the run has no workflow task")),
            WorkflowTask::Started(scheduled, started) => {
                // A poll whose answer was lost asks again.
                if scheduled.event_id == poll.scheduled_event_id && started.request_id == poll.request_id {
                    Ok(Reply::WorkflowTaskStarted(Box::new(self.started_reply(
                        scheduled,
                        started,
                        Carry::Sent,
                    ))))
                } else {
                    Err(Rejection::Obsolete("another poller has the workflow task"))
                }
            }
            WorkflowTask::Scheduled(task) => {
                if task.event_id != poll.scheduled_event_id || task.attempt != poll.attempt {
                    return Err(Rejection::Obsolete("the workflow task was replaced by another one"));
                }
                match poll.queue {
                    PolledQueue::Sticky if !task.sticky => {
                        return Err(Rejection::Obsolete("the workflow task left the sticky queue"));
                    }
                    PolledQueue::Sticky => {}
                    // Not worth a write, until the task becomes real. [trap 10]
                    PolledQueue::Normal if task.kind == TaskKind::Speculative => {}
                    // Another worker takes over: the one that held the run is out. [trap 7]
                    PolledQueue::Normal => self.clear_sticky(),
                }
                let started = self.start_scheduled_task(&poll.identity, &poll.request_id, poll.queue, Carry::All);
                Ok(started.map_or(Reply::Done, |started| Reply::WorkflowTaskStarted(Box::new(started))))
            }
        }
    }

    /// Starts the scheduled task for a worker.
    pub(crate) fn start_scheduled_task(
        &mut self,
        identity: &str,
        request_id: &str,
        queue: PolledQueue,
        carry: Carry,
    ) -> Option<WorkflowTaskStarted> {
        let WorkflowTask::Scheduled(scheduled) = self.state().facts.workflow_task.clone() else {
            return None;
        };
        let started = StartedTask {
            event_id: scheduled.event_id + 1,
            time: self.now,
            request_id: request_id.to_owned(),
            identity: identity.to_owned(),
            history_size: i64::try_from(self.state().recorded.size).unwrap_or(i64::MAX),
            suggest_continue_as_new: self.reasons_to_continue_as_new(),
            sticky: queue == PolledQueue::Sticky && self.state().recorded.last_completed_started_id > 0,
        };
        let started = match scheduled.kind {
            TaskKind::Normal => StartedTask {
                event_id: self.record(started.started_entry(scheduled.event_id)),
                ..started
            },
            TaskKind::Transient | TaskKind::Speculative => started,
        };
        let reply = self.started_reply(&scheduled, &started, carry);
        let state = if scheduled.kind == TaskKind::Speculative {
            self.edit_in_memory()
        } else {
            self.edit()
        };
        state.facts.workflow_task = WorkflowTask::Started(scheduled, started);
        if !state.waiting.is_empty() {
            self.edit_in_memory().waiting.mark_sent();
        }
        Some(reply)
    }

    /// Somebody knows that the sticky worker is out.
    pub(crate) fn reset_sticky(&mut self) -> Result<Reply, Rejection> {
        if !self.state().is_running() {
            return Err(Rejection::closed());
        }
        self.clear_sticky();
        Ok(Reply::Done)
    }

    /// The sticky worker is out: later tasks, and one that waits, go to the normal queue.
    pub(crate) fn clear_sticky(&mut self) {
        if self.state().facts.sticky.is_none() {
            return;
        }
        let facts = &mut self.edit().facts;
        facts.sticky = None;
        if let WorkflowTask::Scheduled(task) = &mut facts.workflow_task {
            task.sticky = false;
        }
    }

    fn reasons_to_continue_as_new(&self) -> Vec<i32> {
        let (recorded, limits) = (&self.state().recorded, self.env.limits);
        let mut reasons = Vec::new();
        if recorded.size >= limits.history_size_suggest {
            reasons.push(SuggestContinueAsNewReason::HistorySizeTooLarge.into());
        }
        if recorded.next_event_id() >= limits.history_count_suggest {
            reasons.push(SuggestContinueAsNewReason::TooManyHistoryEvents.into());
        }
        if self.updates_total() >= limits.updates_suggest {
            reasons.push(SuggestContinueAsNewReason::TooManyUpdates.into());
        }
        reasons
    }

    fn started_reply(&self, scheduled: &ScheduledTask, started: &StartedTask, carry: Carry) -> WorkflowTaskStarted {
        let state = self.state();
        let (history_to, suffix): (EventId, _) = match scheduled.kind {
            TaskKind::Normal => (started.event_id, Vec::new()),
            TaskKind::Transient | TaskKind::Speculative => {
                (scheduled.event_id - 1, state.virtual_events_of(scheduled, started))
            }
        };
        let previous_started_event_id = state.recorded.last_completed_started_id;
        WorkflowTaskStarted {
            token: WorkflowTaskToken {
                namespace: state.key.namespace.clone(),
                workflow_id: state.key.workflow_id.clone(),
                run_id: state.key.run_id.clone(),
                scheduled_event_id: scheduled.event_id,
                started_event_id: started.event_id,
                attempt: scheduled.attempt,
                started_time_nanos: started.time.as_nanos(),
            },
            execution: state.key.execution(),
            workflow_type: WorkflowType {
                name: state.workflow_type().to_owned(),
            },
            previous_started_event_id,
            started_event_id: started.event_id,
            attempt: scheduled.attempt,
            scheduled_time: scheduled.time,
            started_time: started.time,
            task_queue: normal_queue(state.task_queue()),
            sticky: started.sticky,
            history_from: if started.sticky {
                previous_started_event_id + 1
            } else {
                1
            },
            history_to,
            suffix,
            messages: self.update_messages(started.event_id, carry),
        }
    }
}
