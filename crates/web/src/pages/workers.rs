//! Workers and the verticals they carry.

use maud::{Markup, html};

use crate::frame::{Area, Frame, Live, Page, document};
use crate::parts::{bar, cell, confirm, empty, icon, worker_badge};
use crate::routes::{self, actions};
use crate::text::{Plain, name, short};
use crate::time::{Millis, counted, number, when};
use crate::words::{Role, WorkerState};

/// Workers and verticals.
#[derive(Debug, Clone)]
pub struct Workers {
    /// The workers.
    pub workers: Vec<Worker>,
    /// The verticals.
    pub verticals: Vec<Vertical>,
}

/// One worker.
#[derive(Debug, Clone)]
pub struct Worker {
    /// Its id.
    pub id: String,
    /// The verticals it carries.
    pub verticals: Vec<String>,
    /// Tasks it has.
    pub slots_used: u64,
    /// Tasks it could have.
    pub slots: u64,
    /// The walls it puts around tools.
    pub sandbox: String,
    /// Whether it takes work.
    pub state: WorkerState,
}

/// A family of tools.
#[derive(Debug, Clone)]
pub struct Vertical {
    /// Its name.
    pub name: String,
    /// What it is for, in a sentence.
    pub description: String,
    /// Workers that carry it.
    pub workers: u64,
    /// Tasks that wait for one.
    pub waiting: u64,
    /// Since when the oldest of them waits.
    pub oldest: Option<Millis>,
    /// Its tools, as the workers found them.
    pub tools: Vec<Tool>,
}

/// A tool of a vertical.
#[derive(Debug, Clone)]
pub struct Tool {
    /// What it is called.
    pub name: String,
    /// Its version on the workers; none where it is missing.
    pub version: Option<String>,
}

/// Workers and verticals.
pub fn workers(frame: &Frame, model: &Workers) -> String {
    let body = html! {
        div #workers data-live {
            section.card.flush aria-labelledby="workers-title" {
                header.card-head { h2 #workers-title { "Workers" } }
                @if model.workers.is_empty() {
                    (empty("worker", "No workers", &html! {
                        p { "Runs wait until one connects. On a machine with the tools: " code { "helve worker --engine temporal://ADDRESS" } "." }
                    }))
                } @else { (table(frame, &model.workers)) }
            }
            section aria-labelledby="verticals-title" {
                h2.outside #verticals-title { "Verticals" }
                @if model.verticals.is_empty() { p.faint { "The toolbox has none." } }
                ul.choices {
                    @for vertical in &model.verticals { li.card { (shown(frame, vertical)) } }
                }
            }
        }
    };
    let page = Page {
        title: "Workers",
        area: Some(Area::Workers),
        lead: html! { p.lead { "A worker takes steps of runs. A vertical is a family of tools that it carries." } },
        live: Live::Every(10),
        body,
        ..Page::default()
    };
    document(frame, &page)
}

fn table(frame: &Frame, workers: &[Worker]) -> Markup {
    let may = frame.may(Role::Operator);
    html! {
        table.stack {
            thead {
                tr {
                    th scope="col" { "Worker" } th scope="col" { "State" } th scope="col" { "Slots" }
                    th scope="col" { "Verticals" } th scope="col" { "Sandbox" }
                    @if may { th scope="col" { span.unseen { "Actions" } } }
                }
            }
            tbody {
                @for worker in workers {
                    tr {
                        th.lead scope="row" { (name(&worker.id)) }
                        (cell("State", &worker_badge(worker.state)))
                        (cell("Slots", &html! {
                            span.with-bar {
                                span.nowrap { (number(worker.slots_used)) " of " (number(worker.slots)) }
                                (bar(worker.slots_used, worker.slots, &format!("{} of {} slots in use", worker.slots_used, worker.slots)))
                            }
                        }))
                        (cell("Verticals", &html! { span.tags { @for one in &worker.verticals { span.tag { (name(one)) } } } }))
                        (cell("Sandbox", &html! { (name(&worker.sandbox)) }))
                        @if may { td.end { @if worker.state == WorkerState::Ready { (drain(frame, worker)) } } }
                    }
                }
            }
        }
    }
}

fn drain(frame: &Frame, worker: &Worker) -> Markup {
    let form = html! {
        form method="post" action=(routes::action(actions::DRAIN, &worker.id)) {
            (frame.csrf())
            button.danger type="submit" { "Drain" span.unseen { " " (Plain(&worker.id)) } }
        }
    };
    html! {
        details.menu data-menu {
            summary.button aria-label={ "Actions for " (short(&worker.id, 120)) } { "…" }
            div.menu-body.menu-forms {
                (confirm("Drain", "It takes no new steps, ends those that it has, and leaves.", &form))
            }
        }
    }
}

fn shown(frame: &Frame, vertical: &Vertical) -> Markup {
    html! {
        h3 { (name(&vertical.name)) }
        p { (Plain(&vertical.description)) }
        ul.tools {
            @for tool in &vertical.tools {
                li class=(if tool.version.is_some() { "there" } else { "missing" }) {
                    (icon(if tool.version.is_some() { "check" } else { "dash" }))
                    (name(&tool.name)) " "
                    span.faint { @match &tool.version { Some(version) => (name(version)), None => "missing" } }
                }
            }
        }
        p.card-foot {
            @if vertical.workers == 0 {
                span.warn { (icon("alert")) "No worker" }
            } @else { span { (counted(vertical.workers, "worker", "workers")) } }
            @if vertical.waiting > 0 {
                span.faint {
                    (counted(vertical.waiting, "task waits", "tasks wait"))
                    @if let Some(oldest) = vertical.oldest { "; the oldest came " (when(frame.now, oldest)) }
                }
            }
        }
    }
}
