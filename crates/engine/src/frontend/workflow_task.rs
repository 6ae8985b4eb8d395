//! What workers say about workflow tasks and about themselves.

use std::sync::Arc;

use helve_history::{ActivityRef, Input, Reply, WorkflowTaskCompletion, WorkflowTaskFailure, WorkflowTaskToken};
use temporalio_protos::temporal::api::{
    enums::v1::QueryResultType, query::v1::WorkflowQueryResult, workflowservice::v1::*,
};
use tonic::{Request, Status};

use super::{Frontend, check_token_namespace, convert, status};
use crate::{
    access::{self, Called},
    error::{Failed, Fault},
    find::Target,
    queries::QueryEnd,
    run::{Loaded, Slot},
    tasks::StartedWithTail,
};

impl Frontend {
    pub(super) async fn respond_workflow_task_completed(
        &self,
        request: Request<RespondWorkflowTaskCompletedRequest>,
    ) -> Result<RespondWorkflowTaskCompletedResponse, Status> {
        let called = access::limited(&request);
        let request = request.into_inner();
        if request.intermediate_page || request.page_number > 0 {
            return Err(Status::invalid_argument(
                "completions in pages are not supported: send it in one piece",
            ));
        }
        self.check_length("Identity", &request.identity)?;
        let token = WorkflowTaskToken::parse(&request.task_token).map_err(Failed::from)?;
        let (shell, slot) = (&self.shell, self.run_of(&token, &request.namespace, called).await?);
        let results = request.query_results.into_iter();
        let results = results.map(|(id, result)| (id, self.bounded(result))).collect();
        #[expect(deprecated, reason = "old workers send it, and the history says so")]
        let completion = WorkflowTaskCompletion {
            token,
            commands: request.commands,
            messages: request.messages,
            may_see_events_again: request
                .capabilities
                .is_some_and(|capabilities| capabilities.discard_speculative_workflow_task_with_events),
            sticky: request.sticky_attributes,
            identity: request.identity,
            force_create_new: request.force_create_new_workflow_task,
            return_new_task: request.return_new_workflow_task,
            new_task_request_id: shell.fresh_id(),
            eager_activities: usize::MAX,
            sdk_metadata: request.sdk_metadata,
            metering: request.metering_metadata,
            binary_checksum: request.binary_checksum,
        };
        let run = slot.clone();
        let then = move |loaded: &Loaded, reply| {
            let Reply::WorkflowTaskCompleted(mut completed) = reply else {
                return None;
            };
            if completed.answer_error.is_none() {
                answer_queries(&run, results);
            }
            let next = completed
                .new_task
                .take()
                .map(|started| StartedWithTail::new(&run, loaded, *started));
            Some((completed, next))
        };
        let input = Input::CompleteWorkflowTask(Box::new(completion));
        let Some((completed, next)) = shell.apply(&slot, input, then).await? else {
            return Ok(RespondWorkflowTaskCompletedResponse::default());
        };
        if let Some(rejection) = completed.answer_error {
            return Err(status::from_rejection(rejection));
        }
        let workflow_task = match next {
            Some(task) => Some(convert::nested_workflow_task(shell.with_history(&slot, task).await?)?),
            None => None,
        };
        let activity_tasks = completed.activities.into_iter().map(convert::activity).collect();
        Ok(RespondWorkflowTaskCompletedResponse {
            workflow_task,
            activity_tasks,
            reset_history_event_id: completed.reset_history_event_id,
        })
    }

    pub(super) async fn respond_workflow_task_failed(
        &self,
        request: Request<RespondWorkflowTaskFailedRequest>,
    ) -> Result<RespondWorkflowTaskFailedResponse, Status> {
        let called = access::limited(&request);
        let request = request.into_inner();
        self.check_length("Identity", &request.identity)?;
        let token = WorkflowTaskToken::parse(&request.task_token).map_err(Failed::from)?;
        let slot = self.run_of(&token, &request.namespace, called).await?;
        let cause = request.cause();
        #[expect(deprecated, reason = "old workers send it, and the history says so")]
        let failure = WorkflowTaskFailure {
            token,
            cause,
            failure: request.failure,
            identity: request.identity,
            binary_checksum: request.binary_checksum,
        };
        self.shell
            .apply(&slot, Input::FailWorkflowTask(Box::new(failure)), |_, _| ())
            .await?;
        Ok(RespondWorkflowTaskFailedResponse::default())
    }

    pub(super) async fn reset_sticky_task_queue(
        &self,
        request: Request<ResetStickyTaskQueueRequest>,
    ) -> Result<ResetStickyTaskQueueResponse, Status> {
        let called = access::limited(&request);
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let target = self.target(request.execution)?;
        let slot = self.shell.find(&namespace, &target).await?;
        self.check_answer(called, &slot, None).await?;
        self.shell
            .apply_to(&namespace, &target, Input::ResetSticky, |_, _| ())
            .await?;
        Ok(ResetStickyTaskQueueResponse::default())
    }

    pub(super) async fn shutdown_worker(
        &self,
        request: Request<ShutdownWorkerRequest>,
    ) -> Result<ShutdownWorkerResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        self.check_length("WorkerInstanceKey", &request.worker_instance_key)?;
        self.check_length("StickyTaskQueue", &request.sticky_task_queue)?;
        self.shell
            .shut_down_worker(&namespace, &request.worker_instance_key, &request.sticky_task_queue);
        self.shell.workers.forget(&namespace.name, &request.worker_instance_key);
        Ok(ShutdownWorkerResponse::default())
    }

    async fn run_of(
        &self,
        token: &WorkflowTaskToken,
        namespace: &str,
        called: Option<Called>,
    ) -> Result<Arc<Slot>, Status> {
        check_token_namespace(&token.namespace, namespace)?;
        let namespace = self.namespace(&token.namespace)?;
        let target = Target::run(token.run_key());
        let slot = self.shell.find(&namespace, &target).await?;
        self.check_answer(called, &slot, None).await?;
        Ok(slot)
    }

    /// Whether somebody may answer for a run's workflow task, or for its activity. Tokens of tasks are no secret to who can read the
    /// history: it is the queue of the task that counts.
    pub(super) async fn check_answer(
        &self,
        called: Option<Called>,
        slot: &Arc<Slot>,
        activity: Option<&ActivityRef>,
    ) -> Result<(), Status> {
        let Some(called) = called else { return Ok(()) };
        let queue = {
            let mut guard = self.shell.lock(slot).await?;
            let state = &guard.loaded().ok_or(Failed::Fault(Fault::Conflict))?.state;
            match activity {
                None => Some(state.task_queue().to_owned()),
                Some(activity) => state.task_queue_of(activity).map(str::to_owned),
            }
        };
        match queue {
            Some(queue) => called.may_answer(&slot.key.namespace, &queue),
            // It has ended, and the answer will say so.
            None => Ok(()),
        }
    }
}

fn answer_queries(slot: &Slot, results: std::collections::HashMap<String, WorkflowQueryResult>) {
    for (id, result) in results {
        let end = match result.result_type() {
            QueryResultType::Failed => QueryEnd::Failed {
                message: result.error_message,
                failure: result.failure.map(Box::new),
            },
            QueryResultType::Answered | QueryResultType::Unspecified => QueryEnd::Answered(result.answer),
        };
        slot.queries.finish(&id, end);
    }
}
