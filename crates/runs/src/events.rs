//! A run as a stream of typed events that can be taken up again at any of them.
//!
//! What the history tells has an id, made from the number of the event in the history: whoever names the last one that it
//! has seen gets all that came after it, from this process or from another. What only the engine knows, how far a step is,
//! has none and is not repeated: its next news supersedes it.

mod kind;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use helve_blobs::BlobStore;
use helve_findings::{Finding, ModuleReport, NotificationLevel};
use helve_toolbox::run::{StepState, queue_vertical};
use helve_worker::StepProgress;
use temporalio_client::tonic::Status;
use temporalio_protos::temporal::api::history::v1::HistoryEvent;
use temporalio_protos::temporal::api::history::v1::history_event::Attributes;

pub use kind::{EventId, FoundFinding, InvalidEventId, PlannedStep, RunEvent, RunEventKind, StepEnd};

use crate::client::Client;
use crate::follow::{News, Watch};
use crate::history::{Activity, Outcome, RunHistory, timestamp};
use crate::pending::Pending;
use crate::text::millis_between;

/// How often the engine is asked about running steps.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Findings of one step that become events. All of them are in the run's report, at its end.
const FINDINGS_PER_STEP: usize = 1000;
/// Bytes of a step's report that are read for its events.
const LARGEST_REPORT: u64 = 64 << 20;

/// A run while its events are told.
pub struct Events {
    watch: Watch,
    blobs: BlobStore,
    after: Option<EventId>,
    queue: VecDeque<RunEvent>,
    /// What was said last of each running step.
    live: HashMap<String, (u32, Option<StepProgress>)>,
}

impl Events {
    /// From the beginning, or after an event.
    pub fn new(client: &Client, blobs: BlobStore, run_id: &str, after: Option<EventId>) -> Self {
        Self {
            watch: Watch::new(client, run_id, Some(ASK_EVERY)),
            blobs,
            after,
            queue: VecDeque::new(),
            live: HashMap::new(),
        }
    }

    /// Waits for the next one; none after the run has ended.
    ///
    /// # Errors
    ///
    /// When the engine does not answer any more, or does not know the run.
    pub async fn next(&mut self) -> Result<Option<RunEvent>, Status> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Ok(Some(event));
            }
            match self.watch.next().await? {
                None => return Ok(None),
                Some(News::Events(events)) => {
                    for event in &events {
                        self.take_in(event).await;
                    }
                }
                Some(News::Pending(pending)) => self.take_in_pending(&pending),
            }
        }
    }

    async fn take_in(&mut self, event: &HistoryEvent) {
        let seen = self.after.is_some_and(|after| event.event_id < after.event);
        if seen {
            return;
        }
        let Some(attributes) = &event.attributes else { return };
        let history = self.watch.history();
        let mut kinds = Vec::new();
        if let Some(kind) = of_the_run(history, attributes) {
            kinds.push(kind);
        } else if let Some(activity) = history.closed_by(attributes) {
            let report = match &activity.outcome {
                Outcome::Completed(Some(output)) if !activity.is_internal() => output.report.clone(),
                _ => None,
            };
            if !activity.is_internal() {
                self.live.remove(&activity.step);
                kinds.push(RunEventKind::StepEnded(step_end(activity)));
                let step = activity.step.clone();
                if let Some(blob) = report {
                    let blobs = self.blobs.clone();
                    let read = tokio::task::spawn_blocking(move || read_report(&blobs, &blob.id)).await;
                    kinds.extend(of_the_report(
                        &step,
                        read.unwrap_or_else(|error| Err(error.to_string())),
                    ));
                }
            }
        } else if let Some(activity) = history.scheduled_by(event.event_id, attributes)
            && !activity.is_internal()
        {
            kinds.push(RunEventKind::StepScheduled {
                step: activity.step.clone(),
                module: activity.uses.clone(),
                vertical: queue_vertical(&activity.queue).to_owned(),
            });
        }
        let at = event.event_time.as_ref().and_then(timestamp);
        let after = self.after;
        let events = kinds.into_iter().zip(0..).map(|(kind, part)| RunEvent {
            id: Some(EventId {
                event: event.event_id,
                part,
            }),
            at,
            kind,
        });
        self.queue.extend(events.filter(|event| event.id > after));
    }

    fn take_in_pending(&mut self, pending: &[Pending]) {
        // The engine may answer before the history does; a run begins with its beginning.
        if self.watch.history().started.is_none() {
            return;
        }
        let steps = pending
            .iter()
            .filter(|step| step.running && !step.activity_id.starts_with(helve_toolbox::run::INTERNAL_PREFIX));
        for step in steps {
            let known = self.live.entry(step.activity_id.clone()).or_default();
            let now = |kind| RunEvent {
                id: None,
                at: None,
                kind,
            };
            if known.0 != step.attempt {
                *known = (step.attempt, None);
                self.queue.push_back(RunEvent {
                    at: step.started,
                    ..now(RunEventKind::StepStarted {
                        step: step.activity_id.clone(),
                        attempt: step.attempt,
                        worker: step.worker.clone(),
                        last_failure: step.last_failure.clone(),
                    })
                });
            }
            if step.progress.is_some() && known.1 != step.progress {
                known.1.clone_from(&step.progress);
                if let Some(progress) = step.progress.clone() {
                    self.queue.push_back(now(RunEventKind::StepProgress {
                        step: step.activity_id.clone(),
                        done: progress.done,
                        total: progress.total,
                        unit: progress.unit,
                        message: progress.message,
                    }));
                }
            }
        }
    }
}

fn of_the_run(history: &RunHistory, attributes: &Attributes) -> Option<RunEventKind> {
    match attributes {
        Attributes::WorkflowExecutionStartedEventAttributes(_) => {
            let input = history.input.as_ref();
            // Not the plan that a run without one asks for later: what an event says must not depend on when it is asked for.
            let plan = input.and_then(|input| input.plan.as_ref());
            let steps = plan.map(|plan| plan.plan.steps.as_slice()).unwrap_or_default();
            Some(RunEventKind::RunStarted {
                workflow: history.workflow.clone(),
                target: input.and_then(|input| input.target.clone()),
                steps: steps
                    .iter()
                    .map(|step| PlannedStep {
                        id: step.id.clone(),
                        uses: step.uses.clone(),
                        needs: step.needs.clone(),
                    })
                    .collect(),
            })
        }
        Attributes::WorkflowExecutionCancelRequestedEventAttributes(_) => Some(RunEventKind::CancelRequested),
        attributes if RunHistory::is_end(attributes) => {
            let end = history.end.as_ref()?;
            let output = end.output.as_ref();
            Some(RunEventKind::RunEnded {
                status: end.how.name(),
                reason: end.reason.clone(),
                findings: output.map(|output| output.total),
                by_severity: output.map(|output| output.by_severity.clone()).unwrap_or_default(),
            })
        }
        _ => None,
    }
}

fn step_end(activity: &Activity) -> StepEnd {
    let output = match &activity.outcome {
        Outcome::Completed(output) => output.as_deref().cloned().unwrap_or_default(),
        _ => Default::default(),
    };
    let (state, reason) = match &activity.outcome {
        Outcome::Failed(reason) | Outcome::TimedOut(reason) => (StepState::Failed, Some(reason.clone())),
        Outcome::Cancelled => (StepState::Cancelled, None),
        Outcome::Completed(_) | Outcome::Open => (output.status.state(), output.status.reason().map(str::to_owned)),
    };
    StepEnd {
        step: activity.step.clone(),
        module: activity.uses.clone(),
        status: state.to_string(),
        reason,
        attempts: activity.attempts,
        worker: activity.worker.clone(),
        duration_ms: millis_between(activity.started, activity.ended),
        findings: output.findings,
        by_severity: output.by_severity,
        summary: output.summary,
    }
}

fn read_report(blobs: &BlobStore, id: &str) -> Result<ModuleReport, String> {
    let id = id.parse().map_err(|error: helve_blobs::InvalidId| error.to_string())?;
    let bytes = blobs
        .get_limited(&id, LARGEST_REPORT)
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

fn of_the_report(step: &str, report: Result<ModuleReport, String>) -> Vec<RunEventKind> {
    let log = |level, message: String, path| RunEventKind::Log {
        step: Some(step.to_owned()),
        level,
        message,
        path,
    };
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            let message = format!("the step's report cannot be read, so its findings are not shown here: {error}");
            return vec![log("warning", message, None)];
        }
    };
    let found = report.findings.len();
    let mut events: Vec<RunEventKind> = report
        .findings
        .into_iter()
        .take(FINDINGS_PER_STEP)
        .map(|finding| RunEventKind::Finding(found_finding(step, finding)))
        .collect();
    if found > FINDINGS_PER_STEP {
        let message = format!(
            "{} more findings are in the report of the run",
            found - FINDINGS_PER_STEP
        );
        events.push(log("note", message, None));
    }
    events.extend(
        report
            .notifications
            .into_iter()
            .take(FINDINGS_PER_STEP)
            .map(|notification| {
                let level = match notification.level {
                    NotificationLevel::Note => "note",
                    NotificationLevel::Warning => "warning",
                    NotificationLevel::Error => "error",
                };
                log(level, notification.message, notification.path)
            }),
    );
    events
}

fn found_finding(step: &str, finding: Finding) -> FoundFinding {
    FoundFinding {
        step: step.to_owned(),
        module: finding.module,
        rule_id: finding.rule_id,
        severity: finding.severity,
        confidence: finding.confidence,
        message: finding.message,
        line: finding.location.region.map(|region| region.start_line),
        path: finding.location.path,
    }
}

#[cfg(test)]
mod tests {
    use helve_findings::{Confidence, Location, Notification, Rule, Severity};

    use super::*;

    #[test]
    fn what_a_step_could_not_look_at_follows_what_it_found() {
        let rule = Rule {
            id: "m/r".into(),
            name: "r".into(),
            description: String::new(),
            severity: Severity::High,
            confidence: Confidence::Low,
            cwe: vec![],
            tags: vec![],
            remediation: String::new(),
            references: vec![],
        };
        let mut report = ModuleReport::new("m", "1");
        report
            .findings
            .push(Finding::new(&rule, "m", "Bad.", Location::file("a.py"), "x"));
        report.notifications.push(Notification {
            level: NotificationLevel::Warning,
            message: "too large".into(),
            path: Some("b.py".into()),
        });
        let names: Vec<&str> = of_the_report("scan", Ok(report))
            .iter()
            .map(RunEventKind::name)
            .collect();
        assert_eq!(names, ["finding", "log"]);
    }

    #[test]
    fn a_report_that_is_gone_is_said_and_is_not_no_findings() {
        let events = of_the_report("scan", Err("gone".into()));
        assert!(
            matches!(&events[..], [RunEventKind::Log { level: "warning", message, .. }] if message.contains("gone"))
        );
    }
}
