//! What happened after the point of a reset, and happens again in the new run.

use temporalio_protos::temporal::api::update;

use crate::{
    draft::{Draft, Entry},
    event::started_slot,
    proto::{
        Attributes, HistoryEvent, ResetReapplyExcludeType, ResetReapplyType, UpdateAdmittedEventOrigin,
        WorkflowExecutionSignaledEventAttributes, WorkflowExecutionUpdateAdmittedEventAttributes,
    },
};

/// What happens again in a run made by a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reapply {
    /// Signals.
    pub signals: bool,
    /// Updates that were accepted: they are asked for again.
    pub updates: bool,
    /// What became of children that were asked for before the point of the reset.
    pub children: bool,
}

impl Default for Reapply {
    fn default() -> Self {
        Self {
            signals: true,
            updates: true,
            children: true,
        }
    }
}

impl Reapply {
    /// From the two fields of a request: the old one says what to take, the new one what to leave out.
    pub fn from_request(take: ResetReapplyType, leave_out: &[ResetReapplyExcludeType]) -> Self {
        use ResetReapplyExcludeType as Exclude;
        let excluded = |kind| leave_out.contains(&kind);
        #[expect(deprecated, reason = "leaving out everything means to name this kind, too")]
        let everything = [Exclude::Signal, Exclude::Update, Exclude::Nexus, Exclude::CancelRequest];
        Self {
            signals: take != ResetReapplyType::None && !excluded(Exclude::Signal),
            updates: !matches!(take, ResetReapplyType::None | ResetReapplyType::Signal) && !excluded(Exclude::Update),
            children: !everything.into_iter().all(excluded),
        }
    }
}

/// Does this event of a run that continued the base run as new matter to a reset?
pub fn is_reapplied(event: &HistoryEvent) -> bool {
    matches!(
        event.attributes,
        Some(
            Attributes::WorkflowExecutionSignaledEventAttributes(_)
                | Attributes::WorkflowExecutionUpdateAdmittedEventAttributes(_)
                | Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(_)
                | Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(_)
        )
    )
}

impl Draft<'_> {
    /// Lets events of the base run after the point of the reset happen again.
    pub(crate) fn reapply_from_base(&mut self, events: &[HistoryEvent], what: Reapply) {
        for event in events {
            self.reapply(event, what);
            if what.children {
                self.reapply_about_child(event);
            }
        }
    }

    /// Lets events of a run that continued the base run happen again. Its children are not the base run's.
    pub(crate) fn reapply_from_successor(&mut self, events: &[HistoryEvent], what: Reapply) {
        for event in events {
            self.reapply(event, what);
        }
    }

    fn reapply(&mut self, event: &HistoryEvent, what: Reapply) {
        match &event.attributes {
            Some(Attributes::WorkflowExecutionSignaledEventAttributes(a)) if what.signals => {
                let again = WorkflowExecutionSignaledEventAttributes {
                    signal_name: a.signal_name.clone(),
                    input: a.input.clone(),
                    identity: a.identity.clone(),
                    header: a.header.clone(),
                    request_id: a.request_id.clone(),
                    ..WorkflowExecutionSignaledEventAttributes::default()
                };
                let entry = Entry::from(Attributes::WorkflowExecutionSignaledEventAttributes(again));
                self.record(entry.links(event.links.clone()));
            }
            Some(Attributes::WorkflowExecutionUpdateAdmittedEventAttributes(a)) if what.updates => {
                self.admit_again(a.request.clone());
            }
            // One that was admitted by an event before has its request there.
            Some(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(a)) if what.updates => {
                self.admit_again(a.accepted_request.clone());
            }
            // Whoever attached something to the workflow means whichever run is its current one.
            Some(again @ Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(_)) => {
                self.record(Entry::from(again.clone()).links(event.links.clone()));
            }
            _ => {}
        }
    }

    /// Asks the new run for an update that an earlier run was asked for.
    fn admit_again(&mut self, request: Option<update::v1::Request>) {
        if request.is_some() {
            self.record(Attributes::WorkflowExecutionUpdateAdmittedEventAttributes(
                WorkflowExecutionUpdateAdmittedEventAttributes {
                    request,
                    origin: UpdateAdmittedEventOrigin::Reapply.into(),
                },
            ));
        }
    }

    /// A child that was asked for before the point of the reset is the new run's child, too.
    fn reapply_about_child(&mut self, event: &HistoryEvent) {
        let Some(mut attributes) = event.attributes.clone() else {
            return;
        };
        let children = &self.state().recorded.children;
        let starts = match &attributes {
            Attributes::StartChildWorkflowExecutionFailedEventAttributes(a) => Some(a.initiated_event_id),
            Attributes::ChildWorkflowExecutionStartedEventAttributes(a) => Some(a.initiated_event_id),
            _ => None,
        };
        if let Some(initiated) = starts {
            if children.get(&initiated).is_some_and(|child| child.started.is_none()) {
                self.record(attributes);
            }
            return;
        }
        // Ends of activities have such a place, too, but do not name a child.
        if let Some((initiated, started_event_id)) = started_slot(&mut attributes)
            && let Some(started) = children.get(&initiated).and_then(|child| child.started.as_ref())
        {
            *started_event_id = started.started_event_id.unwrap_or(0);
            self.record(attributes);
        }
    }
}
