//! What a run left: findings, SARIF, artifacts, log lines.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use helve_findings::export::{self, About, Format};
use helve_findings::sarif::{self, SarifOptions};
use helve_findings::{Finding, ModuleReport, NotificationLevel, Severity};
use helve_runs::{
    EventLine, Outcome, RunHistory, RunResult, artifacts as artifacts_of, facts_in, find_artifact, history_so_far,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::door::Caller;
use crate::extract::{Path, Query, encoded, tagged};
use crate::page::Paging;
use crate::problem::{Problem, Result, shown};
use crate::state::Api;

/// Bytes that are read from the store before they are sent on.
const CHUNK: usize = 128 * 1024;
/// Bytes of a step's report that are read for its log lines.
const LARGEST_REPORT: u64 = 64 << 20;

async fn result(api: &Api, caller: &Caller, run_id: &str) -> Result<RunResult> {
    let of_run = |status| helve_runs::Error::of_run(&shown(run_id), status);
    let described = caller.client.describe(run_id).await.map_err(of_run)?;
    let facts = facts_in(described.workflow_execution_info.unwrap_or_default().memo.as_ref());
    let history = history_so_far(&caller.client, run_id).await.map_err(of_run)?;
    Ok(RunResult::collect(
        run_id,
        api.engine.clone(),
        &history,
        facts,
        &api.blobs,
    )?)
}

/// Show the whole result of a run that has ended: summary, steps, findings, and what could not be looked at.
#[utoipa::path(get, path = "/runs/{run_id}/result", tag = "Runs",
    params(("run_id" = String, Path, description = "The run"), crate::openapi::Namespace),
    responses((status = 200, description = "The result, as `helve run --json` prints it", body = Object)))]
pub(crate) async fn show(
    caller: Caller,
    State(api): State<Api>,
    Path(run_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    tagged(&headers, &result(&api, &caller, &run_id).await?.to_json())
}

/// Which findings of a run.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LeastSevere {
    /// Only findings that are at least this severe: `critical`, `high`, `medium`, `low` or `note`.
    severity: Option<String>,
}

/// List the findings of a run that has ended, worst first.
#[utoipa::path(get, path = "/runs/{run_id}/findings", tag = "Runs",
    params(("run_id" = String, Path, description = "The run"), crate::openapi::Namespace, LeastSevere, Paging),
    responses((status = 200, description = "Findings", body = crate::openapi::Listing)))]
pub(crate) async fn findings(
    caller: Caller,
    State(api): State<Api>,
    Path(run_id): Path<String>,
    Query(asked): Query<LeastSevere>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    let least = asked.severity.as_deref().map(str::parse::<Severity>).transpose();
    let least = least.map_err(|error| Problem::unprocessable(error.to_string()))?;
    let result = result(&api, &caller, &run_id).await?;
    let mut found: Vec<&Finding> = result.report.findings();
    found.retain(|finding| least.is_none_or(|least| finding.severity >= least));
    // A fingerprint is unique in a merged report.
    tagged(&headers, &paging.cut(found, |finding| finding.fingerprint.clone())?)
}

/// Get the findings of a run that has ended as SARIF 2.1.0.
#[utoipa::path(get, path = "/runs/{run_id}/sarif", tag = "Runs",
    params(("run_id" = String, Path, description = "The run"), crate::openapi::Namespace),
    responses((status = 200, description = "SARIF", body = Object, content_type = "application/sarif+json")))]
pub(crate) async fn sarif(caller: Caller, State(api): State<Api>, Path(run_id): Path<String>) -> Result<Response> {
    let result = with_report(&api, &caller, &run_id).await?;
    let options = SarifOptions {
        category: Some(result.workflow.clone()),
        run_id: Some(run_id),
        ..SarifOptions::default()
    };
    let text = sarif::to_string(&result.report, &options);
    Ok(([(header::CONTENT_TYPE, "application/sarif+json")], text).into_response())
}

/// In which format.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct InFormat {
    /// `sarif`, `json`, `csv`, `junit`, `html` or `vex`.
    format: String,
}

impl InFormat {
    pub(crate) fn format(&self) -> Result<Format> {
        let format: std::result::Result<Format, helve_findings::UnknownName> = self.format.parse();
        format.map_err(|error| Problem::unprocessable(error.to_string()))
    }
}

/// A file for the browser to keep, whatever is in it.
pub(crate) fn download(name: &str, format: Format, text: String) -> Response {
    let disposition = format!("attachment; filename*=UTF-8''{}", encoded(name));
    let headers = [
        (header::CONTENT_TYPE, format.media_type().to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    (headers, text).into_response()
}

/// Get the findings of a run that has ended in a format of other programs, or as a page for people.
///
/// It is always sent as a download.
#[utoipa::path(get, path = "/runs/{run_id}/export", tag = "Runs",
    params(("run_id" = String, Path, description = "The run"), crate::openapi::Namespace, InFormat),
    responses((status = 200, description = "The findings", content_type = "application/octet-stream")))]
pub(crate) async fn export(
    caller: Caller,
    State(api): State<Api>,
    Path(run_id): Path<String>,
    Query(asked): Query<InFormat>,
) -> Result<Response> {
    let format = asked.format()?;
    let result = with_report(&api, &caller, &run_id).await?;
    let about = About {
        run_id: result.run_id.clone(),
        workflow: result.workflow.clone(),
        workflow_version: result.workflow_version.clone(),
        status: result.status.to_owned(),
        target: result.target.as_ref().map(|target| target.name.clone()),
        finished_at: result.ended.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
    };
    let text = tokio::task::spawn_blocking(move || export::write(&result.report, format, &about)).await;
    let text = text.map_err(|error| Problem::internal("the findings cannot be written", error))?;
    Ok(download(&format!("{run_id}.{}", format.extension()), format, text))
}

/// The result of a run that has a report.
async fn with_report(api: &Api, caller: &Caller, run_id: &str) -> Result<RunResult> {
    let result = result(api, caller, run_id).await?;
    match result.has_report {
        true => Ok(result),
        false => Err(Problem::conflict(format!(
            "run {} ({}) has no report: an empty file would read as \"no findings\"",
            shown(run_id),
            result.status
        ))),
    }
}

/// A file that a run left.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ArtifactInfo {
    /// None for what the run itself left.
    step: Option<String>,
    /// As the module named it.
    name: String,
    /// BLAKE3 of its bytes, in hex.
    id: String,
    /// Bytes.
    bytes: u64,
    /// As the module gave it. Nothing is served under it.
    media_type: String,
    /// Where the bytes are.
    href: String,
}

/// List the files that the steps of a run left, and its reports.
#[utoipa::path(get, path = "/runs/{run_id}/artifacts", tag = "Runs",
    params(("run_id" = String, Path, description = "The run"), crate::openapi::Namespace, Paging),
    responses((status = 200, description = "Files", body = inline(crate::page::Page<ArtifactInfo>))))]
pub(crate) async fn artifacts(
    caller: Caller,
    Path(run_id): Path<String>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    let history = history(&caller, &run_id).await?;
    let namespace = encoded(&caller.namespace);
    let found = artifacts_of(&history).into_iter().map(|artifact| {
        let step = artifact
            .step
            .as_deref()
            .map(|step| format!("&step={}", encoded(step)))
            .unwrap_or_default();
        ArtifactInfo {
            href: format!(
                "/api/v1/runs/{}/artifacts/{}?namespace={namespace}{step}",
                encoded(&run_id),
                encoded(&artifact.name)
            ),
            step: artifact.step,
            name: artifact.name,
            id: artifact.id,
            bytes: artifact.size,
            media_type: artifact.media_type,
        }
    });
    let page = paging.cut(found.collect(), |artifact| {
        format!("{:?}/{}", artifact.step, artifact.name)
    })?;
    tagged(&headers, &page)
}

/// Whose file.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfStep {
    /// The step that left it, if several left one of that name.
    step: Option<String>,
}

/// Get a file that a run left.
///
/// It is always sent as a download: what a scanned target made of it is nothing that a browser should show.
#[utoipa::path(get, path = "/runs/{run_id}/artifacts/{name}", tag = "Runs",
    params(("run_id" = String, Path, description = "The run"), ("name" = String, Path, description = "Name of the file"),
        crate::openapi::Namespace, OfStep),
    responses((status = 200, description = "Its bytes", content_type = "application/octet-stream")))]
pub(crate) async fn artifact(
    caller: Caller,
    State(api): State<Api>,
    Path((run_id, name)): Path<(String, String)>,
    Query(of): Query<OfStep>,
) -> Result<Response> {
    let found = artifacts_of(&history(&caller, &run_id).await?);
    let artifact = find_artifact(&found, &shown(&run_id), &name, of.step.as_deref())?;
    let id = artifact
        .id
        .parse()
        .map_err(|error| Problem::internal("an artifact has no id", error))?;
    let blobs = api.blobs.clone();
    // Checked before the first byte is sent: a broken file must not look like a whole one.
    let reader = tokio::task::spawn_blocking(move || {
        let mut reader = blobs.reader(&id)?;
        reader.verify()?;
        blobs.reader(&id)
    });
    let reader = reader
        .await
        .map_err(|error| Problem::internal("an artifact cannot be read", error))?;
    let reader = reader.map_err(|error| Problem::internal("an artifact cannot be read", error))?;
    let mut response = Body::from_stream(chunks(reader)).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(header::CONTENT_LENGTH, artifact.size.into());
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename*=UTF-8''{}", encoded(&artifact.name))) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// The bytes of a blob, read on threads that may block.
fn chunks(reader: helve_blobs::BlobReader) -> impl futures_util::Stream<Item = std::io::Result<bytes::Bytes>> + Send {
    futures_util::stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        let read = tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0; CHUNK];
            let read = std::io::Read::read(&mut reader, &mut buffer);
            read.map(|count| {
                buffer.truncate(count);
                (buffer, reader)
            })
        });
        match read.await {
            Ok(Ok((buffer, _))) if buffer.is_empty() => None,
            Ok(Ok((buffer, reader))) => Some((Ok(buffer.into()), Some(reader))),
            Ok(Err(error)) => Some((Err(error), None)),
            Err(error) => Some((Err(std::io::Error::other(error)), None)),
        }
    })
}

/// A line for people.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogLine {
    /// When its step ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) at: Option<Timestamp>,
    /// The step.
    pub(crate) step: String,
    /// `note`, `warning` or `error`.
    pub(crate) level: &'static str,
    /// What happened.
    pub(crate) message: String,
    /// The file it is about, relative to the target.
    pub(crate) path: Option<String>,
}

/// List what the steps of a run said: what they could not look at, and why they failed.
#[utoipa::path(get, path = "/runs/{run_id}/logs", tag = "Runs",
    params(("run_id" = String, Path, description = "The run"), crate::openapi::Namespace, Paging),
    responses((status = 200, description = "Lines in the order in which the steps ended", body = inline(crate::page::Page<LogLine>))))]
pub(crate) async fn logs(
    caller: Caller,
    State(api): State<Api>,
    Path(run_id): Path<String>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    let history = history(&caller, &run_id).await?;
    let lines = tokio::task::spawn_blocking(move || log_lines(&api, &history)).await;
    let lines = lines.map_err(|error| Problem::internal("the log lines cannot be read", error))?;
    let numbered: Vec<(usize, LogLine)> = lines.into_iter().enumerate().collect();
    let page = paging.cut(numbered, |(number, _)| number.to_string())?;
    let page = crate::page::Page {
        items: page.items.into_iter().map(|(_, line)| line).collect(),
        next_cursor: page.next_cursor,
    };
    tagged(&headers, &page)
}

pub(crate) fn log_lines(api: &Api, history: &RunHistory) -> Vec<LogLine> {
    let mut ended: Vec<_> = history
        .activities
        .iter()
        .filter(|activity| activity.ended.is_some())
        .collect();
    ended.sort_by_key(|activity| activity.ended);
    let mut lines = Vec::new();
    for activity in ended {
        let mut say = |level, message: String, path| {
            lines.push(LogLine {
                at: activity.ended,
                step: activity.step.clone(),
                level,
                message,
                path,
            });
        };
        if let Some(failure) = &activity.last_failure {
            say("warning", format!("an earlier attempt failed: {failure}"), None);
        }
        match &activity.outcome {
            Outcome::Failed(reason) | Outcome::TimedOut(reason) => say("error", reason.clone(), None),
            Outcome::Cancelled => say("note", "cancelled".to_owned(), None),
            Outcome::Completed(Some(output)) if !activity.is_internal() => {
                let Some(blob) = &output.report else { continue };
                let report = blob.id.parse().ok().and_then(|id| {
                    let bytes = api.blobs.get_limited(&id, LARGEST_REPORT).ok()?;
                    serde_json::from_slice::<ModuleReport>(&bytes).ok()
                });
                let Some(report) = report else {
                    say("warning", "the step's report cannot be read any more".to_owned(), None);
                    continue;
                };
                for notification in report.notifications {
                    let level = match notification.level {
                        NotificationLevel::Note => "note",
                        NotificationLevel::Warning => "warning",
                        NotificationLevel::Error => "error",
                    };
                    say(level, notification.message, notification.path);
                }
            }
            Outcome::Completed(_) | Outcome::Open => {}
        }
    }
    lines
}

/// An event of a run's history, without its payloads.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventInfo {
    /// Counts up from 1.
    id: i64,
    /// When it was written.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// Temporal's name of it.
    #[schema(example = "ACTIVITY_TASK_SCHEDULED")]
    kind: &'static str,
    /// The step that it is about.
    step: Option<String>,
    /// The attempt that it tells of.
    attempt: Option<i32>,
    /// Who reported it.
    worker: Option<String>,
    /// Why, where somebody said it.
    message: Option<String>,
}

impl From<EventLine> for EventInfo {
    fn from(line: EventLine) -> Self {
        Self {
            id: line.id,
            at: line.at,
            kind: line.kind,
            step: line.step,
            attempt: line.attempt,
            worker: line.worker,
            message: line.message,
        }
    }
}

/// List the events of a run's history: what the engine wrote down, and when.
#[utoipa::path(get, path = "/runs/{run_id}/history", tag = "Runs",
    params(("run_id" = String, Path, description = "The run"), crate::openapi::Namespace, Paging),
    responses((status = 200, description = "Events in their order", body = inline(crate::page::Page<EventInfo>))))]
pub(crate) async fn record(
    caller: Caller,
    Path(run_id): Path<String>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    let lines = helve_runs::record(&caller.client, &run_id).await;
    let lines = lines.map_err(|status| helve_runs::Error::of_run(&shown(&run_id), status))?;
    let events = lines.into_iter().map(EventInfo::from).collect();
    tagged(&headers, &paging.cut(events, |event: &EventInfo| event.id.to_string())?)
}

async fn history(caller: &Caller, run_id: &str) -> Result<RunHistory> {
    let history = history_so_far(&caller.client, run_id).await;
    Ok(history.map_err(|status| helve_runs::Error::of_run(&shown(run_id), status))?)
}
