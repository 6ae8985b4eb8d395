//! Updates, and waiting for them.

use helve_history::Update;
use temporalio_protos::temporal::api::{
    common::v1::{Link, WorkflowExecution, link},
    enums::v1::{EventType, UpdateWorkflowExecutionLifecycleStage as Stage},
    update::v1::{Outcome, UpdateRef, WaitPolicy, outcome},
    workflowservice::v1::*,
};
use tonic::{Request, Status, metadata::MetadataMap};

use super::{Frontend, client_timeout};
use crate::{
    find::Target,
    updates::{Patience, Reached, Updated, WaitFor},
};

/// An update as it is sent on.
pub(super) struct UpdateCall {
    pub(super) target: Target,
    pub(super) update: Update,
    pub(super) wait_for: WaitFor,
}

impl Frontend {
    pub(super) async fn update_workflow_execution(
        &self,
        request: Request<UpdateWorkflowExecutionRequest>,
    ) -> Result<UpdateWorkflowExecutionResponse, Status> {
        let (metadata, _, request) = request.into_parts();
        let namespace = self.namespace(&request.namespace)?;
        let name = request.namespace.clone();
        let UpdateCall {
            target,
            update,
            wait_for,
        } = self.update_call(request)?;
        let patience = self.update_patience(&metadata, wait_for);
        let shown = ShownUpdate::new(name, &target, &update);
        match self.shell.update(&namespace, &target, update, patience).await? {
            Some(updated) => Ok(shown.response(updated)),
            None => Err(too_late()),
        }
    }

    pub(super) async fn poll_workflow_execution_update(
        &self,
        request: Request<PollWorkflowExecutionUpdateRequest>,
    ) -> Result<PollWorkflowExecutionUpdateResponse, Status> {
        let (metadata, _, request) = request.into_parts();
        let namespace = self.namespace(&request.namespace)?;
        let update_ref = request
            .update_ref
            .ok_or_else(|| Status::invalid_argument("UpdateRef is not set on request."))?;
        let target = self.target(update_ref.workflow_execution)?;
        let patience = self.update_patience(&metadata, wait_for(request.wait_policy));
        let update_id = update_ref.update_id;
        let polled = self
            .shell
            .poll_update(&namespace, &target, &update_id, patience)
            .await?;
        let Updated { run_id, reached } = polled.ok_or_else(too_late)?;
        let (stage, outcome) = stage_and_outcome(reached);
        Ok(PollWorkflowExecutionUpdateResponse {
            outcome,
            stage: stage.into(),
            update_ref: Some(UpdateRef {
                workflow_execution: Some(WorkflowExecution {
                    workflow_id: target.workflow_id,
                    run_id,
                }),
                update_id,
            }),
        })
    }

    /// Checks an update as it was sent, and fills in what it leaves open.
    pub(super) fn update_call(&self, request: UpdateWorkflowExecutionRequest) -> Result<UpdateCall, Status> {
        let target = self.target(request.workflow_execution)?;
        let mut update = request.request.unwrap_or_default();
        let Some(meta) = &mut update.meta else {
            return Err(Status::invalid_argument("Update meta is not set on request."));
        };
        if meta.update_id.is_empty() {
            meta.update_id = self.shell.fresh_id();
        }
        if !update.completion_callbacks.is_empty() {
            return Err(Status::invalid_argument(
                "completion callbacks are not supported by this version of Helve",
            ));
        }
        let update = Update {
            request: update,
            first_execution_run_id: request.first_execution_run_id,
        };
        update
            .validate(&self.shell.options.limits)
            .map_err(crate::error::Failed::from)?;
        let wait_for = match request.wait_policy.map(|policy| policy.lifecycle_stage()) {
            Some(Stage::Admitted) => {
                return Err(Status::permission_denied(
                    "UpdateWorkflowExecution issued asynchronously and waiting on update admitted is not supported.",
                ));
            }
            Some(Stage::Accepted) => WaitFor::Acceptance,
            Some(Stage::Completed | Stage::Unspecified) | None => WaitFor::Outcome,
        };
        Ok(UpdateCall {
            target,
            update,
            wait_for,
        })
    }

    /// A caller is told how far things are after a while, and is not told anything once it does not listen any more: an
    /// answer in the last moment would make it ask again and again, instead of telling it that its time is over.
    pub(super) fn update_patience(&self, metadata: &MetadataMap, wait_for: WaitFor) -> Patience {
        let now = self.shell.now();
        Patience {
            wait_for,
            until: now + self.shell.options.history_wait,
            deadline: client_timeout(metadata).map(|timeout| now + timeout),
        }
    }
}

pub(super) fn too_late() -> Status {
    Status::deadline_exceeded("context deadline exceeded")
}

fn wait_for(policy: Option<WaitPolicy>) -> WaitFor {
    match policy.map(|policy| policy.lifecycle_stage()) {
        Some(Stage::Completed) => WaitFor::Outcome,
        Some(Stage::Accepted) => WaitFor::Acceptance,
        Some(Stage::Admitted | Stage::Unspecified) | None => WaitFor::Nothing,
    }
}

fn stage_and_outcome(reached: Reached) -> (Stage, Option<Outcome>) {
    match reached {
        Reached::Admitted => (Stage::Admitted, None),
        Reached::Accepted => (Stage::Accepted, None),
        Reached::Completed(outcome) => (Stage::Completed, Some((*outcome).clone())),
    }
}

/// What the answer repeats of the question.
pub(super) struct ShownUpdate {
    namespace: String,
    workflow_id: String,
    update_id: String,
    request_id: String,
}

impl ShownUpdate {
    pub(super) fn new(namespace: String, target: &Target, update: &Update) -> Self {
        ShownUpdate {
            namespace,
            workflow_id: target.workflow_id.clone(),
            update_id: update.id().to_owned(),
            request_id: update.request.request_id.clone(),
        }
    }

    pub(super) fn response(self, updated: Updated) -> UpdateWorkflowExecutionResponse {
        let (stage, outcome) = stage_and_outcome(updated.reached);
        UpdateWorkflowExecutionResponse {
            link: self.link(stage, outcome.as_ref(), &updated.run_id),
            update_ref: Some(UpdateRef {
                workflow_execution: Some(WorkflowExecution {
                    workflow_id: self.workflow_id,
                    run_id: updated.run_id,
                }),
                update_id: self.update_id,
            }),
            outcome,
            stage: stage.into(),
        }
    }

    /// Where the update can be seen: at its Accepted event, or, as a rejected one has none, at its execution.
    fn link(&self, stage: Stage, outcome: Option<&Outcome>, run_id: &str) -> Option<Link> {
        let is_failure = outcome.is_some_and(|outcome| matches!(outcome.value, Some(outcome::Value::Failure(_))));
        let (namespace, workflow_id, run_id) = (self.namespace.clone(), self.workflow_id.clone(), run_id.to_owned());
        let variant = match stage {
            Stage::Completed if is_failure => link::Variant::Workflow(link::Workflow {
                namespace,
                workflow_id,
                run_id,
                reason: "Update rejected".to_owned(),
            }),
            Stage::Accepted | Stage::Completed => link::Variant::WorkflowEvent(link::WorkflowEvent {
                namespace,
                workflow_id,
                run_id,
                reference: Some(link::workflow_event::Reference::RequestIdRef(
                    link::workflow_event::RequestIdReference {
                        request_id: self.request_id.clone(),
                        event_type: EventType::WorkflowExecutionUpdateAccepted.into(),
                    },
                )),
            }),
            Stage::Admitted | Stage::Unspecified => return None,
        };
        Some(Link { variant: Some(variant) })
    }
}
