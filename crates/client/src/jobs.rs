//! The job queue of a server. Its words are those of crate `queue`, which this one does not know: callers say what they expect.

use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::Error;
use crate::transport::Client;

impl Client {
    /// Publishes jobs: an answer for each, in their order. It is sent again when the answer was lost, and publishes once.
    pub async fn publish_jobs<T: DeserializeOwned>(&self, queue: &str, jobs: &impl Serialize) -> Result<T, Error> {
        let call = self.call(Method::POST, &["queue", queue, "jobs"], &[]);
        self.read(call.json(&json!({ "jobs": jobs })).keyed()).await
    }

    /// Claims jobs; waits as long as the server does.
    pub async fn claim_jobs<T: DeserializeOwned>(&self, queue: &str, claiming: &impl Serialize) -> Result<T, Error> {
        let call = self.call(Method::POST, &["queue", queue, "claim"], &[]);
        self.read(call.json(claiming).takes_long()).await
    }

    /// Says something of a claimed job: `heartbeat`, `complete` or `fail`. The claim, which is in the body, says of which.
    pub async fn tell_of_job<T: DeserializeOwned>(&self, word: &str, body: &impl Serialize) -> Result<T, Error> {
        self.post(&["jobs", "-", word], body).await
    }

    /// How a job stands.
    pub async fn job<T: DeserializeOwned>(&self, id: &str) -> Result<T, Error> {
        self.get(&["jobs", id], &[]).await
    }

    /// The newest jobs of a queue that stand so.
    pub async fn jobs(&self, queue: &str, status: &str, limit: usize) -> Result<Vec<Value>, Error> {
        self.first(&["queue", queue, "jobs"], &[("status", status)], limit)
            .await
    }

    /// The names of the queues that have open jobs.
    pub async fn job_queues(&self) -> Result<Vec<Value>, Error> {
        self.all(&["queue"], &[]).await
    }

    /// How a queue stands.
    pub async fn job_stats<T: DeserializeOwned>(&self, queue: &str) -> Result<T, Error> {
        self.get(&["queue", queue], &[]).await
    }

    /// Starts a dead or cancelled job again.
    pub async fn requeue_job<T: DeserializeOwned>(&self, id: &str) -> Result<T, Error> {
        self.post(&["jobs", id, "requeue"], &json!({})).await
    }

    /// Starts the dead jobs of a queue again, some at a time.
    pub async fn requeue_dead_jobs<T: DeserializeOwned>(&self, queue: &str) -> Result<T, Error> {
        self.post(&["queue", queue, "requeue"], &json!({})).await
    }

    /// Stops a job.
    pub async fn cancel_job(&self, id: &str) -> Result<(), Error> {
        self.poke(&["jobs", id, "cancel"]).await
    }

    /// Removes a job.
    pub async fn remove_job(&self, id: &str) -> Result<(), Error> {
        self.delete(&["jobs", id]).await
    }
}
