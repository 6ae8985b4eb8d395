//! What a worker says about updates, when it completes a workflow task.

use super::{
    UpdateAnswer, UpdateId, UpdateNews, failed,
    messages::{Body, request_message_id},
    unprocessed,
};
use crate::{
    EventId, Rejection,
    commands::CommandFailure,
    draft::Draft,
    proto::{
        Acceptance, Attributes, ProtocolMessage, UpdateRejection, UpdateRequest, UpdateResponse,
        WorkflowExecutionUpdateAcceptedEventAttributes, WorkflowExecutionUpdateCompletedEventAttributes,
        WorkflowTaskFailedCause::BadUpdateWorkflowExecutionMessage as CAUSE,
    },
};

type Taken = Result<(), CommandFailure>;

fn bad(message: impl Into<String>) -> CommandFailure {
    CommandFailure::new(CAUSE, message)
}

/// The messages of a completion. Each is taken once: where a command names it, or else after all commands.
pub(crate) struct Answers<'m> {
    messages: Vec<Option<&'m ProtocolMessage>>,
    /// Updates which the worker got to know by their Admitted events.
    shown: Vec<UpdateId>,
}

/// Where an update stands when a message about it comes.
enum Standing {
    /// It waits for an answer, with the request that history does not hold yet.
    Unanswered(Option<Box<UpdateRequest>>),
    Accepted(EventId),
    Completed,
}

impl<'m> Answers<'m> {
    pub(crate) fn new(messages: &'m [ProtocolMessage], shown: Vec<UpdateId>) -> Self {
        Self {
            messages: messages.iter().map(Some).collect(),
            shown,
        }
    }

    /// The message that a command names comes now.
    pub(crate) fn named(&mut self, id: &str, draft: &mut Draft<'_>) -> Taken {
        let named = |slot: &&mut Option<&ProtocolMessage>| slot.is_some_and(|message| message.id == id);
        match self.messages.iter_mut().find(named).and_then(Option::take) {
            Some(message) => self.take(message, draft),
            None => Err(bad(format!("ProtocolMessageCommand referenced absent message ID {id}"))),
        }
    }

    /// All that no command named: rejections, since they leave no event that would need a place among others.
    pub(crate) fn remaining(&mut self, draft: &mut Draft<'_>) -> Taken {
        for at in 0..self.messages.len() {
            if let Some(message) = self.messages[at].take() {
                self.take(message, draft)?;
            }
        }
        Ok(())
    }

    /// What the worker was given and did not answer is rejected for it, else it would be given it for ever.
    pub(crate) fn reject_unanswered(self, draft: &mut Draft<'_>) {
        let sent = draft.state().waiting.iter().filter(|waiting| waiting.sent);
        let unanswered: Vec<UpdateId> = sent.map(|waiting| waiting.id.clone()).chain(self.shown).collect();
        for id in unanswered {
            draft.reject_update(&id, unprocessed());
        }
    }

    fn take(&mut self, message: &ProtocolMessage, draft: &mut Draft<'_>) -> Taken {
        let body = Body::parse(message).map_err(bad)?;
        let size = message.body.as_ref().map_or(0, prost::Message::encoded_len);
        if size > draft.env.limits.blob_size_max {
            let message = format!("Message type {} exceeds size limit.", body.name());
            return Err(CommandFailure::terminating(CAUSE, message));
        }
        let id = message.protocol_instance_id.as_str();
        let standing = self.standing(id, &body, draft)?;
        let is_rejection = matches!(body, Body::Rejection(_));
        if !draft.state().is_running() && !is_rejection {
            // The workflow closed before it said so: no event can follow. What it accepted before is told at the end.
            if matches!(standing, Standing::Unanswered(_)) {
                draft.end_update(id, UpdateAnswer::Closed);
            }
            return Ok(());
        }
        match (body, standing) {
            (Body::Acceptance(acceptance), Standing::Unanswered(request)) => {
                draft.accept_update(id, &acceptance, request)?;
            }
            (Body::Rejection(UpdateRejection { failure, .. }), Standing::Unanswered(_)) => {
                draft.reject_update(id, failure.unwrap_or_default());
            }
            (Body::Response(response), Standing::Accepted(event_id)) => {
                draft.complete_update(id, event_id, response)?;
            }
            (body, standing) => {
                return Err(bad(format!(
                    "invalid state transition attempted for Update {id}: received {} message while in state {}",
                    body.name(),
                    standing.name()
                )));
            }
        }
        self.shown.retain(|shown| &**shown != id);
        Ok(())
    }

    fn standing(&self, id: &str, body: &Body, draft: &Draft<'_>) -> Result<Standing, CommandFailure> {
        let recorded = &draft.state().recorded.updates;
        if let Some(waiting) = draft.state().waiting.get(id) {
            return Ok(Standing::Unanswered(Some(Box::new((*waiting.request).clone()))));
        }
        if let Some(event_id) = recorded.accepted.get(id) {
            return Ok(Standing::Accepted(**event_id));
        }
        if recorded.completed.contains(id) {
            return Ok(Standing::Completed);
        }
        if self.shown.iter().any(|shown| &**shown == id) || recorded.admitted.contains(id) {
            return Ok(Standing::Unanswered(None));
        }
        // Memory lost it, or a restart did; workers send the request along, so that nothing is lost by that.
        let request = match body {
            Body::Acceptance(acceptance) => acceptance.accepted_request.clone(),
            Body::Rejection(rejection) => rejection.rejected_request.clone(),
            Body::Response(_) => None,
        };
        let Some(request) = request else {
            return Err(bad(format!(
                "update {id} wasn't found on the server. This is most likely a transient error which will be resolved \
                 automatically by retries"
            )));
        };
        draft
            .check_total_of_updates()
            .map_err(|rejection| bad(rejection.to_string()))?;
        Ok(Standing::Unanswered(Some(Box::new(request))))
    }
}

impl Standing {
    fn name(&self) -> &'static str {
        match self {
            Self::Unanswered(_) => "Sent",
            Self::Accepted(_) => "Accepted",
            Self::Completed => "Completed",
        }
    }
}

impl Draft<'_> {
    fn accept_update(&mut self, id: &str, acceptance: &Acceptance, request: Option<Box<UpdateRequest>>) -> Taken {
        let unset = |field: &str| bad(format!("invalid *update.Acceptance: {field} is not set"));
        if acceptance.accepted_request_sequencing_event_id == 0 {
            return Err(unset("accepted_request_sequencing_event_id"));
        }
        if acceptance.accepted_request_message_id.is_empty() {
            return Err(unset("accepted_request_message_id"));
        }
        self.edit_in_memory().waiting.take(id);
        let attributes = WorkflowExecutionUpdateAcceptedEventAttributes {
            protocol_instance_id: id.to_owned(),
            accepted_request_message_id: request_message_id(id),
            accepted_request_sequencing_event_id: acceptance.accepted_request_sequencing_event_id,
            // An Admitted event has it already.
            accepted_request: request.map(|request| *request),
        };
        self.record(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(attributes));
        self.tell_of(id, UpdateAnswer::Accepted);
        Ok(())
    }

    fn complete_update(&mut self, id: &str, accepted_event_id: EventId, response: UpdateResponse) -> Taken {
        let named = response.meta.as_ref().map_or("", |meta| meta.update_id.as_str());
        if named != id {
            return Err(bad(format!("invalid *update.Response: meta.update_id != {id}")));
        }
        let Some(outcome) = response.outcome else {
            return Err(bad("invalid *update.Response: outcome is not set"));
        };
        self.record(Attributes::WorkflowExecutionUpdateCompletedEventAttributes(
            WorkflowExecutionUpdateCompletedEventAttributes {
                meta: response.meta,
                accepted_event_id,
                outcome: Some(outcome.clone()),
            },
        ));
        self.tell_of(id, UpdateAnswer::Completed(Box::new(outcome)));
        Ok(())
    }

    fn reject_update(&mut self, id: &str, failure: crate::proto::Failure) {
        self.end_update(id, UpdateAnswer::Completed(Box::new(failed(failure))));
    }

    fn end_update(&mut self, id: &str, answer: UpdateAnswer) {
        self.edit_in_memory().waiting.take(id);
        self.tell_of(id, answer);
    }

    /// The worker's answer made no sense: updates that it was given may be the reason, and are not tried again.
    pub(crate) fn refuse_sent_updates(&mut self) {
        let sent = self.state().waiting.iter().filter(|waiting| waiting.sent);
        let sent: Vec<UpdateId> = sent.map(|waiting| waiting.id.clone()).collect();
        for id in sent {
            let why = "Unable to perform workflow execution update due to unexpected workflow task failure.";
            self.end_update(&id, UpdateAnswer::Refused(Rejection::NotReady(why.to_owned())));
        }
    }

    fn tell_of(&mut self, id: &str, answer: UpdateAnswer) {
        self.tell(UpdateNews {
            update_id: id.to_owned(),
            answer,
        });
    }
}
