//! Runs as text.

use helve_runs::{Listed, Said, Shown, StepLine, TargetFacts};
use helve_toolbox::run::{RunInput, RunProgress};
use jiff::Timestamp;

use super::table::{Cell, table};
use super::{bytes, count, duration, millis_between, time};
use crate::terminal::{Style, clean};

/// The table of `helve runs list`.
pub(crate) fn list(runs: &[Listed], now: Timestamp, style: Style) -> String {
    let rows: Vec<Vec<Cell>> = runs
        .iter()
        .map(|run| {
            let took = millis_between(run.started, Some(run.ended.unwrap_or(now)));
            vec![
                clean(&run.run_id).into(),
                clean(&run.workflow).into(),
                status_cell(run.status),
                time(run.started).into(),
                took.map_or_else(|| "-".to_owned(), duration).into(),
                clean(run.target.as_deref().unwrap_or("-")).into(),
            ]
        })
        .collect();
    table(
        &["RUN", "WORKFLOW", "STATUS", "STARTED (UTC)", "TOOK", "TARGET"],
        &rows,
        style,
    )
}

/// `helve runs show`.
pub(crate) fn show(shown: &Shown<'_>, style: Style) -> String {
    let history = shown.history;
    let mut text = String::new();
    let mut fact = |name: &str, value: String| {
        text.push_str(&format!("{} {}\n", style.paint("2", &format!("{name:<11}")), value));
    };
    fact("run", clean(shown.run_id));
    let version = history
        .plan
        .as_ref()
        .map(|plan| format!(" {}", plan.version))
        .unwrap_or_default();
    fact("workflow", clean(&format!("{}{version}", history.workflow)));
    fact("status", status_line(shown, style));
    match shown.said {
        Said::Nothing => {}
        Said::Progress(progress) => fact("progress", clean(&said_text(progress))),
        Said::Unknown(reason) => fact("progress", clean(&format!("not known: {reason}"))),
    }
    fact("started", format!("{} UTC", time(history.started)));
    if let Some(end) = &history.end {
        let took = millis_between(history.started, end.at)
            .map(duration)
            .unwrap_or_default();
        fact("ended", format!("{} UTC, after {took}", time(end.at)));
        if let Some(reason) = &end.reason {
            fact("reason", clean(reason));
        }
        if let Some(output) = &end.output {
            fact("findings", findings_line(output.total, &output.by_severity));
            if !output.output.is_null() {
                fact("output", clean(&output.output.to_string()));
            }
        }
    }
    if let Some(input) = &history.input {
        if let Some(target) = target_line(input, shown.facts) {
            fact("target", target);
        }
        if !input.parameters.is_empty() {
            let pairs: Vec<String> = input
                .parameters
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            fact("parameters", clean(&pairs.join(" ")));
        }
    }
    text.push_str(&format!("\n{}\n", style.paint("1", "Steps")));
    text.push_str(&steps(shown, style));
    text
}

fn status_line(shown: &Shown<'_>, style: Style) -> String {
    let mut text = style.paint(status_colour(shown.status), shown.status);
    if shown.history.cancel_requested && shown.history.end.is_none() {
        text.push_str(", asked to stop");
    }
    text
}

/// `waits for somebody to look (1 of 2)`.
fn said_text(progress: &RunProgress) -> String {
    let RunProgress { text, done, total } = progress;
    let counts = match (*done, *total) {
        (0, 0) => None,
        (done, 0) => Some(format!("{} done", super::grouped(done))),
        (done, total) => Some(format!("{} of {}", super::grouped(done), super::grouped(total))),
    };
    match (text.as_str(), counts) {
        (text, None) => text.to_owned(),
        ("", Some(counts)) => counts,
        (text, Some(counts)) => format!("{text} ({counts})"),
    }
}

fn target_line(input: &RunInput, facts: Option<&TargetFacts>) -> Option<String> {
    let target = input.target.as_ref()?;
    let mut text = format!("{} ({:.16})", clean(&target.name), target.id);
    if let Some(facts) = facts {
        text.push_str(&format!(", {}, {}", count(facts.files, "file"), bytes(facts.bytes)));
    }
    Some(text)
}

fn findings_line(total: u64, by_severity: &std::collections::BTreeMap<String, u64>) -> String {
    let parts: Vec<String> = ["critical", "high", "medium", "low", "note"]
        .into_iter()
        .filter_map(|name| {
            by_severity
                .get(name)
                .filter(|count| **count > 0)
                .map(|count| format!("{count} {name}"))
        })
        .collect();
    if parts.is_empty() {
        total.to_string()
    } else {
        format!("{total}: {}", parts.join(", "))
    }
}

/// One row per activity: each step, each part of a fan-out, and Helve's own activities.
fn steps(shown: &Shown<'_>, style: Style) -> String {
    if shown.history.activities.is_empty() {
        return "none yet\n".to_owned();
    }
    let rows: Vec<Vec<Cell>> = shown
        .history
        .activities
        .iter()
        .map(|activity| {
            let row = StepLine::new(activity, shown);
            let took = row
                .started
                .and(millis_between(row.started, Some(activity.ended.unwrap_or(shown.now))));
            vec![
                clean(&activity.step).into(),
                clean(&activity.uses).into(),
                row.attempt.to_string().into(),
                Cell::coloured(row.state, status_colour(row.state)),
                time(row.started.or(activity.scheduled)).into(),
                took.map_or_else(|| "-".to_owned(), duration).into(),
                clean(if row.worker.is_empty() { "-" } else { &row.worker }).into(),
                clean(&row.outcome).into(),
            ]
        })
        .collect();
    table(
        &[
            "STEP",
            "MODULE",
            "ATTEMPT",
            "STATE",
            "STARTED (UTC)",
            "TOOK",
            "WORKER",
            "OUTCOME",
        ],
        &rows,
        style,
    )
}

fn status_cell(status: &'static str) -> Cell {
    Cell::coloured(status, status_colour(status))
}

fn status_colour(status: &str) -> &'static str {
    match status {
        "completed" => "32",
        "running" => "36",
        "failed" | "timed_out" => "31",
        "inconclusive" | "canceled" | "cancelled" | "terminated" => "33",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use helve_runs::{RunDetail, RunHistory};
    use serde_json::{Value, json};

    use super::*;

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::new(1_700_000_000 + second, 0).ok()
    }

    #[test]
    fn a_list_shows_what_runs_and_for_how_long() {
        let run = Listed {
            run_id: "assessment-7k2m9qxa".into(),
            workflow: "assessment".into(),
            target: Some("app".into()),
            status: "running",
            started: at(0),
            ended: None,
            started_by: None,
        };
        let done = Listed {
            status: "completed",
            ended: at(3),
            target: None,
            ..run.clone()
        };
        assert_eq!(
            list(&[run, done], at(90).unwrap(), Style::PLAIN),
            "RUN                  WORKFLOW    STATUS     STARTED (UTC)        TOOK        TARGET\n\
             assessment-7k2m9qxa  assessment  running    2023-11-14 22:13:20  1 min 30 s  app\n\
             assessment-7k2m9qxa  assessment  completed  2023-11-14 22:13:20  3.0 s       -\n"
        );
    }

    #[test]
    fn what_a_run_says_of_itself_is_shown_and_so_is_that_nobody_could_be_asked() {
        let history = RunHistory::default();
        let shown = |said: &Said| {
            let shown = Shown {
                run_id: "guided-7k2m9qxa",
                status: "running",
                said,
                facts: None,
                history: &history,
                pending: &[],
                now: Timestamp::UNIX_EPOCH,
            };
            (show(&shown, Style::PLAIN), json!(RunDetail::from(&shown)))
        };
        let said = |text: &str, done, total| {
            let text = text.to_owned();
            Said::Progress(RunProgress { text, done, total })
        };
        for (said, line) in [
            (said("looks around", 0, 0), "progress    looks around\n"),
            (said("looks around", 1, 2), "progress    looks around (1 of 2)\n"),
            (said("looks around", 1200, 0), "progress    looks around (1,200 done)\n"),
            (said("", 1, 2), "progress    1 of 2\n"),
            (
                Said::Unknown("there is no worker".to_owned()),
                "progress    not known: there is no worker\n",
            ),
        ] {
            let (text, _) = shown(&said);
            assert!(text.contains(line), "{text}");
        }
        let (_, json) = shown(&said("looks around", 1, 2));
        assert_eq!(json["progress"], json!({"text": "looks around", "done": 1, "total": 2}));
        let (_, json) = shown(&Said::Unknown("why".to_owned()));
        assert_eq!(
            (&json["progress"], &json["progress_unknown"]),
            (&Value::Null, &json!("why"))
        );
        let (text, json) = shown(&Said::Nothing);
        assert!(!text.contains("progress") && json["progress"].is_null(), "{text}");
    }
}
