//! Workflows and modules as text and JSON.

use helve_toolbox::{Metadata, Module, Plan, Workflow};
use serde_json::{Map, Value, json};

use super::table::{Cell, table, wrap};
use crate::terminal::{Style, clean};

/// All workflows.
pub(crate) fn workflows(all: &[&Workflow], style: Style) -> String {
    let rows: Vec<Vec<Cell>> = all
        .iter()
        .map(|workflow| {
            let Metadata {
                name,
                version,
                vertical,
                description,
                ..
            } = &workflow.metadata;
            vec![
                name.as_str().into(),
                version.as_str().into(),
                vertical.as_str().into(),
                clean(description).into(),
            ]
        })
        .collect();
    table(&["WORKFLOW", "VERSION", "VERTICAL", "DESCRIPTION"], &rows, style)
}

/// All modules.
pub(crate) fn modules(all: &[&Module], style: Style) -> String {
    let rows: Vec<Vec<Cell>> = all
        .iter()
        .map(|module| {
            let manifest = &module.manifest;
            vec![
                manifest.name.as_str().into(),
                manifest.version.as_str().into(),
                manifest.kind.name().into(),
                clean(&manifest.description).into(),
            ]
        })
        .collect();
    table(&["MODULE", "VERSION", "KIND", "DESCRIPTION"], &rows, style)
}

/// One workflow in full.
pub(crate) fn workflow(workflow: &Workflow, style: Style) -> String {
    let metadata = &workflow.metadata;
    let mut text = heading(&metadata.name, &metadata.version, &metadata.description, style);
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!(
                "{} {}\n",
                style.paint("2", &format!("{name:<10}")),
                clean(value)
            ));
        }
    };
    fact("author", metadata.author.as_deref().unwrap_or_default());
    fact("tags", &metadata.tags.join(", "));
    fact("vertical", &metadata.vertical);
    fact("tools", &metadata.requirements.tools.join(", "));
    fact("from", &workflow.origin);
    let kind = if workflow.code.is_some() { "code" } else { "plan" };
    fact(kind, &workflow.digest[..workflow.digest.len().min(16)]);
    text.push_str(&section("Parameters", style));
    text.push_str(&fields(&metadata.parameters, &metadata.default_parameters, style));
    text.push_str(&section("Steps", style));
    match &workflow.code {
        Some(code) => text.push_str(&format!(
            "decided by {} KiB of WebAssembly\n",
            code.len().div_ceil(1024)
        )),
        None => text.push_str(&plan(&workflow.plan, style)),
    }
    text
}

/// One module in full.
pub(crate) fn module(module: &Module, style: Style) -> String {
    let manifest = &module.manifest;
    let mut text = heading(&manifest.name, &manifest.version, &manifest.description, style);
    let mut fact = |name: &str, value: &str| {
        text.push_str(&format!(
            "{} {}\n",
            style.paint("2", &format!("{name:<10}")),
            clean(value)
        ));
    };
    fact("kind", manifest.kind.name());
    if let Some(command) = manifest.kind.command() {
        if let Some(tool) = &command.tool {
            let range = tool.version.as_ref().map(|range| format!(" {range}"));
            fact("tool", &format!("{}{}", tool.name(), range.unwrap_or_default()));
        }
        if let Some(component) = &module.bundle.component {
            let size = component.len().div_ceil(1024);
            fact("component", &format!("{size} KiB of WebAssembly"));
        }
        fact("network", if command.network { "yes" } else { "no" });
    }
    fact("from", &module.origin);
    fact("digest", &module.digest[..module.digest.len().min(16)]);
    text.push_str(&section("Configuration", style));
    text.push_str(&fields(&manifest.config_schema, &Map::new(), style));
    if !manifest.outputs.is_empty() {
        text.push_str(&section("Outputs", style));
        let rows: Vec<Vec<Cell>> = manifest
            .outputs
            .iter()
            .map(|(name, meaning)| vec![name.as_str().into(), clean(meaning).into()])
            .collect();
        text.push_str(&table(&["NAME", "MEANING"], &rows, style));
    }
    text
}

/// A module for `--json`.
pub(crate) fn module_json(module: &Module) -> Value {
    let mut value = json!(module.manifest);
    value["digest"] = json!(module.digest);
    value["origin"] = json!(module.origin);
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
        "{} {version}\n{}\n\n",
        style.paint("1", name),
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
                name.as_str().into(),
                kind(property).into(),
                default.into(),
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

fn plan(plan: &Plan, style: Style) -> String {
    let rows: Vec<Vec<Cell>> = plan
        .steps
        .iter()
        .map(|step| {
            let needs = if step.needs.is_empty() {
                "-".to_owned()
            } else {
                step.needs.join(", ")
            };
            vec![
                step.id.as_str().into(),
                step.uses.as_str().into(),
                needs.into(),
                step.condition.as_deref().unwrap_or("always").into(),
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
