//! Where the jobs are: on an engine of this data directory. A server elsewhere would be another variant.

use helve_queue::{
    Answered, ClaimKey, Claimed, Claiming, Content, Failing, JobSummary, JobView, Jobs, NewJob, PublishOptions,
    Published, Pulse, QueueName, QueueStats, Reach, Requeued, Swept, Which,
};

use crate::connect::Session;
use crate::errors::Result;
use crate::paths::DataDir;

/// Who publishes, when a person does.
const BY: &str = "command line";

#[derive(Clone)]
pub(super) enum Backend {
    /// Through Temporal's protocol.
    Engine(Jobs),
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

    fn jobs(&self) -> &Jobs {
        let Self::Engine(jobs) = self;
        jobs
    }

    pub(super) async fn publish(
        &self,
        queue: &QueueName,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<helve_queue::Result<Published>>> {
        let options = PublishOptions {
            by: BY.to_owned(),
            idempotency_key: None,
        };
        Ok(self.jobs().publish(queue, jobs, &options).await?)
    }

    pub(super) async fn claim(&self, queue: &QueueName, claiming: &Claiming) -> helve_queue::Result<Claimed> {
        self.jobs().claim(queue, claiming).await
    }

    pub(super) async fn heartbeat(&self, claim: &str, details: Option<&Content>) -> helve_queue::Result<Pulse> {
        self.jobs().heartbeat(&self.jobs().open(claim)?, details).await
    }

    pub(super) async fn complete(&self, claim: &str, output: &Content) -> helve_queue::Result<Answered> {
        self.jobs().complete(&self.jobs().open(claim)?, output).await
    }

    pub(super) async fn fail(&self, failing: &Failing) -> helve_queue::Result<Answered> {
        self.jobs().fail(&self.jobs().open(&failing.claim)?, failing).await
    }

    pub(super) async fn show(&self, id: &str) -> Result<JobView> {
        Ok(self.jobs().show(id).await?)
    }

    pub(super) async fn list(&self, queue: &QueueName, which: Which, limit: usize) -> Result<Vec<JobSummary>> {
        let (mut all, mut token) = (Vec::new(), Vec::new());
        loop {
            let left = (limit - all.len()).min(500);
            let page = self.jobs().list(queue, which, left, token).await?;
            all.extend(page.jobs);
            token = page.next;
            if token.is_empty() || all.len() >= limit {
                all.truncate(limit);
                return Ok(all);
            }
        }
    }

    pub(super) async fn queues(&self) -> Result<Vec<QueueName>> {
        Ok(self.jobs().queues().await?)
    }

    pub(super) async fn stats(&self, queue: &QueueName) -> Result<QueueStats> {
        Ok(self.jobs().stats(queue).await?)
    }

    pub(super) async fn requeue(&self, id: &str) -> Result<Requeued> {
        Ok(self.jobs().requeue(id).await?)
    }

    pub(super) async fn requeue_dead(&self, queue: &QueueName) -> Result<Swept> {
        Ok(self.jobs().requeue_dead(queue).await?)
    }

    pub(super) async fn cancel(&self, id: &str) -> Result<()> {
        Ok(self.jobs().cancel(id, "cancelled from the command line").await?)
    }

    pub(super) async fn remove(&self, id: &str) -> Result<()> {
        Ok(self.jobs().remove(id).await?)
    }
}
