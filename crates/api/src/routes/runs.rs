//! Runs: list, show, stop.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use helve_ledger::Role;
use helve_runs::{
    Filter, RunDetail, RunHistory, RunSummary, STATUSES, Shown, facts_in, history_so_far, pending_activity, says,
    status_name,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::door::Caller;
use crate::extract::{Json, Path, Query, Reply, tagged};
use crate::page::{Page, Paging, cursor_of, wrong_cursor};
use crate::problem::{Problem, Result, engine, shown};
use crate::state::Api;

/// Which runs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RunsQuery {
    /// Of this workflow.
    workflow: Option<String>,
    /// `running`, `completed`, `failed`, `canceled`, `terminated`, `timed_out` or `continued_as_new`.
    status: Option<String>,
    /// Of the target with exactly this name.
    target: Option<String>,
    /// That began then or later.
    #[param(value_type = Option<String>, format = DateTime)]
    started_from: Option<Timestamp>,
    /// That began before.
    #[param(value_type = Option<String>, format = DateTime)]
    started_before: Option<Timestamp>,
}

/// List runs, newest first.
///
/// With `target` a page may hold fewer runs than asked for, even none, while there is a `next_cursor`.
#[utoipa::path(get, path = "/runs", tag = "Runs", params(crate::openapi::Namespace, RunsQuery, Paging),
    responses((status = 200, description = "Runs", body = inline(Page<RunSummary>))))]
pub(crate) async fn list(
    caller: Caller,
    Query(query): Query<RunsQuery>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    if let Some(status) = query
        .status
        .as_deref()
        .filter(|status| STATUSES.iter().all(|(known, _)| known != status))
    {
        let known: Vec<&str> = STATUSES.iter().map(|(name, _)| *name).collect();
        return Err(Problem::unprocessable(format!(
            "no run has the status `{}`: use one of {}",
            shown(status),
            known.join(", ")
        )));
    }
    let filter = Filter {
        workflow: query.workflow,
        status: query.status,
        started_from: query.started_from,
        started_before: query.started_before,
    };
    let size = i32::try_from(paging.limit()).unwrap_or(i32::MAX);
    let had_cursor = paging.cursor.is_some();
    let (runs, next) = helve_runs::page(&caller.client, &filter, size, paging.token()?)
        .await
        .map_err(|status| match status.code() {
            temporalio_client::tonic::Code::InvalidArgument if had_cursor => wrong_cursor(),
            _ => engine("the runs cannot be listed", &status),
        })?;
    let items = runs
        .iter()
        .filter(|run| query.target.is_none() || run.target == query.target)
        .map(RunSummary::from)
        .collect();
    let next_cursor = cursor_of(&next);
    tagged(&headers, &Page { items, next_cursor })
}

/// Show a run: target, parameters, result, and what is known of each step.
#[utoipa::path(get, path = "/runs/{run_id}", tag = "Runs",
    params(("run_id" = String, Path, description = "The run"), crate::openapi::Namespace),
    responses((status = 200, description = "The run", body = RunDetail)))]
pub(crate) async fn show(caller: Caller, Path(run_id): Path<String>, headers: HeaderMap) -> Result<Response> {
    let (detail, ..) = detail(&caller, &run_id).await?;
    tagged(&headers, &detail)
}

/// What is known of a run, its history, and who started it.
pub(crate) async fn detail(caller: &Caller, run_id: &str) -> Result<(RunDetail, RunHistory, Option<String>)> {
    let of_run = |status| helve_runs::Error::of_run(&shown(run_id), status);
    let described = caller.client.describe(run_id).await.map_err(of_run)?;
    let info = described.workflow_execution_info.unwrap_or_default();
    let pending: Vec<_> = described.pending_activities.iter().map(pending_activity).collect();
    let facts = facts_in(info.memo.as_ref());
    let history = history_so_far(&caller.client, run_id).await.map_err(of_run)?;
    let said = says(&caller.client, run_id, &history).await;
    let detail = RunDetail::from(&Shown {
        run_id,
        status: status_name(info.status()),
        said: &said,
        facts: facts.as_ref(),
        history: &history,
        pending: &pending,
        now: Timestamp::now(),
    });
    let started_by = info.memo.as_ref().and_then(|memo| {
        let payload = memo.fields.get(helve_runs::MEMO_STARTED_BY)?;
        helve_runs::from_payload(payload)
    });
    Ok((detail, history, started_by))
}

/// Why a run is ended.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Why {
    /// For the history of the run.
    #[serde(default)]
    reason: Option<String>,
}

/// What was asked of a run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Asked {
    run_id: String,
    /// `cancel_requested` or `terminated`.
    status: &'static str,
}

/// Ask a run to stop; its steps end cleanly, and what they found is kept.
#[utoipa::path(post, path = "/runs/{run_id}/cancel", tag = "Runs",
    params(("run_id" = String, Path, description = "The run"), crate::openapi::Namespace), request_body = Option<Why>,
    responses((status = 202, description = "It was asked", body = Asked)))]
pub(crate) async fn cancel(
    caller: Caller,
    Path(run_id): Path<String>,
    why: MaybeWhy,
) -> Result<(StatusCode, Reply<Asked>)> {
    caller.require(Role::Operator)?;
    require_open(&caller, &run_id).await?;
    let reason = why.text(&caller, "cancelled");
    caller
        .record("run.cancel", &run_id, json!({ "reason": reason }))
        .await?;
    let asked = caller.client.cancel(&run_id, &reason).await;
    asked.map_err(|status| helve_runs::Error::of_run(&shown(&run_id), status))?;
    let status = "cancel_requested";
    Ok((StatusCode::ACCEPTED, Reply(Asked { run_id, status })))
}

/// End a run at once, without cleaning up.
#[utoipa::path(post, path = "/runs/{run_id}/terminate", tag = "Runs",
    params(("run_id" = String, Path, description = "The run"), crate::openapi::Namespace), request_body = Option<Why>,
    responses((status = 200, description = "It has ended", body = Asked)))]
pub(crate) async fn terminate(caller: Caller, Path(run_id): Path<String>, why: MaybeWhy) -> Result<Reply<Asked>> {
    caller.require(Role::Operator)?;
    require_open(&caller, &run_id).await?;
    let reason = why.text(&caller, "terminated");
    caller
        .record("run.terminate", &run_id, json!({ "reason": reason }))
        .await?;
    let ended = caller.client.terminate(&run_id, &reason).await;
    ended.map_err(|status| helve_runs::Error::of_run(&shown(&run_id), status))?;
    let status = "terminated";
    Ok(Reply(Asked { run_id, status }))
}

/// Refuses what has ended: asking it to stop would seem to have done something.
async fn require_open(caller: &Caller, run_id: &str) -> Result<()> {
    let described = caller.client.describe(run_id).await;
    let described = described.map_err(|status| helve_runs::Error::of_run(&shown(run_id), status))?;
    let info = described.workflow_execution_info.unwrap_or_default();
    match info.close_time {
        None => Ok(()),
        Some(_) => Err(Problem::conflict(format!(
            "run {} has ended already: {}",
            shown(run_id),
            status_name(info.status())
        ))),
    }
}

/// A body that may be missing.
pub(crate) struct MaybeWhy(Why);

impl axum::extract::FromRequest<Api> for MaybeWhy {
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, api: &Api) -> Result<Self> {
        let is_empty = axum::body::HttpBody::is_end_stream(request.body());
        match is_empty {
            true => Ok(Self(Why::default())),
            false => Json::from_request(request, api).await.map(|Json(why)| Self(why)),
        }
    }
}

impl MaybeWhy {
    /// For no reason that was given.
    pub(crate) fn nothing() -> Self {
        Self(Why::default())
    }

    fn text(self, caller: &Caller, what: &str) -> String {
        let by = &caller.principal.actor.name;
        match self.0.reason {
            Some(reason) => format!("{what} by {by}: {}", shown(&reason)),
            None => format!("{what} by {by}"),
        }
    }
}
