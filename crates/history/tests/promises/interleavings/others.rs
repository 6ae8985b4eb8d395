//! What operators do to a run, and what comes of other runs.

use std::{collections::BTreeSet, time::Duration};

use helve_history::{
    ActivityOperation, ActivitySelection, ChildClose, Input, MessageBody, MessageId, OptionsUpdate, ResetOrder,
    ResetRequest,
};
use temporalio_protos::temporal::api::{
    activity::v1::ActivityOptions,
    enums::v1::{
        CancelExternalWorkflowExecutionFailedCause, EventType, SignalExternalWorkflowExecutionFailedCause,
        StartChildWorkflowExecutionFailedCause,
    },
    history::v1::{HistoryEvent, history_event::Attributes},
};

use super::{
    steps::Operation,
    world::{World, pick},
};
use crate::{children::closed, scenario::*};

impl World {
    /// Activities have the ids 0 to 3; greater numbers mean all of them.
    pub(super) fn operate(&mut self, id: u8, operation: Operation) {
        self.polls += 1;
        let request_id = self.polls.to_string();
        let selection = match id {
            0..4 => ActivitySelection::Id(id.to_string()),
            _ => ActivitySelection::All,
        };
        let operation = match operation {
            Operation::Pause => ActivityOperation::Pause {
                identity: String::new(),
                reason: String::new(),
                request_id,
            },
            Operation::Unpause => ActivityOperation::Unpause {
                reset_attempts: id.is_multiple_of(2),
                reset_heartbeat: id.is_multiple_of(3),
                jitter: Duration::from_secs(u64::from(id)),
                request_id,
            },
            Operation::Reset => ActivityOperation::Reset(ResetOrder {
                keep_paused: id.is_multiple_of(2),
                restore_original_options: id.is_multiple_of(3),
                request_id,
                ..ResetOrder::default()
            }),
            Operation::Options => ActivityOperation::UpdateOptions {
                update: OptionsUpdate::Fields {
                    options: Box::new(ActivityOptions {
                        start_to_close_timeout: Some(seconds(2 + i64::from(id))),
                        ..ActivityOptions::default()
                    }),
                    paths: vec!["start_to_close_timeout".to_owned()],
                },
                request_id,
            },
        };
        // Only what is pending can be operated on.
        let _ = self.s.send(Input::OperateActivities { selection, operation });
    }

    pub(super) fn deliver(&mut self, n: u8, fail: bool) {
        let outbox = self.s.state.outbox();
        let ids: Vec<MessageId> = outbox.iter().map(|message| message.id).collect();
        assert_eq!(ids, self.s.state.outbox_ids());
        let Some(message) = pick(&outbox, n) else { return };
        let input = match (message.id, message.body) {
            (MessageId::StartChild(initiated_event_id), MessageBody::StartChild(_)) if fail => {
                Input::ChildStartFailed {
                    initiated_event_id,
                    cause: StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists,
                }
            }
            (MessageId::StartChild(initiated_event_id), _) => Input::ChildStarted {
                initiated_event_id,
                run_id: "child-run".to_owned(),
            },
            (MessageId::SignalExternal(initiated_event_id), _) if fail => Input::ExternalSignalFailed {
                initiated_event_id,
                cause: SignalExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound,
            },
            (MessageId::SignalExternal(initiated_event_id), _) => Input::ExternalSignalDelivered { initiated_event_id },
            (MessageId::CancelExternal(initiated_event_id), _) if fail => Input::ExternalCancelFailed {
                initiated_event_id,
                cause: CancelExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound,
            },
            (MessageId::CancelExternal(initiated_event_id), _) => Input::ExternalCancelDelivered { initiated_event_id },
            (id @ (MessageId::ParentClosed(_) | MessageId::ChildClosed | MessageId::WasReset), _) => {
                Input::MessageDelivered { id }
            }
        };
        self.s.ok(input.clone());
        assert!(
            !self.s.state.outbox_ids().contains(&message.id),
            "what was delivered is not owed any more"
        );
        let after = self.s.state.clone();
        self.s.ok(input);
        assert_eq!(self.s.state, after, "delivery is idempotent");
    }

    pub(super) fn child_closed(&mut self, n: u8, how: u8) {
        let children: Vec<i64> = self.children.iter().copied().collect();
        let Some(initiated) = pick(&children, n) else { return };
        let mut closed = closed(initiated);
        closed.close = match how {
            0 => ChildClose::Completed { result: None },
            1 => ChildClose::Failed {
                failure: None,
                retry_state: 0,
            },
            2 => ChildClose::Canceled { details: None },
            3 => ChildClose::TimedOut { retry_state: 0 },
            _ => ChildClose::Terminated,
        };
        self.s.ok(Input::ChildClosed(Box::new(closed)));
    }

    /// Goes on with the next run of the chain, if there is one.
    pub(super) fn follow(&mut self) {
        if let Some(successor) = self.s.successor.take() {
            let s = Scenario::of(successor, self.s.now, self.s.limits.clone());
            let (tasks, activities) = (std::mem::take(&mut self.tasks), std::mem::take(&mut self.activities));
            *self = Self::new(s);
            // Tokens of the run before must not fit the new one.
            (self.tasks, self.activities) = (tasks, activities);
        }
    }

    /// Goes on with a run that begins like this one: no signal is lost on the way, and none is taken twice.
    pub(super) fn reset(&mut self, n: u8) {
        let is_point = |event: &&HistoryEvent| {
            matches!(
                event.event_type(),
                EventType::WorkflowTaskStarted
                    | EventType::WorkflowTaskCompleted
                    | EventType::WorkflowTaskFailed
                    | EventType::WorkflowTaskTimedOut
            )
        };
        let points: Vec<i64> = self
            .s
            .stored
            .events
            .iter()
            .filter(is_point)
            .map(|e| e.event_id)
            .collect();
        let Some(event_id) = pick(&points, n) else { return };
        let request = ResetRequest {
            event_id,
            ..ResetRequest::default()
        };
        let new = self.s.reset(&request).expect("the point is a workflow task's");
        self.s = new;
        self.offered.clear();
        self.children.clear();
        self.remember_children();
        self.remember_updates();
    }

    /// Whose callers of old wait no more: the run they asked was closed. What history says is what there is.
    fn remember_updates(&mut self) {
        self.heard = 0;
        self.callers.clear();
        (self.accepted, self.answered) = (BTreeSet::new(), BTreeSet::new());
        for event in &self.s.stored.events {
            match &event.attributes {
                Some(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(a)) => {
                    self.accepted.insert(a.protocol_instance_id.clone());
                }
                Some(Attributes::WorkflowExecutionUpdateCompletedEventAttributes(a)) => {
                    self.answered.insert(a.meta.as_ref().unwrap().update_id.clone());
                }
                _ => {}
            }
        }
    }
}
