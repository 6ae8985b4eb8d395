//! The one entrance: state and input in, transition out.

use crate::{Env, Input, Rejection, Reply, RunState, Transition, draft::Draft, workflow_task};

/// Decides what an input does to a run. Pure: same arguments, same answer; on error nothing happened.
pub fn decide(state: &RunState, input: Input, env: &Env<'_>) -> Result<Transition, Rejection> {
    if let Input::CompleteWorkflowTask(completion) = input {
        return workflow_task::complete(state, &completion, env);
    }
    let mut draft = Draft::new(state.clone(), env);
    let reply = draft.handle(input)?;
    Ok(draft.finish(reply))
}

impl Draft<'_> {
    fn handle(&mut self, input: Input) -> Result<Reply, Rejection> {
        match input {
            Input::Signal(signal) => self.signal(signal),
            Input::RequestCancel(request) => self.request_cancel(request),
            Input::Terminate(termination) => self.terminate(termination),
            Input::ChangeOptions(change) => self.change_options(&change),
            Input::Attach(attachment) => self.attach(attachment),
            Input::Update(update) => self.update(*update),

            Input::StartWorkflowTask(poll) => self.start_workflow_task(&poll),
            // Decided above, since a bad completion starts over from the untouched state.
            Input::CompleteWorkflowTask(_) => Err(Rejection::workflow_task_not_found()),
            Input::FailWorkflowTask(report) => self.fail_workflow_task(*report),
            Input::ResetSticky => self.reset_sticky(),

            Input::StartActivity(poll) => self.start_activity(&poll),
            Input::Heartbeat {
                activity,
                details,
                identity,
            } => self.heartbeat(&activity, details, &identity),
            Input::CompleteActivity {
                activity,
                result,
                identity,
            } => self.complete_activity(&activity, result, &identity),
            Input::FailActivity {
                activity,
                failure,
                last_heartbeat_details,
                identity,
            } => self.fail_activity(
                &activity,
                failure.map(|failure| *failure),
                last_heartbeat_details,
                &identity,
            ),
            Input::CancelActivity {
                activity,
                details,
                identity,
            } => self.cancel_activity(&activity, details, &identity),

            Input::OperateActivities { selection, operation } => self.operate_activities(&selection, &operation),
            Input::Standalone(request) => self.standalone_request(request),

            Input::ChildStarted {
                initiated_event_id,
                run_id,
            } => Ok(self.child_started(initiated_event_id, &run_id)),
            Input::ChildStartFailed {
                initiated_event_id,
                cause,
            } => Ok(self.child_start_failed(initiated_event_id, cause)),
            Input::ChildClosed(closed) => Ok(self.child_closed(*closed)),
            Input::ExternalSignalDelivered { initiated_event_id } => {
                Ok(self.external_signal_delivered(initiated_event_id))
            }
            Input::ExternalSignalFailed {
                initiated_event_id,
                cause,
            } => Ok(self.external_signal_failed(initiated_event_id, cause)),
            Input::ExternalCancelDelivered { initiated_event_id } => {
                Ok(self.external_cancel_delivered(initiated_event_id))
            }
            Input::ExternalCancelFailed {
                initiated_event_id,
                cause,
            } => Ok(self.external_cancel_failed(initiated_event_id, cause)),
            Input::WasReset { run_id } => {
                self.was_reset(run_id);
                Ok(Reply::Done)
            }
            Input::MessageDelivered { id } => Ok(self.message_delivered(id)),

            Input::Tick => {
                self.tick();
                Ok(Reply::Done)
            }
        }
    }
}
