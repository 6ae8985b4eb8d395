//! What a claimer says of its job: it is still at work, it is done, it failed.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;
use helve_toolbox::Span;
use serde::{Deserialize, Serialize};
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{Code, IntoRequest, Status};
use temporalio_protos::temporal::api::failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo};
use temporalio_protos::temporal::api::workflowservice::v1 as service;
use utoipa::ToSchema;

use crate::calls::{Jobs, together};
use crate::claim::Claim;
use crate::error::{Error, Result};
use crate::outcome::check;
use crate::payload::Content;
use crate::show::JobStatus;
use crate::spec::bounded;

/// Bytes of what a failure says.
const LONGEST_MESSAGE: usize = 8 * 1024;
const LONGEST_TYPE: usize = 255;

/// A sign of life: the lease begins anew.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// Of the claim.
    pub claim: String,
    /// How far it is, for the next attempt and for people. 256 KiB at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub details: Option<Content>,
}

/// The job is done.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Completion {
    /// Of the claim.
    pub claim: String,
    /// What came out: any JSON, or `{"base64": "..."}`. 256 KiB at most.
    #[serde(default)]
    #[schema(value_type = serde_json::Value)]
    pub output: Content,
}

/// This attempt failed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Failing {
    /// Of the claim.
    pub claim: String,
    /// What went wrong.
    pub error: String,
    /// A word for the kind of failure, for `never_after` of the job.
    #[serde(default, rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// It would fail again: the job is dead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fatal: bool,
    /// When it may be tried again, if not as its retry policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "30s")]
    pub retry_in: Option<Span>,
    /// More, for people and the next attempt. 256 KiB at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub details: Option<Content>,
    /// It was stopped because somebody cancelled the job.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canceled: bool,
}

/// What a heartbeat learns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pulse {
    /// The job.
    pub id: String,
    /// Somebody wants it stopped: say so with `fail` and `canceled`.
    pub cancel_requested: bool,
    /// The next heartbeat must come sooner than this.
    pub lease_ms: u64,
}

/// What was said is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Answered {
    /// The job.
    pub id: String,
    /// It was said before, by this very claim.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
}

impl Jobs {
    /// A claim that was handed out for this namespace.
    pub fn open(&self, claim: &str) -> Result<Claim> {
        Claim::open(claim, &self.key, &self.namespace)
    }

    /// Keeps a lease.
    pub async fn heartbeat(&self, claim: &Claim, details: Option<&Content>) -> Result<Pulse> {
        let request = service::RecordActivityTaskHeartbeatRequest {
            namespace: self.namespace.clone(),
            task_token: claim.task_token.clone(),
            details: details.map(|details| details.payloads("details")).transpose()?,
            identity: self.identity(),
            ..Default::default()
        };
        let mut connection = self.connection.clone();
        let answer = connection.record_activity_task_heartbeat(request.into_request()).await;
        let answer = answer.map_err(|status| over(claim, status))?.into_inner();
        Ok(Pulse {
            id: claim.job.clone(),
            cancel_requested: answer.cancel_requested,
            lease_ms: u64::try_from(claim.lease_ms).unwrap_or(0),
        })
    }

    /// Ends a job with what came out. Saying it again is no error, so a lost answer can be asked for again.
    pub async fn complete(&self, claim: &Claim, output: &Content) -> Result<Answered> {
        let request = service::RespondActivityTaskCompletedRequest {
            namespace: self.namespace.clone(),
            task_token: claim.task_token.clone(),
            result: Some(output.payloads("output")?),
            identity: self.identity(),
            ..Default::default()
        };
        let mut connection = self.connection.clone();
        match connection.respond_activity_task_completed(request.into_request()).await {
            Ok(_) => Ok(answered(claim, false)),
            Err(status) => self.said_before(claim, status, &[JobStatus::Completed]).await,
        }
    }

    /// Ends an attempt that failed.
    pub async fn fail(&self, claim: &Claim, failing: &Failing) -> Result<Answered> {
        if failing.error.len() > LONGEST_MESSAGE {
            return Err(Error::invalid("error", format!("has {LONGEST_MESSAGE} bytes at most")));
        }
        if failing.kind.len() > LONGEST_TYPE {
            return Err(Error::invalid("type", format!("has {LONGEST_TYPE} bytes at most")));
        }
        let details = failing.details.as_ref();
        let details = details.map(|details| details.payloads("details")).transpose()?;
        let retry_in = failing.retry_in.map(|span| bounded("retry_in", span)).transpose()?;
        let mut connection = self.connection.clone();
        let told = if failing.canceled {
            let request = service::RespondActivityTaskCanceledRequest {
                namespace: self.namespace.clone(),
                task_token: claim.task_token.clone(),
                details,
                identity: self.identity(),
                ..Default::default()
            };
            let told = connection.respond_activity_task_canceled(request.into_request()).await;
            told.map(drop)
        } else {
            let failure = Failure {
                message: failing.error.clone(),
                failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                    r#type: failing.kind.clone(),
                    non_retryable: failing.fatal,
                    details,
                    next_retry_delay: retry_in.and_then(|delay| delay.try_into().ok()),
                    ..Default::default()
                })),
                ..Default::default()
            };
            let request = service::RespondActivityTaskFailedRequest {
                namespace: self.namespace.clone(),
                task_token: claim.task_token.clone(),
                failure: Some(failure),
                identity: self.identity(),
                ..Default::default()
            };
            let told = connection.respond_activity_task_failed(request.into_request()).await;
            told.map(drop)
        };
        match told {
            Ok(()) => Ok(answered(claim, false)),
            Err(status) if failing.canceled && status.code() == Code::InvalidArgument => Err(Error::Conflict(format!(
                "job `{}` was not cancelled by anybody: fail it without `canceled`",
                claim.job
            ))),
            Err(status) => {
                self.said_before(claim, status, &[JobStatus::Dead, JobStatus::Canceled])
                    .await
            }
        }
    }

    /// Many at once, in the order of the claims.
    ///
    /// # Errors
    ///
    /// When there are none or too many, or one job is named twice; what is wrong with one of them is its own answer.
    pub async fn each<'a, I, T: Send>(
        &self,
        items: &'a [I],
        claim: fn(&I) -> &str,
        call: impl Fn(&'a I, Result<Claim>) -> BoxFuture<'a, Result<T>>,
    ) -> Result<Vec<Result<T>>> {
        check(items.len())?;
        let mut seen = BTreeSet::new();
        if items.iter().any(|item| !seen.insert(claim(item))) {
            return Err(Error::invalid("jobs", "has a claim twice"));
        }
        let calls = items.iter().map(|item| call(item, self.open(claim(item))));
        Ok(together(calls.collect()).await)
    }

    /// What to make of a refusal: it may have been said before.
    async fn said_before(&self, claim: &Claim, status: Status, ends: &[JobStatus]) -> Result<Answered> {
        if status.code() != Code::NotFound {
            return Err(over(claim, status));
        }
        match self.describe(&claim.job, &claim.run_id).await {
            Ok((info, _)) if info.attempt == claim.attempt && ends.contains(&JobStatus::of(&info)) => {
                Ok(answered(claim, true))
            }
            Ok(_) | Err(Error::NoJob(_)) => Err(Error::LeaseLost(claim.job.clone())),
            Err(error) => Err(error),
        }
    }
}

fn answered(claim: &Claim, repeated: bool) -> Answered {
    Answered {
        id: claim.job.clone(),
        repeated,
    }
}

fn over(claim: &Claim, status: Status) -> Error {
    match status.code() {
        Code::NotFound => Error::LeaseLost(claim.job.clone()),
        _ => Error::engine("the engine did not take it")(status),
    }
}
