//! Answers that carry a history in the bytes it is stored in.

use bytes::{Buf, BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};
use temporalio_protos::temporal::api::{
    history::v1::History,
    workflowservice::v1::{
        GetWorkflowExecutionHistoryResponse, GetWorkflowExecutionHistoryReverseResponse, PollWorkflowTaskQueueResponse,
    },
};

/// A message with a field `history`, which is encoded already.
///
/// On the wire it is the message: a field of bytes looks like one of a message. Events are large once they are decoded, and
/// whoever only hands them on has no use for that.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WithHistory<M> {
    /// The other fields; its own `history` stays empty.
    pub message: M,
    /// An encoded `temporal.api.history.v1.History`.
    pub history: Option<Bytes>,
}

/// A message with a field `history`.
pub trait CarriesHistory: Message + Default {
    /// The number of that field.
    const FIELD: u32;

    /// The field.
    fn history(&mut self) -> &mut Option<History>;
}

macro_rules! carries_history {
    ($($message:ident = $field:literal;)*) => {
        $(impl CarriesHistory for $message {
            const FIELD: u32 = $field;

            fn history(&mut self) -> &mut Option<History> {
                &mut self.history
            }
        })*
    };
}

carries_history! {
    GetWorkflowExecutionHistoryResponse = 1;
    GetWorkflowExecutionHistoryReverseResponse = 1;
    PollWorkflowTaskQueueResponse = 8;
}

impl<M: CarriesHistory> WithHistory<M> {
    /// The message as it is usually represented, for where it is part of another one.
    pub fn decode_history(mut self) -> Result<M, DecodeError> {
        if let Some(bytes) = self.history {
            *self.message.history() = Some(History::decode(bytes)?);
        }
        Ok(self.message)
    }
}

impl<M: CarriesHistory> Message for WithHistory<M> {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        // Fields may come in any order.
        self.message.encode_raw(buffer);
        if let Some(history) = &self.history {
            encode_key(M::FIELD, WireType::LengthDelimited, buffer);
            encode_varint(history.len() as u64, buffer);
            buffer.put_slice(history);
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        self.message.merge_field(tag, wire_type, buffer, context)
    }

    fn encoded_len(&self) -> usize {
        let history = self.history.as_ref().map_or(0, |history| {
            key_len(M::FIELD) + encoded_len_varint(history.len() as u64) + history.len()
        });
        self.message.encoded_len() + history
    }

    fn clear(&mut self) {
        self.message.clear();
        self.history = None;
    }
}

#[cfg(test)]
mod tests {
    use temporalio_protos::temporal::api::{enums::v1::EventType, history::v1::HistoryEvent};

    use super::*;

    fn on_the_wire<M: CarriesHistory + PartialEq + Clone>(mut message: M) {
        let history = History {
            events: vec![HistoryEvent {
                event_id: 7,
                event_type: EventType::TimerFired.into(),
                ..Default::default()
            }],
        };
        let carried = WithHistory {
            message: message.clone(),
            history: Some(history.encode_to_vec().into()),
        };
        *message.history() = Some(history);
        assert_eq!(carried.encoded_len(), message.encoded_len());
        assert!(M::decode(carried.encode_to_vec().as_slice()).unwrap() == message);
        assert!(carried.decode_history().unwrap() == message);
    }

    #[test]
    fn whoever_receives_it_sees_the_usual_message() {
        on_the_wire(PollWorkflowTaskQueueResponse {
            task_token: vec![1, 2],
            started_event_id: 3,
            attempt: 1,
            next_page_token: vec![4],
            ..Default::default()
        });
        on_the_wire(GetWorkflowExecutionHistoryResponse {
            next_page_token: vec![5],
            ..Default::default()
        });
        on_the_wire(GetWorkflowExecutionHistoryReverseResponse {
            next_page_token: vec![6],
            ..Default::default()
        });
    }

    #[test]
    fn an_answer_without_a_task_is_empty() {
        let nothing = WithHistory::<PollWorkflowTaskQueueResponse>::default();
        assert!(nothing.encode_to_vec().is_empty());
    }
}
