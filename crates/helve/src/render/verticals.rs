//! Verticals and their tools as text.

use helve_toolbox::vertical::Vertical;

use super::table::{Cell, table, wrap};
use crate::terminal::{Style, clean};
use crate::verbs::Examined;

/// All verticals.
pub(crate) fn verticals(all: &[&Vertical], style: Style) -> String {
    let rows: Vec<Vec<Cell>> = all
        .iter()
        .map(|vertical| {
            let tools: Vec<&str> = vertical.tools.iter().map(|tool| tool.name()).collect();
            let tools = if tools.is_empty() {
                "-".to_owned()
            } else {
                tools.join(", ")
            };
            vec![
                vertical.name.as_str().into(),
                vertical.version.as_str().into(),
                clean(&tools).into(),
                clean(&vertical.description).into(),
            ]
        })
        .collect();
    table(&["VERTICAL", "VERSION", "TOOLS", "DESCRIPTION"], &rows, style)
}

/// One vertical in full.
pub(crate) fn vertical(vertical: &Vertical, style: Style) -> String {
    let width = if style.terminal { style.width } else { usize::MAX };
    let mut text = format!(
        "{} {}\n{}\n\n",
        style.paint("1", &vertical.name),
        vertical.version,
        wrap(&clean(&vertical.description), width).join("\n")
    );
    let tested = match vertical.tested.is_empty() {
        true => "none: Helve's own tests do not run these tools".to_owned(),
        false => vertical.tested.join(", "),
    };
    text.push_str(&format!("{} {tested}\n", style.paint("2", "tested    ")));
    text.push_str(&format!(
        "{} {}\n",
        style.paint("2", "from      "),
        clean(&vertical.origin)
    ));
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
            let wanted = tool.version.as_ref().map_or("any".to_owned(), ToString::to_string);
            let ways: Vec<String> = tool
                .install
                .iter()
                .map(|recipe| format!("{:?}", recipe.with).to_lowercase())
                .collect();
            vec![
                tool.name().into(),
                wanted.into(),
                if tool.optional { "optional" } else { "needed" }.into(),
                ways.join(", ").into(),
                clean(&tool.purpose).into(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table(&["TOOL", "VERSION", "", "FROM", "PURPOSE"], &rows, style));
    }
    text
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
