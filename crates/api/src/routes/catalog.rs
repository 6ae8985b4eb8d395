//! Workflows, modules and verticals, as the toolbox has them at this moment.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use helve_toolbox::vertical::Vertical;
use helve_toolbox::{Module, Workflow};
use serde_json::{Value, json};

use crate::door::Anyone;
use crate::extract::{Path, Query, tagged};
use crate::page::Paging;
use crate::problem::Result;
use crate::state::Api;

/// List the workflows.
#[utoipa::path(get, path = "/workflows", tag = "Catalog", params(Paging),
    responses((status = 200, description = "Workflows by name", body = crate::openapi::Listing)))]
pub(crate) async fn workflows(
    _: Anyone,
    State(api): State<Api>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    let toolbox = api.toolbox.current();
    tagged(
        &headers,
        &paging.cut(toolbox.workflows().map(workflow_json).collect(), name)?,
    )
}

/// Show a workflow: its metadata, parameters and steps.
#[utoipa::path(get, path = "/workflows/{name}", tag = "Catalog", params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "The workflow", body = Object)))]
pub(crate) async fn workflow(
    _: Anyone,
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    tagged(&headers, &workflow_json(api.toolbox.current().workflow(&name)?))
}

/// Show the JSON Schema of a workflow's parameters, with the defaults that its metadata sets.
#[utoipa::path(get, path = "/workflows/{name}/parameters", tag = "Catalog",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "A JSON Schema of type object", body = Object, content_type = "application/schema+json")))]
pub(crate) async fn parameters(
    _: Anyone,
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let toolbox = api.toolbox.current();
    let metadata = &toolbox.workflow(&name)?.metadata;
    let mut schema = metadata.parameters.clone();
    for (parameter, default) in &metadata.default_parameters {
        let property = schema.pointer_mut("/properties").and_then(|all| all.get_mut(parameter));
        if let Some(Value::Object(property)) = property.filter(|_| !default.is_null()) {
            property.insert("default".to_owned(), default.clone());
        }
    }
    let mut response = tagged(&headers, &schema)?;
    if response.status().is_success() {
        let kind = axum::http::HeaderValue::from_static("application/schema+json");
        response.headers_mut().insert(axum::http::header::CONTENT_TYPE, kind);
    }
    Ok(response)
}

/// List the modules.
#[utoipa::path(get, path = "/modules", tag = "Catalog", params(Paging),
    responses((status = 200, description = "Modules by name", body = crate::openapi::Listing)))]
pub(crate) async fn modules(
    _: Anyone,
    State(api): State<Api>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    let toolbox = api.toolbox.current();
    tagged(
        &headers,
        &paging.cut(toolbox.modules().map(module_json).collect(), name)?,
    )
}

/// Show a module.
#[utoipa::path(get, path = "/modules/{name}", tag = "Catalog", params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "The module", body = Object)))]
pub(crate) async fn module(
    _: Anyone,
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    tagged(&headers, &module_json(api.toolbox.current().module(&name)?))
}

/// List the verticals: families of tools that workers carry.
#[utoipa::path(get, path = "/verticals", tag = "Catalog", params(Paging),
    responses((status = 200, description = "Verticals by name", body = crate::openapi::Listing)))]
pub(crate) async fn verticals(
    _: Anyone,
    State(api): State<Api>,
    Query(paging): Query<Paging>,
    headers: HeaderMap,
) -> Result<Response> {
    let toolbox = api.toolbox.current();
    tagged(
        &headers,
        &paging.cut(toolbox.verticals().map(vertical_json).collect(), name)?,
    )
}

/// Show a vertical.
#[utoipa::path(get, path = "/verticals/{name}", tag = "Catalog", params(("name" = String, Path, description = "Its name")),
    responses((status = 200, description = "The vertical", body = Object)))]
pub(crate) async fn vertical(
    _: Anyone,
    State(api): State<Api>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    tagged(&headers, &vertical_json(api.toolbox.current().vertical(&name)?))
}

fn name(value: &Value) -> String {
    value["name"].as_str().unwrap_or_default().to_owned()
}

fn workflow_json(workflow: &Workflow) -> Value {
    let mut value = json!(workflow.metadata);
    value["digest"] = json!(workflow.digest);
    match &workflow.code {
        Some(code) => value["code"] = json!({"bytes": code.len()}),
        None => value["steps"] = json!(workflow.plan.steps),
    }
    value
}

fn module_json(module: &Module) -> Value {
    let mut value = json!(module.manifest);
    value["digest"] = json!(module.digest);
    value
}

fn vertical_json(vertical: &Vertical) -> Value {
    let mut value = json!(vertical);
    // A path of the server's machine is nobody's business.
    if let Some(fields) = value.as_object_mut() {
        fields.remove("origin");
    }
    value
}
