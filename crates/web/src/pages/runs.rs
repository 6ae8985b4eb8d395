//! The list of runs.

use maud::{Markup, html};

use super::overview::start_button;
use super::rows::{RunRow, run_table};
use crate::frame::{Area, Frame, Live, Page, document};
use crate::parts::{empty, pager};
use crate::routes::{pages, with_query};
use crate::text::short;
use crate::time::{counted, number};
use crate::words::{Role, RunState};

/// The list of runs.
#[derive(Debug, Clone)]
pub struct Runs {
    /// What is shown.
    pub filter: RunFilter,
    /// The workflows to choose from.
    pub workflows: Vec<String>,
    /// The newest first.
    pub rows: Vec<RunRow>,
    /// How many there are with this filter, where that is known.
    pub total: Option<u64>,
    /// Whether these are not the first rows.
    pub further: bool,
    /// What leads to the rows after these.
    pub next: Option<String>,
}

/// What a list of runs shows. Empty texts mean all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// In this state.
    pub state: Option<RunState>,
    /// Of this workflow.
    pub workflow: String,
    /// Of targets with this in their name.
    pub target: String,
}

impl RunFilter {
    /// Reads the pairs of a query; what is unknown is left out.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut filter = Self::default();
        for (name, value) in pairs {
            match name {
                "state" => filter.state = RunState::from_name(value),
                "workflow" => filter.workflow = value.trim().to_owned(),
                "target" => filter.target = value.trim().to_owned(),
                _ => {}
            }
        }
        filter
    }

    fn href(&self, cursor: &str) -> String {
        let state = self.state.map_or("", RunState::name);
        let pairs = [
            ("state", state),
            ("workflow", &self.workflow),
            ("target", &self.target),
            ("cursor", cursor),
        ];
        with_query(pages::RUNS, pairs)
    }
}

/// The list of runs.
pub fn runs(frame: &Frame, model: &Runs) -> String {
    let shown = model.rows.len() as u64;
    let count = match model.total {
        Some(total) => format!("{} of {}", number(shown), counted(total, "run", "runs")),
        None => counted(shown, "run", "runs"),
    };
    let first = model.further.then(|| model.filter.href(""));
    let next = model.next.as_ref().map(|cursor| model.filter.href(cursor));
    let body = html! {
        (filters(model))
        section.card.flush aria-label="Runs" {
            div #runs data-live {
                @if model.rows.is_empty() { (none(frame, model)) } @else { (run_table(frame, &model.rows)) }
            }
        }
        @if !model.rows.is_empty() { (pager(&count, first.as_deref(), next.as_deref())) }
    };
    let page = Page {
        title: "Runs",
        area: Some(Area::Runs),
        actions: start_button(frame),
        live: if model.further { Live::Still } else { Live::Every(10) },
        body,
        ..Page::default()
    };
    document(frame, &page)
}

fn filters(model: &Runs) -> Markup {
    let filter = &model.filter;
    html! {
        form.filters method="get" action=(pages::RUNS) role="search" aria-label="Runs" {
            div.field.grow {
                label for="target" { "Target" }
                input #target type="search" name="target" value=(filter.target) data-search;
            }
            div.field {
                label for="workflow" { "Workflow" }
                select #workflow name="workflow" {
                    option value="" { "All" }
                    @for workflow in &model.workflows {
                        option value=(workflow) selected[*workflow == filter.workflow] { (short(workflow, 60)) }
                    }
                }
            }
            div.field {
                label for="state" { "State" }
                select #state name="state" {
                    option value="" { "All" }
                    @for state in RunState::ALL {
                        option value=(state.name()) selected[Some(*state) == filter.state] { (state.label()) }
                    }
                }
            }
            div.buttons {
                button type="submit" { "Show" }
                @if *filter != RunFilter::default() { a.button.quiet href=(pages::RUNS) { "Reset" } }
            }
        }
    }
}

fn none(frame: &Frame, model: &Runs) -> Markup {
    if model.filter != RunFilter::default() {
        let text = html! { p { "No run fits. " a href=(pages::RUNS) { "Show all runs" } "." } };
        return empty("search", "Nothing like that", &text);
    }
    let text = html! {
        p { "A run takes a target through a workflow and keeps what it finds." }
        @if frame.may(Role::Analyst) { (start_button(frame)) }
        @else { p { "Your role may look only; an analyst can start one." } }
    };
    empty("run", "No runs yet", &text)
}
