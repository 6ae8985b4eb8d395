//! Schedules: nightly scans and the like.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use helve_ledger::Role;
use helve_runs::{Patch, ScheduleOrder, ScheduleView};
use helve_toolbox::Span;
use helve_toolbox::run::PlanInput;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use temporalio_client::tonic::{Code, Status};
use utoipa::ToSchema;

use super::start::find_target;
use crate::door::Caller;
use crate::extract::{Json, Path, Query, created, encoded, tagged};
use crate::page::{Page, Paging, cursor_of, wrong_cursor};
use crate::problem::{FieldError, Problem, Result, engine, shown};
use crate::state::Api;

/// Characters of a schedule's id.
const LONGEST_ID: usize = 100;

/// A schedule that is wanted. Either `cron` or `every`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedSchedule {
    /// Names it: letters, digits, `-`, `_` and `.`.
    #[schema(example = "nightly-assessment")]
    pub(crate) id: String,
    /// Name of the workflow. Each run takes it as it is at that time.
    pub(crate) workflow: String,
    /// Id of the target.
    #[serde(default)]
    pub(crate) target: Option<String>,
    /// Parameters, as the workflow's schema describes them.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) parameters: Map<String, Value>,
    /// Cron expressions of five fields, such as `30 2 * * *`.
    #[serde(default)]
    pub(crate) cron: Vec<String>,
    /// Or how often, such as `6h`.
    #[serde(default)]
    pub(crate) every: Option<String>,
    /// Name of the time zone of the cron expressions; UTC when nothing is said.
    #[serde(default)]
    #[schema(example = "Europe/Berlin")]
    pub(crate) time_zone: Option<String>,
    /// Begin paused.
    #[serde(default)]
    pub(crate) paused: bool,
}

/// A schedule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleInfo {
    /// Names it.
    id: String,
    /// Name of the workflow; null for schedules that Helve did not make.
    workflow: Option<String>,
    /// Id of the target.
    target: Option<String>,
    /// What its user calls the target.
    target_name: Option<String>,
    /// Parameters as they were given.
    #[schema(value_type = Object)]
    parameters: Map<String, Value>,
    /// Cron expressions.
    cron: Vec<String>,
    /// Or every so many seconds.
    every_seconds: Option<u64>,
    /// Time zone of the cron expressions.
    time_zone: Option<String>,
    /// It starts nothing.
    paused: bool,
    /// Why it is paused, or not.
    note: String,
    /// Who made it.
    created_by: Option<String>,
    /// The next times.
    #[schema(value_type = Vec<String>)]
    next: Vec<Timestamp>,
    /// The latest runs.
    recent: Vec<ScheduledRun>,
}

/// A run that a schedule started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduledRun {
    /// When.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// The run.
    run_id: String,
}

impl From<ScheduleView> for ScheduleInfo {
    fn from(view: ScheduleView) -> Self {
        let order = view.order.as_ref();
        Self {
            workflow: order.map(|order| order.workflow.clone()),
            target: order.and_then(|order| Some(order.target.as_ref()?.id.clone())),
            target_name: order.and_then(|order| Some(order.target.as_ref()?.name.clone())),
            parameters: order.map(|order| order.parameters.clone()).unwrap_or_default(),
            cron: order.map(|order| order.cron.clone()).unwrap_or_default(),
            every_seconds: order.and_then(|order| order.every_seconds),
            time_zone: order.map(|order| order.time_zone.clone()),
            created_by: order.map(|order| order.created_by.clone()),
            id: view.id,
            paused: view.paused,
            note: view.note,
            next: view.next,
            recent: view
                .recent
                .into_iter()
                .map(|(at, run_id)| ScheduledRun { at, run_id })
                .collect(),
        }
    }
}

/// List the schedules of a namespace.
#[utoipa::path(get, path = "/schedules", tag = "Schedules", params(crate::openapi::Namespace, Paging),
    responses((status = 200, description = "Schedules", body = inline(Page<ScheduleInfo>))))]
pub(crate) async fn list(caller: Caller, Query(paging): Query<Paging>, headers: HeaderMap) -> Result<Response> {
    let size = i32::try_from(paging.limit()).unwrap_or(i32::MAX);
    let had_cursor = paging.cursor.is_some();
    let page = caller.client.schedules(size, paging.token()?).await;
    let (views, next) = page.map_err(|status| match status.code() {
        Code::InvalidArgument if had_cursor => wrong_cursor(),
        _ => engine("the schedules cannot be listed", &status),
    })?;
    let items = views.into_iter().map(ScheduleInfo::from).collect();
    let next_cursor = cursor_of(&next);
    tagged(&headers, &Page { items, next_cursor })
}

/// Make a schedule. Making the same one again is refused, so a request can be sent again.
#[utoipa::path(post, path = "/schedules", tag = "Schedules", params(crate::openapi::Namespace), request_body = WantedSchedule,
    responses((status = 201, description = "The schedule", body = ScheduleInfo)))]
pub(crate) async fn make(
    caller: Caller,
    State(api): State<Api>,
    Json(wanted): Json<WantedSchedule>,
) -> Result<Response> {
    caller.require(Role::Operator)?;
    check_id(&wanted.id)?;
    let every_seconds = wanted.every.as_deref().map(every).transpose()?;
    if wanted.cron.is_empty() == every_seconds.is_none() {
        return Err(Problem::unprocessable("a schedule has either `cron` or `every`"));
    }
    // Whether the parameters fit is better known now than at night.
    api.toolbox.current().pin(&PlanInput {
        workflow: wanted.workflow.clone(),
        parameters: wanted.parameters.clone(),
    })?;
    let target = match &wanted.target {
        Some(id) => Some(find_target(&api, &caller, id).await?),
        None => None,
    };
    let order = ScheduleOrder {
        workflow: wanted.workflow,
        target,
        parameters: wanted.parameters,
        cron: wanted.cron,
        every_seconds,
        time_zone: wanted.time_zone.unwrap_or_else(|| "UTC".to_owned()),
        created_by: caller.principal.actor.name.clone(),
    };
    let made = caller.client.create_schedule(&wanted.id, &order, wanted.paused).await;
    made.map_err(|status| engine("the schedule cannot be made", &status))?;
    tracing::info!(
        id = wanted.id,
        namespace = caller.namespace,
        by = order.created_by,
        "schedule made"
    );
    let view = caller
        .client
        .schedule(&wanted.id)
        .await
        .map_err(|status| of(&wanted.id, &status))?;
    created(
        &format!(
            "/api/v1/schedules/{}?namespace={}",
            wanted.id,
            encoded(&caller.namespace)
        ),
        &ScheduleInfo::from(view),
    )
}

fn check_id(id: &str) -> Result<()> {
    let fits = !id.is_empty()
        && id.len() <= LONGEST_ID
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    match fits {
        true => Ok(()),
        false => Err(field("id", "must be 1 to 100 letters, digits, `-`, `_` or `.`")),
    }
}

fn every(text: &str) -> Result<u64> {
    let span: std::result::Result<Span, _> = text.parse();
    let seconds = span
        .map_err(|error| field("every", &error.to_string()))?
        .duration()
        .as_secs();
    match seconds {
        60.. => Ok(seconds),
        _ => Err(field("every", "must be a minute at least")),
    }
}

fn field(field: &str, message: &str) -> Problem {
    Problem::unprocessable("a value of the schedule is wrong").with_errors([FieldError {
        field: field.to_owned(),
        message: message.to_owned(),
    }])
}

fn of(id: &str, status: &Status) -> Problem {
    match status.code() {
        Code::NotFound => Problem::not_found(format!("there is no schedule `{}`", shown(id))),
        _ => engine(&format!("schedule `{}`", shown(id)), status),
    }
}

/// Show a schedule: when it starts runs, and the latest of them.
#[utoipa::path(get, path = "/schedules/{id}", tag = "Schedules",
    params(("id" = String, Path, description = "The schedule"), crate::openapi::Namespace),
    responses((status = 200, description = "The schedule", body = ScheduleInfo)))]
pub(crate) async fn show(caller: Caller, Path(id): Path<String>, headers: HeaderMap) -> Result<Response> {
    let view = caller.client.schedule(&id).await.map_err(|status| of(&id, &status))?;
    tagged(&headers, &ScheduleInfo::from(view))
}

/// Pause a schedule: it starts nothing until it is resumed.
#[utoipa::path(post, path = "/schedules/{id}/pause", tag = "Schedules",
    params(("id" = String, Path, description = "The schedule"), crate::openapi::Namespace),
    responses((status = 204, description = "It is paused")))]
pub(crate) async fn pause(caller: Caller, Path(id): Path<String>) -> Result<StatusCode> {
    let note = format!("paused by {}", caller.principal.actor.name);
    patch(&caller, &id, Patch::Pause(note)).await
}

/// Resume a schedule.
#[utoipa::path(post, path = "/schedules/{id}/resume", tag = "Schedules",
    params(("id" = String, Path, description = "The schedule"), crate::openapi::Namespace),
    responses((status = 204, description = "It goes on")))]
pub(crate) async fn resume(caller: Caller, Path(id): Path<String>) -> Result<StatusCode> {
    let note = format!("resumed by {}", caller.principal.actor.name);
    patch(&caller, &id, Patch::Resume(note)).await
}

/// Start a run of a schedule now.
#[utoipa::path(post, path = "/schedules/{id}/trigger", tag = "Schedules",
    params(("id" = String, Path, description = "The schedule"), crate::openapi::Namespace),
    responses((status = 202, description = "A run is about to start")))]
pub(crate) async fn trigger(caller: Caller, Path(id): Path<String>) -> Result<StatusCode> {
    patch(&caller, &id, Patch::Trigger).await.map(|_| StatusCode::ACCEPTED)
}

async fn patch(caller: &Caller, id: &str, patch: Patch) -> Result<StatusCode> {
    caller.require(Role::Operator)?;
    let patched = caller.client.patch_schedule(id, patch).await;
    patched.map_err(|status| of(id, &status))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a schedule. Runs that it has started go on.
#[utoipa::path(delete, path = "/schedules/{id}", tag = "Schedules",
    params(("id" = String, Path, description = "The schedule"), crate::openapi::Namespace),
    responses((status = 204, description = "It is gone")))]
pub(crate) async fn remove(caller: Caller, Path(id): Path<String>) -> Result<StatusCode> {
    caller.require(Role::Operator)?;
    // Engines forgive the removal of what is not there.
    caller.client.schedule(&id).await.map_err(|status| of(&id, &status))?;
    caller
        .client
        .delete_schedule(&id)
        .await
        .map_err(|status| of(&id, &status))?;
    tracing::info!(
        id,
        namespace = caller.namespace,
        by = caller.principal.actor.name,
        "schedule removed"
    );
    Ok(StatusCode::NO_CONTENT)
}
