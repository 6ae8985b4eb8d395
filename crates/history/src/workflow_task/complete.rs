//! A worker's answer to its workflow task: commands become events, and perhaps the next task is handed out at once.

use super::{ScheduledTask, StartedTask, Sticky, TaskKind, WorkflowTask, fail::TaskFailure};
use crate::{
    Env, PolledQueue, Rejection, Reply, RunState, Timestamp, Transition, WorkflowTaskCompleted, WorkflowTaskCompletion,
    WorkflowTaskStarted,
    commands::{self, CommandFailure, Commands},
    draft::Draft,
    failure::server_failure,
    proto::{Attributes, StickyExecutionAttributes, WorkflowTaskCompletedEventAttributes, WorkflowTaskFailedCause},
    timestamp::duration,
    update::{Answers, Carry},
};

/// For sticky attributes without a timeout: how long a task waits for its worker before any worker may have it.
const STICKY_SCHEDULE_TO_START: std::time::Duration = std::time::Duration::from_secs(5);

/// Decides a completion. If a command is bad, all that the others did is dropped, and the task has failed instead.
pub(crate) fn complete(
    state: &RunState,
    completion: &WorkflowTaskCompletion,
    env: &Env<'_>,
) -> Result<Transition, Rejection> {
    let mut draft = Draft::new(state.clone(), env);
    let attempt = draft.check_token(&completion.token)?.0.attempt;
    commands::check_sequence(&completion.commands)?;
    let failure = match draft.complete_workflow_task(completion) {
        Ok(reply) => return Ok(draft.finish(Reply::WorkflowTaskCompleted(Box::new(reply)))),
        Err(failure) => failure,
    };
    let answer = Rejection::invalid(failure.to_string());
    if attempt > 1 && failure.cause != WorkflowTaskFailedCause::UnhandledCommand {
        // Left to time out: the growing timeout is the backoff of a worker that answers nonsense. [trap 6]
        return Err(answer);
    }
    let mut draft = Draft::new(state.clone(), env);
    draft.fail_bad_completion(completion, &failure);
    let reply = WorkflowTaskCompleted {
        answer_error: Some(answer),
        ..WorkflowTaskCompleted::default()
    };
    Ok(draft.finish(Reply::WorkflowTaskCompleted(Box::new(reply))))
}

impl Draft<'_> {
    fn fail_bad_completion(&mut self, completion: &WorkflowTaskCompletion, failure: &CommandFailure) {
        self.refuse_sent_updates();
        self.end_task_as_failed(TaskFailure {
            cause: failure.cause,
            failure: Some(server_failure(&failure.to_string(), true)),
            identity: &completion.identity,
            binary_checksum: &completion.binary_checksum,
        });
        if failure.terminates {
            self.terminate_by_engine(&failure.to_string());
        } else {
            self.schedule_workflow_task(self.now);
        }
    }

    fn complete_workflow_task(
        &mut self,
        completion: &WorkflowTaskCompletion,
    ) -> Result<WorkflowTaskCompleted, CommandFailure> {
        let WorkflowTask::Started(scheduled, started) = self.state().facts.workflow_task.clone() else {
            return Ok(WorkflowTaskCompleted::default());
        };
        let heartbeat = completion.force_create_new && completion.commands.is_empty() && completion.messages.is_empty();
        if heartbeat && self.now > scheduled.original_time + self.env.limits.workflow_task_heartbeat_max {
            return Ok(self.end_heartbeats(&scheduled, &started));
        }

        let mut reply = WorkflowTaskCompleted::default();
        if self.leaves_no_trace(&scheduled, completion) {
            reply.reset_history_event_id = self.state().recorded.last_completed_started_id;
            self.edit_in_memory().facts.workflow_task = WorkflowTask::Idle { next_attempt: 1 };
            self.set_sticky(completion.sticky.as_ref());
            let mut answers = Answers::new(&completion.messages, Vec::new());
            answers.remaining(self)?;
            answers.reject_unanswered(self);
            reply.new_task = self.next_task(completion, None);
            return Ok(reply);
        }

        // The task is over before its Completed event is recorded, else that event would be buffered. [trap 1]
        self.edit().facts.workflow_task = WorkflowTask::Idle { next_attempt: 1 };
        self.edit().facts.close_attempted = false;
        self.clear_problems();
        let answers = Answers::new(
            &completion.messages,
            self.state().recorded.updates.shown_by(started.event_id),
        );
        let completed_id = self.record_completed(completion, &scheduled, &started);
        self.set_sticky(completion.sticky.as_ref());

        let mut commands = Commands::new(self, completed_id, answers);
        for command in &completion.commands {
            commands.run(command)?;
        }
        let (outcome, answers) = commands.finish()?;

        if !self.state().is_running() {
            return Ok(reply);
        }
        if !completion.force_create_new {
            answers.reject_unanswered(self);
        }
        for scheduled_event_id in outcome.eager.into_iter().take(completion.eager_activities) {
            let request_id = format!("{}:{scheduled_event_id}", completion.new_task_request_id);
            reply
                .activities
                .extend(self.start_activity_now(scheduled_event_id, &completion.identity, &request_id));
        }
        let wanted = completion.force_create_new || self.has_buffered() || outcome.must_wake;
        let original_time = if heartbeat { scheduled.original_time } else { self.now };
        reply.new_task = self.next_task(completion, wanted.then_some(original_time));
        Ok(reply)
    }

    /// Schedules the next task if one is wanted, or updates wait for one, and starts it for the same worker if that asks
    /// for it.
    fn next_task(
        &mut self,
        completion: &WorkflowTaskCompletion,
        wanted: Option<Timestamp>,
    ) -> Option<Box<WorkflowTaskStarted>> {
        match wanted {
            Some(original_time) => self.schedule_workflow_task(original_time),
            None => self.schedule_for_updates(),
        }
        if !completion.return_new_task {
            return None;
        }
        let carry = if completion.force_create_new {
            Carry::New
        } else {
            Carry::All
        };
        // Whoever asks for it holds the run, sticky or not: it gets what happened since.
        let (identity, request_id) = (&completion.identity, &completion.new_task_request_id);
        self.start_scheduled_task(identity, request_id, PolledQueue::Sticky, carry)
            .map(Box::new)
    }

    /// The worker kept its task alive for too long without getting on: another worker shall try. [trap 13]
    fn end_heartbeats(&mut self, scheduled: &ScheduledTask, started: &StartedTask) -> WorkflowTaskCompleted {
        self.end_task_as_timed_out(scheduled, started);
        self.schedule_workflow_task(self.now);
        let error = Rejection::NotFound("workflow task heartbeat timeout".to_owned());
        WorkflowTaskCompleted {
            answer_error: Some(error),
            ..WorkflowTaskCompleted::default()
        }
    }

    fn record_completed(
        &mut self,
        completion: &WorkflowTaskCompletion,
        scheduled: &ScheduledTask,
        started: &StartedTask,
    ) -> crate::EventId {
        if scheduled.kind == TaskKind::Transient {
            // What the worker saw as virtual events becomes real, word for word and with the same ids. [trap 5]
            let entry = scheduled.scheduled_entry(self.state());
            self.record(entry);
            self.record(started.started_entry(scheduled.event_id));
        }
        #[expect(
            deprecated,
            reason = "old workers still send a binary checksum, and people look for it"
        )]
        self.record(Attributes::WorkflowTaskCompletedEventAttributes(
            WorkflowTaskCompletedEventAttributes {
                scheduled_event_id: scheduled.event_id,
                started_event_id: started.event_id,
                identity: completion.identity.clone(),
                binary_checksum: completion.binary_checksum.clone(),
                sdk_metadata: completion.sdk_metadata.clone(),
                metering_metadata: completion.metering,
                ..WorkflowTaskCompletedEventAttributes::default()
            },
        ))
    }

    fn set_sticky(&mut self, attributes: Option<&StickyExecutionAttributes>) {
        let queue = attributes
            .and_then(|a| a.worker_task_queue.as_ref())
            .filter(|queue| !queue.name.is_empty());
        let sticky = queue.map(|queue| {
            let timeout = duration(attributes.and_then(|a| a.schedule_to_start_timeout.as_ref()));
            Sticky {
                queue: queue.name.clone(),
                schedule_to_start: if timeout.is_zero() {
                    STICKY_SCHEDULE_TO_START
                } else {
                    timeout
                },
            }
        });
        if self.state().facts.sticky != sticky {
            self.edit().facts.sticky = sticky;
        }
    }
}
