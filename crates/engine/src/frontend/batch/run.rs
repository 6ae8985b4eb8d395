//! A batch operation under way: page by page through its executions, no faster than it may.
//!
//! What was done is written down after each page. After a restart the page is done again: every operation is one that
//! can be asked for twice.

use std::time::Duration;

use helve_db::{Batch, CommitError};
use helve_history::Timestamp;
use temporalio_protos::temporal::api::{
    common::v1::{ResetOptions, WorkflowExecution, reset_options::Target},
    enums::v1::{BatchOperationState, EventType, ResetType},
    workflowservice::v1::{start_batch_operation_request::Operation, *},
};
use tonic::{Code, Request, Status};

use super::validate;
use crate::{
    error::Fault,
    frontend::Frontend,
    storage::{StoredBatch, close_batch, read_batch, update_batch},
};

/// Executions between two notes of progress.
const PAGE: usize = 100;
/// Operations per second at most, and unless the request wants fewer.
const RATE: f64 = 500.0;
/// How often an operation is tried that may succeed later.
const TRIES: u32 = 50;
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// A batch operation under way.
pub(super) struct Job {
    frontend: Frontend,
    batch: StoredBatch,
    pace: Pace,
}

/// Why a job goes no further now.
enum Halt {
    /// It was stopped, or its last page is done.
    Over,
    /// The engine stops: the next start goes on.
    Stopping,
    /// Its executions cannot be listed.
    Broken(Status),
}

/// The executions of a page, and the place of the next one; `None` after the last.
type Page = (Vec<WorkflowExecution>, Option<Vec<u8>>);

impl Job {
    pub(super) fn new(frontend: Frontend, batch: StoredBatch) -> Self {
        let pace = Pace::new(f64::from(batch.request.max_operations_per_second), frontend.shell.now());
        Job { frontend, batch, pace }
    }

    pub(super) async fn run(mut self) {
        loop {
            match self.page().await {
                Ok(()) => {}
                Err(Halt::Over | Halt::Stopping) => return,
                Err(Halt::Broken(status)) => {
                    tracing::warn!(job = self.batch.job_id, %status, "a batch operation failed");
                    let _ = self.close(BatchOperationState::Failed).await;
                    return;
                }
            }
        }
    }

    /// Does a page.
    async fn page(&mut self) -> Result<(), Halt> {
        let (targets, next) = self.targets().await?;
        let mut progress = self.batch.progress.clone();
        for target in targets {
            self.wait_for_turn().await?;
            progress.done += 1;
            if let Err(status) = self.persist(&target).await? {
                tracing::debug!(job = self.batch.job_id, workflow = target.workflow_id, %status, "an operation failed");
                progress.failed += 1;
            }
        }
        let is_last = next.is_none();
        progress.place = next.unwrap_or_default();
        self.batch.progress = progress;
        if is_last {
            self.close(BatchOperationState::Completed).await?;
            return Err(Halt::Over);
        }
        self.write(|write, batch, _| update_batch(write, batch.namespace, &batch.job_id, &batch.progress))
            .await
    }

    /// The executions of the page that begins at the present place.
    async fn targets(&self) -> Result<Page, Halt> {
        let (request, place) = (&self.batch.request, &self.batch.progress.place);
        let Some(operation) = &request.operation else {
            return Err(Halt::Broken(Status::invalid_argument("the operation is not set")));
        };
        let listed = validate::executions(request);
        if !listed.is_empty() {
            let from = usize::try_from(self.batch.progress.done).unwrap_or(usize::MAX);
            let page: Vec<_> = listed.iter().skip(from).take(PAGE).cloned().collect();
            let is_more = listed.len() > from.saturating_add(page.len());
            return Ok((page, is_more.then(Vec::new)));
        }
        let list = ListWorkflowExecutionsRequest {
            namespace: request.namespace.clone(),
            page_size: PAGE as i32,
            next_page_token: place.clone(),
            query: validate::query(&request.visibility_query, operation),
        };
        let mut tries = 0;
        let found = loop {
            let result = self.frontend.list_workflow_executions(Request::new(list.clone())).await;
            match result {
                Ok(found) => break found,
                Err(status) if Self::is_over(&mut tries, &status) => return Err(Halt::Broken(status)),
                Err(_) => self.pause().await?,
            }
        };
        let targets = found.executions.into_iter().filter_map(|info| info.execution).collect();
        let next = found.next_page_token;
        Ok((targets, (!next.is_empty()).then_some(next)))
    }

    /// Waits until the next operation may be done, and sees whether it is still wanted.
    async fn wait_for_turn(&mut self) -> Result<(), Halt> {
        let shell = &self.frontend.shell;
        if let Some(wait) = self.pace.next(shell.now())
            && !shell.sleep(wait).await
        {
            return Err(Halt::Stopping);
        }
        let (namespace, job_id) = (self.batch.namespace, self.batch.job_id.clone());
        match shell.store.read(move |db| read_batch(db, namespace, &job_id)).await {
            Ok(Some(batch)) if batch.state == BatchOperationState::Running => Ok(()),
            Ok(_) => Err(Halt::Over),
            Err(error) => Err(halt(Fault::from(error))),
        }
    }

    /// Does the operation to one execution, and tries again if it may succeed later.
    async fn persist(&self, target: &WorkflowExecution) -> Result<Result<(), Status>, Halt> {
        let mut tries = 0;
        loop {
            match self.operate(target).await {
                Ok(()) => return Ok(Ok(())),
                // It is closed or gone: there is nothing to be done to it.
                Err(status) if status.code() == Code::NotFound => return Ok(Ok(())),
                Err(status) if Self::is_over(&mut tries, &status) => return Ok(Err(status)),
                Err(_) => self.pause().await?,
            }
        }
    }

    /// Is there no point in another try?
    fn is_over(tries: &mut u32, status: &Status) -> bool {
        *tries += 1;
        *tries >= TRIES || !is_temporary(status)
    }

    async fn pause(&self) -> Result<(), Halt> {
        if self.frontend.shell.sleep(PAUSE).await {
            Ok(())
        } else {
            Err(Halt::Stopping)
        }
    }

    async fn operate(&self, target: &WorkflowExecution) -> Result<(), Status> {
        let (frontend, batch) = (&self.frontend, &self.batch.request);
        let namespace = batch.namespace.clone();
        let workflow_execution = Some(target.clone());
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
            Some(Operation::ResetOperation(operation)) => {
                #[allow(deprecated)] // old clients name the point by a type
                let options = operation.options.clone().unwrap_or_else(|| ResetOptions {
                    target: Some(match operation.reset_type() {
                        ResetType::LastWorkflowTask => Target::LastWorkflowTask(()),
                        ResetType::FirstWorkflowTask | ResetType::Unspecified => Target::FirstWorkflowTask(()),
                    }),
                    reset_reapply_type: operation.reset_reapply_type,
                    ..ResetOptions::default()
                });
                #[allow(deprecated)] // old clients still send it
                let request = ResetWorkflowExecutionRequest {
                    namespace,
                    workflow_execution,
                    reason: batch.reason.clone(),
                    workflow_task_finish_event_id: self.reset_point(target, &options).await?,
                    request_id: self.request_id("reset", target),
                    reset_reapply_type: options.reset_reapply_type,
                    reset_reapply_exclude_types: options.reset_reapply_exclude_types,
                    identity: operation.identity.clone(),
                    ..Default::default()
                };
                frontend.reset_workflow_execution(Request::new(request)).await?;
            }
            other => {
                return Err(Status::unimplemented(format!(
                    "this version of Helve does not know the operation {other:?}"
                )));
            }
        }
        Ok(())
    }

    /// The same for every try, so that it happens once to a run.
    fn request_id(&self, what: &str, target: &WorkflowExecution) -> String {
        let mut id = format!("{what}:{}:{}", target.run_id, self.batch.job_id);
        id.truncate(id.floor_char_boundary(self.frontend.shell.options.limits.id_length_max));
        id
    }

    /// The event to which options mean to reset.
    async fn reset_point(&self, target: &WorkflowExecution, options: &ResetOptions) -> Result<i64, Status> {
        let from_end = match options.target {
            Some(Target::FirstWorkflowTask(())) => false,
            Some(Target::LastWorkflowTask(())) => true,
            Some(Target::WorkflowTaskId(id)) => return Ok(id),
            Some(Target::BuildId(_)) | None => {
                return Err(Status::unimplemented(
                    "resetting to a build id is not supported by this version of Helve",
                ));
            }
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
        target: &WorkflowExecution,
        from_end: bool,
        next_page_token: Vec<u8>,
    ) -> Result<
        (
            Vec<temporalio_protos::temporal::api::history::v1::HistoryEvent>,
            Vec<u8>,
        ),
        Status,
    > {
        let namespace = self.batch.request.namespace.clone();
        let execution = Some(target.clone());
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
            (page.history, page.next_page_token)
        };
        Ok((history.unwrap_or_default().events, next))
    }

    /// Ends the job, together with its last progress.
    async fn close(&self, state: BatchOperationState) -> Result<(), Halt> {
        self.write(|write, batch, now| {
            update_batch(write, batch.namespace, &batch.job_id, &batch.progress);
            close_batch(write, batch.namespace, &batch.job_id, state, now);
        })
        .await
    }

    /// Writes, for as long as the job runs and the engine does.
    async fn write(&self, fill: impl Fn(&mut Batch, &StoredBatch, Timestamp)) -> Result<(), Halt> {
        let shell = &self.frontend.shell;
        loop {
            let mut write = Batch::new();
            fill(&mut write, &self.batch, shell.now());
            match shell.store.commit(write).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Conflict { .. }) => return Err(Halt::Over),
                Err(CommitError::Closed) => return Err(Halt::Stopping),
                Err(error) => tracing::warn!(job = self.batch.job_id, %error, "progress is written again"),
            }
            self.pause().await?;
        }
    }
}

fn halt(fault: Fault) -> Halt {
    match fault {
        Fault::ShuttingDown => Halt::Stopping,
        other => Halt::Broken(crate::error::Failed::from(other).into()),
    }
}

fn is_temporary(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::ResourceExhausted | Code::Aborted | Code::DeadlineExceeded
    )
}

/// So many operations in so much time.
struct Pace {
    operations: u32,
    window: Duration,
    began: Timestamp,
    done: u32,
}

impl Pace {
    fn new(wanted: f64, now: Timestamp) -> Self {
        let rate = if wanted > 0.0 { wanted.min(RATE) } else { RATE };
        let operations = rate.max(1.0).floor();
        Pace {
            operations: operations as u32,
            window: Duration::from_secs_f64((operations / rate).min(3600.0)),
            began: now,
            done: 0,
        }
    }

    /// How long to wait before the next operation.
    fn next(&mut self, now: Timestamp) -> Option<Duration> {
        let end = self.began + self.window;
        if now >= end {
            (self.began, self.done) = (now, 0);
        }
        self.done += 1;
        if self.done <= self.operations {
            return None;
        }
        (self.began, self.done) = (end, 1);
        Some(end.since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_operations_are_done_than_wanted() {
        for (rate, seconds, most) in [(2.0, 10, 22), (0.5, 10, 6), (0.0, 1, 1000), (1e9, 1, 1000)] {
            let begin = Timestamp::from_seconds(1_000);
            let mut pace = Pace::new(rate, begin);
            let (mut now, mut done) = (begin, 0);
            while now < begin + Duration::from_secs(seconds) {
                if let Some(wait) = pace.next(now) {
                    now = now + wait;
                }
                done += 1;
            }
            assert!(done <= most && done >= most / 4, "{done} at {rate}");
        }
    }
}
