//! Starting executions.

use helve_history::{StartRun, WorkflowTaskStarted};
use temporalio_protos::temporal::api::{enums::v1::WorkflowIdConflictPolicy, workflowservice::v1::*};
use tonic::{Request, Status};

use super::{Frontend, convert};
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
        let request = request.into_inner();
        let namespace = self.namespace_for_starts(&request.namespace)?;
        if !request.completion_callbacks.is_empty() {
            return Err(Status::invalid_argument(
                "completion callbacks are not supported by this version of Helve",
            ));
        }
        let policies = Policies {
            reuse: request.workflow_id_reuse_policy(),
            conflict: request.workflow_id_conflict_policy(),
        };
        let started = self
            .shell
            .start(&namespace, policies, |run_id, env| {
                StartRun::from_request(request, run_id, env)
            })
            .await?;
        Ok(StartWorkflowExecutionResponse {
            eager_workflow_task: match started.first_task {
                Some(task) => Some(self.eager_task(&namespace, *task).await?),
                None => None,
            },
            run_id: started.run_id,
            first_execution_run_id: started.first_run_id,
            started: started.by_this_request,
            status: started.status as i32,
            ..Default::default()
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
        Ok(convert::workflow_task(self.shell.with_history(&slot, task).await?))
    }

    pub(super) async fn signal_with_start_workflow_execution(
        &self,
        request: Request<SignalWithStartWorkflowExecutionRequest>,
    ) -> Result<SignalWithStartWorkflowExecutionResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace_for_starts(&request.namespace)?;
        let conflict = match request.workflow_id_conflict_policy() {
            WorkflowIdConflictPolicy::Unspecified => WorkflowIdConflictPolicy::UseExisting,
            WorkflowIdConflictPolicy::Fail => {
                return Err(Status::invalid_argument(
                    "Invalid WorkflowIDConflictPolicy: WORKFLOW_ID_CONFLICT_POLICY_FAIL is not supported for this operation.",
                ));
            }
            given => given,
        };
        let policies = Policies {
            reuse: request.workflow_id_reuse_policy(),
            conflict,
        };
        let started = self
            .shell
            .start(&namespace, policies, |run_id, env| {
                StartRun::from_signal_with_start(request, run_id, env)
            })
            .await?;
        Ok(SignalWithStartWorkflowExecutionResponse {
            run_id: started.run_id,
            first_execution_run_id: started.first_run_id,
            started: started.by_this_request,
            ..Default::default()
        })
    }
}
