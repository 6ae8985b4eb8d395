//! What the scripts of raw workflows are made of.

use std::time::Duration;

use temporalio_protos::temporal::api::command::v1::command::Attributes;
use temporalio_protos::temporal::api::command::v1::{
    Command, CompleteWorkflowExecutionCommandAttributes, RecordMarkerCommandAttributes,
    ScheduleActivityTaskCommandAttributes, StartTimerCommandAttributes,
};
use temporalio_protos::temporal::api::common::v1::ActivityType;
use temporalio_protos::temporal::api::enums::v1::{CommandType, EventType};

use crate::raw::{Event, Step, task_queue};

/// An activity that a worker took and lost is given out again after this.
const ACTIVITY_TIMEOUT: Duration = Duration::from_secs(120);

/// How many events of a type there are.
pub(super) fn count_of(events: &[Event], kind: EventType) -> usize {
    events.iter().filter(|event| event.kind == i32::from(kind)).count()
}

pub(super) fn schedule_activity(number: usize, queue: &str) -> Command {
    let attributes = ScheduleActivityTaskCommandAttributes {
        activity_id: number.to_string(),
        activity_type: Some(ActivityType {
            name: "nothing".to_owned(),
        }),
        task_queue: task_queue(queue),
        start_to_close_timeout: ACTIVITY_TIMEOUT.try_into().ok(),
        ..Default::default()
    };
    command(
        CommandType::ScheduleActivityTask,
        Attributes::ScheduleActivityTaskCommandAttributes(attributes),
    )
}

pub(super) fn start_timer(time: Duration) -> Command {
    let attributes = StartTimerCommandAttributes {
        timer_id: "1".to_owned(),
        start_to_fire_timeout: time.try_into().ok(),
    };
    command(
        CommandType::StartTimer,
        Attributes::StartTimerCommandAttributes(attributes),
    )
}

/// An event that means nothing.
pub(super) fn marker() -> Command {
    let attributes = RecordMarkerCommandAttributes {
        marker_name: "nothing".to_owned(),
        ..Default::default()
    };
    command(
        CommandType::RecordMarker,
        Attributes::RecordMarkerCommandAttributes(attributes),
    )
}

/// A workflow that does nothing and ends.
pub(crate) fn complete_at_once(_queue: &str, _events: &[Event]) -> Step {
    complete()
}

pub(super) fn complete() -> Step {
    let attributes = CompleteWorkflowExecutionCommandAttributes::default();
    Step {
        commands: vec![command(
            CommandType::CompleteWorkflowExecution,
            Attributes::CompleteWorkflowExecutionCommandAttributes(attributes),
        )],
        closes: true,
    }
}

fn command(kind: CommandType, attributes: Attributes) -> Command {
    Command {
        command_type: kind.into(),
        attributes: Some(attributes),
        ..Default::default()
    }
}
