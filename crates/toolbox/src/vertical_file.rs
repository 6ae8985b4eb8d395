//! Reads `vertical.yaml`.

use std::collections::BTreeMap;

use crate::command::Probe;
use crate::command_file::{entries, limits, probe, program, range};
use crate::read::{Fields, Reader};
use crate::vertical::{Installer, Recipe, Tool, Vertical};
use crate::yaml::{Kind, Node};

pub(crate) const KEYS: [&str; 9] = [
    "name",
    "version",
    "description",
    "tested",
    "notes",
    "tools",
    "environment",
    "limits",
    "image",
];
pub(crate) const TOOL_KEYS: [&str; 7] = ["name", "program", "purpose", "probe", "version", "optional", "install"];

/// The whole. The result is whole only if the reader has no problems afterwards.
pub(crate) fn vertical(reader: &mut Reader<'_>, node: &Node, folder: &str, origin: &str) -> Option<Vertical> {
    let what = "a vertical";
    let fields = reader.fields(node, what, &KEYS, &[])?;
    let text = |reader: &mut Reader<'_>, key: &str| {
        reader
            .required(&fields, key, what)
            .and_then(|n| reader.text(n, &format!("`{key}`")))
            .unwrap_or_default()
    };
    let vertical = Vertical {
        name: reader.name(&fields, folder, what).unwrap_or_else(|| folder.to_owned()),
        version: text(reader, "version"),
        description: text(reader, "description"),
        tested: fields
            .get("tested")
            .map(|n| reader.texts(n, "`tested`"))
            .unwrap_or_default(),
        notes: fields.get("notes").and_then(|n| reader.text(n, "`notes`")),
        tools: tools(reader, &fields),
        environment: environment(reader, &fields),
        limits: fields.get("limits").map(|n| limits(reader, n)).unwrap_or_default(),
        image: fields.get("image").and_then(|n| reader.text(n, "`image`")),
        origin: origin.to_owned(),
    };
    if let Some(node) = fields.get("tested") {
        for name in &vertical.tested {
            if !vertical.tools.iter().any(|tool| tool.name() == name) {
                reader.problem(
                    node.at,
                    format!("`tested` names `{name}`, which is not one of the tools"),
                );
            }
        }
    }
    Some(vertical)
}

fn tools(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Vec<Tool> {
    let Some(node) = reader.required(fields, "tools", "a vertical") else {
        return Vec::new();
    };
    let Kind::Seq(items) = &node.kind else {
        reader.problem(node.at, format!("`tools` must be a list, not {}", node.describe()));
        return Vec::new();
    };
    let tools: Vec<Tool> = items.iter().filter_map(|item| tool(reader, item)).collect();
    for (n, tool) in tools.iter().enumerate() {
        if tools[..n].iter().any(|other| other.name() == tool.name()) {
            reader.problem(node.at, format!("the tool `{}` is here twice", tool.name()));
        }
    }
    tools
}

fn tool(reader: &mut Reader<'_>, node: &Node) -> Option<Tool> {
    let fields = reader.fields(node, "a tool", &TOOL_KEYS, &[])?;
    let name = reader
        .required(&fields, "program", "a tool")
        .and_then(|n| program(reader, n));
    let probe = match fields.get("probe") {
        Some(node) => probe(reader, node),
        None => Some(Probe {
            args: vec!["--version".to_owned()],
            pattern: r"(\d+(?:\.\d+)+\S*)".to_owned(),
        }),
    };
    let tool = Tool {
        name: fields.get("name").and_then(|n| self::program(reader, n)),
        program: name?,
        purpose: fields
            .get("purpose")
            .and_then(|n| reader.text(n, "`purpose`"))
            .unwrap_or_default(),
        probe: probe?,
        version: fields.get("version").and_then(|n| range(reader, n)),
        optional: fields.get("optional").is_some_and(|n| reader.flag(n, "`optional`")),
        install: reader
            .required(&fields, "install", "a tool")
            .map(|n| install(reader, n))
            .unwrap_or_default(),
    };
    Some(tool)
}

/// A mapping from installers to packages; its order is the order of preference.
fn install(reader: &mut Reader<'_>, node: &Node) -> Vec<Recipe> {
    let names: Vec<&str> = Installer::ALL.iter().map(|(name, _)| *name).collect();
    if reader.fields(node, "`install`", &names, &[]).is_none() {
        return Vec::new();
    }
    let mut recipes = Vec::new();
    for entry in entries(reader, node, "`install`") {
        let Some((_, with)) = Installer::ALL.iter().find(|(name, _)| *name == entry.key) else {
            continue;
        };
        let packages = match &entry.value.kind {
            Kind::Text(one) => vec![one.clone()],
            _ => reader.texts(&entry.value, &format!("`{}`", entry.key)),
        };
        // A package is an argument of a program: it must not be read as an option.
        if let Some(odd) = packages
            .iter()
            .find(|p| p.starts_with('-') && *with != Installer::Manual)
        {
            reader.problem(entry.value.at, format!("`{odd}` is not the name of a package"));
        }
        recipes.push(Recipe { with: *with, packages });
    }
    if recipes.is_empty() {
        reader.hinted(
            node.at,
            "`install` names no way to get the tool",
            format!("known: {}", names.join(", ")),
        );
    }
    recipes
}

fn environment(reader: &mut Reader<'_>, fields: &Fields<'_>) -> BTreeMap<String, String> {
    let Some(node) = fields.get("environment") else {
        return BTreeMap::new();
    };
    let mut environment = BTreeMap::new();
    for entry in entries(reader, node, "`environment`") {
        if let Some(text) = reader.loose_text(&entry.value, &format!("`{}`", entry.key)) {
            environment.insert(entry.key.clone(), text);
        }
    }
    environment
}
