//! The page of a run.

use maud::{Markup, html};

use super::rows::{FindingRow, finding_table};
use super::run_parts::{artifacts, fuzzing, log, parameters, steps};
use crate::chart::{LinePoint, Node, graph};
use crate::filter::FindingFilter;
use crate::frame::{Area, Frame, Live, Page, document};
use crate::parts::{bar, code, confirm, counts, empty, export_menu, facts, icon, run_badge, section};
use crate::routes::{self, actions, pages};
use crate::text::{Plain, message, name, short};
use crate::time::{Millis, counted, length, number, when};
use crate::words::{Role, RunState, SeverityCounts, StepState};

/// The page of a run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// Its workflow.
    pub workflow: String,
    /// The version of its workflow.
    pub version: String,
    /// What the target is called; none for a run without one.
    pub target: Option<String>,
    /// Id of the target's content.
    pub target_id: Option<String>,
    /// Where it stands.
    pub state: RunState,
    /// When it began.
    pub started: Millis,
    /// When it ended.
    pub ended: Option<Millis>,
    /// Who started it.
    pub by: String,
    /// Why it failed.
    pub failure: Option<String>,
    /// What a workflow that is code says about its progress.
    pub progress: Option<Progress>,
    /// Its steps in order.
    pub steps: Vec<Step>,
    /// What it found so far.
    pub counts: SeverityCounts,
    /// The worst of these.
    pub findings: Vec<FindingRow>,
    /// What a fuzzer says.
    pub fuzzing: Option<Fuzzing>,
    /// The last lines, in order of time.
    pub log: Vec<LogLine>,
    /// How many lines there were before these.
    pub log_before: u64,
    /// What it left.
    pub artifacts: Vec<Artifact>,
    /// What it was started with: name and value, secrets already replaced.
    pub parameters: Vec<(String, String)>,
    /// What else a reader has to know.
    pub notes: Vec<String>,
}

/// One step of a run.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its id in the plan.
    pub id: String,
    /// The module it uses.
    pub module: String,
    /// Ids of the steps before it.
    pub needs: Vec<String>,
    /// Where it stands.
    pub state: StepState,
    /// Why it failed, was skipped, or could not look at everything.
    pub reason: Option<String>,
    /// How many findings it reported.
    pub findings: u64,
    /// For a step over a list: how many of its items are done, and how many there are.
    pub items: Option<(u64, u64)>,
    /// What it says about its progress.
    pub progress: Option<Progress>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When it began.
    pub started: Option<Millis>,
    /// When it ended.
    pub ended: Option<Millis>,
    /// The worker that has or had it.
    pub worker: Option<String>,
}

/// How far something is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// In words.
    pub text: String,
    /// How much is done.
    pub done: u64,
    /// Of how much; 0 when nobody knows.
    pub total: u64,
}

/// What a fuzzer says.
#[derive(Debug, Clone)]
pub struct Fuzzing {
    /// Inputs tried.
    pub executions: u64,
    /// Tried in a second, lately.
    pub per_second: u64,
    /// Inputs that are kept.
    pub corpus: u64,
    /// Edges of the program that were reached.
    pub coverage: u64,
    /// Crashes, each different one once.
    pub crashes: u64,
    /// Executions per second over time.
    pub speed: Vec<LinePoint>,
    /// Coverage over time.
    pub reached: Vec<LinePoint>,
}

/// A line that a step wrote.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// When.
    pub at: Millis,
    /// Which step.
    pub step: String,
    /// How serious.
    pub level: LogLevel,
    /// The line.
    pub text: String,
}

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Good to know.
    Info,
    /// Something is not as it should be.
    Warning,
    /// Something failed.
    Error,
}

/// A file that a run left.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// The step that left it; none for what the run itself left.
    pub step: Option<String>,
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
}

/// The page of a run. Without the script, a reload shows how it stands.
pub fn run(frame: &Frame, model: &Run) -> String {
    let heading = match &model.target {
        Some(target) => target.as_str(),
        None => model.workflow.as_str(),
    };
    let title = short(heading, 60);
    let body = html! {
        div.run #run data-live { (top(frame, model)) }
        div #run-graph data-live {
            @if !model.steps.is_empty() {
                section.card aria-labelledby="graph-title" {
                    header.card-head { h2 #graph-title { "Steps" } span.faint { (tally(&model.steps)) } }
                    (graph("Graph of the steps", &nodes(&model.steps)))
                    (steps(frame, &model.steps))
                }
            }
        }
        @if let Some(fuzzer) = &model.fuzzing { div #run-fuzzing data-live { (fuzzing(fuzzer)) } }
        div #run-findings data-live { (found(frame, model)) }
        div #run-log data-live { (log(model)) }
        (artifacts(frame, model))
        (parameters(model))
    };
    let page = Page {
        title: &title,
        area: Some(Area::Runs),
        above: &[("Runs", pages::RUNS)],
        heading: Some(html! { (name(heading)) }),
        lead: html! { p.lead.run-id { (code(&model.id)) } },
        actions: html! { div.buttons #run-actions data-live { (buttons(frame, model)) } },
        live: if model.state.is_over() {
            Live::Still
        } else {
            Live::Events(routes::events(&frame.namespace, &model.id))
        },
        body,
        ..Page::default()
    };
    document(frame, &page)
}

fn top(frame: &Frame, model: &Run) -> Markup {
    let took = model.ended.unwrap_or(frame.now).saturating_sub(model.started);
    let mut list = vec![
        ("State", html! { span role="status" { (run_badge(model.state)) } }),
        (
            "Workflow",
            html! { a href=(routes::workflow(&model.workflow)) { (name(&model.workflow)) } " " span.faint { (Plain(&model.version)) } },
        ),
        (
            "Started",
            html! { (when(frame.now, model.started)) " " span.faint { "by " (name(&model.by)) } },
        ),
        (
            if model.ended.is_some() { "Took" } else { "So far" },
            html! { (length(took)) },
        ),
        ("Findings", counts(&model.counts)),
    ];
    if let Some(id) = &model.target_id {
        list.push(("Content", html! { code title=(short(id, 130)) { (short(id, 13)) } }));
    }
    html! {
        section.card aria-label="The run" {
            (facts(&list))
            @if let Some(progress) = &model.progress { (shown(progress)) }
            @if let Some(failure) = &model.failure {
                div.notice.bad { (icon("alert")) p { (message(failure)) } }
            }
            @if model.state == RunState::Inconclusive {
                div.notice.warn {
                    (icon("alert"))
                    p { "Something was not looked at: what was not found may still be there. The steps below say why." }
                }
            }
            @if !model.notes.is_empty() { ul.notes { @for note in &model.notes { li { (message(note)) } } } }
        }
    }
}

/// How far something is: a bar where the end is known, and the words.
pub(super) fn shown(progress: &Progress) -> Markup {
    html! {
        div.progress {
            @if progress.total > 0 {
                (bar(progress.done, progress.total, &format!("{} of {}", number(progress.done), number(progress.total))))
            }
            span {
                (Plain(&progress.text))
                @if progress.total > 0 { " " span.faint { (number(progress.done)) " of " (number(progress.total)) } }
            }
        }
    }
}

fn buttons(frame: &Frame, model: &Run) -> Markup {
    let form = |pattern: &str, label: &str, class: &str| {
        html! {
            form method="post" action=(routes::action(pattern, &model.id)) {
                (frame.csrf())
                button class=(class) type="submit" { (label) }
            }
        }
    };
    html! {
        @if model.state.is_over() {
            (export_menu(|format| routes::export(&frame.namespace, &model.id, format)))
            @if frame.may(Role::Analyst) { (form(actions::RETRY, "Run again", "")) }
        } @else if frame.may(Role::Operator) {
            (form(actions::CANCEL, "Cancel", ""))
            (confirm("Terminate", "Ends the run at once: steps are not asked to stop, and there is no report.",
                &form(actions::TERMINATE, "Terminate", "danger")))
        }
    }
}

fn nodes(steps: &[Step]) -> Vec<Node<'_>> {
    steps
        .iter()
        .enumerate()
        .map(|(number, step)| Node {
            id: &step.id,
            under: match (step.state, step.findings) {
                (StepState::Completed | StepState::Inconclusive, n) => counted(n, "finding", "findings"),
                (StepState::Running, n) if n > 0 => counted(n, "finding", "findings"),
                _ => step.module.clone(),
            },
            needs: &step.needs,
            state: Some(step.state),
            href: format!("#step-{number}"),
        })
        .collect()
}

fn tally(steps: &[Step]) -> String {
    let parts: Vec<String> = StepState::ALL
        .iter()
        .filter_map(|state| {
            let n = steps.iter().filter(|step| step.state == *state).count();
            (n > 0).then(|| format!("{n} {}", state.label().to_lowercase()))
        })
        .collect();
    parts.join(", ")
}

fn found(frame: &Frame, model: &Run) -> Markup {
    let all = FindingFilter {
        target: model.target.clone().unwrap_or_default(),
        ..FindingFilter::default()
    };
    let total = model.counts.total();
    let beside = html! {
        @if total > model.findings.len() as u64 && model.target.is_some() {
            span.faint { "The worst " (number(model.findings.len() as u64)) " of " (number(total)) ". " }
            a.more href=(all.href()) { "All of the target" (icon("arrow")) }
        }
    };
    let body = if model.findings.is_empty() {
        let (title, text) = match model.state {
            RunState::Running => (
                "Nothing found so far",
                html! { p { "Findings appear here as steps report them." } },
            ),
            RunState::Completed => (
                "Nothing found",
                html! { p { "All steps looked at everything they were asked to." } },
            ),
            _ => (
                "Nothing found, which does not mean clean",
                html! { p { "The run did not look at everything." } },
            ),
        };
        empty("finding", title, &text)
    } else {
        finding_table(frame, &model.findings, None, false)
    };
    section("findings-title", "Findings", &beside, &body)
}
