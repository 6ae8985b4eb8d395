//! The history of a run, event by event, for those who want to know exactly.

use jiff::Timestamp;
use temporalio_client::tonic::Status;
use temporalio_protos::temporal::api::history::v1::{HistoryEvent, history_event::Attributes};

use crate::client::{Client, Wait};
use crate::history::{RunHistory, failure_message, timestamp};

/// An event of a run's history, without its payloads.
#[derive(Debug, Clone, PartialEq)]
pub struct EventLine {
    /// Counts up from 1.
    pub id: i64,
    /// When it was written.
    pub at: Option<Timestamp>,
    /// Temporal's name of it, such as `ACTIVITY_TASK_SCHEDULED`.
    pub kind: &'static str,
    /// The step that it is about.
    pub step: Option<String>,
    /// The attempt that it tells of.
    pub attempt: Option<i32>,
    /// Who reported it.
    pub worker: Option<String>,
    /// Why, where somebody said it.
    pub message: Option<String>,
}

/// All events so far, in their order.
pub async fn record(client: &Client, run_id: &str) -> Result<Vec<EventLine>, Status> {
    let (mut lines, mut history, mut token) = (Vec::new(), RunHistory::default(), Vec::new());
    loop {
        let (events, next) = client.history(run_id, token, Wait::No).await?;
        for event in &events {
            history.apply(event);
            lines.push(line(event, &history));
        }
        if next.is_empty() {
            return Ok(lines);
        }
        token = next;
    }
}

/// `history` has the event applied already.
fn line(event: &HistoryEvent, history: &RunHistory) -> EventLine {
    let name = event.event_type().as_str_name();
    let mut line = EventLine {
        id: event.event_id,
        at: event.event_time.as_ref().and_then(timestamp),
        kind: name.strip_prefix("EVENT_TYPE_").unwrap_or(name),
        step: None,
        attempt: None,
        worker: None,
        message: None,
    };
    let Some(attributes) = &event.attributes else {
        return line;
    };
    let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let mut about = history
        .scheduled_by(event.event_id, attributes)
        .or_else(|| history.closed_by(attributes));
    match attributes {
        Attributes::ActivityTaskStartedEventAttributes(started) => {
            about = history
                .activities
                .iter()
                .rfind(|activity| activity.scheduled_id == started.scheduled_event_id);
            line.attempt = Some(started.attempt);
            line.worker = said(&started.identity);
            line.message = started.last_failure.as_ref().map(failure_message);
        }
        Attributes::ActivityTaskCompletedEventAttributes(done) => line.worker = said(&done.identity),
        Attributes::ActivityTaskFailedEventAttributes(failed) => {
            line.worker = said(&failed.identity);
            line.message = failed.failure.as_ref().map(failure_message);
        }
        Attributes::ActivityTaskTimedOutEventAttributes(late) => {
            line.message = late.failure.as_ref().map(failure_message);
        }
        Attributes::ActivityTaskCanceledEventAttributes(gone) => line.worker = said(&gone.identity),
        Attributes::WorkflowTaskFailedEventAttributes(failed) => {
            line.worker = said(&failed.identity);
            line.message = failed.failure.as_ref().map(failure_message);
        }
        Attributes::WorkflowExecutionFailedEventAttributes(failed) => {
            line.message = failed.failure.as_ref().map(failure_message);
        }
        Attributes::WorkflowExecutionTerminatedEventAttributes(ended) => {
            line.worker = said(&ended.identity);
            line.message = said(&ended.reason);
        }
        Attributes::WorkflowExecutionCancelRequestedEventAttributes(asked) => {
            line.worker = said(&asked.identity);
            line.message = said(&asked.cause);
        }
        _ => {}
    }
    line.step = about.map(|activity| activity.step.clone());
    line
}

#[cfg(test)]
mod tests {
    use temporalio_protos::temporal::api::common::v1::ActivityType;
    use temporalio_protos::temporal::api::enums::v1::EventType;
    use temporalio_protos::temporal::api::history::v1::{
        ActivityTaskFailedEventAttributes, ActivityTaskScheduledEventAttributes, ActivityTaskStartedEventAttributes,
    };

    use super::*;

    #[test]
    fn each_event_of_a_step_names_it() {
        let mut history = RunHistory::default();
        let mut told = |id, kind: EventType, attributes| {
            let event = HistoryEvent {
                event_id: id,
                event_type: kind.into(),
                attributes: Some(attributes),
                ..Default::default()
            };
            history.apply(&event);
            line(&event, &history)
        };
        let scheduled = ActivityTaskScheduledEventAttributes {
            activity_id: "secrets".into(),
            activity_type: Some(ActivityType { name: "secrets".into() }),
            ..Default::default()
        };
        let started = ActivityTaskStartedEventAttributes {
            scheduled_event_id: 5,
            attempt: 2,
            identity: "worker 1".into(),
            ..Default::default()
        };
        let failed = ActivityTaskFailedEventAttributes {
            scheduled_event_id: 5,
            ..Default::default()
        };
        let lines = [
            told(
                5,
                EventType::ActivityTaskScheduled,
                Attributes::ActivityTaskScheduledEventAttributes(scheduled),
            ),
            told(
                6,
                EventType::ActivityTaskStarted,
                Attributes::ActivityTaskStartedEventAttributes(started),
            ),
            told(
                7,
                EventType::ActivityTaskFailed,
                Attributes::ActivityTaskFailedEventAttributes(failed),
            ),
        ];
        for line in &lines {
            assert_eq!(line.step.as_deref(), Some("secrets"), "{line:?}");
        }
        assert_eq!(lines[0].kind, "ACTIVITY_TASK_SCHEDULED");
        assert_eq!(
            (lines[1].attempt, lines[1].worker.as_deref()),
            (Some(2), Some("worker 1"))
        );
    }
}
