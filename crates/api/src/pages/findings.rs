//! Findings: the list, one of them, and what people decide.

use axum::extract::State;
use axum::response::Response;
use helve_findings::Region;
use helve_ledger::{
    Cursor, FacetKind, FindingFilter, FindingOrder, Happened, PageRequest, Role, Time, TriageChange, Which,
};
use helve_web as web;
use helve_web::pages::{Decision, Facet, Finding, Findings, Mark, Reference, RunRow, Snippet, Twin, finding, findings};
use helve_web::routes;
use serde_json::Value;

use super::runs::indexed_counts;
use super::visit::{Pairs, Sent, Visit, query_pairs};
use super::{html, to, words};
use crate::extract::Path;
use crate::problem::{Problem, Result};
use crate::state::Api;

/// Findings of a page.
const PAGE: usize = 50;
/// Names of a kind to choose from.
const FACETS: usize = 200;

pub(super) async fn list(State(api): State<Api>, visit: Visit, query: Pairs) -> Result<Response> {
    let namespace = &visit.caller.namespace;
    let shown = web::FindingFilter::from_pairs(query.all());
    let request = PageRequest {
        cursor: query.cursor().map(Cursor::new),
        limit: Some(PAGE),
    };
    let order = match shown.order {
        web::Order::Severity => FindingOrder::Severity,
        web::Order::Newest => FindingOrder::Newest,
        web::Order::LastSeen => FindingOrder::LastSeen,
        web::Order::Path => FindingOrder::Path,
    };
    let further = request.cursor.is_some();
    let page = api
        .ledger
        .list_findings(namespace, asked(&shown), order, request)
        .await?;
    let target = Some(shown.target.as_str()).filter(|target| !target.is_empty());
    let all = api.ledger.overview(namespace, None).await?;
    let counts = match is_to_do(&shown) {
        true => Some(words::counts(&api.ledger.overview(namespace, target).await?.open)),
        false => None,
    };
    let model = Findings {
        any: all.total > 0,
        counts,
        rows: page.items.into_iter().map(words::finding_row).collect(),
        targets: facets(&api, namespace, FacetKind::Target).await?,
        rules: facets(&api, namespace, FacetKind::Rule).await?,
        modules: facets(&api, namespace, FacetKind::Module).await?,
        owners: facets(&api, namespace, FacetKind::Owner).await?,
        further,
        next: page.next_cursor.map(|cursor| cursor.as_str().to_owned()),
        filter: shown,
    };
    Ok(html(findings(&visit.frame, &model)))
}

async fn facets(api: &Api, namespace: &str, kind: FacetKind) -> Result<Vec<Facet>> {
    let facets = api.ledger.facets(namespace, kind).await?;
    let facets = facets.into_iter().take(FACETS).map(|facet| Facet {
        value: facet.name,
        count: facet.findings,
    });
    Ok(facets.collect())
}

/// Whether it shows what is to be done, of all or of a target: the ledger counts these.
fn is_to_do(filter: &web::FindingFilter) -> bool {
    let without = web::FindingFilter {
        severities: Vec::new(),
        order: web::Order::Severity,
        target: String::new(),
        ..filter.clone()
    };
    without == web::FindingFilter::to_do()
}

/// As the ledger is asked.
fn asked(filter: &web::FindingFilter) -> FindingFilter {
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    FindingFilter {
        severities: filter
            .severities
            .iter()
            .filter_map(|one| one.name().parse().ok())
            .collect(),
        statuses: filter.presence.iter().map(|one| words::status(*one)).collect(),
        triages: filter.triage.iter().filter_map(|one| one.name().parse().ok()).collect(),
        // What the target itself leaves out is nothing to do.
        is_suppressed: is_to_do(filter).then_some(false),
        rule: some(&filter.rule),
        module: some(&filter.module),
        target: some(&filter.target),
        owner: some(&filter.owner),
        text: some(&filter.text),
        ..FindingFilter::default()
    }
}

pub(super) async fn show(State(api): State<Api>, visit: Visit, Path(id): Path<String>) -> Result<Response> {
    let namespace = &visit.caller.namespace;
    let detail = api.ledger.finding(namespace, &id).await?;
    let (summary, found, rule) = (detail.summary, detail.finding, detail.rule);
    let counts = indexed_counts(&api, namespace).await?;
    let mut runs = Vec::new();
    for seen in [&summary.last_seen, &summary.first_seen] {
        if runs.iter().any(|run: &RunRow| run.id == seen.run_id) {
            continue;
        }
        // Runs are forgotten before findings are.
        if let Ok(described) = visit.caller.client.describe(&seen.run_id).await
            && let Some(info) = described.workflow_execution_info
        {
            runs.push(words::run_row(helve_runs::listed(info), &counts));
        }
    }
    let remediation = found.remediation.clone();
    let model = Finding {
        severity: words::severity(summary.severity),
        confidence: words::confidence(summary.confidence),
        title: summary.rule_name,
        rule: summary.rule,
        module: summary.module,
        message: found.message.clone(),
        target: summary.target,
        path: summary.path,
        line: summary.line,
        snippet: found
            .location
            .snippet
            .as_ref()
            .map(|text| snippet(text, found.location.region)),
        flow: Vec::new(),
        about: rule.as_ref().map(|rule| rule.description.clone()).unwrap_or_default(),
        remediation: remediation
            .or_else(|| rule.as_ref().map(|rule| rule.remediation.clone()))
            .unwrap_or_default(),
        cwe: rule
            .iter()
            .flat_map(|rule| &rule.cwe)
            .map(|number| (*number, String::new()))
            .collect(),
        references: rule
            .iter()
            .flat_map(|rule| &rule.references)
            .map(|address| Reference {
                address: address.clone(),
            })
            .collect(),
        tags: rule.as_ref().map(|rule| rule.tags.clone()).unwrap_or_default(),
        properties: found
            .properties
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        twins: found
            .duplicates
            .iter()
            .map(|twin| Twin {
                rule: twin.rule_id.clone(),
                module: twin.module.clone(),
                message: twin.message.clone(),
            })
            .collect(),
        presence: words::presence(summary.status),
        triage: words::triage(summary.triage),
        accepted_until: summary.accepted_until.map(Time::millis),
        suppressed: detail.suppression.map(|suppression| match suppression.reason {
            Some(reason) => format!("{}: {reason}", suppression.by),
            None => suppression.by.to_string(),
        }),
        owner: summary.owner,
        first_seen: summary.first_seen.at.millis(),
        last_seen: summary.last_seen.at.millis(),
        fingerprint: summary.fingerprint,
        history: detail
            .history
            .into_iter()
            .map(|event| decision(event.at, event.what))
            .collect(),
        runs,
        id: summary.id,
    };
    Ok(html(finding(&visit.frame, &model)))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// The snippet is the text of the region, whose first line it begins.
fn snippet(text: &str, region: Option<Region>) -> Snippet {
    Snippet {
        first: region.map_or(1, |region| region.start_line),
        lines: text.lines().map(str::to_owned).collect(),
        mark: region.map(|region| Mark {
            start_line: region.start_line,
            start_column: region.start_column,
            end_line: region.end_line,
            end_column: region.end_column,
        }),
    }
}

fn decision(at: Time, what: Happened) -> Decision {
    let of_run = |run_id: String, what: &str| (run_id, what.to_owned(), None);
    let (by, what, comment) = match what {
        Happened::New { run_id } => of_run(run_id, "New"),
        Happened::Fixed { run_id } => of_run(run_id, "Gone"),
        Happened::Reopened { run_id } => of_run(run_id, "Reopened"),
        Happened::SeverityChanged { run_id, from, to } => (run_id, format!("Severity {from} → {to}"), None),
        Happened::SuppressionChanged { run_id, suppressed } => match suppressed {
            Some(by) => (run_id, format!("Suppressed ({by})"), None),
            None => of_run(run_id, "Not suppressed any more"),
        },
        Happened::Triaged {
            by,
            from,
            to,
            until,
            comment,
        } => {
            let label = |triage| words::triage(triage).label();
            let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
            let what = format!("{} → {}{until}", label(from), label(to));
            (by.name, what, Some(comment).filter(|comment| !comment.is_empty()))
        }
        Happened::Commented { by, comment } => (by.name, "Comment".to_owned(), Some(comment)),
        Happened::AcceptanceExpired => ("Helve".to_owned(), "The accepted risk ended".to_owned(), None),
    };
    Decision {
        at: at.millis(),
        by,
        what,
        comment,
    }
}

/// What a form decided.
fn change(sent: &Sent) -> Result<TriageChange> {
    let state = match sent.get("state") {
        "" => None,
        state => Some(state.parse()?),
    };
    let until = match sent.get("expires") {
        "" => None,
        // The day is part of the time.
        day => Some(
            format!("{day}T23:59:59Z")
                .parse()
                .map_err(|_| Problem::unprocessable("the day cannot be read: write it as 2026-11-22"))?,
        ),
    };
    Ok(TriageChange {
        // A day belongs to an accepted risk only.
        until: until.filter(|_| state == Some(helve_ledger::Triage::AcceptedRisk)),
        state,
        comment: sent.get("comment").to_owned(),
    })
}

pub(super) async fn triage(
    State(api): State<Api>,
    visit: Visit,
    Path(id): Path<String>,
    sent: Sent,
) -> Result<Response> {
    let caller = &visit.caller;
    caller.require(Role::Analyst)?;
    let actor = &caller.principal.actor;
    api.ledger
        .triage(actor, &caller.namespace, &id, None, change(&sent)?)
        .await?;
    Ok(to(&routes::finding(&id)))
}

pub(super) async fn triage_many(State(api): State<Api>, visit: Visit, sent: Sent) -> Result<Response> {
    let caller = &visit.caller;
    caller.require(Role::Analyst)?;
    let change = change(&sent)?;
    let which = match sent.get("all") {
        "" => Which::Ids(sent.all("id").map(str::to_owned).collect()),
        _ => {
            let filter = query_pairs(sent.get("filter"));
            Which::Filter(asked(&web::FindingFilter::from_pairs(filter.all())))
        }
    };
    if matches!(&which, Which::Ids(ids) if ids.is_empty()) {
        return Err(Problem::unprocessable("no finding was selected"));
    }
    let actor = &caller.principal.actor;
    loop {
        let outcome = api
            .ledger
            .triage_many(actor, &caller.namespace, which.clone(), change.clone())
            .await?;
        if !outcome.is_more || outcome.changed == 0 {
            return Ok(to(routes::back_to(sent.get("next"))));
        }
    }
}
