//! What only a standalone activity is asked: to cancel itself, to end, to take links.

use super::{Stage, operate::in_terminal_state};
use crate::{
    Rejection, Reply, StandaloneRequest, Termination,
    activity::{ActivityEnd, precondition},
    draft::{Draft, Entry},
    failure::string_payloads,
    proto::{
        Attributes, Link, WorkflowExecutionCancelRequestedEventAttributes,
        WorkflowExecutionOptionsUpdatedEventAttributes,
    },
};

impl Draft<'_> {
    pub(crate) fn standalone_request(&mut self, request: StandaloneRequest) -> Result<Reply, Rejection> {
        match request {
            StandaloneRequest::Cancel {
                reason,
                identity,
                request_id,
            } => self.cancel_standalone(reason, identity, &request_id),
            StandaloneRequest::Terminate {
                reason,
                identity,
                request_id,
            } => self.terminate_standalone(reason, identity, &request_id),
            StandaloneRequest::AttachLinks { links, request_id } => self.attach_links(links, request_id),
        }
    }

    fn cancel_standalone(&mut self, reason: String, identity: String, request_id: &str) -> Result<Reply, Rejection> {
        let (id, activity, stage) = self.the_activity()?;
        if activity.attempt.repeats(request_id, |last| &last.cancel) {
            return Ok(Reply::Done);
        }
        if stage.is_closed() {
            return Err(in_terminal_state(stage));
        }
        if stage == Stage::CancelRequested {
            let earlier = activity.attempt.requests.as_deref().map_or("", |last| &last.cancel);
            return Err(precondition(format!(
                "cancellation already requested with request ID {earlier}"
            )));
        }
        let details = string_payloads(&reason);
        let requested_id = self.record(Attributes::WorkflowExecutionCancelRequestedEventAttributes(
            WorkflowExecutionCancelRequestedEventAttributes {
                cause: reason,
                identity,
                ..WorkflowExecutionCancelRequestedEventAttributes::default()
            },
        ));
        self.edit_activity(id, |activity| {
            let attempt = &mut activity.attempt;
            attempt.remember(|last| request_id.clone_into(&mut last.cancel));
            // Whoever wants it to end does not want it to wait or to begin again.
            attempt.paused = None;
            attempt.reset = None;
        });
        // No worker has it: nobody need be asked.
        if activity.attempt.started().is_none() {
            let (id, activity, _) = self.the_activity()?;
            let end = ActivityEnd::Canceled {
                details: Some(details),
                cancel_requested_event_id: requested_id,
            };
            self.end_activity(id, &activity, end, None);
        }
        Ok(Reply::Done)
    }

    fn terminate_standalone(&mut self, reason: String, identity: String, request_id: &str) -> Result<Reply, Rejection> {
        let (id, activity, stage) = self.the_activity()?;
        if stage == Stage::Terminated {
            let earlier = activity.attempt.requests.as_deref().map_or("", |last| &last.terminate);
            if earlier == request_id {
                return Ok(Reply::Done);
            }
            return Err(precondition(format!("already terminated with request ID {earlier}")));
        }
        if stage.is_closed() {
            return Err(precondition(format!("invalid transition from {}", stage.name())));
        }
        self.edit_activity(id, |activity| {
            activity
                .attempt
                .remember(|last| request_id.clone_into(&mut last.terminate));
        });
        self.close_as_terminated(Termination {
            reason,
            identity,
            ..Termination::default()
        });
        Ok(Reply::Done)
    }

    fn attach_links(&mut self, links: Vec<Link>, request_id: String) -> Result<Reply, Rejection> {
        let attached = self.state().recorded.standalone.as_deref();
        if links.is_empty() || attached.is_some_and(|known| known.attached.contains(&request_id)) {
            return Ok(Reply::Done);
        }
        if !self.state().is_running() {
            return Err(precondition("cannot attach links to a closed activity"));
        }
        let attributes = WorkflowExecutionOptionsUpdatedEventAttributes {
            attached_request_id: request_id,
            ..WorkflowExecutionOptionsUpdatedEventAttributes::default()
        };
        self.record(Entry::from(Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(attributes)).links(links));
        Ok(Reply::Done)
    }
}
