//! Links: those that requests bring, and those that answers give to what a request led to.

use temporalio_protos::temporal::api::{
    common::v1::{
        Link,
        link::{
            Variant, WorkflowEvent,
            workflow_event::{EventReference, Reference, RequestIdReference},
        },
    },
    enums::v1::EventType,
};
use tonic::Status;

use super::Frontend;
use crate::{error::Failed, start::Started};

impl Frontend {
    /// Refuses links that cannot be attached.
    pub(super) fn check_links(&self, links: &[Link]) -> Result<(), Status> {
        Ok(helve_history::check_links(links, &self.shell.options.limits).map_err(Failed::Rejected)?)
    }
}

/// Leads to the event that a request led to, by the request: the event may still wait for its place in the history.
pub(super) fn to_request(
    namespace: &str,
    workflow_id: &str,
    run_id: &str,
    request_id: String,
    event_type: EventType,
) -> Link {
    let reference = RequestIdReference {
        request_id,
        event_type: event_type.into(),
    };
    to_event(namespace, workflow_id, run_id, Reference::RequestIdRef(reference))
}

/// Leads to what a start led to: the first event of its run, or what it left with the run that was there.
pub(super) fn to_start(namespace: &str, workflow_id: &str, request_id: String, started: &Started) -> Link {
    if started.is_attached {
        let event_type = EventType::WorkflowExecutionOptionsUpdated;
        return to_request(namespace, workflow_id, &started.run_id, request_id, event_type);
    }
    let reference = EventReference {
        event_id: 1,
        event_type: EventType::WorkflowExecutionStarted.into(),
    };
    to_event(namespace, workflow_id, &started.run_id, Reference::EventRef(reference))
}

fn to_event(namespace: &str, workflow_id: &str, run_id: &str, reference: Reference) -> Link {
    let event = WorkflowEvent {
        namespace: namespace.to_owned(),
        workflow_id: workflow_id.to_owned(),
        run_id: run_id.to_owned(),
        reference: Some(reference),
    };
    Link {
        variant: Some(Variant::WorkflowEvent(event)),
    }
}
