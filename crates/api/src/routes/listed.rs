//! The findings of many runs, with what was decided about them, in formats of other programs.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use helve_findings::export::{self, About};
use helve_findings::{
    Decision, Finding, ModuleReport, Notification, NotificationLevel, Report, Rule, Suppression, SuppressionKind,
};
use helve_ledger::{FindingDetail, Happened, PageRequest, Status, Triage};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::findings::FindingsQuery;
use super::results::{InFormat, download};
use crate::door::Caller;
use crate::extract::Query;
use crate::problem::{Problem, Result};
use crate::state::Api;

/// Findings of one file at most: all of them are in memory while it is written.
const MOST: usize = 20_000;
/// Findings that are read at once.
const PAGE: usize = 500;

/// Get the findings of many runs in a format of other programs, or as a page for people.
///
/// What people decided is in it: false positives and accepted risks are suppressed, with who decided and why. Findings that are
/// gone are left out, unless `status` asks for them. It is always sent as a download, and refused when there are too many
/// findings for one file: nothing is cut off silently.
#[utoipa::path(get, path = "/findings/export", tag = "Findings", params(crate::openapi::Namespace, FindingsQuery, InFormat),
    responses((status = 200, description = "The findings", content_type = "application/octet-stream")))]
pub(crate) async fn export(
    caller: Caller,
    State(api): State<Api>,
    Query(query): Query<FindingsQuery>,
    Query(asked): Query<InFormat>,
) -> Result<Response> {
    let format = asked.format()?;
    let mut filter = query.filter()?;
    if filter.statuses.is_empty() {
        filter.statuses = vec![Status::New, Status::StillThere, Status::Reopened];
    }
    let about = About {
        run_id: format!("findings of {}", caller.namespace),
        workflow: filter.workflow.clone().unwrap_or_default(),
        workflow_version: String::new(),
        status: String::new(),
        target: filter.target.clone(),
        finished_at: Some(Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
    };
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = PageRequest {
            cursor,
            limit: Some(PAGE),
        };
        let page = api
            .ledger
            .findings_in_full(&caller.namespace, filter.clone(), page)
            .await?;
        found.extend(page.items);
        if found.len() > MOST {
            return Err(Problem::unprocessable(format!(
                "more than {MOST} findings are too many for one file: ask for fewer, by target, severity or owner"
            )));
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let text = tokio::task::spawn_blocking(move || export::write(&report(found), format, &about)).await;
    let text = text.map_err(|error| Problem::internal("the findings cannot be written", error))?;
    Ok(download(&format!("findings.{}", format.extension()), format, text))
}

/// The findings as if one run had reported them.
fn report(found: Vec<FindingDetail>) -> Report {
    let mut modules: BTreeMap<String, (ModuleReport, BTreeMap<String, Rule>)> = BTreeMap::new();
    for detail in found {
        let module = detail.summary.module.clone();
        let fresh = || (ModuleReport::new(module.clone(), ""), BTreeMap::new());
        let (report, rules) = modules.entry(module.clone()).or_insert_with(fresh);
        if let Some(rule) = &detail.rule {
            rules.entry(rule.id.clone()).or_insert_with(|| rule.clone());
        }
        report.findings.push(decided(detail));
    }
    let modules = modules.into_values().map(|(mut report, rules)| {
        report.rules = rules.into_values().collect();
        report
    });
    let note = Notification {
        level: NotificationLevel::Note,
        message: "what is known of many runs; what a run could not look at stands in its own report".to_owned(),
        path: None,
    };
    Report {
        modules: modules.collect(),
        notifications: vec![note],
    }
}

/// The finding with what was decided about it.
fn decided(detail: FindingDetail) -> Finding {
    let decision = match detail.summary.triage {
        Triage::FalsePositive => Some(Decision::FalsePositive),
        Triage::AcceptedRisk => Some(Decision::AcceptedRisk),
        Triage::Open | Triage::Confirmed | Triage::Fixed => None,
    };
    let mut finding = detail.finding;
    let Some(decision) = decision else { return finding };
    // Newest first: the first decision is the one that holds.
    let made = detail.history.into_iter().find_map(|event| match event.what {
        Happened::Triaged { by, comment, .. } => Some((by.name, comment)),
        _ => None,
    });
    let (by, comment) = made.unzip();
    finding.suppressions.push(Suppression {
        kind: SuppressionKind::External,
        decision,
        reason: comment.filter(|comment| !comment.is_empty()),
        by,
        place: None,
        expires: detail.summary.accepted_until.and_then(|until| {
            let at = Timestamp::from_millisecond(until.millis()).ok()?;
            Some(at.to_zoned(TimeZone::UTC).date())
        }),
    });
    finding
}
