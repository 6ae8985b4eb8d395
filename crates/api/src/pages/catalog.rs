//! Workflows and modules.

use axum::extract::State;
use axum::response::Response;
use helve_toolbox::Toolbox;
use helve_web::form::Form;
use helve_web::pages::{
    Module, Modules, PlanStep, Workflow, WorkflowRow, Workflows, modules as modules_page, workflow as workflow_page,
    workflows as workflows_page,
};

use super::html;
use super::visit::Visit;
use crate::extract::Path;
use crate::problem::Result;
use crate::state::Api;

/// The workflows of the toolbox, by name.
pub(super) fn rows(toolbox: &Toolbox) -> Vec<WorkflowRow> {
    toolbox.workflows().map(row).collect()
}

fn row(workflow: &helve_toolbox::Workflow) -> WorkflowRow {
    let metadata = &workflow.metadata;
    WorkflowRow {
        name: metadata.name.clone(),
        version: metadata.version.clone(),
        description: metadata.description.clone(),
        vertical: metadata.vertical.clone(),
        tags: metadata.tags.clone(),
        // One that is wrong is not in the toolbox.
        problem: None,
    }
}

pub(super) async fn workflows(State(api): State<Api>, visit: Visit) -> Result<Response> {
    let rows = rows(&api.toolbox.current());
    Ok(html(workflows_page(&visit.frame, &Workflows { rows })))
}

pub(super) async fn workflow(State(api): State<Api>, visit: Visit, Path(name): Path<String>) -> Result<Response> {
    let toolbox = api.toolbox.current();
    let workflow = toolbox.workflow(&name)?;
    let metadata = &workflow.metadata;
    let resources = &metadata.requirements.resources;
    let limits = [
        ("Memory", resources.memory.clone()),
        ("Processors", resources.cpu.clone()),
        ("Time", resources.timeout.as_ref().map(ToString::to_string)),
    ];
    let model = Workflow {
        row: row(workflow),
        author: metadata.author.clone(),
        tools: metadata.requirements.tools.clone(),
        limits: limits
            .into_iter()
            .filter_map(|(what, limit)| Some((what.to_owned(), limit?)))
            .collect(),
        form: Form::from_schema(&metadata.parameters, &metadata.default_parameters),
        steps: workflow
            .plan
            .steps
            .iter()
            .map(|step| PlanStep {
                id: step.id.clone(),
                module: step.uses.clone(),
                needs: step.needs.clone(),
                condition: step.condition.clone(),
            })
            .collect(),
        origin: workflow.origin.clone(),
        digest: workflow.digest.clone(),
    };
    Ok(html(workflow_page(&visit.frame, &model)))
}

pub(super) async fn modules(State(api): State<Api>, visit: Visit) -> Result<Response> {
    let toolbox = api.toolbox.current();
    let users = |module: &str| -> Vec<String> {
        let uses = |workflow: &&helve_toolbox::Workflow| workflow.plan.steps.iter().any(|step| step.uses == module);
        let workflows = toolbox.workflows().filter(uses);
        workflows.map(|workflow| workflow.metadata.name.clone()).collect()
    };
    let rows = toolbox.modules().map(|module| {
        let manifest = &module.manifest;
        Module {
            used_by: users(&manifest.name),
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            description: manifest.description.clone(),
            kind: match manifest.kind.name() {
                "command" => "A program".to_owned(),
                "wasm" => "WebAssembly".to_owned(),
                _ => "Built in".to_owned(),
            },
            tags: manifest.tags.clone(),
            problem: None,
        }
    });
    let rows = rows.collect();
    Ok(html(modules_page(&visit.frame, &Modules { rows })))
}
