//! The messages by which updates travel: requests to the worker, answers from it.

use prost::{Message as _, Name};

use super::waiting::Waiting;
use crate::{
    EventId,
    draft::Draft,
    proto::{Acceptance, ProtocolMessage, SequencingId, UpdateRejection, UpdateRequest, UpdateResponse},
};

/// What a worker says about an update.
pub(super) enum Body {
    Acceptance(Acceptance),
    Rejection(UpdateRejection),
    Response(UpdateResponse),
}

impl Body {
    /// Reads a message's body; the error says what is wrong with it.
    pub(super) fn parse(message: &ProtocolMessage) -> Result<Self, String> {
        let update_id = &message.protocol_instance_id;
        let Some(body) = &message.body else {
            return Err(format!("Update {update_id} received message with nil body"));
        };
        let name = full_name(&body.type_url);
        let broken = |error: prost::DecodeError| format!("unable to unmarshal request: {error}");
        let bytes = body.value.as_slice();
        if name == Acceptance::full_name() {
            Acceptance::decode(bytes).map(Self::Acceptance).map_err(broken)
        } else if name == UpdateRejection::full_name() {
            UpdateRejection::decode(bytes).map(Self::Rejection).map_err(broken)
        } else if name == UpdateResponse::full_name() {
            UpdateResponse::decode(bytes).map(Self::Response).map_err(broken)
        } else if name.starts_with("temporal.api.update.v1.") {
            Err(format!("Message type {name} not supported"))
        } else {
            Err(format!("unsupported protocol type {name}"))
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Acceptance(_) => "*update.Acceptance",
            Self::Rejection(_) => "*update.Rejection",
            Self::Response(_) => "*update.Response",
        }
    }
}

/// Nothing but rejections: answers that leave no event.
pub(crate) fn only_rejections(messages: &[ProtocolMessage]) -> bool {
    messages.iter().all(|message| {
        let url = message.body.as_ref().map_or("", |body| &body.type_url);
        full_name(url) == UpdateRejection::full_name()
    })
}

fn full_name(type_url: &str) -> &str {
    type_url.rsplit('/').next().unwrap_or_default()
}

/// The id of the message that brings an update to the worker.
pub(super) fn request_message_id(update_id: &str) -> String {
    format!("{update_id}/request")
}

fn request_message(waiting: &Waiting, started_event_id: EventId) -> ProtocolMessage {
    ProtocolMessage {
        id: request_message_id(&waiting.id),
        protocol_instance_id: waiting.id.to_string(),
        body: Some(prost_types::Any {
            type_url: format!("type.googleapis.com/{}", UpdateRequest::full_name()),
            value: waiting.request.encode_to_vec(),
        }),
        // The worker handles it after all events before the task's start.
        sequencing_id: Some(SequencingId::EventId(started_event_id - 1)),
    }
}

/// Which of the waiting updates a workflow task takes to the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carry {
    /// All of them: a worker that was given some before lost them.
    All,
    /// Those that no worker was given: the others are being worked at, since the worker only asked for more time.
    New,
    /// Those it took already: a poll whose answer was lost asks again.
    Sent,
}

impl Draft<'_> {
    /// The messages that go with a workflow task.
    pub(crate) fn update_messages(&self, started_event_id: EventId, carry: Carry) -> Vec<ProtocolMessage> {
        let chosen = self.state().waiting.iter().filter(|waiting| match carry {
            Carry::All => true,
            Carry::New => !waiting.sent,
            Carry::Sent => waiting.sent,
        });
        chosen
            .map(|waiting| request_message(waiting, started_event_id))
            .collect()
    }
}
