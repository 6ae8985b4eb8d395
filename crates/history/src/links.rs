//! Links that clients attach: what else an event or an activity has to do with.

use prost::Message;
use temporalio_protos::temporal::api::common::v1::link::{Variant, workflow_event::Reference};

use crate::{
    Limits, Rejection,
    proto::{EventType, Link},
};

/// Refuses too many links, too large ones, and those that do not say what they point to.
pub fn check_links(links: &[Link], limits: &Limits) -> Result<(), Rejection> {
    if links.len() > limits.links_max {
        return Err(Rejection::InvalidArgument(format!(
            "cannot attach more than {} links per request, got {}",
            limits.links_max,
            links.len()
        )));
    }
    for link in links {
        let size = link.encoded_len();
        if size > limits.link_size_max {
            return Err(Rejection::InvalidArgument(format!(
                "link exceeds allowed size of {}, got {size}",
                limits.link_size_max
            )));
        }
        check_target(link)?;
    }
    Ok(())
}

fn check_target(link: &Link) -> Result<(), Rejection> {
    match &link.variant {
        Some(Variant::WorkflowEvent(to)) => {
            named("workflow event", "namespace field", &to.namespace)?;
            named("workflow event", "workflow ID field", &to.workflow_id)?;
            named("workflow event", "run ID field", &to.run_id)?;
            match &to.reference {
                Some(Reference::EventRef(event))
                    if event.event_type() == EventType::Unspecified && event.event_id != 0 =>
                {
                    Err(Rejection::invalid(
                        "workflow event link ref cannot have an unspecified event type and a non-zero event ID",
                    ))
                }
                _ => Ok(()),
            }
        }
        Some(Variant::BatchJob(to)) => named("batch job", "job ID", &to.job_id),
        Some(Variant::NexusOperation(to)) => {
            named("nexus operation", "namespace field", &to.namespace)?;
            named("nexus operation", "operation ID field", &to.operation_id)?;
            named("nexus operation", "run ID field", &to.run_id)
        }
        Some(Variant::Activity(to)) => {
            named("activity", "namespace field", &to.namespace)?;
            named("activity", "activity ID field", &to.activity_id)?;
            named("activity", "run ID field", &to.run_id)
        }
        Some(Variant::Workflow(to)) => {
            named("workflow", "namespace field", &to.namespace)?;
            named("workflow", "workflow ID field", &to.workflow_id)?;
            named("workflow", "run ID field", &to.run_id)
        }
        None | Some(Variant::Callback(_)) => Err(Rejection::invalid("unsupported link variant")),
    }
}

fn named(kind: &str, field: &str, value: &str) -> Result<(), Rejection> {
    if value.is_empty() {
        return Err(Rejection::InvalidArgument(format!(
            "{kind} link must not have an empty {field}"
        )));
    }
    Ok(())
}
