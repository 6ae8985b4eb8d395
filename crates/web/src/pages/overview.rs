//! The first page: what runs, what is open, what waits, who works.

use maud::{Markup, html};

use super::rows::{RunRow, run_table};
use crate::chart::{SeverityPoint, severities};
use crate::filter::FindingFilter;
use crate::frame::{Area, Frame, Live, Page, document};
use crate::parts::{bar, cell, empty, icon, section, severity_bar};
use crate::routes::pages;
use crate::text::name;
use crate::time::{Millis, counted, number, relative};
use crate::words::{Presence, Role, Severity, SeverityCounts};

/// The first page.
#[derive(Debug, Clone)]
pub struct Overview {
    /// Runs that are not over.
    pub running: u64,
    /// Runs of the last 24 hours that are over.
    pub ended_today: u64,
    /// Of these, those that failed.
    pub failed_today: u64,
    /// The last runs, the newest first; a handful.
    pub recent: Vec<RunRow>,
    /// Findings that are there and that nobody closed.
    pub open: SeverityCounts,
    /// Of these, those that appeared in the last seven days.
    pub new_this_week: u64,
    /// Open findings by day, in order of time.
    pub days: Vec<SeverityPoint>,
    /// Queues of work.
    pub queues: Vec<QueueRow>,
    /// Workers that take work.
    pub workers_ready: u64,
    /// Workers in all.
    pub workers: u64,
    /// Tasks that workers have now.
    pub slots_used: u64,
    /// Tasks that they could have.
    pub slots: u64,
}

/// A queue of work.
#[derive(Debug, Clone)]
pub struct QueueRow {
    /// What it is called: a vertical, or a queue of its own.
    pub name: String,
    /// Tasks that wait.
    pub depth: u64,
    /// Since when the oldest of them waits.
    pub oldest: Option<Millis>,
    /// Workers that poll it.
    pub workers: u64,
}

/// The first page.
pub fn overview(frame: &Frame, model: &Overview) -> String {
    let body = html! {
        div #overview data-live {
            @if model.recent.is_empty() { (first_steps(frame, model)) }
            (figures(model))
            @if model.days.iter().any(|point| point.counts.total() > 0) {
                (section("over-time", "Open findings over time", &html! {}, &severities("days", &model.days)))
            }
            @if !model.recent.is_empty() {
                (section("recent", "Recent runs", &html! { a.more href=(pages::RUNS) { "All runs" (icon("arrow")) } },
                    &run_table(frame, &model.recent)))
            }
            (section("queues", "Queues", &html! { a.more href=(pages::WORKERS) { "Workers" (icon("arrow")) } },
                &queues(frame, model)))
        }
    };
    let page = Page {
        title: "Overview",
        area: Some(Area::Overview),
        actions: start_button(frame),
        live: Live::Every(15),
        body,
        ..Page::default()
    };
    document(frame, &page)
}

/// The way to a new run, for those who may.
pub(super) fn start_button(frame: &Frame) -> Markup {
    html! {
        @if frame.may(Role::Analyst) { a.button.primary href=(pages::START) { (icon("run")) "Start a run" } }
    }
}

fn first_steps(frame: &Frame, model: &Overview) -> Markup {
    html! {
        section.card.first aria-labelledby="first" {
            h2 #first { "Nothing has run in " (name(&frame.namespace)) " yet" }
            ol.steps {
                li.done[model.workers_ready > 0] {
                    strong { "A worker" }
                    @if model.workers_ready > 0 {
                        p { (counted(model.workers_ready, "worker is", "workers are")) " ready." }
                    } @else {
                        p { "No worker is connected. " code { "helve up" } " brings one; " code { "helve worker" } " adds another." }
                    }
                }
                li {
                    strong { "A target" }
                    p { "An archive of source code, a package, a binary. From a shell: " code { "helve run assessment DIR" } "." }
                }
                li {
                    strong { "A run" }
                    p { "Its findings are kept and compared with those of later runs." }
                    (start_button(frame))
                }
            }
        }
    }
}

fn figures(model: &Overview) -> Markup {
    let urgent = model.open.critical.saturating_add(model.open.high);
    let open = FindingFilter::to_do();
    let new = FindingFilter {
        presence: vec![Presence::New],
        ..FindingFilter::to_do()
    };
    html! {
        ul.figures {
            li.card {
                a href=(open.href()) {
                    span.figure-label { "Open findings" }
                    span.figure { (number(model.open.total())) }
                    (severity_bar(&model.open))
                    span.figure-note {
                        @if urgent > 0 { strong.sev-text-high { (number(urgent)) " critical or high" } }
                        @else if model.open.total() == 0 { "Nothing to do" }
                        @else { "None critical or high" }
                    }
                }
            }
            li.card {
                a href=(new.href()) {
                    span.figure-label { "New this week" }
                    span.figure { (number(model.new_this_week)) }
                    span.figure-note { "appeared in the last 7 days" }
                }
            }
            li.card {
                a href=(pages::RUNS) {
                    span.figure-label { "Runs" }
                    span.figure { (number(model.running)) " " small { "running" } }
                    span.figure-note {
                        (number(model.ended_today)) " ended today"
                        @if model.failed_today > 0 { ", " strong.sev-text-high { (number(model.failed_today)) " failed" } }
                    }
                }
            }
            li.card {
                a href=(pages::WORKERS) {
                    span.figure-label { "Workers" }
                    span.figure { (number(model.workers_ready)) " " small { "of " (number(model.workers)) " ready" } }
                    (bar(model.slots_used, model.slots, &format!("{} of {} slots in use", model.slots_used, model.slots)))
                    span.figure-note { (number(model.slots_used)) " of " (counted(model.slots, "slot", "slots")) " in use" }
                }
            }
        }
    }
}

fn queues(frame: &Frame, model: &Overview) -> Markup {
    if model.queues.is_empty() {
        let text = html! { "A queue appears with the first worker that polls it." };
        return empty("worker", "No queues", &text);
    }
    let deepest = model.queues.iter().map(|queue| queue.depth).max().unwrap_or(0).max(1);
    html! {
        table.stack {
            thead {
                tr {
                    th scope="col" { "Queue" } th scope="col" { "Waiting" } th scope="col" { "Oldest" } th scope="col" { "Workers" }
                }
            }
            tbody {
                @for queue in &model.queues {
                    tr {
                        th.lead scope="row" { (name(&queue.name)) }
                        (cell("Waiting", &html! {
                            span.with-bar {
                                span.num { (number(queue.depth)) }
                                (bar(queue.depth, deepest, &counted(queue.depth, "task waits", "tasks wait")))
                            }
                        }))
                        (cell("Oldest", &html! {
                            @match queue.oldest {
                                Some(at) => (relative(frame.now, at)),
                                None => span.faint.none { "–" },
                            }
                        }))
                        (cell("Workers", &html! {
                            @if queue.workers == 0 && queue.depth > 0 {
                                strong.sev-text-high { "None: nobody takes this work" }
                            } @else { (number(queue.workers)) }
                        }))
                    }
                }
            }
        }
    }
}

/// Severities as links to the findings of one, for pages that show many.
pub(super) fn severity_links(counts: &SeverityCounts, of: &FindingFilter) -> Markup {
    html! {
        ul.severity-links {
            @for one in Severity::ALL {
                @let filter = FindingFilter { severities: vec![*one], ..of.clone() };
                li { a href=(filter.href()) { span class={ "sev sev-" (one.name()) } { (one.label()) } strong { (number(counts.of(*one))) } } }
            }
        }
    }
}
