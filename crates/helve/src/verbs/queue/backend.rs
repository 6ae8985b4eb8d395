//! Where the jobs are: on an engine of this data directory, or at a server.

use helve_client::Client;
use helve_queue::{
    Answered, Batch, ClaimKey, Claimed, Claiming, Completion, Content, Error, Failing, Heartbeat, Item, JobSummary,
    JobView, Jobs, NewJob, PublishOptions, Published, Pulse, QueueName, QueueStats, Reach, Requeued, Swept, Which,
};
use tonic::Status;

use crate::connect::Session;
use crate::errors::{Problem, Result};
use crate::paths::DataDir;

/// Who publishes, when a person does.
const BY: &str = "command line";

#[derive(Clone)]
pub(super) enum Backend {
    /// Through Temporal's protocol.
    Engine(Jobs),
    /// By HTTP.
    Server(Client),
}

impl Backend {
    /// The engine of a session. Claims that a `helve up` of the data directory made are good here too.
    pub(super) fn local(session: &Session, data: &DataDir) -> Result<Self> {
        let reach = match session.owned() {
            Some(_) => Reach::InProcess,
            None => Reach::Network,
        };
        let key = ClaimKey::in_file(&data.http().join("claims.key"))?;
        let client = &session.client;
        Ok(Self::Engine(Jobs::new(
            client.connection.clone(),
            &client.namespace,
            reach,
            key,
        )))
    }

    pub(super) async fn publish(
        &self,
        queue: &QueueName,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<helve_queue::Result<Published>>> {
        match self {
            Self::Engine(engine) => {
                let options = PublishOptions {
                    by: BY.to_owned(),
                    idempotency_key: None,
                };
                Ok(engine.publish(queue, jobs, &options).await?)
            }
            Self::Server(client) => {
                let batch: Batch<Item<Published>> = client.publish_jobs(queue.as_str(), &jobs).await?;
                let each = batch.jobs.into_iter().map(|item| match item {
                    Item::Done(published) => Ok(published),
                    Item::Failed { error } => Err(Error::Conflict(error.detail)),
                });
                Ok(each.collect())
            }
        }
    }

    pub(super) async fn claim(&self, queue: &QueueName, claiming: &Claiming) -> helve_queue::Result<Claimed> {
        match self {
            Self::Engine(jobs) => jobs.claim(queue, claiming).await,
            Self::Server(client) => client
                .claim_jobs(queue.as_str(), claiming)
                .await
                .map_err(told("claim jobs")),
        }
    }

    pub(super) async fn heartbeat(&self, claim: &str, details: Option<&Content>) -> helve_queue::Result<Pulse> {
        match self {
            Self::Engine(jobs) => jobs.heartbeat(&jobs.open(claim)?, details).await,
            Self::Server(client) => {
                let heartbeat = Heartbeat {
                    claim: claim.to_owned(),
                    details: details.cloned(),
                };
                let pulse = client.tell_of_job("heartbeat", &heartbeat).await;
                pulse.map_err(|error| lost(&error).unwrap_or_else(|| told("keep the job")(error)))
            }
        }
    }

    pub(super) async fn complete(&self, claim: &str, output: &Content) -> helve_queue::Result<Answered> {
        match self {
            Self::Engine(jobs) => jobs.complete(&jobs.open(claim)?, output).await,
            Self::Server(client) => {
                let completion = Completion {
                    claim: claim.to_owned(),
                    output: output.clone(),
                };
                let answered = client.tell_of_job("complete", &completion).await;
                answered.map_err(told("complete the job"))
            }
        }
    }

    pub(super) async fn fail(&self, failing: &Failing) -> helve_queue::Result<Answered> {
        match self {
            Self::Engine(jobs) => jobs.fail(&jobs.open(&failing.claim)?, failing).await,
            Self::Server(client) => client.tell_of_job("fail", failing).await.map_err(told("fail the job")),
        }
    }

    pub(super) async fn show(&self, id: &str) -> Result<JobView> {
        match self {
            Self::Engine(jobs) => Ok(jobs.show(id).await?),
            Self::Server(client) => Ok(client.job(id).await?),
        }
    }

    pub(super) async fn list(&self, queue: &QueueName, which: Which, limit: usize) -> Result<Vec<JobSummary>> {
        let jobs = match self {
            Self::Engine(jobs) => jobs,
            Self::Server(client) => {
                let status = serde_json::to_value(which).unwrap_or_default();
                let listed = client
                    .jobs(queue.as_str(), status.as_str().unwrap_or_default(), limit)
                    .await?;
                let read = listed.into_iter().map(serde_json::from_value).collect::<Result<_, _>>();
                return read.map_err(|error| Problem::new(format!("the server lists jobs in another form: {error}")));
            }
        };
        let (mut all, mut token) = (Vec::new(), Vec::new());
        loop {
            let left = (limit - all.len()).min(500);
            let page = jobs.list(queue, which, left, token).await?;
            all.extend(page.jobs);
            token = page.next;
            if token.is_empty() || all.len() >= limit {
                all.truncate(limit);
                return Ok(all);
            }
        }
    }

    pub(super) async fn queues(&self) -> Result<Vec<QueueName>> {
        match self {
            Self::Engine(jobs) => Ok(jobs.queues().await?),
            Self::Server(client) => {
                let named = client.job_queues().await?;
                let names = named.iter().filter_map(|entry| entry["queue"].as_str());
                Ok(names.map(str::parse).collect::<Result<_, helve_queue::InvalidName>>()?)
            }
        }
    }

    pub(super) async fn stats(&self, queue: &QueueName) -> Result<QueueStats> {
        match self {
            Self::Engine(jobs) => Ok(jobs.stats(queue).await?),
            Self::Server(client) => Ok(client.job_stats(queue.as_str()).await?),
        }
    }

    pub(super) async fn requeue(&self, id: &str) -> Result<Requeued> {
        match self {
            Self::Engine(jobs) => Ok(jobs.requeue(id).await?),
            Self::Server(client) => Ok(client.requeue_job(id).await?),
        }
    }

    pub(super) async fn requeue_dead(&self, queue: &QueueName) -> Result<Swept> {
        match self {
            Self::Engine(jobs) => Ok(jobs.requeue_dead(queue).await?),
            Self::Server(client) => Ok(client.requeue_dead_jobs(queue.as_str()).await?),
        }
    }

    pub(super) async fn cancel(&self, id: &str) -> Result<()> {
        match self {
            Self::Engine(jobs) => Ok(jobs.cancel(id, "cancelled from the command line").await?),
            Self::Server(client) => Ok(client.cancel_job(id).await?),
        }
    }

    pub(super) async fn remove(&self, id: &str) -> Result<()> {
        match self {
            Self::Engine(jobs) => Ok(jobs.remove(id).await?),
            Self::Server(client) => Ok(client.remove_job(id).await?),
        }
    }
}

/// What a server says, in the words of the queue: whoever works on jobs decides by them.
fn told(what: &'static str) -> impl Fn(helve_client::Error) -> Error {
    move |error| match &error {
        helve_client::Error::Refused(refusal) if refusal.status < 500 && refusal.status != 429 => {
            Error::Conflict(refusal.detail.clone())
        }
        _ => Error::Engine {
            what,
            status: Box::new(Status::unavailable(error.to_string())),
        },
    }
}

/// Whether the job went back to its queue, which is the only conflict that keeping one can meet.
fn lost(error: &helve_client::Error) -> Option<Error> {
    match error {
        helve_client::Error::Refused(refusal) if refusal.status == 409 => {
            let id = refusal.detail.split('`').nth(1).unwrap_or("?");
            Some(Error::LeaseLost(id.to_owned()))
        }
        _ => None,
    }
}
