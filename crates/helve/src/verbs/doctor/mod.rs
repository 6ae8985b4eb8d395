//! `helve doctor`: what is wrong with a machine and a server, and how to mend it.

mod disk;
mod machine;
mod server;

use serde::Serialize;
use serde_json::json;

use crate::app::App;
use crate::errors::{FAILED, Problem, Result};
use crate::terminal::{Style, clean, print, print_json};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    /// What was looked at.
    name: String,
    state: State,
    /// What was found.
    found: String,
    /// What that means, if it is not well.
    #[serde(skip_serializing_if = "Option::is_none")]
    means: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Check {
    fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            state: State::Ok,
            found: found.into(),
            means: None,
            fix: None,
        }
    }

    /// It works, but not well.
    fn warn(name: impl Into<String>, found: impl Into<String>, means: &str, fix: impl Into<String>) -> Self {
        Self {
            state: State::Warn,
            means: Some(means.to_owned()),
            fix: Some(fix.into()),
            ..Self::ok(name, found)
        }
    }

    /// It does not work.
    fn fail(name: impl Into<String>, found: impl Into<String>, means: &str, fix: impl Into<String>) -> Self {
        Self {
            state: State::Fail,
            ..Self::warn(name, found, means, fix)
        }
    }
}

/// `helve doctor`.
pub(crate) async fn doctor(app: &App) -> Result<u8> {
    let mut checks = Vec::new();
    match app.data_dir() {
        Ok(data) => {
            let root = data.root().to_owned();
            let of_disk = tokio::task::spawn_blocking(move || disk::checks(&root)).await;
            checks.extend(of_disk.map_err(|error| Problem::new(format!("the disk cannot be looked at: {error}")))?);
            checks.extend(machine::checks(app).await);
            checks.extend(machine::tools(app, &data)?);
            checks.extend(server::checks(app, &data).await);
        }
        Err(problem) => {
            let fix = "name a directory that you may write to with --data-dir, or mend the owner and mode of this one";
            let means = "nothing can be kept: no run can start";
            checks.push(Check::fail("data directory", problem.plain(), means, fix));
            checks.extend(machine::checks(app).await);
        }
    }
    let worst = checks.iter().map(|check| check.state).max().unwrap_or(State::Ok);
    match app.global.json {
        true => print_json(&json!({"state": worst, "checks": checks})),
        false => print(&text(&checks, Style::stdout())),
    }
    Ok(if worst == State::Fail { FAILED } else { 0 })
}

fn text(checks: &[Check], style: Style) -> String {
    let mut text = String::new();
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for check in checks {
        let word = match check.state {
            State::Ok => style.paint("32", "ok  "),
            State::Warn => style.paint("33", "warn"),
            State::Fail => style.paint("31", "FAIL"),
        };
        text.push_str(&format!("{word}  {:width$}  {}\n", check.name, clean(&check.found)));
        for (label, more) in [("", &check.means), ("do: ", &check.fix)] {
            if let Some(more) = more {
                text.push_str(&format!("      {:width$}  {label}{}\n", "", clean(more)));
            }
        }
    }
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    text.push_str(&match (count(State::Fail), count(State::Warn)) {
        (0, 0) => "\nall is well\n".to_owned(),
        (fail, warn) => format!("\n{fail} to mend, {warn} to look at\n"),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_what_to_do() {
        let checks = [
            Check::ok("clock", "2026"),
            Check::fail("disk", "3 bytes are free", "no run can end", "make room"),
        ];
        let plain = Style {
            colour: false,
            ..Style::stdout()
        };
        assert_eq!(
            text(&checks, plain),
            "ok    clock  2026\nFAIL  disk   3 bytes are free\n             no run can end\n             do: make room\n\n\
             1 to mend, 0 to look at\n"
        );
    }

    #[test]
    fn a_failure_is_worse_than_a_warning() {
        assert!(State::Fail > State::Warn && State::Warn > State::Ok);
    }
}
