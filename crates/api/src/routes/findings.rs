//! Findings over all runs of a target, and what people decide about them.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use helve_findings::Severity;
use helve_ledger::{
    FacetKind, FindingFilter, FindingOrder, Role, Status, Time, TimeRange, Triage, TriageChange, Which,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::door::Caller;
use crate::extract::{Json, Path, Query, Reply, created, encoded, tagged};
use crate::ingest;
use crate::page::{Page, Paging};
use crate::problem::{FieldError, Problem, Result, shown};
use crate::state::Api;

/// Which findings. All that is given must hold; of a list with commas, one of it.
#[derive(Debug, Default, Clone, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(crate) struct FindingsQuery {
    /// `critical`, `high`, `medium`, `low`, `note`.
    severity: Option<String>,
    /// What the runs say: `new`, `still_there`, `fixed`, `reopened`.
    status: Option<String>,
    /// What people say: `open`, `confirmed`, `false_positive`, `accepted_risk`, `fixed`.
    triage: Option<String>,
    /// Whether the target itself says to leave it out.
    suppressed: Option<bool>,
    /// Id of the rule.
    rule: Option<String>,
    /// The module that reported it last.
    module: Option<String>,
    /// Name of the target.
    target: Option<String>,
    /// The workflow that saw it last.
    workflow: Option<String>,
    /// Who is to look after it.
    owner: Option<String>,
    /// How the path begins.
    path: Option<String>,
    /// Words that all occur in message, rule, path or snippet; a `"quoted phrase"`; `word*` for a beginning.
    q: Option<String>,
    /// First seen then or later.
    #[param(value_type = Option<String>, format = DateTime)]
    #[schema(value_type = Option<String>, format = DateTime)]
    first_seen_since: Option<Time>,
    /// Last seen then or later.
    #[param(value_type = Option<String>, format = DateTime)]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen_since: Option<Time>,
}

impl FindingsQuery {
    pub(crate) fn filter(self) -> Result<FindingFilter> {
        Ok(FindingFilter {
            severities: several("severity", self.severity, |text| {
                text.parse::<Severity>().map_err(|error| error.to_string())
            })?,
            statuses: several("status", self.status, |text| {
                text.parse::<Status>().map_err(|error| error.to_string())
            })?,
            triages: several("triage", self.triage, |text| {
                text.parse::<Triage>().map_err(|error| error.to_string())
            })?,
            is_suppressed: self.suppressed,
            rule: self.rule,
            module: self.module,
            target: self.target,
            workflow: self.workflow,
            owner: self.owner,
            path_prefix: self.path,
            first_seen: since(self.first_seen_since),
            last_seen: since(self.last_seen_since),
            text: self.q,
        })
    }
}

fn since(since: Option<Time>) -> TimeRange {
    TimeRange { since, until: None }
}

fn several<T>(
    field: &str,
    text: Option<String>,
    parse: impl Fn(&str) -> std::result::Result<T, String>,
) -> Result<Vec<T>> {
    let text = text.unwrap_or_default();
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let parsed: std::result::Result<Vec<T>, String> = parts.map(parse).collect();
    parsed.map_err(|message| {
        Problem::unprocessable("a filter is wrong").with_errors([FieldError {
            field: field.to_owned(),
            message,
        }])
    })
}

/// The order of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrderQuery {
    /// `severity` (worst first; the default), `newest`, `last_seen` or `path`.
    order: Option<String>,
}

/// List findings.
#[utoipa::path(get, path = "/findings", tag = "Findings", params(crate::openapi::Namespace, FindingsQuery, OrderQuery, Paging),
    responses((status = 200, description = "Findings", body = crate::openapi::Listing)))]
pub(crate) async fn list(
    caller: Caller,
    State(api): State<Api>,
    Query(query): Query<FindingsQuery>,
    Query(order): Query<OrderQuery>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    let order = match order.order.as_deref() {
        None | Some("severity") => FindingOrder::Severity,
        Some("newest") => FindingOrder::Newest,
        Some("last_seen") => FindingOrder::LastSeen,
        Some("path") => FindingOrder::Path,
        Some(other) => {
            return Err(Problem::unprocessable(format!(
                "findings have no order `{}`: use severity, newest, last_seen or path",
                shown(other)
            )));
        }
    };
    let page = api
        .ledger
        .list_findings(&caller.namespace, query.filter()?, order, paging.request())
        .await?;
    tagged(&headers, &Page::from(page))
}

/// Show a finding: where it is, what to do about it, and what happened to it.
#[utoipa::path(get, path = "/findings/{id}", tag = "Findings",
    params(("id" = String, Path, description = "The finding"), crate::openapi::Namespace),
    responses((status = 200, description = "The finding", body = Object)))]
pub(crate) async fn show(
    caller: Caller,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    tagged(&headers, &api.ledger.finding(&caller.namespace, &id).await?)
}

/// What somebody decides about a finding.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decision {
    /// `open`, `confirmed`, `false_positive`, `accepted_risk` or `fixed`; only a comment when nothing is said.
    #[serde(default)]
    state: Option<String>,
    /// When an accepted risk ends; then the finding is open again.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Time>,
    /// Why.
    #[serde(default)]
    comment: String,
    /// Only if the finding still has this version.
    #[serde(default)]
    version: Option<i64>,
}

impl Decision {
    fn change(self) -> Result<TriageChange> {
        let state = self.state.as_deref().map(str::parse::<Triage>).transpose();
        Ok(TriageChange {
            state: state.map_err(|error| {
                Problem::unprocessable("there is no such state").with_errors([FieldError {
                    field: "state".to_owned(),
                    message: error.to_string(),
                }])
            })?,
            until: self.until,
            comment: self.comment,
        })
    }
}

/// Decide about a finding, or comment on it.
#[utoipa::path(post, path = "/findings/{id}/triage", tag = "Findings",
    params(("id" = String, Path, description = "The finding"), crate::openapi::Namespace), request_body = Decision,
    responses((status = 200, description = "The finding as it is now", body = Object)))]
pub(crate) async fn triage(
    caller: Caller,
    State(api): State<Api>,
    Path(id): Path<String>,
    Json(decision): Json<Decision>,
) -> Result<Reply<helve_ledger::FindingSummary>> {
    caller.require(Role::Analyst)?;
    let (version, change) = (decision.version, decision.change()?);
    let actor = &caller.principal.actor;
    let summary = api
        .ledger
        .triage(actor, &caller.namespace, &id, version, change)
        .await?;
    Ok(Reply(summary))
}

/// What somebody decides about many findings. Either `ids` or `filter`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkDecision {
    /// These findings.
    #[serde(default)]
    ids: Option<Vec<String>>,
    /// Or all that fit.
    #[serde(default)]
    filter: Option<FindingsQuery>,
    /// As for one finding.
    #[serde(default)]
    state: Option<String>,
    /// When accepted risks end.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Time>,
    /// Why.
    #[serde(default)]
    comment: String,
}

/// Decide about many findings at once. When `is_more` is true, ask again: so many are changed at a time.
#[utoipa::path(post, path = "/findings/triage", tag = "Findings", params(crate::openapi::Namespace), request_body = BulkDecision,
    responses((status = 200, description = "How many were changed", body = Object)))]
pub(crate) async fn triage_many(
    caller: Caller,
    State(api): State<Api>,
    Json(bulk): Json<BulkDecision>,
) -> Result<Reply<helve_ledger::BulkOutcome>> {
    caller.require(Role::Analyst)?;
    let which = match (bulk.ids, bulk.filter) {
        (Some(ids), None) => Which::Ids(ids),
        (None, Some(query)) => Which::Filter(query.filter()?),
        _ => return Err(Problem::unprocessable("name the findings by either `ids` or `filter`")),
    };
    let decision = Decision {
        state: bulk.state,
        until: bulk.until,
        comment: bulk.comment,
        version: None,
    };
    let actor = &caller.principal.actor;
    let outcome = api
        .ledger
        .triage_many(actor, &caller.namespace, which, decision.change()?)
        .await?;
    Ok(Reply(outcome))
}

/// Of which target, and when.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OverviewQuery {
    /// Name of the target; all of the namespace when nothing is said.
    target: Option<String>,
    /// Not before this day.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Time>,
    /// Before this day.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Time>,
}

/// How the findings stand, and how they stood on each day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OverviewView {
    /// Now: those to be done by severity, and all by status and triage.
    #[schema(value_type = Object)]
    now: helve_ledger::Overview,
    /// Each day: to be done at its end, opened and closed on it.
    #[schema(value_type = Vec<Object>)]
    days: Vec<helve_ledger::DayCounts>,
}

/// Show how the findings stand, and how they stood on each day.
#[utoipa::path(get, path = "/findings/overview", tag = "Findings", params(crate::openapi::Namespace, OverviewQuery),
    responses((status = 200, description = "Counts", body = OverviewView)))]
pub(crate) async fn overview(
    caller: Caller,
    State(api): State<Api>,
    Query(query): Query<OverviewQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let target = query.target.as_deref();
    let range = TimeRange {
        since: query.since,
        until: query.until,
    };
    let view = OverviewView {
        now: api.ledger.overview(&caller.namespace, target).await?,
        days: api.ledger.severity_over_time(&caller.namespace, target, range).await?,
    };
    tagged(&headers, &view)
}

/// List the names that findings have, with how many have each.
#[utoipa::path(get, path = "/findings/facets/{kind}", tag = "Findings",
    params(("kind" = String, Path, description = "`target`, `rule`, `module`, `workflow` or `owner`"), crate::openapi::Namespace, Paging),
    responses((status = 200, description = "Names", body = crate::openapi::Listing)))]
pub(crate) async fn facets(
    caller: Caller,
    State(api): State<Api>,
    Path(kind): Path<String>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    let kind = match kind.as_str() {
        "target" => FacetKind::Target,
        "rule" => FacetKind::Rule,
        "module" => FacetKind::Module,
        "workflow" => FacetKind::Workflow,
        "owner" => FacetKind::Owner,
        other => {
            return Err(Problem::not_found(format!(
                "findings have no names of kind `{}`",
                shown(other)
            )));
        }
    };
    let facets = api.ledger.facets(&caller.namespace, kind).await?;
    tagged(&headers, &paging.cut(facets, |facet| facet.name.clone())?)
}

/// The older one.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffQuery {
    /// Id of an earlier run.
    run: Option<String>,
    /// Or the name of a baseline.
    baseline: Option<String>,
}

/// Compare a run with an earlier one, or with a baseline: what is new, what is gone. Either `run` or `baseline`.
#[utoipa::path(get, path = "/runs/{run_id}/diff", tag = "Findings",
    params(("run_id" = String, Path, description = "The newer run"), crate::openapi::Namespace, DiffQuery),
    responses((status = 200, description = "The difference", body = Object)))]
pub(crate) async fn diff(
    caller: Caller,
    State(api): State<Api>,
    Path(run_id): Path<String>,
    Query(query): Query<DiffQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let diff = match (&query.run, &query.baseline) {
        (Some(old), None) => {
            let question = || api.ledger.diff_runs(&caller.namespace, old, &run_id);
            ingest::ask(api.shared(), &caller.namespace, question).await?
        }
        (None, Some(baseline)) => {
            let question = || api.ledger.diff_with_baseline(&caller.namespace, baseline, &run_id);
            ingest::ask(api.shared(), &caller.namespace, question).await?
        }
        _ => {
            return Err(Problem::unprocessable(
                "name either an earlier `run` or a `baseline` to compare with",
            ));
        }
    };
    tagged(&headers, &diff)
}

/// A baseline that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedBaseline {
    /// Its name.
    name: String,
    /// The run whose findings it is.
    run_id: String,
}

/// List the baselines of a namespace.
#[utoipa::path(get, path = "/baselines", tag = "Findings", params(crate::openapi::Namespace, Paging),
    responses((status = 200, description = "Baselines", body = crate::openapi::Listing)))]
pub(crate) async fn baselines(
    caller: Caller,
    State(api): State<Api>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    let baselines = api.ledger.baselines(&caller.namespace).await?;
    tagged(&headers, &paging.cut(baselines, |baseline| baseline.name.clone())?)
}

/// Give the findings of a run a name, to compare later runs with.
#[utoipa::path(post, path = "/baselines", tag = "Findings", params(crate::openapi::Namespace), request_body = WantedBaseline,
    responses((status = 201, description = "The baseline", body = Object)))]
pub(crate) async fn make_baseline(
    caller: Caller,
    State(api): State<Api>,
    Json(wanted): Json<WantedBaseline>,
) -> Result<Response> {
    caller.require(Role::Analyst)?;
    let actor = &caller.principal.actor;
    let wish = || {
        api.ledger
            .create_baseline(actor, &caller.namespace, &wanted.name, &wanted.run_id)
    };
    let made = ingest::ask(api.shared(), &caller.namespace, wish).await?;
    let location = format!(
        "/api/v1/baselines/{}?namespace={}",
        encoded(&wanted.name),
        encoded(&caller.namespace)
    );
    created(&location, &made)
}

/// Remove a baseline.
#[utoipa::path(delete, path = "/baselines/{name}", tag = "Findings",
    params(("name" = String, Path, description = "The baseline"), crate::openapi::Namespace),
    responses((status = 204, description = "It is gone")))]
pub(crate) async fn remove_baseline(
    caller: Caller,
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<axum::http::StatusCode> {
    caller.require(Role::Analyst)?;
    let actor = &caller.principal.actor;
    api.ledger.delete_baseline(actor, &caller.namespace, &name).await?;
    Ok(axum::http::StatusCode::NO_CONTENT)
}
