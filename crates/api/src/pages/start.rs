//! Starting a run from a browser.

use std::collections::BTreeSet;

use axum::extract::{Multipart, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use helve_ledger::Role;
use helve_toolbox::Toolbox;
use helve_web::form::{FieldError, Form, read as read_form};
use helve_web::pages::{KnownTarget, Start, StartForm, start as offer_page, start_form};
use helve_web::routes;

use super::visit::{Pairs, Visit, csrf};
use super::{catalog, html, multipart, to};
use crate::door::{SESSION_COOKIE, cookie};
use crate::extract::Path;
use crate::problem::Result;
use crate::quotas;
use crate::routes::start::{StartRun, first};
use crate::routes::{targets, workers};
use crate::state::Api;

/// Targets to choose from.
const TARGETS: usize = 100;

pub(super) async fn offer(State(api): State<Api>, visit: Visit) -> Result<Response> {
    visit.caller.require(Role::Analyst)?;
    let model = Start {
        workflows: catalog::rows(&api.toolbox.current()),
    };
    Ok(html(offer_page(&visit.frame, &model)))
}

pub(super) async fn form(
    State(api): State<Api>,
    visit: Visit,
    Path(workflow): Path<String>,
    query: Pairs,
) -> Result<Response> {
    visit.caller.require(Role::Analyst)?;
    let chosen = Some(query.get("target").to_owned()).filter(|chosen| !chosen.is_empty());
    let model = model(&api, &visit, &workflow, chosen).await?;
    Ok(html(start_form(&visit.frame, &model)))
}

async fn model(api: &Api, visit: &Visit, workflow: &str, chosen: Option<String>) -> Result<StartForm> {
    let toolbox = api.toolbox.current();
    let metadata = &toolbox.workflow(workflow)?.metadata;
    let known = targets::all(api, &visit.caller.namespace).await?;
    let known = known.into_iter().take(TARGETS).map(|target| KnownTarget {
        id: target.id,
        name: target.name,
        size: target.bytes,
        used: target.created_at.as_millisecond(),
    });
    Ok(StartForm {
        workflow: metadata.name.clone(),
        version: metadata.version.clone(),
        description: metadata.description.clone(),
        form: Form::from_schema(&metadata.parameters, &metadata.default_parameters),
        targets: known.collect(),
        chosen,
        upload_limit: quotas::upload_limit(api, &visit.caller.namespace).await?,
        problems: Vec::new(),
        warning: unserved(visit, &toolbox, workflow).await,
    })
}

/// Why nobody would take its work now.
async fn unserved(visit: &Visit, toolbox: &Toolbox, workflow: &str) -> Option<String> {
    let workers = workers::known(&visit.caller).await.ok()?;
    let served = |vertical: &str| workers.iter().any(|worker| worker.verticals.contains_key(vertical));
    let wanted = toolbox.workflow(workflow).ok()?.verticals();
    let missing: BTreeSet<&str> = wanted.filter(|vertical| !served(vertical)).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "No worker carries {}: the run will wait until one does.",
            missing.into_iter().collect::<Vec<_>>().join(", ")
        )
    })
}

pub(super) async fn start(
    State(api): State<Api>,
    visit: Visit,
    Path(workflow): Path<String>,
    headers: HeaderMap,
    form: Multipart,
) -> Result<Response> {
    visit.caller.require(Role::Analyst)?;
    let schema = {
        let toolbox = api.toolbox.current();
        toolbox.workflow(&workflow)?.metadata.parameters.clone()
    };
    let wanted = cookie(&headers, SESSION_COOKIE).map(csrf);
    let sent = multipart::read(&api, &visit.caller, wanted.as_deref(), form).await?;
    let known = sent.pairs.iter().find(|(name, _)| name == "target_id");
    let known = known.map(|(_, id)| id.clone()).filter(|id| !id.is_empty());
    let target = sent.target.map(|target| target.id).or(known);
    let (errors, problems) = match read_form(&schema, &sent.pairs) {
        Err(errors) => (errors, Vec::new()),
        Ok(parameters) => {
            let asked = StartRun {
                workflow: workflow.clone(),
                target: target.clone(),
                parameters,
                ..StartRun::default()
            };
            match first(&api, &visit.caller, asked, None).await {
                Ok(started) => return Ok(to(&routes::run(&started.run_id))),
                Err(problem) if problem.status == 422 => sorted(problem),
                Err(problem) => return Err(problem),
            }
        }
    };
    // What was uploaded need not be uploaded again.
    let mut model = model(&api, &visit, &workflow, target).await?;
    model.form = model.form.with_sent(&sent.pairs);
    let elsewhere = model.form.set_errors(errors);
    model.problems = problems;
    let elsewhere = elsewhere
        .into_iter()
        .map(|error| format!("{} {}", error.field, error.message));
    model.problems.extend(elsewhere);
    let mut response = html(start_form(&visit.frame, &model));
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(response)
}

/// What belongs to fields, and what does not.
fn sorted(problem: crate::problem::Problem) -> (Vec<FieldError>, Vec<String>) {
    if problem.errors.is_empty() {
        return (Vec::new(), vec![problem.detail]);
    }
    let errors = problem.errors.into_iter().map(|error| FieldError {
        field: error
            .field
            .strip_prefix("parameters.")
            .unwrap_or(&error.field)
            .to_owned(),
        message: error.message,
    });
    (errors.collect(), Vec::new())
}
