//! Signals, cancel requests, terminations, descriptions.

use helve_history::{CancelRequest, Input, Signal, Termination};
use temporalio_protos::temporal::api::{enums::v1::EventType, workflowservice::v1::*};
use tonic::{Request, Status};

use super::{Frontend, links};
use crate::{
    error::{Failed, Fault},
    find::Target,
};

impl Frontend {
    pub(super) async fn signal_workflow_execution(
        &self,
        request: Request<SignalWorkflowExecutionRequest>,
    ) -> Result<SignalWorkflowExecutionResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let target = self.target(request.workflow_execution)?;
        let (workflow_id, request_id) = (target.workflow_id.clone(), request.request_id.clone());
        let signal = Signal {
            name: request.signal_name,
            input: request.input,
            header: request.header,
            identity: request.identity,
            request_id: request.request_id,
            links: request.links,
            ..Signal::default()
        };
        let run_id = self
            .shell
            .apply_to(&namespace, &target, Input::Signal(signal), |loaded, _| {
                loaded.state.key().run_id.clone()
            })
            .await?;
        let event_type = EventType::WorkflowExecutionSignaled;
        let link = links::to_request(&namespace.name, &workflow_id, &run_id, request_id, event_type);
        Ok(SignalWorkflowExecutionResponse { link: Some(link) })
    }

    pub(super) async fn request_cancel_workflow_execution(
        &self,
        request: Request<RequestCancelWorkflowExecutionRequest>,
    ) -> Result<RequestCancelWorkflowExecutionResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let target = in_chain(
            self.target(request.workflow_execution)?,
            &request.first_execution_run_id,
        );
        self.check_links(&request.links)?;
        let cancel = CancelRequest {
            reason: request.reason,
            identity: request.identity,
            request_id: request.request_id,
            first_execution_run_id: request.first_execution_run_id,
            links: request.links,
            ..CancelRequest::default()
        };
        self.shell
            .apply_to(&namespace, &target, Input::RequestCancel(cancel), |_, _| ())
            .await?;
        Ok(RequestCancelWorkflowExecutionResponse::default())
    }

    pub(super) async fn terminate_workflow_execution(
        &self,
        request: Request<TerminateWorkflowExecutionRequest>,
    ) -> Result<TerminateWorkflowExecutionResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let target = in_chain(
            self.target(request.workflow_execution)?,
            &request.first_execution_run_id,
        );
        self.check_links(&request.links)?;
        let order = Termination {
            reason: or_else(request.reason, "terminated by user via frontend"),
            details: request.details,
            identity: or_else(request.identity, "frontend-service"),
            first_execution_run_id: request.first_execution_run_id,
            links: request.links,
            ..Termination::default()
        };
        self.shell
            .apply_to(&namespace, &target, Input::Terminate(order), |_, _| ())
            .await?;
        Ok(TerminateWorkflowExecutionResponse::default())
    }

    pub(super) async fn delete_workflow_execution(
        &self,
        request: Request<DeleteWorkflowExecutionRequest>,
    ) -> Result<DeleteWorkflowExecutionResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let target = self.target(request.workflow_execution)?;
        let slot = self.shell.find(&namespace, &target).await?;
        self.shell.request_deletion(&slot).await?;
        Ok(DeleteWorkflowExecutionResponse {})
    }

    pub(super) async fn describe_workflow_execution(
        &self,
        request: Request<DescribeWorkflowExecutionRequest>,
    ) -> Result<DescribeWorkflowExecutionResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let target = self.target(request.execution)?;
        let slot = self.shell.find(&namespace, &target).await?;
        let mut guard = self.shell.lock(&slot).await?;
        let state = guard.loaded().map(|loaded| loaded.state.clone());
        drop(guard);
        let state = state.ok_or(Failed::Fault(Fault::Conflict))?;
        let mut description = state.describe();
        if let Some(set) = description
            .workflow_execution_info
            .as_mut()
            .and_then(|info| info.search_attributes.as_mut())
        {
            set.indexed_fields = namespace.settings().attributes.shown(&set.indexed_fields);
        }
        Ok(description)
    }
}

/// What a request leaves open is told apart from what the engine does by itself.
fn or_else(given: String, usual: &str) -> String {
    if given.is_empty() { usual.to_owned() } else { given }
}

/// Who names a chain of runs by its first one means the run that is current now.
fn in_chain(target: Target, first_run_id: &str) -> Target {
    if first_run_id.is_empty() {
        target
    } else {
        Target {
            run_id: String::new(),
            ..target
        }
    }
}
