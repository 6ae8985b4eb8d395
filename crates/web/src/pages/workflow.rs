//! Workflows: the list, and what one does.

use maud::{Markup, html};

use super::modules::anchor;
use crate::chart::{Node, graph};
use crate::form::{FieldKind, Form};
use crate::frame::{Area, Frame, Page, document};
use crate::parts::{cell, code, empty, facts, icon, section, tags};
use crate::routes::{self, pages};
use crate::text::{Plain, message, name, short};
use crate::words::Role;

/// The list of workflows.
#[derive(Debug, Clone)]
pub struct Workflows {
    /// In the order of their names.
    pub rows: Vec<WorkflowRow>,
}

/// A workflow in a list.
#[derive(Debug, Clone)]
pub struct WorkflowRow {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does, in a sentence.
    pub description: String,
    /// The vertical whose workers run its steps.
    pub vertical: String,
    /// Labels.
    pub tags: Vec<String>,
    /// Why it cannot be started now.
    pub problem: Option<String>,
}

/// One workflow.
#[derive(Debug, Clone)]
pub struct Workflow {
    /// What the list says.
    pub row: WorkflowRow,
    /// Who wrote it.
    pub author: Option<String>,
    /// Tools that its workers need.
    pub tools: Vec<String>,
    /// Limits for a step, such as `300Mi` of memory: what is limited, and to what.
    pub limits: Vec<(String, String)>,
    /// Its parameters.
    pub form: Form,
    /// Its steps; none if it is code.
    pub steps: Vec<PlanStep>,
    /// Where it comes from: shipped, or a folder.
    pub origin: String,
    /// The digest of its plan or code.
    pub digest: String,
}

/// A step of a plan.
#[derive(Debug, Clone)]
pub struct PlanStep {
    /// Its id.
    pub id: String,
    /// The module it uses.
    pub module: String,
    /// Ids of the steps before it.
    pub needs: Vec<String>,
    /// Under which condition it runs.
    pub condition: Option<String>,
}

/// The list of workflows.
pub fn workflows(frame: &Frame, model: &Workflows) -> String {
    let body = html! {
        @if model.rows.is_empty() {
            section.card {
                (empty("workflow", "No workflows", &html! { p { "Put a folder with " code { "metadata.yaml" } " and " code { "workflow.yaml" } " into the toolbox of the server. It is found while the server runs." } }))
            }
        } @else {
            section.card.flush aria-label="Workflows" {
                table.stack data-rows {
                    thead { tr { th scope="col" { "Workflow" } th scope="col" { "Vertical" } th scope="col" { "Version" } th scope="col" { span.unseen { "Start" } } } }
                    tbody { @for row in &model.rows { (listed(frame, row)) } }
                }
            }
        }
    };
    let page = Page {
        title: "Workflows",
        area: Some(Area::Workflows),
        body,
        ..Page::default()
    };
    document(frame, &page)
}

fn listed(frame: &Frame, row: &WorkflowRow) -> Markup {
    html! {
        tr {
            th.lead scope="row" {
                a.row-link href=(routes::workflow(&row.name)) { (name(&row.name)) }
                span.message { (message(&row.description)) }
                @if let Some(problem) = &row.problem { span.warn { (icon("alert")) (message(problem)) } }
                (tags(&row.tags))
            }
            (cell("Vertical", &html! { (name(&row.vertical)) }))
            (cell("Version", &html! { (name(&row.version)) }))
            td.end { @if frame.may(Role::Analyst) { a.button href=(routes::start(&row.name)) { "Start" span.unseen { " " (Plain(&row.name)) } } } }
        }
    }
}

/// One workflow.
pub fn workflow(frame: &Frame, model: &Workflow) -> String {
    let nodes: Vec<Node<'_>> = model
        .steps
        .iter()
        .map(|step| Node {
            id: &step.id,
            under: step.module.clone(),
            needs: &step.needs,
            state: None,
            href: format!("{}#{}", pages::MODULES, anchor(&step.module)),
        })
        .collect();
    let body = html! {
        section.card aria-label="The workflow" {
            (facts(&facts_of(model)))
            (tags(&model.row.tags))
            @if let Some(problem) = &model.row.problem { p.notice.warn { (icon("alert")) span { (message(problem)) } } }
        }
        section.card aria-labelledby="steps-title" {
            header.card-head { h2 #steps-title { "Steps" } }
            @if model.steps.is_empty() {
                p { "This workflow is code: it decides at run time which modules it calls." }
            } @else {
                (graph("Graph of the steps", &nodes))
                @if model.steps.iter().any(|step| step.condition.is_some()) {
                    h3 { "Conditions" }
                    dl.pairs { @for step in &model.steps { @if let Some(condition) = &step.condition {
                        div { dt { (name(&step.id)) } dd { "only if " (code(condition)) } }
                    } } }
                }
            }
        }
        (section("parameters-title", "Parameters", &html! {}, &parameters(&model.form)))
    };
    let page = Page {
        title: &model.row.name,
        area: Some(Area::Workflows),
        above: &[("Workflows", pages::WORKFLOWS)],
        lead: html! { p.lead { (message(&model.row.description)) } },
        actions: html! {
            div.buttons {
                a.button href=(routes::runs_of_workflow(&model.row.name)) { "Its runs" }
                @if frame.may(Role::Analyst) { a.button.primary href=(routes::start(&model.row.name)) { (icon("run")) "Start" } }
            }
        },
        body,
        ..Page::default()
    };
    document(frame, &page)
}

fn facts_of(model: &Workflow) -> Vec<(&str, Markup)> {
    let mut list = vec![
        ("Version", html! { (name(&model.row.version)) }),
        ("Vertical", html! { (name(&model.row.vertical)) }),
    ];
    if let Some(author) = &model.author {
        list.push(("Author", html! { (name(author)) }));
    }
    if !model.tools.is_empty() {
        list.push((
            "Tools",
            html! { @for (n, tool) in model.tools.iter().enumerate() { @if n > 0 { ", " } (name(tool)) } },
        ));
    }
    for (what, limit) in &model.limits {
        list.push((what, html! { (name(limit)) }));
    }
    list.push(("From", html! { (name(&model.origin)) }));
    list.push((
        "Digest",
        html! { code title=(short(&model.digest, 130)) { (short(&model.digest, 13)) } },
    ));
    list
}

fn parameters(form: &Form) -> Markup {
    if form.fields.is_empty() {
        return html! { p.faint { "It has none." } };
    }
    html! {
        table.stack {
            thead { tr { th scope="col" { "Parameter" } th scope="col" { "Takes" } th scope="col" { "Default" } } }
            tbody {
                @for field in &form.fields {
                    tr {
                        th.lead scope="row" {
                            (code(&field.name))
                            @if field.required { " " span.tag { "required" } }
                            @if !field.help.is_empty() { span.message { (message(&field.help)) } }
                        }
                        (cell("Takes", &takes(&field.kind)))
                        (cell("Default", &html! {
                            @if field.kind == FieldKind::Switch { (if field.value.is_empty() { "off" } else { "on" }) }
                            @else if field.value.iter().all(String::is_empty) { span.faint.none { "–" } }
                            @else { (code(&field.value.join(", "))) }
                        }))
                    }
                }
            }
        }
    }
}

fn takes(kind: &FieldKind) -> Markup {
    let range = |low: Option<String>, high: Option<String>| match (low, high) {
        (Some(low), Some(high)) => format!(" from {low} to {high}"),
        (Some(low), None) => format!(", {low} or more"),
        (None, Some(high)) => format!(", {high} at most"),
        (None, None) => String::new(),
    };
    html! {
        @match kind {
            FieldKind::Text { pattern: Some(pattern), .. } => { "text like " (code(pattern)) },
            FieldKind::Text { .. } => "text",
            FieldKind::Secret => "a secret",
            FieldKind::Integer { minimum, maximum } => { "a whole number" (range(minimum.map(|n| n.to_string()), maximum.map(|n| n.to_string()))) },
            FieldKind::Number { minimum, maximum } => { "a number" (range(minimum.map(|n| n.to_string()), maximum.map(|n| n.to_string()))) },
            FieldKind::Switch => "on or off",
            FieldKind::Choice(choices) => { "one of " (Plain(&choices.join(", "))) },
            FieldKind::Choices(choices) => { "any of " (Plain(&choices.join(", "))) },
            FieldKind::Lines => "texts",
            FieldKind::Json => "JSON",
        }
    }
}
