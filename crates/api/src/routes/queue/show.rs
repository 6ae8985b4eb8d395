//! Queues and jobs as they are shown.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use helve_queue::{JobSummary, JobView, Jobs, QueueStats, Which};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::queue;
use crate::door::Caller;
use crate::extract::{Path, Query, tagged};
use crate::page::{Page, Paging, cursor_of, within_bounds, wrong_cursor};
use crate::problem::{Problem, Result};
use crate::state::Api;

/// A queue that has open jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueEntry {
    /// Its name.
    queue: String,
}

/// List the queues that have open jobs.
#[utoipa::path(get, path = "/queue", tag = "Job queue", params(crate::openapi::Namespace, Paging),
    responses((status = 200, description = "Queues by name", body = inline(Page<QueueEntry>))))]
pub(crate) async fn queues(
    caller: Caller,
    State(api): State<Api>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    let names = of(&caller, &api).queues().await?;
    let entries = names.into_iter().map(|name| QueueEntry {
        queue: name.to_string(),
    });
    tagged(&headers, &paging.cut(entries.collect(), |entry| entry.queue.clone())?)
}

/// Show how a queue stands. One that nobody ever used is empty.
#[utoipa::path(get, path = "/queue/{name}", tag = "Job queue",
    params(("name" = String, Path, description = "The queue"), crate::openapi::Namespace),
    responses((status = 200, description = "Counts", body = QueueStats)))]
pub(crate) async fn stats(
    caller: Caller,
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    tagged(&headers, &of(&caller, &api).stats(&queue(&name)?).await?)
}

/// Which jobs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobsQuery {
    /// Only these.
    #[serde(default)]
    status: Which,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Items at most: 1 to 500, 50 when nothing is said.
    #[param(minimum = 1, maximum = 500)]
    #[serde(default, deserialize_with = "within_bounds")]
    limit: Option<usize>,
}

/// List the jobs of a queue, newest first.
#[utoipa::path(get, path = "/queue/{name}/jobs", tag = "Job queue",
    params(("name" = String, Path, description = "The queue"), crate::openapi::Namespace, JobsQuery),
    responses((status = 200, description = "Jobs", body = inline(Page<JobSummary>))))]
pub(crate) async fn list(
    caller: Caller,
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(asked): Query<JobsQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let paging = Paging {
        cursor: asked.cursor,
        limit: asked.limit,
    };
    listed(&of(&caller, &api), &name, asked.status, &paging, &headers).await
}

/// List the dead letters of a queue: jobs whose attempts are used up, that failed for good, or whose time was over.
#[utoipa::path(get, path = "/queue/{name}/dead", tag = "Job queue",
    params(("name" = String, Path, description = "The queue"), crate::openapi::Namespace, Paging),
    responses((status = 200, description = "Jobs", body = inline(Page<JobSummary>))))]
pub(crate) async fn dead(
    caller: Caller,
    State(api): State<Api>,
    Path(name): Path<String>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    listed(&of(&caller, &api), &name, Which::Dead, &paging, &headers).await
}

async fn listed(jobs: &Jobs, name: &str, which: Which, paging: &Paging, headers: &HeaderMap) -> Result<Response> {
    let page = jobs.list(&queue(name)?, which, paging.limit(), paging.token()?).await;
    let page = page.map_err(|error| match error {
        helve_queue::Error::Invalid { field: "cursor", .. } => wrong_cursor(),
        other => Problem::from(other),
    })?;
    let next_cursor = cursor_of(&page.next);
    tagged(
        headers,
        &Page {
            items: page.jobs,
            next_cursor,
        },
    )
}

/// Show a job: how it stands, its input and output, why it failed, and what became of it before it was requeued.
#[utoipa::path(get, path = "/jobs/{id}", tag = "Job queue",
    params(("id" = String, Path, description = "The job"), crate::openapi::Namespace),
    responses((status = 200, description = "The job", body = JobView)))]
pub(crate) async fn job(
    caller: Caller,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    tagged(&headers, &of(&caller, &api).show(&id).await?)
}

fn of(caller: &Caller, api: &Api) -> Jobs {
    api.jobs.of_namespace(&caller.namespace)
}
