//! What a batch operation does to one execution: the request that a client would send for it.

use temporalio_protos::temporal::api::{
    batch::v1::{
        BatchOperationReset, batch_operation_reset_activities, batch_operation_unpause_activities,
        batch_operation_update_activity_options,
    },
    common::v1::{Execution, ResetOptions, WorkflowExecution, reset_options::Target},
    enums::v1::{EventType, ResetType},
    history::v1::HistoryEvent,
    workflowservice::v1::{start_batch_operation_request::Operation, *},
};
use tonic::{Request, Status};

use super::{super::convert, run::Job};

impl Job {
    pub(super) async fn operate(&self, target: &Execution) -> Result<(), Status> {
        let (frontend, batch) = (&self.frontend, &self.batch.request);
        let namespace = batch.namespace.clone();
        let workflow_execution = Some(workflow(target));
        let (activity_id, run_id) = (target.business_id.clone(), target.run_id.clone());
        match &batch.operation {
            Some(Operation::TerminationOperation(operation)) => {
                let request = TerminateWorkflowExecutionRequest {
                    namespace,
                    workflow_execution,
                    reason: batch.reason.clone(),
                    details: operation.details.clone(),
                    identity: operation.identity.clone(),
                    ..Default::default()
                };
                frontend.terminate_workflow_execution(Request::new(request)).await?;
            }
            Some(Operation::CancellationOperation(operation)) => {
                let request = RequestCancelWorkflowExecutionRequest {
                    namespace,
                    workflow_execution,
                    identity: operation.identity.clone(),
                    request_id: self.request_id("cancel", target),
                    reason: batch.reason.clone(),
                    ..Default::default()
                };
                frontend
                    .request_cancel_workflow_execution(Request::new(request))
                    .await?;
            }
            Some(Operation::SignalOperation(operation)) => {
                let request = SignalWorkflowExecutionRequest {
                    namespace,
                    workflow_execution,
                    signal_name: operation.signal.clone(),
                    input: operation.input.clone(),
                    identity: operation.identity.clone(),
                    request_id: self.request_id("signal", target),
                    header: operation.header.clone(),
                    ..Default::default()
                };
                frontend.signal_workflow_execution(Request::new(request)).await?;
            }
            Some(Operation::DeletionOperation(_)) => {
                let request = DeleteWorkflowExecutionRequest {
                    namespace,
                    workflow_execution,
                };
                frontend.delete_workflow_execution(Request::new(request)).await?;
            }
            Some(Operation::ResetOperation(operation)) => self.reset(target, operation).await?,
            Some(Operation::UpdateWorkflowOptionsOperation(operation)) => {
                let request = UpdateWorkflowExecutionOptionsRequest {
                    namespace,
                    workflow_execution,
                    workflow_execution_options: operation.workflow_execution_options.clone(),
                    update_mask: operation.update_mask.clone(),
                    identity: operation.identity.clone(),
                };
                frontend
                    .update_workflow_execution_options(Request::new(request))
                    .await?;
            }
            Some(Operation::UnpauseActivitiesOperation(operation)) => {
                use batch_operation_unpause_activities::Activity as Asked;
                use unpause_activity_request::Activity;
                let request = UnpauseActivityRequest {
                    namespace,
                    execution: workflow_execution,
                    identity: operation.identity.clone(),
                    reset_attempts: operation.reset_attempts,
                    reset_heartbeat: operation.reset_heartbeat,
                    jitter: operation.jitter,
                    activity: operation.activity.as_ref().map(|asked| match asked {
                        Asked::Type(name) => Activity::Type(name.clone()),
                        Asked::MatchAll(_) => Activity::UnpauseAll(true),
                    }),
                };
                frontend.unpause_activity(Request::new(request)).await?;
            }
            Some(Operation::ResetActivitiesOperation(operation)) => {
                use batch_operation_reset_activities::Activity as Asked;
                use reset_activity_request::Activity;
                let request = ResetActivityRequest {
                    namespace,
                    execution: workflow_execution,
                    identity: operation.identity.clone(),
                    reset_heartbeat: operation.reset_heartbeat,
                    keep_paused: operation.keep_paused,
                    jitter: operation.jitter,
                    restore_original_options: operation.restore_original_options,
                    activity: operation.activity.as_ref().map(|asked| match asked {
                        Asked::Type(name) => Activity::Type(name.clone()),
                        Asked::MatchAll(_) => Activity::MatchAll(true),
                    }),
                };
                frontend.reset_activity(Request::new(request)).await?;
            }
            Some(Operation::UpdateActivityOptionsOperation(operation)) => {
                use batch_operation_update_activity_options::Activity as Asked;
                use update_activity_options_request::Activity;
                let request = UpdateActivityOptionsRequest {
                    namespace,
                    execution: workflow_execution,
                    identity: operation.identity.clone(),
                    activity_options: operation.activity_options.clone(),
                    update_mask: operation.update_mask.clone(),
                    restore_original: operation.restore_original,
                    activity: operation.activity.as_ref().map(|asked| match asked {
                        Asked::Type(name) => Activity::Type(name.clone()),
                        Asked::MatchAll(_) => Activity::MatchAll(true),
                    }),
                };
                frontend.update_activity_options(Request::new(request)).await?;
            }
            Some(Operation::CancelActivitiesOperation(operation)) => {
                let request = RequestCancelActivityExecutionRequest {
                    namespace,
                    activity_id,
                    run_id,
                    identity: operation.identity.clone(),
                    request_id: self.request_id("cancel-activity", target),
                    reason: operation.reason.clone(),
                };
                frontend
                    .request_cancel_activity_execution(Request::new(request))
                    .await?;
            }
            Some(Operation::TerminateActivitiesOperation(operation)) => {
                let request = TerminateActivityExecutionRequest {
                    namespace,
                    activity_id,
                    run_id,
                    identity: operation.identity.clone(),
                    request_id: self.request_id("terminate-activity", target),
                    reason: operation.reason.clone(),
                };
                frontend.terminate_activity_execution(Request::new(request)).await?;
            }
            Some(Operation::DeleteActivitiesOperation(_)) => {
                let request = DeleteActivityExecutionRequest {
                    namespace,
                    activity_id,
                    run_id,
                };
                frontend.delete_activity_execution(Request::new(request)).await?;
            }
            None => return Err(Status::invalid_argument("the operation is not set")),
        }
        Ok(())
    }

    /// The same for every try, so that it happens once to a run.
    fn request_id(&self, what: &str, target: &Execution) -> String {
        let mut id = format!("{what}:{}:{}", target.run_id, self.batch.job_id);
        id.truncate(id.floor_char_boundary(self.frontend.shell.options.limits.id_length_max));
        id
    }

    async fn reset(&self, target: &Execution, operation: &BatchOperationReset) -> Result<(), Status> {
        #[expect(deprecated, reason = "old clients name the point by a type")]
        let options = operation.options.clone().unwrap_or_else(|| ResetOptions {
            target: Some(match operation.reset_type() {
                ResetType::LastWorkflowTask => Target::LastWorkflowTask(()),
                ResetType::FirstWorkflowTask | ResetType::Unspecified => Target::FirstWorkflowTask(()),
            }),
            reset_reapply_type: operation.reset_reapply_type,
            ..ResetOptions::default()
        });
        #[expect(deprecated, reason = "old clients still send it")]
        let request = ResetWorkflowExecutionRequest {
            namespace: self.batch.request.namespace.clone(),
            workflow_execution: Some(workflow(target)),
            reason: self.batch.request.reason.clone(),
            workflow_task_finish_event_id: self.reset_point(target, &options).await?,
            request_id: self.request_id("reset", target),
            reset_reapply_type: options.reset_reapply_type,
            reset_reapply_exclude_types: options.reset_reapply_exclude_types,
            post_reset_operations: operation.post_reset_operations.clone(),
            identity: operation.identity.clone(),
        };
        self.frontend.reset_workflow_execution(Request::new(request)).await?;
        Ok(())
    }

    /// The event to which options mean to reset.
    async fn reset_point(&self, target: &Execution, options: &ResetOptions) -> Result<i64, Status> {
        let from_end = match options.target {
            Some(Target::FirstWorkflowTask(())) => false,
            Some(Target::LastWorkflowTask(())) => true,
            Some(Target::WorkflowTaskId(id)) => return Ok(id),
            // Refused when the batch operation was started.
            Some(Target::BuildId(_)) | None => return Err(Status::invalid_argument("batch reset missing target")),
        };
        let (mut token, mut scheduled) = (Vec::new(), None);
        loop {
            let (events, next) = self.history_page(target, from_end, token).await?;
            for event in events {
                match event.event_type() {
                    EventType::WorkflowTaskCompleted => return Ok(event.event_id),
                    EventType::WorkflowTaskScheduled => {
                        scheduled.get_or_insert(event.event_id + 1);
                    }
                    _ => {}
                }
            }
            if next.is_empty() {
                break;
            }
            token = next;
        }
        // A task that was never completed is repeated, too.
        scheduled.ok_or_else(|| Status::failed_precondition("unable to find any scheduled or completed task"))
    }

    async fn history_page(
        &self,
        target: &Execution,
        from_end: bool,
        next_page_token: Vec<u8>,
    ) -> Result<(Vec<HistoryEvent>, Vec<u8>), Status> {
        let namespace = self.batch.request.namespace.clone();
        let execution = Some(workflow(target));
        let (history, next) = if from_end {
            let request = GetWorkflowExecutionHistoryReverseRequest {
                namespace,
                execution,
                next_page_token,
                ..Default::default()
            };
            let page = self
                .frontend
                .get_workflow_execution_history_reverse(Request::new(request))
                .await?;
            let page = page.decode_history().map_err(convert::damaged)?;
            (page.history, page.next_page_token)
        } else {
            let request = GetWorkflowExecutionHistoryRequest {
                namespace,
                execution,
                next_page_token,
                ..Default::default()
            };
            let page = self
                .frontend
                .get_workflow_execution_history(Request::new(request))
                .await?;
            let page = page.decode_history().map_err(convert::damaged)?;
            (page.history, page.next_page_token)
        };
        Ok((history.unwrap_or_default().events, next))
    }
}

fn workflow(target: &Execution) -> WorkflowExecution {
    WorkflowExecution {
        workflow_id: target.business_id.clone(),
        run_id: target.run_id.clone(),
    }
}
