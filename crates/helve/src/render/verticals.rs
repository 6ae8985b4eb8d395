//! Verticals and their tools as text.

use std::collections::BTreeMap;

use helve_toolbox::vertical::Vertical;
use serde::Deserialize;
use serde_json::{Value, json};

use super::table::{Cell, table, wrap};
use crate::terminal::{Style, clean};
use crate::verbs::Examined;

/// A vertical as its JSON says it: from this toolbox, or from a server.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct VerticalView {
    name: String,
    version: String,
    description: String,
    tested: Vec<String>,
    notes: Option<String>,
    tools: Vec<ToolView>,
    environment: BTreeMap<String, String>,
    origin: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToolView {
    name: Option<String>,
    program: String,
    purpose: String,
    version: Option<String>,
    optional: bool,
    install: Vec<RecipeView>,
}

#[derive(Debug, Deserialize)]
struct RecipeView {
    with: String,
}

impl ToolView {
    fn name(&self) -> String {
        clean(self.name.as_ref().unwrap_or(&self.program))
    }
}

/// A vertical for `--json`.
pub(crate) fn vertical_json(vertical: &Vertical) -> Value {
    json!(vertical)
}

/// All verticals.
pub(crate) fn verticals(all: &[Value], style: Style) -> serde_json::Result<String> {
    let views: Vec<VerticalView> = all.iter().map(VerticalView::deserialize).collect::<Result<_, _>>()?;
    let rows: Vec<Vec<Cell>> = views
        .iter()
        .map(|vertical| {
            let tools: Vec<String> = vertical.tools.iter().map(ToolView::name).collect();
            let tools = if tools.is_empty() {
                "-".to_owned()
            } else {
                tools.join(", ")
            };
            vec![
                clean(&vertical.name).into(),
                clean(&vertical.version).into(),
                tools.into(),
                clean(&vertical.description).into(),
            ]
        })
        .collect();
    Ok(table(&["VERTICAL", "VERSION", "TOOLS", "DESCRIPTION"], &rows, style))
}

/// One vertical in full.
pub(crate) fn vertical(vertical: &Value, style: Style) -> serde_json::Result<String> {
    let vertical = VerticalView::deserialize(vertical)?;
    let width = if style.terminal { style.width } else { usize::MAX };
    let mut text = format!(
        "{} {}\n{}\n\n",
        style.paint("1", &clean(&vertical.name)),
        clean(&vertical.version),
        wrap(&clean(&vertical.description), width).join("\n")
    );
    let tested = match vertical.tested.is_empty() {
        true => "none: Helve's own tests do not run these tools".to_owned(),
        false => clean(&vertical.tested.join(", ")),
    };
    text.push_str(&format!("{} {tested}\n", style.paint("2", "tested    ")));
    if !vertical.origin.is_empty() {
        text.push_str(&format!(
            "{} {}\n",
            style.paint("2", "from      "),
            clean(&vertical.origin)
        ));
    }
    for (name, value) in &vertical.environment {
        text.push_str(&format!(
            "{} {}={}\n",
            style.paint("2", "sets      "),
            clean(name),
            clean(value)
        ));
    }
    if let Some(notes) = &vertical.notes {
        text.push_str(&format!("\n{}\n", wrap(&clean(notes), width).join("\n")));
    }
    let rows: Vec<Vec<Cell>> = vertical
        .tools
        .iter()
        .map(|tool| {
            let ways: Vec<&str> = tool.install.iter().map(|recipe| recipe.with.as_str()).collect();
            vec![
                tool.name().into(),
                clean(tool.version.as_deref().unwrap_or("any")).into(),
                if tool.optional { "optional" } else { "needed" }.into(),
                clean(&ways.join(", ")).into(),
                clean(&tool.purpose).into(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table(&["TOOL", "VERSION", "", "FROM", "PURPOSE"], &rows, style));
    }
    Ok(text)
}

/// What is there, what is not, and what would fix it.
pub(crate) fn doctor(examined: &[Examined<'_>], style: Style) -> String {
    let rows: Vec<Vec<Cell>> = examined
        .iter()
        .map(|tool| {
            let colour = match (tool.state.is_ok(), tool.tool.optional) {
                (true, _) => "32",
                (false, true) => "2",
                (false, false) => "1;31",
            };
            let wanted = tool.tool.version.as_ref().map_or("any".to_owned(), ToString::to_string);
            vec![
                tool.vertical.into(),
                tool.tool.name().into(),
                Cell::coloured(tool.word().to_owned(), colour),
                tool.version().unwrap_or_else(|| "-".to_owned()).into(),
                wanted.into(),
                if tool.tool.optional { "optional" } else { "" }.into(),
            ]
        })
        .collect();
    let mut text = table(&["VERTICAL", "TOOL", "STATE", "VERSION", "WANTED", ""], &rows, style);
    for tool in examined.iter().filter(|tool| !tool.fixes.is_empty()) {
        text.push_str(&format!(
            "\n{}: {}\n",
            style.paint("1", tool.tool.name()),
            tool.reason()
        ));
        for fix in &tool.fixes {
            text.push_str(&format!("  {}\n", clean(fix)));
        }
    }
    text
}
