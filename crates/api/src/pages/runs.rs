//! Runs: the list, one of them, and what is done to it.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use helve_ledger::{FindingFilter, FindingOrder, PageRequest};
use helve_runs::{Listed, RunDetail, StepDetail};
use helve_toolbox::run::{RunStatus, StepState as PlanState};
use helve_web::pages::{Artifact, LogLevel, LogLine, Progress, Run, RunFilter, RunRow, Runs, Step, run, runs};
use helve_web::{RunState, SeverityCounts, StepState, routes};
use serde_json::Value;

use super::visit::{Pairs, Sent, Visit};
use super::{html, to, words};
use crate::extract::Path;
use crate::page::{Paging, cursor_of};
use crate::problem::{Problem, Result, engine};
use crate::routes::{results, runs as api_runs, start};
use crate::state::Api;

/// Runs of a page.
const PAGE: i32 = 50;
/// Indexed runs whose counts are looked up for a list.
const INDEXED: usize = 200;
/// Findings that the page of a run shows.
const FINDINGS: usize = 50;
/// Lines of a log that are shown.
const LINES: usize = 200;

/// What the latest runs of the namespace saw.
pub(super) async fn indexed_counts(api: &Api, namespace: &str) -> Result<BTreeMap<String, SeverityCounts>> {
    let request = PageRequest {
        cursor: None,
        limit: Some(INDEXED),
    };
    let runs = api.ledger.indexed_runs(namespace, None, request).await?;
    let counted = runs
        .items
        .into_iter()
        .map(|run| (run.run_id, words::counts(&run.findings)));
    Ok(counted.collect())
}

pub(super) fn rows(runs: Vec<Listed>, counts: &BTreeMap<String, SeverityCounts>) -> Vec<RunRow> {
    runs.into_iter().map(|run| words::run_row(run, counts)).collect()
}

pub(super) async fn list(State(api): State<Api>, visit: Visit, query: Pairs) -> Result<Response> {
    let filter = RunFilter::from_pairs(query.all());
    let asked = helve_runs::Filter {
        workflow: Some(filter.workflow.clone()).filter(|workflow| !workflow.is_empty()),
        status: filter.state.map(|state| match words::run_status(state) {
            Some(status) => status.to_owned(),
            // The engine knows it as failed.
            None => "failed".to_owned(),
        }),
        ..helve_runs::Filter::default()
    };
    let paging = Paging {
        cursor: query.cursor(),
        limit: None,
    };
    let page = helve_runs::page(&visit.caller.client, &asked, PAGE, paging.token()?).await;
    let (mut found, next) = page.map_err(|status| engine("the runs cannot be listed", &status))?;
    found.retain(|run| {
        filter.target.is_empty()
            || run
                .target
                .as_ref()
                .is_some_and(|target| target.contains(&filter.target))
    });
    let counts = indexed_counts(&api, &visit.caller.namespace).await?;
    let model = Runs {
        workflows: names(&api),
        rows: rows(found, &counts),
        total: None,
        further: paging.cursor.is_some(),
        next: cursor_of(&next),
        filter,
    };
    Ok(html(runs(&visit.frame, &model)))
}

/// The workflows of the toolbox.
pub(super) fn names(api: &Api) -> Vec<String> {
    let toolbox = api.toolbox.current();
    toolbox
        .workflows()
        .map(|workflow| workflow.metadata.name.clone())
        .collect()
}

pub(super) async fn show(State(api): State<Api>, visit: Visit, Path(id): Path<String>) -> Result<Response> {
    let caller = &visit.caller;
    let (detail, history, started_by) = api_runs::detail(caller, &id).await?;
    let namespace = &caller.namespace;
    let target = detail.target.as_ref().map(|target| target.name.clone());
    let mut findings = Vec::new();
    if let Some(target) = &target {
        let filter = FindingFilter {
            target: Some(target.clone()),
            workflow: Some(detail.workflow.clone()),
            ..FindingFilter::default()
        };
        let request = PageRequest {
            cursor: None,
            limit: Some(500),
        };
        let page = api
            .ledger
            .list_findings(namespace, filter, FindingOrder::Severity, request)
            .await?;
        let of_run = page.items.into_iter().filter(|finding| finding.last_seen.run_id == id);
        findings = of_run.take(FINDINGS).map(words::finding_row).collect();
    }
    let artifacts = helve_runs::artifacts(&history).into_iter().map(|artifact| Artifact {
        step: artifact.step,
        name: artifact.name,
        size: artifact.size,
        media_type: artifact.media_type,
    });
    let artifacts = artifacts.collect();
    let plan_steps = plan(&history, &detail);
    let lines = {
        let api = api.clone();
        tokio::task::spawn_blocking(move || results::log_lines(&api, &history)).await
    };
    let lines = lines.map_err(|error| Problem::internal("the log lines cannot be read", error))?;
    let before = lines.len().saturating_sub(LINES);
    let log = lines.into_iter().skip(before).map(|line| LogLine {
        at: words::millis(line.at).unwrap_or_default(),
        step: line.step,
        level: match line.level {
            "error" => LogLevel::Error,
            "warning" => LogLevel::Warning,
            _ => LogLevel::Info,
        },
        text: match line.path {
            Some(path) => format!("{path}: {}", line.message),
            None => line.message,
        },
    });
    let mut notes = Vec::new();
    if detail.cancel_requested && detail.ended_at.is_none() {
        notes.push("It was asked to stop.".to_owned());
    }
    notes.extend(
        detail
            .progress_unknown
            .as_ref()
            .map(|why| format!("Its progress is not known: {why}.")),
    );
    if let Some(facts) = detail.target_facts.as_ref().filter(|facts| facts.skipped_total > 0) {
        notes.push(format!(
            "{} of the target could not be taken, so nobody looked there.",
            helve_runs::text::count(facts.skipped_total, "entry")
        ));
    }
    let model = Run {
        version: detail.workflow_version.clone().unwrap_or_default(),
        target,
        target_id: detail.target.as_ref().map(|target| target.id.clone()),
        state: state(&detail),
        started: words::millis(detail.started_at).unwrap_or_default(),
        ended: words::millis(detail.ended_at),
        by: started_by.unwrap_or_default(),
        failure: detail.reason.clone(),
        progress: detail.progress.as_ref().map(|progress| Progress {
            text: progress.text.clone(),
            done: progress.done,
            total: progress.total,
        }),
        steps: plan_steps,
        counts: match &detail.result {
            Some(result) => words::named_counts(&result.by_severity),
            None => sum(&detail),
        },
        findings,
        fuzzing: None,
        log: log.collect(),
        log_before: before as u64,
        artifacts,
        parameters: parameters(&api, &detail),
        notes,
        workflow: detail.workflow,
        id: detail.run_id,
    };
    Ok(html(run(&visit.frame, &model)))
}

/// Name and value; those that the workflow calls secret are not shown.
fn parameters(api: &Api, detail: &RunDetail) -> Vec<(String, String)> {
    let toolbox = api.toolbox.current();
    let schema = toolbox
        .workflow(&detail.workflow)
        .ok()
        .map(|workflow| &workflow.metadata.parameters);
    let is_secret = |name: &str| {
        let property = schema.and_then(|schema| schema.get("properties")?.get(name));
        property.is_some_and(|property| property["format"] == "password" || property["writeOnly"] == true)
    };
    let shown = |(name, value): (&String, &Value)| {
        let text = match value {
            _ if is_secret(name) => "(not shown)".to_owned(),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        (name.clone(), text)
    };
    detail.parameters.iter().flatten().map(shown).collect()
}

fn state(detail: &RunDetail) -> RunState {
    let inconclusive = detail
        .result
        .as_ref()
        .is_some_and(|result| result.status == RunStatus::Inconclusive);
    match inconclusive {
        true => RunState::Inconclusive,
        false => words::run_state(detail.status),
    }
}

/// What the steps that have ended reported, near-duplicates included.
fn sum(detail: &RunDetail) -> SeverityCounts {
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for (severity, count) in detail.steps.iter().flat_map(|step| &step.by_severity) {
        *all.entry(severity.clone()).or_default() += count;
    }
    words::named_counts(&all)
}

/// The steps of the plan, or those that a workflow that is code has taken so far.
fn plan(history: &helve_runs::RunHistory, detail: &RunDetail) -> Vec<Step> {
    let planned = history.input.as_ref().and_then(|input| input.plan.as_ref());
    let planned = planned.map(|plan| plan.plan.steps.as_slice()).unwrap_or_default();
    if planned.is_empty() {
        let taken = detail.steps.iter().filter(|step| !step.internal);
        return taken
            .map(|step| drawn(&step.id, &step.uses, &[], &[step], detail))
            .collect();
    }
    let of = |id: &str| -> Vec<&StepDetail> {
        let is_part = |step: &&StepDetail| !step.internal && helve_runs::base_id(&step.id) == id;
        detail.steps.iter().filter(is_part).collect()
    };
    planned
        .iter()
        .map(|step| drawn(&step.id, &step.uses, &step.needs, &of(&step.id), detail))
        .collect()
}

fn drawn(id: &str, module: &str, needs: &[String], parts: &[&StepDetail], detail: &RunDetail) -> Step {
    let all = |status: &str| !parts.is_empty() && parts.iter().all(|part| part.status == status);
    let any = |status: &str| parts.iter().any(|part| part.status == status);
    let told = detail.result.as_ref().and_then(|result| result.steps.get(id));
    let state = match told.map(|told| told.status.state()) {
        Some(PlanState::Skipped) => StepState::Skipped,
        _ if parts.is_empty() && detail.ended_at.is_some() => StepState::Skipped,
        _ if parts.is_empty() || all("waiting") => StepState::Pending,
        _ if any("running") || any("waiting") => StepState::Running,
        _ if any("failed") || any("timed_out") => StepState::Failed,
        _ if any("cancelled") => StepState::Cancelled,
        _ if any("inconclusive") => StepState::Inconclusive,
        _ => StepState::Completed,
    };
    let worst = parts
        .iter()
        .find(|part| matches!(part.status, "failed" | "timed_out" | "inconclusive"));
    let ended = parts.iter().filter(|part| part.ended_at.is_some()).count();
    let one = parts.first();
    Step {
        id: id.to_owned(),
        module: module.to_owned(),
        needs: needs.to_vec(),
        state,
        reason: told
            .and_then(|told| told.status.reason().map(str::to_owned))
            .or_else(|| worst.map(|part| part.outcome.clone())),
        findings: parts.iter().filter_map(|part| part.findings).sum(),
        items: (parts.len() > 1).then_some((ended as u64, parts.len() as u64)),
        progress: parts
            .iter()
            .find(|part| matches!(part.status, "running" | "waiting") && !part.outcome.is_empty())
            .map(|part| Progress {
                text: part.outcome.clone(),
                done: 0,
                total: 0,
            }),
        attempt: parts.iter().map(|part| part.attempts).max().unwrap_or(1).max(1),
        started: parts.iter().filter_map(|part| words::millis(part.started_at)).min(),
        ended: match ended == parts.len() {
            true => parts.iter().filter_map(|part| words::millis(part.ended_at)).max(),
            false => None,
        },
        worker: one.and_then(|part| part.worker.clone()),
    }
}

pub(super) async fn cancel(visit: Visit, Path(id): Path<String>, _sent: Sent) -> Result<Response> {
    let page = routes::run(&id);
    api_runs::cancel(visit.caller, Path(id), api_runs::MaybeWhy::nothing()).await?;
    Ok(to(&page))
}

pub(super) async fn terminate(visit: Visit, Path(id): Path<String>, _sent: Sent) -> Result<Response> {
    let page = routes::run(&id);
    api_runs::terminate(visit.caller, Path(id), api_runs::MaybeWhy::nothing()).await?;
    Ok(to(&page))
}

pub(super) async fn retry(
    State(api): State<Api>,
    visit: Visit,
    Path(id): Path<String>,
    _sent: Sent,
) -> Result<Response> {
    let started = start::again(&api, &visit.caller, &id, None).await?;
    Ok(to(&routes::run(&started.run_id)))
}
