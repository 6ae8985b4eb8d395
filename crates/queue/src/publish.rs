//! Publishing.

use std::collections::HashMap;

use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{Code, IntoRequest};
use temporalio_protos::temporal::api::common::v1::{ActivityType, Header, Payload, Priority};
use temporalio_protos::temporal::api::enums::v1::{ActivityIdConflictPolicy, ActivityIdReusePolicy};
use temporalio_protos::temporal::api::workflowservice::v1::StartActivityExecutionRequest;
use utoipa::ToSchema;

use crate::calls::{Jobs, normal, together};
use crate::error::{Error, Result};
use crate::name::{JOB_TYPE, Needs, QueueName};
use crate::outcome::check;
use crate::show::Earlier;
use crate::spec::{NewJob, PRIORITY};

/// The header that keeps what the engine does not know about a job.
const NOTE: &str = "helve.job";

/// Who publishes, and how often.
#[derive(Debug, Clone, Default)]
pub struct PublishOptions {
    /// For people.
    pub by: String,
    /// Chosen by the client: the same request with the same key publishes once.
    pub idempotency_key: Option<String>,
}

/// A job that was published: nothing can lose it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Published {
    /// Names it.
    pub id: String,
    /// Its queue.
    pub queue: String,
    /// There was one already, of the same deduplication key or of the same request.
    pub duplicate: bool,
}

/// What is kept with a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Its deduplication key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// Who published it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) by: String,
    /// What its claimer must have.
    #[serde(default, skip_serializing_if = "Needs::is_empty")]
    pub(crate) needs: Needs,
    /// What was asked for under a key of idempotency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<String>,
    /// What became of it before it was requeued.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) earlier: Vec<Earlier>,
}

impl Note {
    pub(crate) fn header(&self) -> Header {
        let payload = Payload {
            metadata: HashMap::from([("encoding".to_owned(), b"json/plain".to_vec())]),
            data: serde_json::to_vec(self).expect("a note is plain data"),
            ..Default::default()
        };
        Header {
            fields: HashMap::from([(NOTE.to_owned(), payload)]),
        }
    }

    pub(crate) fn read(header: Option<&Header>) -> Self {
        let payload = header.and_then(|header| header.fields.get(NOTE));
        payload
            .and_then(|payload| serde_json::from_slice(&payload.data).ok())
            .unwrap_or_default()
    }
}

impl Jobs {
    /// Publishes jobs, with an answer for each. They are on disk when this returns.
    ///
    /// # Errors
    ///
    /// When there are none or too many; what is wrong with one of them is its own answer.
    pub async fn publish(
        &self,
        queue: &QueueName,
        jobs: Vec<NewJob>,
        options: &PublishOptions,
    ) -> Result<Vec<Result<Published>>> {
        check(jobs.len())?;
        let calls = jobs
            .into_iter()
            .enumerate()
            .map(|(at, job)| self.publish_one(queue, at, job, options).boxed());
        Ok(together(calls.collect()).await)
    }

    async fn publish_one(
        &self,
        queue: &QueueName,
        at: usize,
        job: NewJob,
        options: &PublishOptions,
    ) -> Result<Published> {
        let times = job.check()?;
        let keyed = options.idempotency_key.as_ref().filter(|_| job.key.is_none());
        let request = keyed.map(|_| digest(&job));
        let id = match (&job.key, keyed) {
            (Some(key), _) => derived("key", queue, &[key]),
            (None, Some(key)) => derived("request", queue, &[&options.by, key, &at.to_string()]),
            (None, None) => format!("job-{}", uuid::Uuid::now_v7().simple()),
        };
        self.note_needs(queue, &job.needs).await?;
        let note = Note {
            key: job.key.clone(),
            by: options.by.clone(),
            needs: job.needs.clone(),
            request: request.clone(),
            earlier: Vec::new(),
        };
        let start = StartActivityExecutionRequest {
            namespace: self.namespace.clone(),
            identity: self.identity(),
            request_id: uuid::Uuid::new_v4().to_string(),
            activity_id: id.clone(),
            activity_type: Some(ActivityType {
                name: JOB_TYPE.to_owned(),
            }),
            task_queue: Some(normal(&queue.task_queue(&job.needs))),
            schedule_to_close_timeout: times.expires.and_then(|expires| expires.try_into().ok()),
            start_to_close_timeout: times.timeout.try_into().ok(),
            heartbeat_timeout: times.lease.try_into().ok(),
            start_delay: times.delay.and_then(|delay| delay.try_into().ok()),
            retry_policy: Some(job.retry_policy()?),
            input: Some(job.input.payloads("input")?),
            // A key is good for as long as the engine keeps the job, whatever became of it.
            id_reuse_policy: ActivityIdReusePolicy::RejectDuplicate.into(),
            id_conflict_policy: ActivityIdConflictPolicy::UseExisting.into(),
            header: Some(note.header()),
            priority: Some(Priority {
                priority_key: job.priority.unwrap_or(PRIORITY).into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut connection = self.connection.clone();
        let duplicate = match connection.start_activity_execution(start.into_request()).await {
            Ok(started) => !started.into_inner().started,
            Err(status) if status.code() == Code::AlreadyExists => true,
            Err(status) => return Err(Error::engine("the job cannot be published")(status)),
        };
        if let Some(request) = request.filter(|_| duplicate) {
            self.same_request(&id, &request).await?;
        }
        Ok(Published {
            id,
            queue: queue.to_string(),
            duplicate,
        })
    }

    async fn same_request(&self, id: &str, request: &str) -> Result<()> {
        let (info, _) = self.describe(id, "").await?;
        match Note::read(info.header.as_ref()).request.as_deref() == Some(request) {
            true => Ok(()),
            false => Err(Error::OtherRequest),
        }
    }
}

fn digest(job: &NewJob) -> String {
    let bytes = serde_json::to_vec(job).expect("a job is plain data");
    blake3::hash(&bytes).to_hex()[..32].to_owned()
}

/// The same for the same key of the same queue.
fn derived(kind: &str, queue: &QueueName, parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("helve 2026-11-23 id of a job");
    for part in [kind, queue.as_str()].iter().chain(parts) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    format!("job-{}", &hasher.finalize().to_hex()[..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_keys_differ_by_queue_kind_and_parts() {
        let (a, b): (QueueName, QueueName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let ids = [
            derived("key", &a, &["x"]),
            derived("key", &b, &["x"]),
            derived("request", &a, &["x"]),
            derived("request", &a, &["x", ""]),
            derived("request", &a, &["", "x"]),
        ];
        let all: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(all.len(), ids.len());
        assert_eq!(ids[0], derived("key", &a, &["x"]));
    }
}
