//! Workers as text.

use helve_runs::Worker;

use super::table::{Cell, table};
use crate::terminal::{Style, clean};

/// A line per worker and vertical, and the verticals that nobody serves.
pub(crate) fn workers(workers: &[Worker], missing: &[String], style: Style) -> String {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for worker in workers {
        let state = match worker.leaving {
            true => Cell::coloured("leaving", "33"),
            false => "ready".into(),
        };
        let workflows = worker.workflows.then(|| ("(workflows)".to_owned(), "-".to_owned()));
        let verticals = worker
            .verticals
            .iter()
            .map(|(vertical, tools)| (clean(vertical), tools_line(tools)));
        for (n, (vertical, tools)) in verticals.chain(workflows).enumerate() {
            let first = |text: String| if n == 0 { text } else { String::new() };
            rows.push(vec![
                first(clean(&worker.identity)).into(),
                if n == 0 { state.clone() } else { "".into() },
                first(format!("{}/{}", worker.used, worker.slots)).into(),
                first(clean(&worker.sandbox)).into(),
                vertical.into(),
                tools.into(),
            ]);
        }
    }
    let mut text = match rows.is_empty() {
        true => "no workers; `helve up` has one, and `helve worker` adds more\n".to_owned(),
        false => table(
            &["WORKER", "STATE", "STEPS", "SANDBOX", "VERTICAL", "TOOLS"],
            &rows,
            style,
        ),
    };
    if !missing.is_empty() && !rows.is_empty() {
        text.push_str(&format!("\nno worker with {}\n", missing.join(", ")));
    }
    text
}

fn tools_line(tools: &[(String, String)]) -> String {
    let tools: Vec<String> = tools
        .iter()
        .map(|(name, version)| clean(&format!("{name} {version}")).trim().to_owned())
        .collect();
    match tools.is_empty() {
        true => "-".to_owned(),
        false => tools.join(", "),
    }
}
