//! A batch operation under way: page by page through its executions, no faster than it may.
//!
//! What was done is written down page by page. After a restart the page under way is done again, with the same executions:
//! every operation is one that can be asked for twice.

use std::time::Duration;

use helve_db::{Batch, CommitError};
use helve_history::Timestamp;
use prost::Message;
use temporalio_protos::temporal::api::{
    common::v1::Execution,
    enums::v1::{BatchOperationState, ExecutionType},
    workflowservice::v1::{ListActivityExecutionsRequest, ListWorkflowExecutionsRequest},
};
use tonic::{Code, Request, Status};

use super::validate;
use crate::{
    error::Fault,
    frontend::Frontend,
    storage::{StoredBatch, close_batch, read_batch, update_batch},
};

/// Executions on a page: between two notes of progress.
const PAGE: usize = 100;
/// Operations per second at most, and unless the request wants fewer.
const RATE: f64 = 500.0;
/// How often an operation is tried that may succeed later.
const TRIES: u32 = 50;
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// A batch operation under way.
pub(super) struct Job {
    pub(super) frontend: Frontend,
    pub(super) batch: StoredBatch,
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

/// Where a job is, as it is stored. The executions of a page are written down before anything is done to them: what is done
/// may change what the query finds, and after a crash the same ones are to be asked again.
#[derive(Clone, PartialEq, Message)]
struct Place {
    /// The page under way.
    #[prost(message, repeated, tag = "1")]
    targets: Vec<Execution>,
    /// Asks for the page after it; empty after the last.
    #[prost(bytes = "vec", tag = "2")]
    next: Vec<u8>,
}

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
        let place = self.turn_to_page().await?;
        for target in place.targets {
            self.wait_for_turn().await?;
            self.batch.progress.done += 1;
            if let Err(status) = self.persist(&target).await? {
                tracing::debug!(job = self.batch.job_id, target = target.business_id, %status, "an operation failed");
                self.batch.progress.failed += 1;
            }
        }
        if place.next.is_empty() {
            self.batch.progress.place = Vec::new();
            self.close(BatchOperationState::Completed).await?;
            return Err(Halt::Over);
        }
        // Written down together with the next page.
        self.batch.progress.place = Place {
            targets: Vec::new(),
            next: place.next,
        }
        .encode_to_vec();
        Ok(())
    }

    /// Finds out which executions come next, and writes them down.
    async fn turn_to_page(&mut self) -> Result<Place, Halt> {
        let place = Place::decode(self.batch.progress.place.as_slice())
            .map_err(|error| Halt::Broken(Status::data_loss(format!("its place cannot be read: {error}"))))?;
        if !place.targets.is_empty() {
            return Ok(place);
        }
        let (targets, next) = self.targets(place.next).await?;
        let place = Place { targets, next };
        self.batch.progress.place = place.encode_to_vec();
        self.write(|write, batch, _| update_batch(write, batch.namespace, &batch.job_id, &batch.progress))
            .await?;
        Ok(place)
    }

    /// The executions of the page that a token asks for, and the token of the next one.
    async fn targets(&self, token: Vec<u8>) -> Result<(Vec<Execution>, Vec<u8>), Halt> {
        let request = &self.batch.request;
        let Some(operation) = &request.operation else {
            return Err(Halt::Broken(Status::invalid_argument("the operation is not set")));
        };
        let listed = validate::executions(request);
        if !listed.is_empty() {
            let from = usize::try_from(self.batch.progress.done).unwrap_or(usize::MAX);
            let page: Vec<_> = listed.iter().skip(from).take(PAGE).cloned().collect();
            let is_more = listed.len() > from.saturating_add(page.len());
            // Where the next page begins follows from what is done.
            return Ok((page, if is_more { vec![0] } else { Vec::new() }));
        }
        let query = validate::paged_query(&request.visibility_query, operation);
        let kind = validate::targets(operation);
        let mut tries = 0;
        loop {
            match self.list(kind, query.clone(), token.clone()).await {
                Ok(found) => return Ok(found),
                Err(status) if Self::is_over(&mut tries, &status) => return Err(Halt::Broken(status)),
                Err(_) => self.pause().await?,
            }
        }
    }

    /// A page of the executions that a query finds.
    async fn list(
        &self,
        kind: ExecutionType,
        query: String,
        next_page_token: Vec<u8>,
    ) -> Result<(Vec<Execution>, Vec<u8>), Status> {
        let namespace = self.batch.request.namespace.clone();
        let target = |business_id, run_id| Execution {
            r#type: kind as i32,
            business_id,
            run_id,
        };
        if kind == ExecutionType::Activity {
            let list = ListActivityExecutionsRequest {
                namespace,
                page_size: PAGE as i32,
                next_page_token,
                query,
            };
            let found = self.frontend.list_activity_executions(Request::new(list)).await?;
            let targets = found.executions.into_iter();
            let targets = targets.map(|info| target(info.activity_id, info.run_id));
            return Ok((targets.collect(), found.next_page_token));
        }
        let list = ListWorkflowExecutionsRequest {
            namespace,
            page_size: PAGE as i32,
            next_page_token,
            query,
        };
        let found = self.frontend.list_workflow_executions(Request::new(list)).await?;
        let targets = found.executions.into_iter().filter_map(|info| info.execution);
        let targets = targets.map(|execution| target(execution.workflow_id, execution.run_id));
        Ok((targets.collect(), found.next_page_token))
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
        let mut tries = 0;
        loop {
            let id = job_id.clone();
            match shell.store.read(move |db| read_batch(db, namespace, &id)).await {
                Ok(Some(batch)) if batch.state == BatchOperationState::Running => return Ok(()),
                Ok(_) => return Err(Halt::Over),
                // A disk that fails once does not end the job.
                Err(error) => match halt(Fault::from(error)) {
                    Halt::Broken(status) if !Self::is_over(&mut tries, &status) => self.pause().await?,
                    halt => return Err(halt),
                },
            }
        }
    }

    /// Does the operation to one execution, and tries again if it may succeed later.
    async fn persist(&self, target: &Execution) -> Result<Result<(), Status>, Halt> {
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
