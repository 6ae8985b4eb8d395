//! Schedules: runs that start by themselves.

use maud::{Markup, html};

use crate::frame::{Area, Frame, Page, document};
use crate::parts::{cell, code, confirm, empty, run_badge, section};
use crate::routes::{self, actions};
use crate::text::{Plain, name, short};
use crate::time::{Millis, when};
use crate::words::{Role, RunState};

/// Schedules.
#[derive(Debug, Clone)]
pub struct Schedules {
    /// In the order of what comes next.
    pub rows: Vec<Schedule>,
    /// Workflows to choose from.
    pub workflows: Vec<String>,
    /// Names of targets to choose from.
    pub targets: Vec<String>,
}

/// One schedule.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Its id.
    pub id: String,
    /// The workflow it starts.
    pub workflow: String,
    /// What the target is called.
    pub target: Option<String>,
    /// When it acts, as it was written.
    pub spec: String,
    /// What somebody wrote about it.
    pub note: Option<String>,
    /// When it acts next.
    pub next: Option<Millis>,
    /// The last run it started: id, state and time.
    pub last: Option<(String, RunState, Millis)>,
    /// Whether it acts at all.
    pub paused: bool,
}

/// Schedules.
pub fn schedules(frame: &Frame, model: &Schedules) -> String {
    let may = frame.may(Role::Operator);
    let body = html! {
        section.card.flush aria-label="Schedules" {
            @if model.rows.is_empty() {
                (empty("clock", "No schedules", &html! {
                    p { "A schedule starts a workflow again and again, such as every night, and compares what it finds." }
                    @if !may { p { "Your role may look only; an operator can make one." } }
                }))
            } @else { (table(frame, &model.rows, may)) }
        }
        @if may { (section("new-title", "New schedule", &html! {}, &new(frame, model))) }
    };
    let page = Page {
        title: "Schedules",
        area: Some(Area::Schedules),
        body,
        ..Page::default()
    };
    document(frame, &page)
}

fn table(frame: &Frame, rows: &[Schedule], may: bool) -> Markup {
    html! {
        table.stack {
            thead {
                tr {
                    th scope="col" { "Schedule" } th scope="col" { "Starts" } th scope="col" { "When" }
                    th scope="col" { "Next" } th scope="col" { "Last run" } th scope="col" { span.unseen { "Actions" } }
                }
            }
            tbody {
                @for row in rows {
                    tr {
                        th.lead scope="row" {
                            (name(&row.id))
                            @if let Some(note) = &row.note { span.message { (Plain(note)) } }
                        }
                        (cell("Starts", &html! {
                            a href=(routes::workflow(&row.workflow)) { (name(&row.workflow)) }
                            @if let Some(target) = &row.target { span.under { (name(target)) } }
                        }))
                        (cell("When", &code(&row.spec)))
                        (cell("Next", &html! {
                            @match (row.paused, row.next) {
                                (true, _) => span.tag { "Paused" },
                                (false, Some(at)) => (when(frame.now, at)),
                                (false, None) => span.faint { "never again" },
                            }
                        }))
                        (cell("Last run", &html! {
                            @match &row.last {
                                Some((id, state, at)) => { a href=(routes::run(id)) { (run_badge(*state)) } span.under { (when(frame.now, *at)) } },
                                None => span.faint { "none yet" },
                            }
                        }))
                        td.end { @if may { (buttons(frame, row)) } }
                    }
                }
            }
        }
    }
}

fn buttons(frame: &Frame, row: &Schedule) -> Markup {
    let action = routes::action(actions::SCHEDULE, &row.id);
    let form = |what: &str, label: &str, class: &str| {
        html! {
            form method="post" action=(action) {
                (frame.csrf())
                button class=(class) type="submit" name="do" value=(what) { (label) span.unseen { " " (Plain(&row.id)) } }
            }
        }
    };
    html! {
        details.menu data-menu {
            summary.button aria-label={ "Actions for " (short(&row.id, 120)) } { "…" }
            div.menu-body.menu-forms {
                (form("run", "Run now", ""))
                @if row.paused { (form("resume", "Resume", "")) } @else { (form("pause", "Pause", "")) }
                (confirm("Delete", "Runs that it started stay.", &form("delete", "Delete", "danger")))
            }
        }
    }
}

fn new(frame: &Frame, model: &Schedules) -> Markup {
    html! {
        form.fields.row method="post" action=(actions::SCHEDULE_NEW) {
            (frame.csrf())
            div.field {
                label for="schedule-id" { "Name" }
                input #schedule-id type="text" name="id" required maxlength="200" autocomplete="off" placeholder="nightly";
            }
            div.field {
                label for="schedule-workflow" { "Workflow" }
                select #schedule-workflow name="workflow" required {
                    @for workflow in &model.workflows { option value=(workflow) { (short(workflow, 60)) } }
                }
            }
            div.field {
                label for="schedule-target" { "Target" " " span.optional { "optional" } }
                select #schedule-target name="target" {
                    option value="" { "None" }
                    @for target in &model.targets { option value=(target) { (short(target, 60)) } }
                }
            }
            div.field {
                label for="schedule-cron" { "When" }
                input.mono #schedule-cron type="text" name="cron" required placeholder="0 2 * * *" autocomplete="off" aria-describedby="schedule-cron-help";
                p.help #schedule-cron-help { "Minute, hour, day, month, weekday; or " code { "@every 6h" } "." }
            }
            div.field {
                label for="schedule-zone" { "Time zone" }
                input #schedule-zone type="text" name="time_zone" value="UTC" autocomplete="off";
            }
            div.submit { button.primary type="submit" { "Create" } }
        }
    }
}
