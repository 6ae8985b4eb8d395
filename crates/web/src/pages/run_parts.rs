//! Parts of the page of a run: steps, fuzzing, log, files, parameters.

use maud::{Markup, html};

use super::run::{Fuzzing, LogLevel, Run, Step, shown};
use crate::chart::line;
use crate::frame::Frame;
use crate::parts::{bar, cell, code, empty, facts, section, step_badge};
use crate::routes;
use crate::text::{Plain, message, name};
use crate::time::{bytes, clock, counted, full, length, number};

/// With more steps than this the table is folded, so that findings are not far below. A link to a step unfolds it.
const UNFOLDED: usize = 10;

/// The steps as a table: what the graph shows, and more.
pub(super) fn steps(frame: &Frame, steps: &[Step]) -> Markup {
    if steps.len() <= UNFOLDED {
        return table(frame, steps);
    }
    html! {
        details.fold {
            summary { "All " (number(steps.len() as u64)) " steps as a table" }
            (table(frame, steps))
        }
    }
}

fn table(frame: &Frame, steps: &[Step]) -> Markup {
    html! {
        table.stack.step-table {
            thead {
                tr {
                    th scope="col" { "Step" } th scope="col" { "State" } th scope="col" { "Findings" }
                    th scope="col" { "Took" } th scope="col" { "Worker" }
                }
            }
            tbody {
                @for (row, step) in steps.iter().enumerate() {
                    tr id={ "step-" (row) } {
                        th.lead scope="row" {
                            (name(&step.id))
                            @if step.module != step.id { span.under { (name(&step.module)) } }
                        }
                        (cell("State", &state(step)))
                        (cell("Findings", &found(step)))
                        (cell("Took", &took(frame, step)))
                        (cell("Worker", &html! {
                            @match &step.worker { Some(worker) => (name(worker)), None => span.faint.none { "–" } }
                            @if step.attempt > 1 { span.under.nowrap { "attempt " (step.attempt) } }
                        }))
                    }
                }
            }
        }
    }
}

fn state(step: &Step) -> Markup {
    html! {
        div.state {
            (step_badge(step.state))
            @if let Some(reason) = &step.reason { p.reason { (message(reason)) } }
            @if let Some((done, all)) = step.items {
                div.progress {
                    (bar(done, all, &format!("{done} of {all} items")))
                    span.faint { (number(done)) " of " (counted(all, "item", "items")) }
                }
            }
            @if let Some(progress) = &step.progress { (shown(progress)) }
        }
    }
}

fn found(step: &Step) -> Markup {
    html! { @if step.findings == 0 { span.faint { "0" } } @else { (number(step.findings)) } }
}

fn took(frame: &Frame, step: &Step) -> Markup {
    html! {
        @match step.started {
            Some(started) => span.nowrap { (length(step.ended.unwrap_or(frame.now).saturating_sub(started))) },
            None => span.faint.none { "–" },
        }
    }
}

pub(super) fn fuzzing(fuzzing: &Fuzzing) -> Markup {
    let body = html! {
        (facts(&[
            ("Crashes", html! { @if fuzzing.crashes > 0 { strong.sev-text-high { (number(fuzzing.crashes)) } } @else { "0" } }),
            ("Executions", html! { (number(fuzzing.executions)) }),
            ("Per second", html! { (number(fuzzing.per_second)) }),
            ("Edges reached", html! { (number(fuzzing.coverage)) }),
            ("Corpus", html! { (counted(fuzzing.corpus, "input", "inputs")) }),
        ]))
        div.two {
            @if !fuzzing.reached.is_empty() {
                div { h3 { "Edges reached" } (line("reached", "Edges reached", &fuzzing.reached)) }
            }
            @if !fuzzing.speed.is_empty() {
                div { h3 { "Executions per second" } (line("speed", "Executions per second", &fuzzing.speed)) }
            }
        }
    };
    section("fuzzing-title", "Fuzzing", &html! {}, &body)
}

pub(super) fn log(model: &Run) -> Markup {
    let body = if model.log.is_empty() {
        let text = if model.state.is_over() {
            "The steps wrote nothing."
        } else {
            "Lines appear here as steps write them."
        };
        empty("dots", "No lines", &html! { p { (text) } })
    } else {
        html! {
            @if model.log_before > 0 {
                p.faint.log-before { (counted(model.log_before, "earlier line is", "earlier lines are")) " not shown." }
            }
            div.log tabindex="0" role="region" aria-label="Lines of the log" data-tail {
                ol {
                    @for line in &model.log {
                        li class=(match line.level {
                            LogLevel::Info => "info",
                            LogLevel::Warning => "warning",
                            LogLevel::Error => "error",
                        }) {
                            time title=(full(line.at)) { (clock(line.at)) }
                            span.log-step { (name(&line.step)) }
                            span.log-text {
                                @match line.level {
                                    LogLevel::Info => {},
                                    LogLevel::Warning => span.log-level { "warning " },
                                    LogLevel::Error => span.log-level { "error " },
                                }
                                (Plain(&line.text))
                            }
                        }
                    }
                }
            }
        }
    };
    section("log-title", "Log", &html! {}, &body)
}

pub(super) fn artifacts(frame: &Frame, model: &Run) -> Markup {
    if model.artifacts.is_empty() {
        return html! {};
    }
    let body = html! {
        table.stack {
            thead { tr { th scope="col" { "File" } th scope="col" { "Type" } th scope="col" { "Size" } } }
            tbody {
                @for file in &model.artifacts {
                    tr {
                        th.lead scope="row" { a href=(routes::artifact(&frame.namespace, &model.id, &file.name, file.step.as_deref())) download { (name(&file.name)) }
                            @if let Some(step) = &file.step { span.under { (name(step)) } } }
                        (cell("Type", &html! { (name(&file.media_type)) }))
                        (cell("Size", &html! { (bytes(file.size)) }))
                    }
                }
            }
        }
    };
    section("files-title", "Files", &html! {}, &body)
}

pub(super) fn parameters(model: &Run) -> Markup {
    if model.parameters.is_empty() {
        return html! {};
    }
    let body = html! {
        dl.pairs {
            @for (label, value) in &model.parameters { div { dt { (name(label)) } dd { (code(value)) } } }
        }
    };
    section("parameters-title", "Parameters", &html! {}, &body)
}
