//! Claiming: polls of the task queues whose needs the claimer meets.
//!
//! First what waits is taken: as many polls at once as jobs wait, so that their commits share syncs. When nothing waits, one
//! poll per task queue waits for the first job, and then what else came is taken. A poll that is not needed any more is
//! given up; the engine puts back what it took for it meanwhile.

use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use helve_toolbox::Span;
use serde::{Deserialize, Serialize};
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{Code, IntoRequest};
use temporalio_protos::temporal::api::activity::v1::ActivityOptions;
use temporalio_protos::temporal::api::workflowservice::v1::{
    PollActivityTaskQueueRequest, PollActivityTaskQueueResponse, UpdateActivityExecutionOptionsRequest,
};
use utoipa::ToSchema;

use crate::calls::{AT_ONCE, Jobs, Reach, duration, is_nothing, normal, time, together};
use crate::claim::Claim;
use crate::error::{Error, Result};
use crate::known;
use crate::name::{Has, JOB_TYPE, Needs, QueueName};
use crate::payload::Content;
use crate::publish::Note;
use crate::spec;

/// Jobs of one claim.
pub const MAX_CLAIM: usize = 1000;
/// Bytes of inputs after which a claim takes no more.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// How long a claim waits when nothing is said, and at most.
const WAIT: Span = Span::from_secs(20);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long the engine may take to hand over what is there: a commit, on a disk that is busy.
const HAND_OVER: Duration = Duration::from_secs(10);
/// How long a poll waits for a job, in milliseconds. Other servers than Helve's engine do not know it, and wait until the time of
/// the call is nearly over.
const WAIT_HEADER: &str = "helve-wait-ms";
const LONGEST_WORKER: usize = 200;

/// What is claimed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Claiming {
    /// Jobs at most: 1 to 1,000; 1 when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub max: Option<usize>,
    /// How long to wait for the first one: `20s` when nothing is said, `60s` at most, `0s`: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "20s")]
    pub wait: Option<Span>,
    /// Another lease than what the jobs were published with. It costs one more write for each job that has another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "60s")]
    pub lease: Option<Span>,
    /// What the claimer has: jobs that need anything else are for others.
    #[serde(default, skip_serializing_if = "Has::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub has: Has,
    /// Who claims, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
}

/// A job that is the claimer's until its lease ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClaimedJob {
    /// Names it.
    pub id: String,
    /// Its queue.
    pub queue: String,
    /// To be sent with every word about it.
    pub claim: String,
    /// What it is about.
    #[schema(value_type = serde_json::Value)]
    pub input: Content,
    /// Counts from 1.
    pub attempt: u32,
    /// Attempts until it is dead; null: without end.
    pub attempts: Option<u32>,
    /// 1 to 5.
    pub priority: u8,
    /// What it needs.
    #[schema(value_type = Vec<String>)]
    pub needs: Needs,
    /// Without a heartbeat for so long, it goes back.
    pub lease_ms: u64,
    /// When it was published.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub published_at: Option<jiff::Timestamp>,
    /// Its deduplication key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What the last heartbeat of an earlier attempt said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub heartbeat: Option<Content>,
}

/// What a claim brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Claimed {
    /// None: nothing came in time.
    pub jobs: Vec<ClaimedJob>,
}

/// A claim while it collects.
struct Taking<'a> {
    jobs: &'a Jobs,
    queue: &'a QueueName,
    identity: String,
    lease: Option<Duration>,
    max: usize,
    taken: Vec<PollActivityTaskQueueResponse>,
    bytes: usize,
}

impl Jobs {
    /// Takes jobs. Dropping the future gives up polls; jobs that it had already are back when their lease ends.
    pub async fn claim(&self, queue: &QueueName, claiming: &Claiming) -> Result<Claimed> {
        let max = claiming.max.unwrap_or(1);
        if !(1..=MAX_CLAIM).contains(&max) {
            return Err(Error::invalid("max", format!("must be 1 to {MAX_CLAIM}")));
        }
        let identity = claiming.worker.clone().unwrap_or_else(|| self.identity());
        if identity.len() > LONGEST_WORKER {
            return Err(Error::invalid("worker", format!("has {LONGEST_WORKER} bytes at most")));
        }
        let deadline = Instant::now() + claiming.wait.unwrap_or(WAIT).duration().min(LONGEST_WAIT);
        let mut taking = Taking {
            jobs: self,
            queue,
            identity,
            lease: claiming.lease.map(spec::lease).transpose()?,
            max,
            taken: Vec::new(),
            bytes: 0,
        };
        taking.run(&claiming.has, deadline).await?;
        taking.finish().await
    }

    /// The task queues of the jobs that this claimer may have: those for which there are the fewest others first.
    async fn task_queues_for(&self, queue: &QueueName, has: &Has) -> Result<Vec<String>> {
        let mut needs = vec![Needs::default()];
        if !has.is_empty() {
            let known = self.known_needs(queue).await?;
            needs.extend(known.into_iter().filter(|needs| needs.are_met_by(has)));
        }
        needs.sort_by_key(|needs| std::cmp::Reverse(needs.len()));
        Ok(needs.iter().map(|needs| queue.task_queue(needs)).collect())
    }
}

impl Taking<'_> {
    async fn run(&mut self, has: &Has, deadline: Instant) -> Result<()> {
        loop {
            let queues = self.jobs.task_queues_for(self.queue, has).await?;
            for queue in &queues {
                self.take_waiting(queue).await?;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !self.taken.is_empty() || left.is_zero() {
                return Ok(());
            }
            // Who has something looks now and then whether there are jobs of new needs.
            let turn = match has.is_empty() {
                true => left,
                false => left.min(known::FRESH),
            };
            if self.wait_for_first(&queues, turn).await? && self.max == 1 {
                return Ok(());
            }
        }
    }

    fn is_full(&self) -> bool {
        self.taken.len() >= self.max || self.bytes >= MAX_BYTES
    }

    fn keep(&mut self, task: PollActivityTaskQueueResponse) {
        let input = task.input.as_ref().and_then(|input| input.payloads.first());
        self.bytes += input.map_or(0, |payload| payload.data.len());
        self.taken.push(task);
    }

    /// Takes what waits in a task queue.
    async fn take_waiting(&mut self, queue: &str) -> Result<()> {
        while !self.is_full() {
            let waiting = match self.max {
                // Asking how much there is costs as much as trying.
                1 if self.jobs.reach == Reach::InProcess => 1,
                _ => self.jobs.backlog(queue).await?.waiting,
            };
            let count = usize::try_from(waiting)
                .unwrap_or(usize::MAX)
                .min(self.max - self.taken.len())
                .min(AT_ONCE);
            if count == 0 {
                return Ok(());
            }
            let mut polls: FuturesUnordered<_> = (0..count).map(|_| self.poll(queue, Duration::ZERO)).collect();
            let (mut came, mut failed) = (Vec::new(), None);
            while let Some(answer) = polls.next().await {
                match answer {
                    Ok(Some(task)) => came.push(task),
                    Ok(None) => {}
                    Err(error) => failed = Some(error),
                }
            }
            drop(polls);
            let missed = came.len() < count;
            came.into_iter().for_each(|task| self.keep(task));
            match failed {
                // What was taken is not kept back because of what was not.
                Some(error) if self.taken.is_empty() => return Err(error),
                Some(_) => return Ok(()),
                None if missed => return Ok(()),
                None => {}
            }
        }
        Ok(())
    }

    /// Waits until one of the task queues has a job.
    async fn wait_for_first(&mut self, queues: &[String], wait: Duration) -> Result<bool> {
        let mut polls: FuturesUnordered<_> = queues.iter().map(|queue| self.poll(queue, wait)).collect();
        let first = loop {
            match polls.next().await {
                Some(Ok(Some(task))) => break Some(task),
                Some(Ok(None)) => {}
                Some(Err(error)) => return Err(error),
                None => break None,
            }
        };
        drop(polls);
        Ok(match first {
            Some(task) => {
                self.keep(task);
                true
            }
            None => false,
        })
    }

    fn poll(
        &self,
        queue: &str,
        wait: Duration,
    ) -> impl Future<Output = Result<Option<PollActivityTaskQueueResponse>>> + Send + use<> {
        let mut connection = self.jobs.connection.clone();
        let mut request = PollActivityTaskQueueRequest {
            namespace: self.jobs.namespace.clone(),
            task_queue: Some(normal(queue)),
            identity: self.identity.clone(),
            ..Default::default()
        }
        .into_request();
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        request.metadata_mut().insert(WAIT_HEADER, millis.into());
        request.set_timeout(wait + HAND_OVER);
        async move {
            match connection.poll_activity_task_queue(request).await {
                Ok(answer) => Ok(Some(answer.into_inner()).filter(|task| !task.task_token.is_empty())),
                Err(status) if is_nothing(&status) => Ok(None),
                Err(status) => Err(Error::engine("nothing can be claimed")(status)),
            }
        }
    }

    /// Gives the jobs the lease that was asked for, and seals the claims.
    async fn finish(mut self) -> Result<Claimed> {
        let tasks = std::mem::take(&mut self.taken);
        let calls = tasks.into_iter().map(|task| self.claimed(task).boxed());
        let claimed = together(calls.collect()).await;
        let mut jobs: Vec<ClaimedJob> = claimed.into_iter().flatten().collect();
        // Their polls were answered in any order.
        jobs.sort_by_key(|job| (job.priority, job.published_at));
        Ok(Claimed { jobs })
    }

    /// None for what is no job, which is left to its own timeout: somebody started an activity of another type on a queue of
    /// jobs.
    async fn claimed(&self, task: PollActivityTaskQueueResponse) -> Option<ClaimedJob> {
        if task.activity_type.as_ref().is_none_or(|kind| kind.name != JOB_TYPE) {
            return None;
        }
        let own = duration(task.heartbeat_timeout.as_ref()).unwrap_or_default();
        let lease = match self.lease {
            Some(lease) if lease != own && self.change_lease(&task, lease).await => lease,
            _ => own,
        };
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let claim = Claim {
            namespace: self.jobs.namespace.clone(),
            queue: self.queue.to_string(),
            job: task.activity_id.clone(),
            run_id: task.activity_run_id.clone(),
            task_token: task.task_token,
            attempt: task.attempt,
            lease_ms,
        };
        let note = Note::read(task.header.as_ref());
        let attempts = task.retry_policy.as_ref().map_or(0, |policy| policy.maximum_attempts);
        Some(ClaimedJob {
            claim: claim.seal(&self.jobs.key),
            id: task.activity_id,
            queue: claim.queue,
            input: Content::of_payloads(task.input.as_ref()).unwrap_or_default(),
            attempt: u32::try_from(task.attempt).unwrap_or(1),
            attempts: u32::try_from(attempts).ok().filter(|most| *most > 0),
            priority: task
                .priority
                .and_then(|priority| u8::try_from(priority.priority_key).ok())
                .filter(|key| *key > 0)
                .unwrap_or(spec::PRIORITY),
            needs: note.needs,
            lease_ms: u64::try_from(lease_ms).unwrap_or(0),
            published_at: time(task.scheduled_time.as_ref()),
            key: note.key,
            heartbeat: Content::of_payloads(task.heartbeat_details.as_ref()),
        })
    }

    /// Whether the job has the other lease now. One that could not be given is told by the answer, which names the old one.
    async fn change_lease(&self, task: &PollActivityTaskQueueResponse, lease: Duration) -> bool {
        let request = UpdateActivityExecutionOptionsRequest {
            namespace: self.jobs.namespace.clone(),
            activity_id: task.activity_id.clone(),
            run_id: task.activity_run_id.clone(),
            identity: self.identity.clone(),
            activity_options: Some(ActivityOptions {
                heartbeat_timeout: lease.try_into().ok(),
                ..Default::default()
            }),
            update_mask: Some(prost_types::FieldMask {
                paths: vec!["heartbeat_timeout".to_owned()],
            }),
            request_id: uuid::Uuid::new_v4().to_string(),
            ..Default::default()
        };
        let mut connection = self.jobs.connection.clone();
        let changed = connection
            .update_activity_execution_options(request.into_request())
            .await;
        match changed {
            Ok(_) => true,
            Err(status) => {
                debug_assert!(status.code() != Code::InvalidArgument, "{status}");
                false
            }
        }
    }
}
