//! Publishing jobs.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use helve_ledger::Role;
use helve_queue::{Batch, Item, NewJob, PublishOptions, Published};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Large, queue, told};
use crate::door::Caller;
use crate::extract::{Path, Reply, created, encoded, idempotency_key};
use crate::problem::{Problem, Result};
use crate::state::Api;

/// One job, or many.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Wanted {
    /// Many, with an answer for each.
    Many(Batch<NewJob>),
    /// One.
    One(Box<NewJob>),
}

/// Publish a job, or up to 1,000 with `{"jobs": [...]}`. Nothing can lose what was answered.
///
/// With the header `Idempotency-Key` the same request can be sent again: the same jobs. Many are answered with 200 and an
/// item for each, in their order: the job, or an `error`.
#[utoipa::path(post, path = "/queue/{name}/jobs", tag = "Job queue",
    params(("name" = String, Path, description = "The queue; it need not be made first"), crate::openapi::Namespace,
        crate::openapi::IdempotencyKey),
    request_body = Wanted,
    responses((status = 201, description = "The job", body = Published),
        (status = 200, description = "Many, or a job that was there already", body = inline(Batch<Item<Published>>))))]
pub(crate) async fn publish(
    caller: Caller,
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Large(wanted): Large<serde_json::Value>,
) -> Result<Response> {
    caller.require(Role::Analyst)?;
    let queue = queue(&name)?;
    let options = PublishOptions {
        by: caller.principal.actor.name.clone(),
        idempotency_key: idempotency_key(&headers)?.map(str::to_owned),
    };
    let jobs = api.jobs.of_namespace(&caller.namespace);
    match read(wanted)? {
        Wanted::Many(batch) => {
            let published = jobs.publish(&queue, batch.jobs, &options).await?;
            let jobs = published.into_iter().map(|outcome| Item::new(outcome, told)).collect();
            Ok(Reply(Batch { jobs }).into_response())
        }
        Wanted::One(job) => {
            let mut published = jobs.publish(&queue, vec![*job], &options).await?;
            let published = published.pop().expect("one was asked for")?;
            match published.duplicate {
                true => Ok(Reply(published).into_response()),
                false => {
                    let namespace = encoded(&caller.namespace);
                    created(
                        &format!("/api/v1/jobs/{}?namespace={namespace}", published.id),
                        &published,
                    )
                }
            }
        }
    }
}

/// By what is there, so that errors are about what was meant.
fn read(wanted: serde_json::Value) -> Result<Wanted> {
    let wrong = |error: serde_json::Error| Problem::unprocessable(format!("the body does not fit: {error}"));
    match wanted.get("jobs") {
        Some(_) => serde_json::from_value(wanted).map(Wanted::Many).map_err(wrong),
        None => serde_json::from_value(wanted).map(Wanted::One).map_err(wrong),
    }
}
