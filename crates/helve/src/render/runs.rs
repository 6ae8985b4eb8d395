//! Runs as text and JSON.

use helve_toolbox::run::{RunInput, RunProgress, StepOutput, queue_vertical};
use helve_worker::StepProgress;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::table::{Cell, table};
use super::{bytes, count, duration, millis_between, time};
use crate::history::{Activity, Outcome, RunHistory};
use crate::result::{TargetFacts, status_text};
use crate::terminal::{Style, clean};

/// One line of `helve runs list`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listed {
    pub(crate) run_id: String,
    pub(crate) workflow: String,
    pub(crate) target: Option<String>,
    /// `running`, `completed`, ...
    pub(crate) status: &'static str,
    pub(crate) started: Option<Timestamp>,
    pub(crate) ended: Option<Timestamp>,
}

/// One attempt chain that has not ended, from the engine's own knowledge: history tells of it only afterwards.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Pending {
    pub(crate) activity_id: String,
    pub(crate) attempt: u32,
    pub(crate) running: bool,
    pub(crate) worker: String,
    pub(crate) started: Option<Timestamp>,
    pub(crate) last_failure: Option<String>,
    pub(crate) progress: Option<StepProgress>,
}

/// What an open run that is code says of itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    /// It is no such run, or has not said anything.
    Nothing,
    Progress(RunProgress),
    /// Nobody could be asked, for this reason.
    Unknown(String),
}

/// Everything that `helve runs show` knows.
pub(crate) struct Shown<'a> {
    pub(crate) run_id: &'a str,
    pub(crate) status: &'static str,
    pub(crate) said: &'a Said,
    pub(crate) facts: Option<&'a TargetFacts>,
    pub(crate) history: &'a RunHistory,
    pub(crate) pending: &'a [Pending],
    pub(crate) now: Timestamp,
}

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

/// The same for `--json`.
pub(crate) fn list_json(runs: &[Listed]) -> Value {
    let runs: Vec<Value> = runs
        .iter()
        .map(|run| {
            json!({
                "run_id": run.run_id,
                "workflow": run.workflow,
                "target": run.target,
                "status": run.status,
                "started_at": run.started,
                "ended_at": run.ended,
                "duration_ms": millis_between(run.started, run.ended),
            })
        })
        .collect();
    Value::Array(runs)
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
            let row = Row::new(activity, shown);
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

/// What is known of an activity, from its history or, while it is open, from the engine.
struct Row {
    attempt: u32,
    state: &'static str,
    started: Option<Timestamp>,
    worker: String,
    outcome: String,
}

impl Row {
    fn new(activity: &Activity, shown: &Shown<'_>) -> Self {
        let closed = |state, outcome: String| Self {
            attempt: activity.attempts,
            state,
            started: activity.started,
            worker: activity.worker.clone(),
            outcome: match &activity.last_failure {
                Some(failure) => format!("{outcome} (an earlier attempt failed: {failure})"),
                None => outcome,
            },
        };
        match &activity.outcome {
            Outcome::Completed(Some(output)) => {
                let findings = count(output.findings, "finding");
                match output.status.reason() {
                    Some(_) => {
                        let outcome = format!("{findings}; {}", status_text(&output.status));
                        closed("inconclusive", with_sandbox(outcome, output))
                    }
                    None if activity.is_internal() => closed("completed", String::new()),
                    None => closed("completed", with_sandbox(findings, output)),
                }
            }
            Outcome::Completed(None) => closed("completed", String::new()),
            Outcome::Failed(reason) => closed("failed", reason.clone()),
            Outcome::TimedOut(reason) => closed("timed_out", reason.clone()),
            Outcome::Cancelled => closed("cancelled", String::new()),
            Outcome::Open if shown.history.end.is_some() => closed("cancelled", "the run ended before it".to_owned()),
            Outcome::Open => Self::open(activity, shown.pending.iter().find(|p| p.activity_id == activity.step)),
        }
    }

    fn open(activity: &Activity, pending: Option<&Pending>) -> Self {
        let pending = pending.cloned().unwrap_or_default();
        let mut outcome = match (&pending.progress, pending.running) {
            (Some(progress), true) => progress_text(progress),
            (None, true) => String::new(),
            (_, false) => format!("waiting for a worker with {}", queue_vertical(&activity.queue)),
        };
        if let Some(failure) = &pending.last_failure {
            outcome = format!("{outcome} (the attempt before failed: {failure})")
                .trim_start()
                .to_owned();
        }
        Self {
            attempt: pending.attempt,
            state: if pending.running { "running" } else { "waiting" },
            started: pending.started.filter(|_| pending.running),
            worker: if pending.running { pending.worker } else { String::new() },
            outcome,
        }
    }
}

/// The level of the sandbox that a program of the step ran in.
fn sandbox(output: &StepOutput) -> Option<&str> {
    output.summary.get("sandbox").and_then(Value::as_str)
}

fn with_sandbox(outcome: String, output: &StepOutput) -> String {
    match sandbox(output) {
        Some(level) => format!("{outcome}; sandbox {level}"),
        None => outcome,
    }
}

/// `1,200 of 10,000 files`.
pub(crate) fn progress_text(progress: &StepProgress) -> String {
    match progress.total {
        Some(total) => format!(
            "{} of {} {}",
            super::grouped(progress.done),
            super::grouped(total),
            progress.unit
        ),
        None => format!("{} {}", super::grouped(progress.done), progress.unit),
    }
}

/// `helve runs show --json`.
pub(crate) fn show_json(shown: &Shown<'_>) -> Value {
    let history = shown.history;
    let steps: Vec<Value> = history
        .activities
        .iter()
        .map(|activity| {
            let row = Row::new(activity, shown);
            let output = match &activity.outcome {
                Outcome::Completed(Some(output)) if !activity.is_internal() => Some(&**output),
                _ => None,
            };
            json!({
                "id": activity.step,
                "uses": activity.uses,
                "queue": activity.queue,
                "status": row.state,
                "attempts": row.attempt,
                "worker": (!row.worker.is_empty()).then_some(row.worker),
                "scheduled_at": activity.scheduled,
                "started_at": row.started,
                "ended_at": activity.ended,
                "duration_ms": millis_between(row.started, activity.ended),
                "findings": output.map(|output| output.findings),
                "sandbox": output.and_then(sandbox),
                "outcome": row.outcome,
                "internal": activity.is_internal(),
            })
        })
        .collect();
    let end = history.end.as_ref();
    let (progress, unknown) = match shown.said {
        Said::Nothing => (None, None),
        Said::Progress(progress) => (Some(progress), None),
        Said::Unknown(reason) => (None, Some(reason)),
    };
    json!({
        "run_id": shown.run_id,
        "workflow": history.workflow,
        "workflow_version": history.plan.as_ref().map(|plan| &plan.version),
        "plan_digest": history.plan.as_ref().map(|plan| &plan.digest),
        "status": shown.status,
        "cancel_requested": history.cancel_requested,
        "progress": progress,
        "progress_unknown": unknown,
        "started_at": history.started,
        "ended_at": end.and_then(|end| end.at),
        "duration_ms": end.and_then(|end| millis_between(history.started, end.at)),
        "reason": end.and_then(|end| end.reason.as_ref()),
        "target": history.input.as_ref().and_then(|input| input.target.as_ref()),
        "target_facts": shown.facts,
        "parameters": history.input.as_ref().map(|input| &input.parameters),
        "result": end.and_then(|end| end.output.as_ref()),
        "steps": steps,
    })
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
            (show(&shown, Style::PLAIN), show_json(&shown))
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

    #[test]
    fn progress_reads_as_a_sentence_would() {
        let progress = StepProgress {
            done: 1200,
            total: Some(10_000),
            unit: "files".into(),
            message: None,
        };
        assert_eq!(progress_text(&progress), "1,200 of 10,000 files");
        assert_eq!(
            progress_text(&StepProgress {
                total: None,
                ..progress
            }),
            "1,200 files"
        );
    }
}
