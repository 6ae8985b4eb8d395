//! Workflows and modules as text and JSON.

use std::collections::BTreeMap;

use helve_toolbox::{Module, Step, Workflow};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::table::{Cell, table, wrap};
use crate::terminal::{Style, clean};

/// A workflow as its JSON says it: from this toolbox, or from a server.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WorkflowView {
    name: String,
    version: String,
    description: String,
    author: Option<String>,
    tags: Vec<String>,
    vertical: String,
    requirements: Requirements,
    parameters: Value,
    default_parameters: Map<String, Value>,
    digest: String,
    origin: String,
    code: Option<Code>,
    steps: Vec<Step>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Requirements {
    tools: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Code {
    bytes: usize,
}

/// A module as its JSON says it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ModuleView {
    name: String,
    version: String,
    description: String,
    kind: String,
    tool: Option<ToolView>,
    component: Option<Code>,
    network: Option<bool>,
    config_schema: Value,
    outputs: BTreeMap<String, String>,
    digest: String,
    origin: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToolView {
    name: Option<String>,
    program: String,
    version: Option<String>,
}

/// All workflows.
pub(crate) fn workflows(all: &[Value], style: Style) -> serde_json::Result<String> {
    let rows: Vec<Vec<Cell>> = views::<WorkflowView>(all)?
        .iter()
        .map(|workflow| {
            vec![
                clean(&workflow.name).into(),
                clean(&workflow.version).into(),
                clean(&workflow.vertical).into(),
                clean(&workflow.description).into(),
            ]
        })
        .collect();
    Ok(table(&["WORKFLOW", "VERSION", "VERTICAL", "DESCRIPTION"], &rows, style))
}

/// All modules.
pub(crate) fn modules(all: &[Value], style: Style) -> serde_json::Result<String> {
    let rows: Vec<Vec<Cell>> = views::<ModuleView>(all)?
        .iter()
        .map(|module| {
            vec![
                clean(&module.name).into(),
                clean(&module.version).into(),
                clean(&module.kind).into(),
                clean(&module.description).into(),
            ]
        })
        .collect();
    Ok(table(&["MODULE", "VERSION", "KIND", "DESCRIPTION"], &rows, style))
}

fn views<T: serde::de::DeserializeOwned>(all: &[Value]) -> serde_json::Result<Vec<T>> {
    all.iter().map(T::deserialize).collect()
}

/// One workflow in full.
pub(crate) fn workflow(workflow: &Value, style: Style) -> serde_json::Result<String> {
    let view = WorkflowView::deserialize(workflow)?;
    let mut text = heading(&view.name, &view.version, &view.description, style);
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!(
                "{} {}\n",
                style.paint("2", &format!("{name:<10}")),
                clean(value)
            ));
        }
    };
    fact("author", view.author.as_deref().unwrap_or_default());
    fact("tags", &view.tags.join(", "));
    fact("vertical", &view.vertical);
    fact("tools", &view.requirements.tools.join(", "));
    fact("from", &view.origin);
    let kind = if view.code.is_some() { "code" } else { "plan" };
    fact(kind, &format!("{:.16}", view.digest));
    text.push_str(&section("Parameters", style));
    text.push_str(&fields(&view.parameters, &view.default_parameters, style));
    text.push_str(&section("Steps", style));
    match &view.code {
        Some(code) => text.push_str(&format!(
            "decided by {} KiB of WebAssembly\n",
            code.bytes.div_ceil(1024)
        )),
        None => text.push_str(&plan(&view.steps, style)),
    }
    Ok(text)
}

/// One module in full.
pub(crate) fn module(module: &Value, style: Style) -> serde_json::Result<String> {
    let view = ModuleView::deserialize(module)?;
    let mut text = heading(&view.name, &view.version, &view.description, style);
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!(
                "{} {}\n",
                style.paint("2", &format!("{name:<10}")),
                clean(value)
            ));
        }
    };
    fact("kind", &view.kind);
    if let Some(tool) = &view.tool {
        let range = tool.version.as_ref().map(|range| format!(" {range}"));
        let name = tool.name.as_ref().unwrap_or(&tool.program);
        fact("tool", &format!("{name}{}", range.unwrap_or_default()));
    }
    if let Some(component) = &view.component {
        let size = component.bytes.div_ceil(1024);
        fact("component", &format!("{size} KiB of WebAssembly"));
    }
    if let Some(network) = view.network {
        fact("network", if network { "yes" } else { "no" });
    }
    fact("from", &view.origin);
    fact("digest", &format!("{:.16}", view.digest));
    text.push_str(&section("Configuration", style));
    text.push_str(&fields(&view.config_schema, &Map::new(), style));
    if !view.outputs.is_empty() {
        text.push_str(&section("Outputs", style));
        let rows: Vec<Vec<Cell>> = view
            .outputs
            .iter()
            .map(|(name, meaning)| vec![clean(name).into(), clean(meaning).into()])
            .collect();
        text.push_str(&table(&["NAME", "MEANING"], &rows, style));
    }
    Ok(text)
}

/// A module for `--json`.
pub(crate) fn module_json(module: &Module) -> Value {
    let mut value = json!(module.manifest);
    value["digest"] = json!(module.digest);
    value["origin"] = json!(module.origin);
    if let Some(component) = &module.bundle.component {
        value["component"] = json!({"bytes": component.len()});
    }
    value
}

/// A workflow for `--json`.
pub(crate) fn workflow_json(workflow: &Workflow) -> Value {
    let mut value = json!(workflow.metadata);
    value["digest"] = json!(workflow.digest);
    value["origin"] = json!(workflow.origin);
    match &workflow.code {
        Some(code) => value["code"] = json!({"bytes": code.len()}),
        None => value["steps"] = json!(workflow.plan.steps),
    }
    value
}

fn heading(name: &str, version: &str, description: &str, style: Style) -> String {
    let width = if style.terminal { style.width } else { usize::MAX };
    format!(
        "{} {}\n{}\n\n",
        style.paint("1", &clean(name)),
        clean(version),
        wrap(&clean(description), width).join("\n")
    )
}

fn section(name: &str, style: Style) -> String {
    format!("\n{}\n", style.paint("1", name))
}

/// The properties of a JSON Schema as a table.
fn fields(schema: &Value, defaults: &Map<String, Value>, style: Style) -> String {
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    if properties.is_empty() {
        return "none\n".to_owned();
    }
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let rows: Vec<Vec<Cell>> = properties
        .iter()
        .map(|(name, property)| {
            let default = defaults.get(name).or_else(|| property.get("default"));
            let default = match default {
                Some(value) if !value.is_null() => value.to_string(),
                _ if required.contains(&name.as_str()) => "(required)".to_owned(),
                _ => "-".to_owned(),
            };
            let description = property.get("description").and_then(Value::as_str).unwrap_or_default();
            vec![
                clean(name).into(),
                clean(&kind(property)).into(),
                clean(&default).into(),
                clean(description).into(),
            ]
        })
        .collect();
    table(&["NAME", "TYPE", "DEFAULT", "DESCRIPTION"], &rows, style)
}

/// `integer`, `low|medium|high`, `list of string`.
fn kind(property: &Value) -> String {
    if let Some(values) = property.get("enum").and_then(Value::as_array) {
        let values: Vec<String> = values
            .iter()
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            .collect();
        return values.join("|");
    }
    let name = match property.get("type") {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("|"),
        _ => "any".to_owned(),
    };
    match property.get("items") {
        Some(items) if name == "array" => format!("list of {}", kind(items)),
        _ => name,
    }
}

fn plan(steps: &[Step], style: Style) -> String {
    let rows: Vec<Vec<Cell>> = steps
        .iter()
        .map(|step| {
            let needs = if step.needs.is_empty() {
                "-".to_owned()
            } else {
                step.needs.join(", ")
            };
            vec![
                clean(&step.id).into(),
                clean(&step.uses).into(),
                clean(&needs).into(),
                clean(step.condition.as_deref().unwrap_or("always")).into(),
            ]
        })
        .collect();
    table(&["STEP", "MODULE", "NEEDS", "IF"], &rows, style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_show_type_default_and_description() {
        let schema = json!({
            "type": "object",
            "required": ["target"],
            "properties": {
                "level": {"enum": ["low", "high"], "default": "low", "description": "How deep"},
                "paths": {"type": "array", "items": {"type": "string"}},
                "target": {"type": "string"},
            }
        });
        let defaults = Map::from_iter([("level".to_owned(), json!("high"))]);
        assert_eq!(
            fields(&schema, &defaults, Style::PLAIN),
            "NAME    TYPE            DEFAULT     DESCRIPTION\n\
             level   low|high        \"high\"      How deep\n\
             paths   list of string  -\n\
             target  string          (required)\n"
        );
        assert_eq!(fields(&json!({}), &Map::new(), Style::PLAIN), "none\n");
    }
}
