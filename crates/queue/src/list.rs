//! Lists and counts of jobs.

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use temporalio_client::tonic::Code;
use temporalio_protos::temporal::api::activity::v1::ActivityExecutionListInfo;
use utoipa::ToSchema;

use crate::calls::{Jobs, together};
use crate::error::{Error, Result};
use crate::name::{JOB_TYPE, Needs, QueueName};
use crate::show::{JobSummary, summary};

/// Which jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// All of them.
    #[default]
    All,
    /// Those that have not ended.
    Open,
    /// Those whose delay is not over.
    Delayed,
    /// Those that are done.
    Completed,
    /// Those whose attempts are used up, or that failed for good.
    Dead,
    /// Those that somebody stopped.
    Canceled,
}

impl Which {
    fn condition(self) -> Option<String> {
        let status = |names: &str| Some(format!("ExecutionStatus IN ({names})"));
        match self {
            Self::All => None,
            Self::Open => status("'Running', 'Paused'"),
            Self::Delayed => Some(format!(
                "ExecutionStatus = 'Running' AND ExecutionTime > '{}'",
                jiff::Timestamp::now()
            )),
            Self::Completed => status("'Completed'"),
            Self::Dead => status("'Failed', 'TimedOut'"),
            Self::Canceled => status("'Canceled', 'Terminated'"),
        }
    }
}

/// Some jobs of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct JobsPage {
    /// Newest first.
    pub jobs: Vec<JobSummary>,
    /// For the next page; empty: this was the last one.
    pub next: Vec<u8>,
}

/// How a queue stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueStats {
    /// The queue.
    pub queue: String,
    /// Jobs that have not ended.
    pub open: u64,
    /// Of those: for whoever claims them.
    pub waiting: u64,
    /// Of those: their delay is not over.
    pub delayed: u64,
    /// Of those: somebody has them, or they wait for their next attempt.
    pub at_work: u64,
    /// Jobs that are done, as far as the engine still keeps them.
    pub completed: u64,
    /// Dead letters, as far as the engine still keeps them.
    pub dead: u64,
    /// Jobs that somebody stopped, as far as the engine still keeps them.
    pub canceled: u64,
    /// How long the oldest of those that wait has waited.
    pub oldest_waiting_ms: u64,
    /// Who polled lately.
    pub claimers: usize,
    /// What waits, by what it needs.
    pub by_needs: Vec<QueueNeeds>,
}

/// What waits for claimers that have something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueueNeeds {
    /// What is needed; nothing: for everybody.
    #[schema(value_type = Vec<String>)]
    pub needs: Needs,
    /// Jobs.
    pub waiting: u64,
    /// How long the oldest of them has waited.
    pub oldest_waiting_ms: u64,
    /// Who polled lately.
    pub claimers: usize,
}

/// The filter of a queue's jobs.
pub(crate) fn filter(queue: &QueueName, which: Which) -> String {
    let name = queue.scope();
    let of_queue = format!("ActivityType = '{JOB_TYPE}' AND (TaskQueue = '{name}' OR TaskQueue STARTS_WITH '{name}:')");
    match which.condition() {
        Some(condition) => format!("{of_queue} AND {condition}"),
        None => of_queue,
    }
}

impl Jobs {
    /// A page of the jobs of a queue.
    ///
    /// # Errors
    ///
    /// `Invalid` when the token of the page is none.
    pub async fn list(&self, queue: &QueueName, which: Which, size: usize, token: Vec<u8>) -> Result<JobsPage> {
        let had_token = !token.is_empty();
        let size = i32::try_from(size).unwrap_or(i32::MAX);
        let page = self.page(filter(queue, which), size, token).await;
        let (rows, next) = page.map_err(|error| match error {
            Error::Engine { status, .. } if had_token && status.code() == Code::InvalidArgument => {
                Error::invalid("cursor", "is none of this list")
            }
            other => other,
        })?;
        let rows = match which {
            Which::Dead => self.not_requeued(rows).await?,
            _ => rows,
        };
        Ok(JobsPage {
            jobs: rows.iter().filter_map(summary).collect(),
            next,
        })
    }

    /// Without those that were started again: what they were before is about to be removed.
    async fn not_requeued(&self, rows: Vec<ActivityExecutionListInfo>) -> Result<Vec<ActivityExecutionListInfo>> {
        let calls = rows.into_iter().map(|row| {
            async move {
                match self.describe(&row.activity_id, "").await {
                    Ok((info, _)) => Ok((info.run_id == row.run_id).then_some(row)),
                    Err(Error::NoJob(_)) => Ok(None),
                    Err(error) => Err(error),
                }
            }
            .boxed()
        });
        let rows: Result<Vec<_>> = together(calls.collect()).await.into_iter().collect();
        Ok(rows?.into_iter().flatten().collect())
    }

    async fn count_of(&self, queue: &QueueName, which: Which) -> Result<u64> {
        let counted = self.count(filter(queue, which)).await?;
        Ok(u64::try_from(counted.count).unwrap_or(0))
    }

    /// How a queue stands.
    pub async fn stats(&self, queue: &QueueName) -> Result<QueueStats> {
        let mut needs = vec![Needs::default()];
        needs.extend(self.known_needs(queue).await?);
        let (open, delayed, completed, dead, canceled) = tokio::try_join!(
            self.count_of(queue, Which::Open),
            self.count_of(queue, Which::Delayed),
            self.count_of(queue, Which::Completed),
            self.count_of(queue, Which::Dead),
            self.count_of(queue, Which::Canceled)
        )?;
        let mut by_needs = Vec::with_capacity(needs.len());
        for needs in needs {
            let backlog = self.backlog(&queue.task_queue(&needs)).await?;
            by_needs.push(QueueNeeds {
                needs,
                waiting: backlog.waiting,
                oldest_waiting_ms: u64::try_from(backlog.oldest.as_millis()).unwrap_or(u64::MAX),
                claimers: backlog.pollers,
            });
        }
        let waiting = by_needs.iter().map(|of| of.waiting).sum::<u64>();
        Ok(QueueStats {
            queue: queue.to_string(),
            open,
            waiting,
            delayed,
            at_work: open.saturating_sub(waiting).saturating_sub(delayed),
            completed,
            dead,
            canceled,
            oldest_waiting_ms: by_needs.iter().map(|of| of.oldest_waiting_ms).max().unwrap_or(0),
            claimers: by_needs.iter().map(|of| of.claimers).max().unwrap_or(0),
            by_needs,
        })
    }
}
