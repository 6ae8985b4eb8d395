//! Rows that several pages list.

use maud::{Markup, html};

use crate::frame::Frame;
use crate::parts::{cell, counts, place, presence, run_badge, severity, triage};
use crate::routes;
use crate::text::{message, name, short};
use crate::time::{Millis, length, when};
use crate::words::{Presence, RunState, Severity, SeverityCounts, Triage};

/// A run in a list.
#[derive(Debug, Clone)]
pub struct RunRow {
    /// Its id.
    pub id: String,
    /// Its workflow.
    pub workflow: String,
    /// What the target is called; none for a run without one.
    pub target: Option<String>,
    /// Where it stands.
    pub state: RunState,
    /// When it began.
    pub started: Millis,
    /// When it ended.
    pub ended: Option<Millis>,
    /// What it found so far.
    pub counts: SeverityCounts,
    /// Who started it: a person, a token, a schedule.
    pub by: String,
}

/// A finding in a list.
#[derive(Debug, Clone)]
pub struct FindingRow {
    /// Its id.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// Short title of its rule.
    pub title: String,
    /// Id of its rule.
    pub rule: String,
    /// What is wrong here.
    pub message: String,
    /// The file, relative to the target.
    pub path: String,
    /// The first line.
    pub line: Option<u32>,
    /// What the target is called.
    pub target: String,
    /// New, still there, reopened, gone.
    pub presence: Presence,
    /// What people decided.
    pub triage: Triage,
    /// Who owns the file.
    pub owner: Option<String>,
    /// When it was found first.
    pub first_seen: Millis,
}

/// Runs as a table.
pub(crate) fn run_table(frame: &Frame, rows: &[RunRow]) -> Markup {
    html! {
        table.stack data-rows {
            thead {
                tr {
                    th scope="col" { "Target and run" }
                    th scope="col" { "Workflow" }
                    th scope="col" { "State" }
                    th scope="col" { "Findings" }
                    th scope="col" { "Started" }
                    th scope="col" { "Took" }
                }
            }
            tbody {
                @for row in rows {
                    tr {
                        th.lead scope="row" {
                            a.row-link href=(routes::run(&row.id)) {
                                @match &row.target {
                                    Some(target) => (name(target)),
                                    None => "No target",
                                }
                            }
                            span.under { (name(&row.id)) " · " (name(&row.by)) }
                        }
                        (cell("Workflow", &html! { (name(&row.workflow)) }))
                        (cell("State", &run_badge(row.state)))
                        (cell("Findings", &counts(&row.counts)))
                        (cell("Started", &html! { span.nowrap { (when(frame.now, row.started)) } }))
                        (cell("Took", &html! {
                            span.nowrap { (length(row.ended.unwrap_or(frame.now).saturating_sub(row.started))) }
                            @if row.ended.is_none() { span.under { "so far" } }
                        }))
                    }
                }
            }
        }
    }
}

/// Findings as a table. With `select`, each row can be chosen for the form of that id.
pub(crate) fn finding_table(frame: &Frame, rows: &[FindingRow], select: Option<&str>, with_target: bool) -> Markup {
    html! {
        table.stack.findings data-rows {
            thead {
                tr {
                    @if select.is_some() {
                        td.pick { input type="checkbox" data-pick-all aria-label="Select all on this page" hidden; }
                    }
                    th scope="col" { "Severity" }
                    th scope="col" { "Finding" }
                    @if with_target { th scope="col" { "Target" } }
                    th scope="col" { "State" }
                    th scope="col" { "First seen" }
                }
            }
            tbody {
                @for row in rows {
                    tr {
                        @if let Some(form) = select {
                            td.pick {
                                input type="checkbox" name="id" value=(row.id) form=(form) data-pick
                                    aria-label={ "Select: " (short(&row.title, 120)) ", " (short(&row.path, 200)) };
                            }
                        }
                        td.finding-severity { (severity(row.severity)) }
                        th.lead scope="row" {
                            a.row-link href=(routes::finding(&row.id)) { (name(&row.title)) }
                            span.message { (message(&row.message)) }
                            span.where { (place(&row.path, row.line)) " " span.rule { (name(&row.rule)) } }
                        }
                        @if with_target {
                            (cell("Target", &html! {
                                (name(&row.target))
                                @if let Some(owner) = &row.owner { span.under { (name(owner)) } }
                            }))
                        }
                        (cell("State", &html! { span.tags { (presence(row.presence)) (triage(row.triage)) } }))
                        (cell("First seen", &html! { span.nowrap { (when(frame.now, row.first_seen)) } }))
                    }
                }
            }
        }
    }
}
