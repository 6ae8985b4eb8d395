//! A run as its Temporal history tells it: which steps there were, who ran them, how they ended. The same on every
//! engine, since it needs nothing but the events.

use helve_toolbox::run::{
    INTERNAL_PREFIX, PLAN_ACTIVITY, PinnedPlan, PlanOutput, RunInput, RunOutput, StepInput, StepOutput,
};
use jiff::Timestamp;
use temporalio_protos::temporal::api::common::v1::Payloads;
use temporalio_protos::temporal::api::enums::v1::TimeoutType;
use temporalio_protos::temporal::api::failure::v1::{Failure, failure::FailureInfo};
use temporalio_protos::temporal::api::history::v1::HistoryEvent;
use temporalio_protos::temporal::api::history::v1::history_event::Attributes;

use crate::client::from_payloads;

/// What the events so far say.
#[derive(Debug, Default)]
pub struct RunHistory {
    /// Workflow type.
    pub workflow: String,
    /// The run's argument, if it is one of ours.
    pub input: Option<RunInput>,
    /// The plan, once it is known.
    pub plan: Option<PinnedPlan>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// A worker has begun to work on it.
    pub taken_up: bool,
    /// Somebody asked it to stop.
    pub cancel_requested: bool,
    /// Its activities in the order in which they were scheduled.
    pub activities: Vec<Activity>,
    /// How it ended.
    pub end: Option<End>,
}

/// A step, or a part of a fan-out, or an internal activity.
#[derive(Debug)]
pub struct Activity {
    pub(crate) scheduled_id: i64,
    /// Id of the step, with the item's index for a fan-out.
    pub step: String,
    /// Name of the module.
    pub uses: String,
    /// Task queue that it waits in.
    pub queue: String,
    /// When it began to wait.
    pub scheduled: Option<Timestamp>,
    /// Of the last attempt; written only when the activity has ended.
    pub started: Option<Timestamp>,
    /// When it closed.
    pub ended: Option<Timestamp>,
    /// Attempts so far; 0 while it is open and nothing is known.
    pub attempts: u32,
    /// Identity of the worker of the last attempt.
    pub worker: String,
    /// Why the last attempt but one failed.
    pub last_failure: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
}

impl Activity {
    /// Helve's own activities are not steps of the plan.
    pub fn is_internal(&self) -> bool {
        self.uses.starts_with(INTERNAL_PREFIX)
    }
}

/// How an activity ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It has not.
    Open,
    /// It succeeded; with what it says, if that is a step's result.
    Completed(Option<Box<StepOutput>>),
    /// It failed for good, and why.
    Failed(String),
    /// It took too long, and how.
    TimedOut(String),
    /// It was cancelled.
    Cancelled,
}

/// How a run ended.
#[derive(Debug)]
pub struct End {
    /// In which way.
    pub how: Ending,
    /// When.
    pub at: Option<Timestamp>,
    /// The result; a failed or cancelled run may have one.
    pub output: Option<RunOutput>,
    /// Why, where somebody said it.
    pub reason: Option<String>,
}

/// The kinds of end that Temporal knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its code came to its end.
    Completed,
    /// Its code failed.
    Failed,
    /// Somebody asked it to stop, and it did.
    Canceled,
    /// Somebody ended it.
    Terminated,
    /// It took longer than it may.
    TimedOut,
    /// It goes on as another execution.
    ContinuedAsNew,
}

impl Ending {
    /// As `--json` writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Terminated => "terminated",
            Self::TimedOut => "timed_out",
            Self::ContinuedAsNew => "continued_as_new",
        }
    }
}

impl RunHistory {
    /// Takes the next event in.
    pub fn apply(&mut self, event: &HistoryEvent) {
        let at = event.event_time.as_ref().and_then(timestamp);
        match &event.attributes {
            Some(Attributes::WorkflowExecutionStartedEventAttributes(started)) => {
                self.workflow = started.workflow_type.clone().unwrap_or_default().name;
                self.started = at;
                self.input = from_payloads(started.input.as_ref());
                self.plan = self.input.as_ref().and_then(|input| input.plan.clone());
            }
            Some(Attributes::WorkflowTaskStartedEventAttributes(_)) => self.taken_up = true,
            Some(Attributes::WorkflowExecutionCancelRequestedEventAttributes(_)) => self.cancel_requested = true,
            Some(attributes) => match ended(at, attributes) {
                Some(end) => self.end = Some(end),
                None => self.apply_activity(event.event_id, at, attributes),
            },
            None => {}
        }
    }

    fn apply_activity(&mut self, id: i64, at: Option<Timestamp>, attributes: &Attributes) {
        match attributes {
            Attributes::ActivityTaskScheduledEventAttributes(scheduled) => {
                let input: Option<StepInput> = from_payloads(scheduled.input.as_ref());
                self.activities.push(Activity {
                    scheduled_id: id,
                    step: input.map_or_else(|| scheduled.activity_id.clone(), |input| input.step),
                    uses: scheduled.activity_type.clone().unwrap_or_default().name,
                    queue: scheduled.task_queue.clone().unwrap_or_default().name,
                    scheduled: at,
                    started: None,
                    ended: None,
                    attempts: 0,
                    worker: String::new(),
                    last_failure: None,
                    outcome: Outcome::Open,
                });
            }
            Attributes::ActivityTaskStartedEventAttributes(started) => {
                if let Some(activity) = self.activity(started.scheduled_event_id) {
                    activity.started = at;
                    activity.attempts = u32::try_from(started.attempt).unwrap_or_default();
                    activity.worker.clone_from(&started.identity);
                    activity.last_failure = started.last_failure.as_ref().map(failure_message);
                }
            }
            Attributes::ActivityTaskCompletedEventAttributes(done) => {
                let output = from_payloads(done.result.as_ref());
                self.note_plan(done.scheduled_event_id, done.result.as_ref());
                self.close(done.scheduled_event_id, at, Outcome::Completed(output));
            }
            Attributes::ActivityTaskFailedEventAttributes(failed) => {
                let reason = failed.failure.as_ref().map(failure_message).unwrap_or_default();
                self.close(failed.scheduled_event_id, at, Outcome::Failed(reason));
            }
            Attributes::ActivityTaskTimedOutEventAttributes(timed_out) => {
                let reason = timed_out.failure.as_ref().map(failure_message).unwrap_or_default();
                self.close(timed_out.scheduled_event_id, at, Outcome::TimedOut(reason));
            }
            Attributes::ActivityTaskCanceledEventAttributes(canceled) => {
                self.close(canceled.scheduled_event_id, at, Outcome::Cancelled);
            }
            // Workflow tasks, timers and the like say nothing about steps.
            _ => {}
        }
    }

    /// The activity that this event put into a queue.
    pub(crate) fn scheduled_by(&self, id: i64, attributes: &Attributes) -> Option<&Activity> {
        let scheduled = matches!(attributes, Attributes::ActivityTaskScheduledEventAttributes(_));
        let mut activities = self.activities.iter();
        activities.rfind(|activity| scheduled && activity.scheduled_id == id)
    }

    /// The activity that this event closed.
    pub(crate) fn closed_by(&self, attributes: &Attributes) -> Option<&Activity> {
        let id = match attributes {
            Attributes::ActivityTaskCompletedEventAttributes(done) => done.scheduled_event_id,
            Attributes::ActivityTaskFailedEventAttributes(failed) => failed.scheduled_event_id,
            Attributes::ActivityTaskTimedOutEventAttributes(timed_out) => timed_out.scheduled_event_id,
            Attributes::ActivityTaskCanceledEventAttributes(canceled) => canceled.scheduled_event_id,
            _ => return None,
        };
        self.activities.iter().rfind(|activity| activity.scheduled_id == id)
    }

    /// Whether a run ends with this.
    pub(crate) fn is_end(attributes: &Attributes) -> bool {
        ended(None, attributes).is_some()
    }

    fn activity(&mut self, scheduled_id: i64) -> Option<&mut Activity> {
        self.activities
            .iter_mut()
            .rfind(|activity| activity.scheduled_id == scheduled_id)
    }

    fn close(&mut self, scheduled_id: i64, at: Option<Timestamp>, outcome: Outcome) {
        if let Some(activity) = self.activity(scheduled_id) {
            activity.ended = at;
            activity.outcome = outcome;
        }
    }

    /// A run that was started without a plan asks for it first.
    fn note_plan(&mut self, scheduled_id: i64, result: Option<&Payloads>) {
        if self.plan.is_none() && self.activity(scheduled_id).is_some_and(|a| a.uses == PLAN_ACTIVITY) {
            let output: Option<PlanOutput> = from_payloads(result);
            if let Some(output) = output {
                if let Some(input) = &mut self.input {
                    input.parameters = output.parameters;
                }
                self.plan = Some(output.plan);
            }
        }
    }
}

/// The end that the event tells of, if it tells of one.
fn ended(at: Option<Timestamp>, attributes: &Attributes) -> Option<End> {
    let end = |how, output, reason| {
        Some(End {
            how,
            at,
            output,
            reason,
        })
    };
    match attributes {
        Attributes::WorkflowExecutionCompletedEventAttributes(done) => {
            end(Ending::Completed, from_payloads(done.result.as_ref()), None)
        }
        Attributes::WorkflowExecutionFailedEventAttributes(failed) => {
            let failure = failed.failure.as_ref();
            end(
                Ending::Failed,
                failure.and_then(failure_details),
                failure.map(failure_message),
            )
        }
        Attributes::WorkflowExecutionTimedOutEventAttributes(_) => end(Ending::TimedOut, None, None),
        Attributes::WorkflowExecutionCanceledEventAttributes(canceled) => {
            end(Ending::Canceled, from_payloads(canceled.details.as_ref()), None)
        }
        Attributes::WorkflowExecutionTerminatedEventAttributes(terminated) => end(
            Ending::Terminated,
            None,
            Some(terminated.reason.clone()).filter(|reason| !reason.is_empty()),
        ),
        Attributes::WorkflowExecutionContinuedAsNewEventAttributes(_) => end(Ending::ContinuedAsNew, None, None),
        _ => None,
    }
}

fn failure_details(failure: &Failure) -> Option<RunOutput> {
    match &failure.failure_info {
        Some(FailureInfo::ApplicationFailureInfo(info)) => from_payloads(info.details.as_ref()),
        _ => None,
    }
}

/// The message that names the cause: those above it only say that an activity failed.
pub fn failure_message(failure: &Failure) -> String {
    let mut innermost = failure;
    while let Some(cause) = &innermost.cause {
        innermost = cause;
    }
    match &innermost.failure_info {
        Some(FailureInfo::TimeoutFailureInfo(timeout)) => match timeout.timeout_type() {
            TimeoutType::Heartbeat => "its worker went away".to_owned(),
            TimeoutType::StartToClose => "it took longer than its timeout".to_owned(),
            TimeoutType::ScheduleToStart => "no worker took it in time".to_owned(),
            TimeoutType::ScheduleToClose => "it took longer than its timeout, retries included".to_owned(),
            TimeoutType::Unspecified => innermost.message.clone(),
        },
        _ => innermost.message.clone(),
    }
}

/// A protobuf time as ours.
pub fn timestamp(time: &prost_types::Timestamp) -> Option<Timestamp> {
    Timestamp::new(time.seconds, time.nanos).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::json_payload;
    use helve_toolbox::run::{RunStatus, StepStatus};
    use temporalio_protos::temporal::api::common::v1::ActivityType;
    use temporalio_protos::temporal::api::failure::v1::{ApplicationFailureInfo, TimeoutFailureInfo};
    use temporalio_protos::temporal::api::history::v1::*;

    fn history(attributes: Vec<Attributes>) -> RunHistory {
        let mut history = RunHistory::default();
        for (n, attributes) in attributes.into_iter().enumerate() {
            history.apply(&HistoryEvent {
                event_id: n as i64 + 1,
                event_time: Some(prost_types::Timestamp {
                    seconds: 1_700_000_000 + n as i64,
                    nanos: 0,
                }),
                attributes: Some(attributes),
                ..Default::default()
            });
        }
        history
    }

    fn payloads(value: &impl serde::Serialize) -> Option<Payloads> {
        Some(Payloads {
            payloads: vec![json_payload(value)],
        })
    }

    fn scheduled(step: &str, module: &str) -> Attributes {
        let input = StepInput {
            step: step.into(),
            module: module.into(),
            version: None,
            target: None,
            config: serde_json::Value::Null,
            isolation: Default::default(),
        };
        Attributes::ActivityTaskScheduledEventAttributes(ActivityTaskScheduledEventAttributes {
            activity_id: step.into(),
            activity_type: Some(ActivityType { name: module.into() }),
            input: payloads(&input),
            ..Default::default()
        })
    }

    fn started(scheduled_event_id: i64, attempt: i32) -> Attributes {
        Attributes::ActivityTaskStartedEventAttributes(ActivityTaskStartedEventAttributes {
            scheduled_event_id,
            attempt,
            identity: "worker-1".into(),
            ..Default::default()
        })
    }

    fn output() -> RunOutput {
        RunOutput {
            status: RunStatus::Failed,
            steps: Default::default(),
            report: None,
            sarif: None,
            total: 3,
            by_severity: Default::default(),
            output: serde_json::Value::Null,
        }
    }

    #[test]
    fn a_step_is_open_until_its_activity_closes_and_then_knows_its_worker() {
        let open = history(vec![scheduled("scan", "secrets")]);
        assert_eq!(open.activities[0].outcome, Outcome::Open);
        let step = StepOutput {
            status: StepStatus::Completed,
            findings: 2,
            ..Default::default()
        };
        let done = history(vec![
            scheduled("scan", "secrets"),
            started(1, 2),
            Attributes::ActivityTaskCompletedEventAttributes(ActivityTaskCompletedEventAttributes {
                scheduled_event_id: 1,
                result: payloads(&step),
                ..Default::default()
            }),
        ]);
        let activity = &done.activities[0];
        assert_eq!(
            (activity.step.as_str(), activity.attempts, activity.worker.as_str()),
            ("scan", 2, "worker-1")
        );
        assert_eq!(activity.outcome, Outcome::Completed(Some(Box::new(step))));
    }

    #[test]
    fn a_failed_run_keeps_its_findings() {
        let info = ApplicationFailureInfo {
            details: payloads(&output()),
            ..Default::default()
        };
        let failure = Failure {
            message: "1 step failed".into(),
            failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
            ..Default::default()
        };
        let run = history(vec![Attributes::WorkflowExecutionFailedEventAttributes(
            WorkflowExecutionFailedEventAttributes {
                failure: Some(failure),
                ..Default::default()
            },
        )]);
        let end = run.end.unwrap();
        assert_eq!(
            (end.how, end.reason.as_deref()),
            (Ending::Failed, Some("1 step failed"))
        );
        assert_eq!(end.output.unwrap().total, 3);
    }

    #[test]
    fn a_lost_worker_is_called_that_and_not_a_heartbeat_timeout() {
        let timeout = TimeoutFailureInfo {
            timeout_type: TimeoutType::Heartbeat.into(),
            ..Default::default()
        };
        let failure = Failure {
            message: "activity error".into(),
            cause: Some(Box::new(Failure {
                failure_info: Some(FailureInfo::TimeoutFailureInfo(timeout)),
                ..Default::default()
            })),
            ..Default::default()
        };
        assert_eq!(failure_message(&failure), "its worker went away");
    }

    #[test]
    fn internal_activities_are_told_from_steps() {
        let run = history(vec![
            scheduled("helve.report", "helve.report"),
            scheduled("scan", "sast"),
        ]);
        let internal: Vec<bool> = run.activities.iter().map(Activity::is_internal).collect();
        assert_eq!(internal, [true, false]);
    }
}
