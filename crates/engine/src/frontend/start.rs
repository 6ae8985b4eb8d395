//! Starting executions.

use helve_history::{StartRun, WorkflowTaskStarted};
use temporalio_protos::temporal::api::{
    enums::v1::{EventType, WorkflowIdConflictPolicy},
    workflow::v1::OnConflictOptions,
    workflowservice::v1::*,
};
use tonic::{Request, Status};

use super::{Frontend, convert, links};
use crate::{
    error::{Failed, Fault},
    find::Target,
    namespaces::Namespace,
    start::Policies,
    tasks::StartedWithTail,
};

impl Frontend {
    pub(super) async fn start_workflow_execution(
        &self,
        request: Request<StartWorkflowExecutionRequest>,
    ) -> Result<StartWorkflowExecutionResponse, Status> {
        let mut request = request.into_inner();
        let namespace = self.namespace_for_starts(&request.namespace)?;
        check_on_conflict(&request)?;
        if request.request_id.is_empty() {
            request.request_id = self.shell.fresh_id();
        }
        let (workflow_id, request_id) = (request.workflow_id.clone(), request.request_id.clone());
        let policies = Policies::new(
            request.workflow_id_reuse_policy(),
            request.workflow_id_conflict_policy(),
        )?;
        let started = self
            .shell
            .start(&namespace, policies, |run_id, env| {
                StartRun::from_request(request, run_id, env)
            })
            .await?;
        Ok(StartWorkflowExecutionResponse {
            link: Some(links::to_start(&namespace.name, &workflow_id, request_id, &started)),
            eager_workflow_task: match started.first_task {
                Some(task) => Some(self.eager_task(&namespace, *task).await?),
                None => None,
            },
            run_id: started.run_id,
            first_execution_run_id: started.first_run_id,
            started: started.by_this_request,
            status: started.status as i32,
        })
    }

    /// The first workflow task for the worker that started the execution.
    async fn eager_task(
        &self,
        namespace: &Namespace,
        task: WorkflowTaskStarted,
    ) -> Result<PollWorkflowTaskQueueResponse, Status> {
        let slot = self.shell.find(namespace, &Target::run(task.token.run_key())).await?;
        let mut guard = self.shell.lock(&slot).await?;
        let loaded = guard.loaded().ok_or(Failed::Fault(Fault::Conflict))?;
        let task = StartedWithTail::new(&slot, loaded, task);
        drop(guard);
        convert::nested_workflow_task(self.shell.with_history(&slot, task).await?)
    }

    pub(super) async fn signal_with_start_workflow_execution(
        &self,
        request: Request<SignalWithStartWorkflowExecutionRequest>,
    ) -> Result<SignalWithStartWorkflowExecutionResponse, Status> {
        let mut request = request.into_inner();
        let namespace = self.namespace_for_starts(&request.namespace)?;
        if request.request_id.is_empty() {
            request.request_id = self.shell.fresh_id();
        }
        let (workflow_id, request_id) = (request.workflow_id.clone(), request.request_id.clone());
        let reuse = request.workflow_id_reuse_policy();
        Policies::new(reuse, request.workflow_id_conflict_policy())?;
        let conflict = match request.workflow_id_conflict_policy() {
            WorkflowIdConflictPolicy::Unspecified => WorkflowIdConflictPolicy::UseExisting,
            WorkflowIdConflictPolicy::Fail => {
                return Err(Status::invalid_argument(
                    "Invalid WorkflowIDConflictPolicy: WORKFLOW_ID_CONFLICT_POLICY_FAIL is not supported for this operation.",
                ));
            }
            given => given,
        };
        let policies = Policies { reuse, conflict };
        let started = self
            .shell
            .start(&namespace, policies, |run_id, env| {
                StartRun::from_signal_with_start(request, run_id, env)
            })
            .await?;
        let event_type = EventType::WorkflowExecutionSignaled;
        let link = links::to_request(&namespace.name, &workflow_id, &started.run_id, request_id, event_type);
        Ok(SignalWithStartWorkflowExecutionResponse {
            run_id: started.run_id,
            first_execution_run_id: started.first_run_id,
            started: started.is_new,
            signal_link: Some(link),
        })
    }
}

/// What a start wants to leave with a run that is there already.
pub(super) fn check_on_conflict(request: &StartWorkflowExecutionRequest) -> Result<(), Status> {
    let attaches_callbacks = |options: &OnConflictOptions| options.attach_completion_callbacks;
    let options = request.on_conflict_options.as_ref();
    if options.is_some_and(|options| attaches_callbacks(options) && !options.attach_request_id) {
        return Err(Status::invalid_argument(
            "attaching request ID is required for attaching completion callbacks",
        ));
    }
    Ok(())
}
