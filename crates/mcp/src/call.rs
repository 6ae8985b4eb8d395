//! What each tool does.

use std::time::Duration;

use helve_client::{Client, Decision, Heard, StartRun};
use helve_runs::{RunDetail, RunEventKind};
use serde_json::{Map, Value, json};

use crate::Allowed;
use crate::answer::{Answer, Failure};
use crate::arguments::{
    Cancel, Decide, FindingId, Findings, Limit, Name, Nothing, OfRun, OfTarget, RunId, Runs, Start, Wait, limit, read,
};
use crate::scan;
use crate::tools;

/// How long a run is waited for, when nothing is said and at most. Seconds.
const USUAL_WAIT: u64 = 30;
const LONGEST_WAIT: u64 = 120;

/// Calls a tool.
pub(crate) async fn call(
    client: &Client,
    allowed: &Allowed,
    name: &str,
    arguments: Option<Map<String, Value>>,
) -> Result<Answer, Failure> {
    // Not offered is not enough: a client may call what it likes.
    if !tools::needs(name).is_some_and(|needs| needs.is_met(allowed)) {
        return Err(Failure::new(format!(
            "there is no tool `{name}`, or it is not allowed here"
        )));
    }
    match name {
        "list_workflows" => {
            let Nothing {} = read(arguments)?;
            let all = client.list("workflows").await?;
            Ok(Answer::own(all.iter().map(brief).collect::<Vec<_>>()))
        }
        "show_workflow" => {
            let Name { name } = read(arguments)?;
            let mut workflow = client.one("workflows", &name).await?;
            // With the defaults in their places.
            workflow["parameters"] = client.parameters(&name).await?;
            Ok(Answer::own(workflow))
        }
        "list_targets" => {
            let Limit { limit: asked } = read(arguments)?;
            let targets = client.list_some("targets", &[], limit(asked)).await?;
            Ok(Answer::untrusted(targets))
        }
        "start_run" => start(client, allowed, read(arguments)?).await,
        "list_runs" => {
            let asked: Runs = read(arguments)?;
            let filter = asked.asked();
            let page = client
                .runs_page(&filter, limit(asked.limit), asked.cursor.as_deref())
                .await?;
            Ok(Answer::untrusted(
                json!({"items": page.items, "next_cursor": page.next_cursor}),
            ))
        }
        "show_run" => {
            let RunId { run_id } = read(arguments)?;
            Ok(shown(&client.run(&run_id).await?))
        }
        "wait_for_run" => {
            let Wait { run_id, seconds } = read(arguments)?;
            let patience = Duration::from_secs(seconds.unwrap_or(USUAL_WAIT).clamp(1, LONGEST_WAIT));
            // If it goes on, how far it is is an answer too.
            if let Ok(outcome) = tokio::time::timeout(patience, ended(client, &run_id)).await {
                outcome?;
            }
            Ok(shown(&client.run(&run_id).await?))
        }
        "cancel_run" => {
            let Cancel { run_id, reason } = read(arguments)?;
            client.cancel(&run_id, reason.as_deref()).await?;
            Ok(Answer::own(json!({"run_id": run_id, "status": "cancel_requested"})))
        }
        "list_run_findings" => {
            let asked: OfRun = read(arguments)?;
            let page = client.findings_of_run(
                &asked.run_id,
                asked.severity.as_deref(),
                limit(asked.limit),
                asked.cursor.as_deref(),
            );
            Ok(Answer::untrusted(page.await?))
        }
        "list_findings" => {
            let asked: Findings = read(arguments)?;
            let filter = asked.asked();
            let page = client.findings_page(
                &filter,
                asked.order.as_deref(),
                limit(asked.limit),
                asked.cursor.as_deref(),
            );
            let page = page.await?;
            Ok(Answer::untrusted(
                json!({"items": page.items, "next_cursor": page.next_cursor}),
            ))
        }
        "show_finding" => {
            let FindingId { id } = read(arguments)?;
            Ok(Answer::untrusted(client.finding(&id).await?))
        }
        "findings_overview" => {
            let OfTarget { target } = read(arguments)?;
            Ok(Answer::own(client.overview(target.as_deref()).await?))
        }
        "triage_finding" => {
            let decide: Decide = read(arguments)?;
            let decision = Decision {
                state: decide.state,
                until: decide.until,
                comment: decide.comment,
            };
            Ok(Answer::untrusted(client.triage(&decide.id, &decision).await?))
        }
        other => Err(Failure::new(format!("there is no tool `{other}`"))),
    }
}

/// A workflow in a list.
fn brief(workflow: &Value) -> Value {
    let keys = ["name", "version", "vertical", "description", "tags"];
    keys.into_iter()
        .map(|key| (key.to_owned(), workflow[key].clone()))
        .collect::<Map<_, _>>()
        .into()
}

async fn start(client: &Client, allowed: &Allowed, start: Start) -> Result<Answer, Failure> {
    let (target, target_name) = match (start.target, start.path) {
        (Some(_), Some(_)) => return Err(Failure::new("name either a `target` or a `path`")),
        (Some(target), None) => (Some(target), None),
        (None, Some(path)) => {
            let (id, name) = scan::upload(client, allowed, &path).await?;
            (Some(id), Some(name))
        }
        (None, None) => (None, None),
    };
    let order = StartRun {
        workflow: start.workflow,
        target,
        target_name,
        parameters: start.parameters,
        timeout: start.timeout,
    };
    let started = client.start(&order).await?;
    Ok(Answer::own(
        json!({"run_id": started.run_id, "workflow": started.workflow, "target": order.target, "status": "running"}),
    ))
}

/// Waits until a run has ended.
async fn ended(client: &Client, run_id: &str) -> Result<(), Failure> {
    let mut events = client.events(run_id);
    while let Some(heard) = events.next().await? {
        if matches!(heard, Heard::Event(RunEventKind::RunEnded { .. })) {
            break;
        }
    }
    Ok(())
}

/// A run without Helve's own activities.
fn shown(run: &RunDetail) -> Answer {
    let mut value = json!(run);
    if let Some(steps) = value["steps"].as_array_mut() {
        steps.retain(|step| step["internal"] != true);
    }
    Answer::untrusted(value)
}
