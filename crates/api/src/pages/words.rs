//! The words of the ledger and of runs, as the pages have them.

use std::collections::BTreeMap;

use helve_findings::{Confidence, Counts, Severity};
use helve_ledger::{FindingSummary, Role, Status, Triage};
use helve_runs::Listed;
use helve_web as web;
use helve_web::pages::{FindingRow, RunRow};
use jiff::Timestamp;

pub(super) fn role(role: Role) -> web::Role {
    match role {
        Role::Viewer => web::Role::Viewer,
        Role::Analyst => web::Role::Analyst,
        Role::Operator => web::Role::Operator,
        Role::Admin => web::Role::Admin,
        Role::Worker => web::Role::Worker,
    }
}

pub(super) fn severity(severity: Severity) -> web::Severity {
    web::Severity::from_name(severity.as_str()).unwrap_or(web::Severity::Note)
}

pub(super) fn confidence(confidence: Confidence) -> web::Confidence {
    web::Confidence::from_name(confidence.as_str()).unwrap_or(web::Confidence::Low)
}

pub(super) fn presence(status: Status) -> web::Presence {
    match status {
        Status::New => web::Presence::New,
        Status::StillThere => web::Presence::Present,
        Status::Reopened => web::Presence::Reopened,
        Status::Fixed => web::Presence::Fixed,
    }
}

pub(super) fn status(presence: web::Presence) -> Status {
    match presence {
        web::Presence::New => Status::New,
        web::Presence::Present => Status::StillThere,
        web::Presence::Reopened => Status::Reopened,
        web::Presence::Fixed => Status::Fixed,
    }
}

pub(super) fn triage(triage: Triage) -> web::Triage {
    match triage {
        Triage::Open => web::Triage::Open,
        Triage::Confirmed => web::Triage::Confirmed,
        Triage::FalsePositive => web::Triage::FalsePositive,
        Triage::AcceptedRisk => web::Triage::AcceptedRisk,
        Triage::Fixed => web::Triage::Fixed,
    }
}

pub(super) fn counts(counts: &Counts) -> web::SeverityCounts {
    let of = |severity| counts.get(&severity).copied().unwrap_or_default();
    web::SeverityCounts {
        critical: of(Severity::Critical),
        high: of(Severity::High),
        medium: of(Severity::Medium),
        low: of(Severity::Low),
        note: of(Severity::Note),
    }
}

/// As runs tell them, by the names of severities.
pub(super) fn named_counts(named: &BTreeMap<String, u64>) -> web::SeverityCounts {
    let of = |severity: Severity| named.get(severity.as_str()).copied().unwrap_or_default();
    counts(
        &Severity::ALL
            .iter()
            .map(|severity| (*severity, of(*severity)))
            .collect(),
    )
}

pub(super) fn run_state(status: &str) -> web::RunState {
    match status {
        "completed" => web::RunState::Completed,
        "failed" => web::RunState::Failed,
        "canceled" => web::RunState::Cancelled,
        "terminated" => web::RunState::Terminated,
        "timed_out" => web::RunState::TimedOut,
        _ => web::RunState::Running,
    }
}

/// As lists of runs are asked; none for what the engine does not tell apart.
pub(super) fn run_status(state: web::RunState) -> Option<&'static str> {
    Some(match state {
        web::RunState::Running => "running",
        web::RunState::Completed => "completed",
        web::RunState::Failed => "failed",
        web::RunState::Cancelled => "canceled",
        web::RunState::Terminated => "terminated",
        web::RunState::TimedOut => "timed_out",
        web::RunState::Inconclusive => return None,
    })
}

pub(super) fn millis(time: Option<Timestamp>) -> Option<web::Millis> {
    time.map(Timestamp::as_millisecond)
}

/// A run in a list; its findings as the index has them.
pub(super) fn run_row(run: Listed, found: &BTreeMap<String, web::SeverityCounts>) -> RunRow {
    RunRow {
        counts: found.get(&run.run_id).copied().unwrap_or_default(),
        state: run_state(run.status),
        started: millis(run.started).unwrap_or_default(),
        ended: millis(run.ended),
        by: run.started_by.unwrap_or_default(),
        id: run.run_id,
        workflow: run.workflow,
        target: run.target,
    }
}

pub(super) fn finding_row(finding: FindingSummary) -> FindingRow {
    FindingRow {
        id: finding.id,
        severity: severity(finding.severity),
        title: finding.rule_name,
        rule: finding.rule,
        message: finding.message,
        path: finding.path,
        line: finding.line,
        target: finding.target,
        presence: presence(finding.status),
        triage: triage(finding.triage),
        owner: finding.owner,
        first_seen: finding.first_seen.at.millis(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_pages_has_one_here() {
        for presence_ in web::Presence::ALL {
            assert_eq!(presence(status(*presence_)), *presence_);
        }
        for state in web::RunState::ALL {
            if let Some(status) = run_status(*state) {
                assert_eq!(run_state(status), *state);
            }
        }
        for one in web::Triage::ALL {
            assert_eq!(one.name().parse::<Triage>().map(triage).unwrap(), *one);
        }
        for one in web::Severity::ALL {
            assert_eq!(one.name().parse::<Severity>().map(severity).unwrap(), *one);
        }
    }

    #[test]
    fn the_pages_listen_to_the_events_that_there_are() {
        let described = crate::description().to_string();
        for name in web::routes::RUN_EVENTS {
            assert!(described.contains(name), "{name}");
        }
    }
}
