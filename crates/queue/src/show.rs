//! A job as it is shown.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_protos::temporal::api::activity::v1::activity_execution_outcome::Value as Outcome;
use temporalio_protos::temporal::api::activity::v1::{ActivityExecutionInfo, ActivityExecutionListInfo};
use temporalio_protos::temporal::api::enums::v1::{ActivityExecutionStatus, PendingActivityState, TimeoutType};
use temporalio_protos::temporal::api::failure::v1::{Failure, failure::FailureInfo};
use utoipa::ToSchema;

use crate::calls::{Jobs, duration, time};
use crate::error::{Error, Result};
use crate::name::{Needs, QueueName};
use crate::payload::Content;
use crate::publish::Note;
use crate::spec::PRIORITY;

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Not ended; lists do not know more.
    Open,
    /// Its delay is not over.
    Delayed,
    /// For whoever claims it.
    Waiting,
    /// Somebody has it.
    Claimed,
    /// It failed, or its lease was lost; it waits for its next attempt.
    Retrying,
    /// Somebody has it, and was or will be told to stop.
    Canceling,
    /// Nobody gets it until the pause ends.
    Paused,
    /// Done.
    Completed,
    /// Its attempts are used up, it failed for good, or its time was over.
    Dead,
    /// Stopped by somebody.
    Canceled,
}

impl JobStatus {
    /// As in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Delayed => "delayed",
            Self::Waiting => "waiting",
            Self::Claimed => "claimed",
            Self::Retrying => "retrying",
            Self::Canceling => "canceling",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Dead => "dead",
            Self::Canceled => "canceled",
        }
    }

    fn closed(status: ActivityExecutionStatus) -> Option<Self> {
        use ActivityExecutionStatus as S;
        match status {
            S::Unspecified | S::Running => None,
            S::Completed => Some(Self::Completed),
            S::Failed | S::TimedOut => Some(Self::Dead),
            S::Canceled | S::Terminated => Some(Self::Canceled),
            S::Paused => Some(Self::Paused),
        }
    }

    pub(crate) fn of(info: &ActivityExecutionInfo) -> Self {
        if let Some(closed) = Self::closed(info.status()) {
            return closed;
        }
        let later = |at: Option<Timestamp>| at.is_some_and(|at| at > Timestamp::now());
        match info.run_state() {
            PendingActivityState::Started | PendingActivityState::PauseRequested => Self::Claimed,
            PendingActivityState::CancelRequested => Self::Canceling,
            PendingActivityState::Paused => Self::Paused,
            _ if later(time(info.next_attempt_schedule_time.as_ref())) => match info.last_started_time.is_some() {
                true => Self::Retrying,
                false => Self::Delayed,
            },
            _ if info.last_started_time.is_none() && later(time(info.execution_time.as_ref())) => Self::Delayed,
            _ => Self::Waiting,
        }
    }
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastFailure {
    /// What went wrong.
    pub error: String,
    /// The kind of failure, as it was told; `lease_lost` and `timeout` are the engine's.
    #[serde(default, rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

/// What became of a job before it was requeued.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Earlier {
    /// How it ended then.
    pub status: JobStatus,
    /// Attempts that were made.
    pub attempts: u32,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<LastFailure>,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobSummary {
    /// Names it.
    pub id: String,
    /// Its queue.
    pub queue: String,
    /// What its claimer must have.
    #[schema(value_type = Vec<String>)]
    pub needs: Needs,
    /// `open`, `delayed`, `paused`, `completed`, `dead` or `canceled`: show the job to know more of one that is open.
    pub status: JobStatus,
    /// When it was published, or requeued.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub published_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

/// All that is known of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    /// Names it.
    pub id: String,
    /// Its queue.
    pub queue: String,
    /// What its claimer must have.
    #[schema(value_type = Vec<String>)]
    pub needs: Needs,
    /// How it stands.
    pub status: JobStatus,
    /// The attempt that is under way, is next, or was the last; counts from 1.
    pub attempt: u32,
    /// Attempts until it is dead; null: without end.
    pub attempts: Option<u32>,
    /// 1 to 5.
    pub priority: u8,
    /// A claim that is not heard of for so long is lost.
    pub lease_ms: u64,
    /// Its deduplication key.
    pub key: Option<String>,
    /// Who published it.
    pub published_by: String,
    /// When it was published, or requeued.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub published_at: Option<Timestamp>,
    /// When it may be claimed first, or again.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
    /// When it was claimed last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub claimed_at: Option<Timestamp>,
    /// By whom.
    pub worker: Option<String>,
    /// When its claimer was heard of last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub heartbeat_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// What it is about.
    #[schema(value_type = serde_json::Value)]
    pub input: Content,
    /// What came out.
    #[schema(value_type = Option<serde_json::Value>)]
    pub output: Option<Content>,
    /// What the last heartbeat said.
    #[schema(value_type = Option<serde_json::Value>)]
    pub heartbeat: Option<Content>,
    /// Why the last attempt failed.
    pub failure: Option<LastFailure>,
    /// What became of it before it was requeued, the latest last.
    pub earlier: Vec<Earlier>,
}

impl Jobs {
    /// All that is known of a job.
    pub async fn show(&self, id: &str) -> Result<JobView> {
        let (info, described) = self.describe(id, "").await?;
        let (queue, needs) = QueueName::of_task_queue(&info.task_queue).ok_or_else(|| Error::NoJob(id.to_owned()))?;
        let status = JobStatus::of(&info);
        let note = Note::read(info.header.as_ref());
        let (output, failure) = match described.outcome.and_then(|outcome| outcome.value) {
            Some(Outcome::Result(result)) => (Content::of_payloads(Some(&result)), None),
            Some(Outcome::Failure(failure)) => (None, Some(failure)),
            None => (None, None),
        };
        let failure = last_failure(failure.as_ref(), info.last_failure.as_ref());
        let attempts = info.retry_policy.as_ref().map_or(0, |policy| policy.maximum_attempts);
        let next = info.next_attempt_schedule_time.or(info.execution_time);
        Ok(JobView {
            id: info.activity_id.clone(),
            queue: queue.to_string(),
            needs,
            status,
            attempt: u32::try_from(info.attempt).unwrap_or(1).max(1),
            attempts: u32::try_from(attempts).ok().filter(|most| *most > 0),
            priority: info
                .priority
                .as_ref()
                .and_then(|priority| u8::try_from(priority.priority_key).ok())
                .filter(|key| *key > 0)
                .unwrap_or(PRIORITY),
            lease_ms: duration(info.heartbeat_timeout.as_ref())
                .and_then(|lease| u64::try_from(lease.as_millis()).ok())
                .unwrap_or(0),
            key: note.key,
            published_by: note.by,
            published_at: time(info.schedule_time.as_ref()),
            next_at: time(next.as_ref()).filter(|_| matches!(status, JobStatus::Delayed | JobStatus::Retrying)),
            claimed_at: time(info.last_started_time.as_ref()),
            worker: Some(info.last_worker_identity.clone()).filter(|worker| !worker.is_empty()),
            heartbeat_at: time(info.last_heartbeat_time.as_ref()),
            ended_at: time(info.close_time.as_ref()),
            input: Content::of_payloads(described.input.as_ref()).unwrap_or_default(),
            output,
            heartbeat: Content::of_payloads(info.heartbeat_details.as_ref()),
            failure: failure.filter(|_| status != JobStatus::Completed),
            earlier: note.earlier,
        })
    }
}

pub(crate) fn summary(row: &ActivityExecutionListInfo) -> Option<JobSummary> {
    let (queue, needs) = QueueName::of_task_queue(&row.task_queue)?;
    let later = time(row.execution_time.as_ref()).is_some_and(|at| at > Timestamp::now());
    let open = match later {
        true => JobStatus::Delayed,
        false => JobStatus::Open,
    };
    Some(JobSummary {
        id: row.activity_id.clone(),
        queue: queue.to_string(),
        needs,
        status: JobStatus::closed(row.status()).unwrap_or(open),
        published_at: time(row.schedule_time.as_ref()),
        ended_at: time(row.close_time.as_ref()),
    })
}

/// The end's failure says least when attempts or time ran out: then the last attempt's is told.
pub(crate) fn last_failure(end: Option<&Failure>, last: Option<&Failure>) -> Option<LastFailure> {
    last.or(end).map(|failure| {
        let mut innermost = failure;
        while let Some(cause) = &innermost.cause {
            innermost = cause;
        }
        let said = |kind: &str, error: &str| LastFailure {
            error: error.chars().take(8192).collect(),
            kind: kind.to_owned(),
        };
        match &innermost.failure_info {
            Some(FailureInfo::TimeoutFailureInfo(timeout)) => match timeout.timeout_type() {
                TimeoutType::Heartbeat => said("lease_lost", "its claimer was not heard of in time"),
                TimeoutType::StartToClose => said("timeout", "the attempt took longer than its timeout"),
                TimeoutType::ScheduleToStart | TimeoutType::ScheduleToClose => {
                    said("timeout", "the job was not done before it expired")
                }
                TimeoutType::Unspecified => said("timeout", &innermost.message),
            },
            Some(FailureInfo::ApplicationFailureInfo(info)) => said(&info.r#type, &innermost.message),
            _ => said("", &innermost.message),
        }
    })
}
