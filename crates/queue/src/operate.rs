//! What operators do: start dead jobs again, stop jobs, remove them.

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{Code, IntoRequest};
use temporalio_protos::temporal::api::activity::v1::activity_execution_outcome::Value as Outcome;
use temporalio_protos::temporal::api::activity::v1::{ActivityExecutionInfo, ActivityExecutionListInfo};
use temporalio_protos::temporal::api::enums::v1::{ActivityIdConflictPolicy, ActivityIdReusePolicy};
use temporalio_protos::temporal::api::workflowservice::v1::{
    DescribeActivityExecutionResponse, RequestCancelActivityExecutionRequest, StartActivityExecutionRequest,
};
use utoipa::ToSchema;

use crate::calls::{Jobs, normal, time, together};
use crate::error::{Error, Result};
use crate::list::{Which, filter};
use crate::name::QueueName;
use crate::outcome::MAX_BATCH;
use crate::publish::Note;
use crate::show::{Earlier, JobStatus, last_failure};

/// Ends that a job remembers.
const MOST_EARLIER: usize = 10;

/// A job that was started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Requeued {
    /// Names it, as before.
    pub id: String,
    /// Its queue.
    pub queue: String,
    /// How often that happened to it, as far as it remembers.
    pub times: usize,
}

/// What was done to many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Swept {
    /// Jobs.
    pub jobs: usize,
    /// There are more: ask again.
    pub is_more: bool,
}

impl Jobs {
    /// Starts a job again that has ended: with the same input, needs, priority and policies, and without the attempts that were
    /// made; what became of it before is kept with it.
    pub async fn requeue(&self, id: &str) -> Result<Requeued> {
        let (info, described) = self.describe(id, "").await?;
        match JobStatus::of(&info) {
            JobStatus::Dead | JobStatus::Canceled => self.start_again(info, described).await,
            JobStatus::Completed => Err(Error::Conflict(format!(
                "job `{id}` is done: publish another one to do it again"
            ))),
            _ => Err(Error::Conflict(format!("job `{id}` has not ended"))),
        }
    }

    async fn start_again(
        &self,
        info: ActivityExecutionInfo,
        described: DescribeActivityExecutionResponse,
    ) -> Result<Requeued> {
        let id = info.activity_id.clone();
        let (queue, needs) = QueueName::of_task_queue(&info.task_queue).ok_or_else(|| Error::NoJob(id.clone()))?;
        self.note_needs(&queue, &needs).await?;
        let mut note = Note::read(info.header.as_ref());
        let end = match described.outcome.as_ref().and_then(|outcome| outcome.value.as_ref()) {
            Some(Outcome::Failure(failure)) => Some(failure),
            _ => None,
        };
        note.earlier.push(Earlier {
            status: JobStatus::of(&info),
            attempts: u32::try_from(info.attempt).unwrap_or(1),
            ended_at: time(info.close_time.as_ref()),
            failure: last_failure(end, info.last_failure.as_ref()).map(|failure| crate::show::LastFailure {
                error: failure.error.chars().take(1000).collect(),
                ..failure
            }),
        });
        let forgotten = note.earlier.len().saturating_sub(MOST_EARLIER);
        note.earlier.drain(..forgotten);
        let start = StartActivityExecutionRequest {
            namespace: self.namespace.clone(),
            identity: self.identity(),
            // Of the run that ended: two who requeue at once start one.
            request_id: format!("requeue-{}", info.run_id),
            activity_id: id.clone(),
            activity_type: info.activity_type.clone(),
            task_queue: Some(normal(&info.task_queue)),
            schedule_to_close_timeout: info.schedule_to_close_timeout,
            schedule_to_start_timeout: info.schedule_to_start_timeout,
            start_to_close_timeout: info.start_to_close_timeout,
            heartbeat_timeout: info.heartbeat_timeout,
            retry_policy: info.retry_policy.clone(),
            input: described.input,
            id_reuse_policy: ActivityIdReusePolicy::AllowDuplicate.into(),
            id_conflict_policy: ActivityIdConflictPolicy::Fail.into(),
            header: Some(note.header()),
            priority: info.priority.clone(),
            ..Default::default()
        };
        let mut connection = self.connection.clone();
        match connection.start_activity_execution(start.into_request()).await {
            Ok(_) => {}
            Err(status) if status.code() == Code::AlreadyExists => {
                return Err(Error::Conflict(format!(
                    "job `{id}` was started again by somebody else"
                )));
            }
            Err(status) => return Err(Error::engine("the job cannot be started again")(status)),
        }
        // Otherwise the old end would still be listed as a dead letter. If this is the last thing that happens before a crash,
        // the next sweep of dead letters finds it.
        self.delete(&id, &info.run_id).await?;
        Ok(Requeued {
            id,
            queue: queue.to_string(),
            times: note.earlier.len(),
        })
    }

    /// Starts dead jobs of a queue again, at most [`MAX_BATCH`] at a time.
    pub async fn requeue_dead(&self, queue: &QueueName) -> Result<Swept> {
        let (rows, is_more) = self.ended(queue, Which::Dead).await?;
        let calls = rows.iter().map(|row| self.requeue_listed(row).boxed());
        swept(together(calls.collect()).await, is_more)
    }

    /// Whether it was still dead.
    async fn requeue_listed(&self, row: &ActivityExecutionListInfo) -> Result<bool> {
        let (info, described) = self.describe(&row.activity_id, "").await?;
        if info.run_id != row.run_id {
            // It was started again, and what is listed is what it was before.
            self.delete(&row.activity_id, &row.run_id).await?;
            return Ok(false);
        }
        match self.start_again(info, described).await {
            Ok(_) => Ok(true),
            Err(Error::Conflict(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes jobs of a queue that have ended, at most [`MAX_BATCH`] at a time.
    ///
    /// # Errors
    ///
    /// `Invalid` for jobs that have not ended.
    pub async fn purge(&self, queue: &QueueName, which: Which) -> Result<Swept> {
        if !matches!(which, Which::Completed | Which::Dead | Which::Canceled) {
            return Err(Error::invalid("status", "must be `completed`, `dead` or `canceled`"));
        }
        let (rows, is_more) = self.ended(queue, which).await?;
        let calls = rows.iter().map(|row| self.delete_listed(row).boxed());
        swept(together(calls.collect()).await, is_more)
    }

    async fn delete_listed(&self, row: &ActivityExecutionListInfo) -> Result<bool> {
        self.delete(&row.activity_id, &row.run_id).await?;
        Ok(true)
    }

    async fn ended(&self, queue: &QueueName, which: Which) -> Result<(Vec<ActivityExecutionListInfo>, bool)> {
        let size = i32::try_from(MAX_BATCH).unwrap_or(i32::MAX);
        let (rows, next) = self.page(filter(queue, which), size, Vec::new()).await?;
        Ok((rows, !next.is_empty()))
    }

    /// Stops a job: at once if nobody has it, otherwise its claimer learns of it by its next heartbeat.
    pub async fn cancel(&self, id: &str, reason: &str) -> Result<()> {
        let (info, _) = self.describe(id, "").await?;
        let request = RequestCancelActivityExecutionRequest {
            namespace: self.namespace.clone(),
            activity_id: id.to_owned(),
            run_id: info.run_id,
            identity: self.identity(),
            request_id: uuid::Uuid::new_v4().to_string(),
            reason: reason.to_owned(),
        };
        let mut connection = self.connection.clone();
        let asked = connection
            .request_cancel_activity_execution(request.into_request())
            .await;
        asked
            .map(drop)
            .map_err(Error::of_job("the job cannot be cancelled", id))
    }

    /// Removes a job, whatever it does. Its claimer learns of it by the next thing that it says.
    pub async fn remove(&self, id: &str) -> Result<()> {
        let (info, _) = self.describe(id, "").await?;
        self.delete(id, &info.run_id).await
    }
}

fn swept(outcomes: Vec<Result<bool>>, is_more: bool) -> Result<Swept> {
    let mut jobs = 0;
    for outcome in outcomes {
        jobs += usize::from(outcome?);
    }
    Ok(Swept { jobs, is_more })
}
