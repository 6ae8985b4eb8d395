//! Runs as text.

use helve_runs::{RunDetail, RunSummary};
use helve_toolbox::run::RunProgress;
use jiff::Timestamp;

use super::table::{Cell, table};
use super::{bytes, count, duration, millis_between, time};
use crate::terminal::{Style, clean};

/// The table of `helve runs list`.
pub(crate) fn list(runs: &[RunSummary], now: Timestamp, style: Style) -> String {
    let rows: Vec<Vec<Cell>> = runs
        .iter()
        .map(|run| {
            let took = millis_between(run.started_at, Some(run.ended_at.unwrap_or(now)));
            vec![
                clean(&run.run_id).into(),
                clean(&run.workflow).into(),
                status_cell(run.status),
                time(run.started_at).into(),
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

/// `helve runs show`. What is open has taken until `now`.
pub(crate) fn show(run: &RunDetail, now: Timestamp, style: Style) -> String {
    let mut text = String::new();
    let mut fact = |name: &str, value: String| {
        text.push_str(&format!("{} {}\n", style.paint("2", &format!("{name:<11}")), value));
    };
    fact("run", clean(&run.run_id));
    let version = run.workflow_version.as_ref().map(|version| format!(" {version}"));
    fact(
        "workflow",
        clean(&format!("{}{}", run.workflow, version.unwrap_or_default())),
    );
    fact("status", status_line(run, style));
    if let Some(progress) = &run.progress {
        fact("progress", clean(&said_text(progress)));
    }
    if let Some(reason) = &run.progress_unknown {
        fact("progress", clean(&format!("not known: {reason}")));
    }
    fact("started", format!("{} UTC", time(run.started_at)));
    if run.ended_at.is_some() {
        let took = run.duration_ms.map(duration).unwrap_or_default();
        fact("ended", format!("{} UTC, after {took}", time(run.ended_at)));
    }
    if let Some(reason) = &run.reason {
        fact("reason", clean(reason));
    }
    if let Some(output) = &run.result {
        fact("findings", findings_line(output.total, &output.by_severity));
        if !output.output.is_null() {
            fact("output", clean(&output.output.to_string()));
        }
    }
    if let Some(target) = target_line(run) {
        fact("target", target);
    }
    if let Some(parameters) = run.parameters.as_ref().filter(|parameters| !parameters.is_empty()) {
        let pairs: Vec<String> = parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
        fact("parameters", clean(&pairs.join(" ")));
    }
    text.push_str(&format!("\n{}\n", style.paint("1", "Steps")));
    text.push_str(&steps(run, now, style));
    text
}

fn status_line(run: &RunDetail, style: Style) -> String {
    let mut text = style.paint(status_colour(run.status), run.status);
    if run.cancel_requested && run.ended_at.is_none() {
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

fn target_line(run: &RunDetail) -> Option<String> {
    let target = run.target.as_ref()?;
    let mut text = format!("{} ({:.16})", clean(&target.name), target.id);
    if let Some(facts) = &run.target_facts {
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
fn steps(run: &RunDetail, now: Timestamp, style: Style) -> String {
    if run.steps.is_empty() {
        return "none yet\n".to_owned();
    }
    let rows: Vec<Vec<Cell>> = run
        .steps
        .iter()
        .map(|step| {
            let took = step
                .started_at
                .and(millis_between(step.started_at, Some(step.ended_at.unwrap_or(now))));
            vec![
                clean(&step.id).into(),
                clean(&step.uses).into(),
                step.attempts.to_string().into(),
                Cell::coloured(step.status, status_colour(step.status)),
                time(step.started_at.or(step.scheduled_at)).into(),
                took.map_or_else(|| "-".to_owned(), duration).into(),
                clean(step.worker.as_deref().unwrap_or("-")).into(),
                clean(&step.outcome).into(),
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
    use helve_runs::{RunHistory, Said, Shown};
    use serde_json::{Value, json};

    use super::*;

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::new(1_700_000_000 + second, 0).ok()
    }

    #[test]
    fn a_list_shows_what_runs_and_for_how_long() {
        let run = RunSummary {
            run_id: "assessment-7k2m9qxa".into(),
            workflow: "assessment".into(),
            target: Some("app".into()),
            status: "running",
            started_at: at(0),
            ended_at: None,
            duration_ms: None,
        };
        let done = RunSummary {
            status: "completed",
            ended_at: at(3),
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
            let detail = RunDetail::from(&shown);
            (show(&detail, Timestamp::UNIX_EPOCH, Style::PLAIN), json!(detail))
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
