//! `helve workflows` and `helve modules`.

use helve_toolbox::NotFound;
use serde_json::Value;

use crate::app::App;
use crate::cli::NamedArgs;
use crate::errors::{FAILED, Problem, Result};
use crate::place;
use crate::render::{catalog, verticals as render_verticals};
use crate::terminal::{Style, print, print_json, say_problem};

/// How a list, or one of its items, is shown to people.
type Show<T> = fn(&T, Style) -> serde_json::Result<String>;

pub(crate) async fn workflows(app: &App, args: &NamedArgs) -> Result<u8> {
    named(app, "workflows", args, catalog::workflow, |all, style| {
        catalog::workflows(all, style)
    })
    .await
}

pub(crate) async fn modules(app: &App, args: &NamedArgs) -> Result<u8> {
    named(app, "modules", args, catalog::module, |all, style| {
        catalog::modules(all, style)
    })
    .await
}

pub(crate) async fn verticals(app: &App, args: &NamedArgs) -> Result<u8> {
    named(app, "verticals", args, render_verticals::vertical, |all, style| {
        render_verticals::verticals(all, style)
    })
    .await
}

async fn named(app: &App, what: &str, args: &NamedArgs, one: Show<Value>, many: Show<Vec<Value>>) -> Result<u8> {
    let style = Style::stdout();
    if let Some(name) = &args.name {
        let item = place::catalog_item(app, what, name).await?;
        match app.global.json {
            true => print_json(&item),
            false => print(&one(&item, style).map_err(|error| not_understood(&error))?),
        }
        return Ok(0);
    }
    let all = place::catalog(app, what).await?;
    match app.global.json {
        true => print_json(&Value::Array(all)),
        false => print(&many(&all, style).map_err(|error| not_understood(&error))?),
    }
    match app.server {
        // What is wrong with the toolbox of this machine is nothing of the server's.
        Some(_) => Ok(0),
        None => Ok(report_problems(app)),
    }
}

fn not_understood(error: &serde_json::Error) -> Problem {
    Problem::new(format!("what the server says of it is not understood: {error}"))
        .help("--json shows it as it is; server and helve are to be of about the same age")
}

/// Broken workflows and modules are left out of a listing, but never without a word.
pub(crate) fn report_problems(app: &App) -> u8 {
    say_problems(&app.problems);
    if app.problems.is_empty() { 0 } else { FAILED }
}

/// What is wrong with files of the toolbox, on standard error.
pub(crate) fn say_problems(problems: &[helve_toolbox::Problem]) {
    for problem in problems {
        let place = format!("{}:{}:{}", problem.file, problem.line, problem.column);
        let text = Problem::new(problem.message.clone())
            .detail(place)
            .maybe_help(problem.hint.clone())
            .code("toolbox");
        say_problem(&text);
    }
}

/// A name that is not in the toolbox, or a workflow that is broken.
pub(crate) fn not_found(error: NotFound) -> Problem {
    let NotFound {
        what,
        name,
        suggestions,
        problems,
    } = error;
    if !problems.is_empty() {
        let hint = problems.iter().find_map(|problem| problem.hint.clone());
        return Problem::new(format!("the {what} `{name}` cannot be used"))
            .details(
                problems
                    .iter()
                    .map(|p| format!("{}:{}:{}: {}", p.file, p.line, p.column, p.message)),
            )
            .maybe_help(hint);
    }
    let problem = Problem::new(format!("there is no {what} `{name}`")).code("not-found");
    match suggestions.as_slice() {
        [] => problem,
        [one] => problem.help(format!("did you mean `{one}`? `helve {what}s` lists them")),
        many => problem.help(format!("there are: {}", many.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(suggestions: &[&str]) -> String {
        let suggestions = suggestions.iter().map(|s| (*s).to_owned()).collect();
        not_found(NotFound {
            what: "workflow",
            name: "asessment".into(),
            suggestions,
            problems: vec![],
        })
        .to_string()
    }

    #[test]
    fn a_misspelt_workflow_gets_a_suggestion() {
        assert_eq!(
            wrong(&["assessment"]),
            "error: there is no workflow `asessment`\n help: did you mean `assessment`? `helve workflows` lists them"
        );
        assert_eq!(
            wrong(&["a", "b"]),
            "error: there is no workflow `asessment`\n help: there are: a, b"
        );
    }

    #[test]
    fn a_broken_workflow_names_file_line_and_reason() {
        let problem = helve_toolbox::Problem {
            file: "t/workflows/x/workflow.yaml".into(),
            line: 3,
            column: 5,
            message: "unknown key `step`".into(),
            hint: Some("did you mean `steps`?".into()),
        };
        let error = NotFound {
            what: "workflow",
            name: "x".into(),
            suggestions: vec![],
            problems: vec![problem],
        };
        assert_eq!(
            not_found(error).to_string(),
            "error: the workflow `x` cannot be used\n  t/workflows/x/workflow.yaml:3:5: unknown key `step`\n help: did you \
             mean `steps`?"
        );
    }
}
