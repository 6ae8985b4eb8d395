//! What operators do with jobs. Each leaves a row in the audit log.

use axum::extract::State;
use axum::http::StatusCode;
use helve_ledger::Role;
use helve_queue::{Requeued, Swept, Which};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::queue;
use crate::door::Caller;
use crate::extract::{Json, Path, Reply};
use crate::problem::Result;
use crate::state::Api;

/// Start a dead or cancelled job again, with the same input and all its attempts.
#[utoipa::path(post, path = "/jobs/{id}/requeue", tag = "Job queue",
    params(("id" = String, Path, description = "The job"), crate::openapi::Namespace),
    responses((status = 200, description = "It waits to be claimed", body = Requeued)))]
pub(crate) async fn requeue(caller: Caller, State(api): State<Api>, Path(id): Path<String>) -> Result<Reply<Requeued>> {
    caller.require(Role::Operator)?;
    caller.record("job.requeue", &id, Value::Null).await?;
    Ok(Reply(api.jobs.of_namespace(&caller.namespace).requeue(&id).await?))
}

/// Start all dead jobs of a queue again. When `is_more` is true, ask again: so many are started at a time.
#[utoipa::path(post, path = "/queue/{name}/requeue", tag = "Job queue",
    params(("name" = String, Path, description = "The queue"), crate::openapi::Namespace),
    responses((status = 200, description = "How many", body = Swept)))]
pub(crate) async fn requeue_dead(
    caller: Caller,
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Reply<Swept>> {
    caller.require(Role::Operator)?;
    let queue = queue(&name)?;
    caller.record("queue.requeue", &name, Value::Null).await?;
    Ok(Reply(
        api.jobs.of_namespace(&caller.namespace).requeue_dead(&queue).await?,
    ))
}

/// Stop a job: at once when nobody has it; otherwise its claimer learns of it by its next heartbeat.
#[utoipa::path(post, path = "/jobs/{id}/cancel", tag = "Job queue",
    params(("id" = String, Path, description = "The job"), crate::openapi::Namespace),
    responses((status = 202, description = "It ends, or its claimer is told to end it")))]
pub(crate) async fn cancel(caller: Caller, State(api): State<Api>, Path(id): Path<String>) -> Result<StatusCode> {
    caller.require(Role::Operator)?;
    caller.record("job.cancel", &id, Value::Null).await?;
    let reason = format!("cancelled by {}", caller.principal.actor.name);
    api.jobs.of_namespace(&caller.namespace).cancel(&id, &reason).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Remove a job, whatever it does, with all that is known of it.
#[utoipa::path(delete, path = "/jobs/{id}", tag = "Job queue",
    params(("id" = String, Path, description = "The job"), crate::openapi::Namespace),
    responses((status = 204, description = "It is gone")))]
pub(crate) async fn remove(caller: Caller, State(api): State<Api>, Path(id): Path<String>) -> Result<StatusCode> {
    caller.require(Role::Operator)?;
    caller.record("job.remove", &id, Value::Null).await?;
    api.jobs.of_namespace(&caller.namespace).remove(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is removed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Purge {
    /// `completed`, `dead` or `canceled`.
    status: Which,
}

/// Remove jobs of a queue that have ended. When `is_more` is true, ask again: so many are removed at a time.
#[utoipa::path(post, path = "/queue/{name}/purge", tag = "Job queue",
    params(("name" = String, Path, description = "The queue"), crate::openapi::Namespace), request_body = Purge,
    responses((status = 200, description = "How many", body = Swept)))]
pub(crate) async fn purge(
    caller: Caller,
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(purge): Json<Purge>,
) -> Result<Reply<Swept>> {
    caller.require(Role::Operator)?;
    let queue = queue(&name)?;
    caller
        .record("queue.purge", &name, json!({ "status": purge.status }))
        .await?;
    Ok(Reply(
        api.jobs
            .of_namespace(&caller.namespace)
            .purge(&queue, purge.status)
            .await?,
    ))
}
