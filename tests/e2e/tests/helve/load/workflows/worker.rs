//! The other side: what a workflow does next is told from its history, all of which comes with each task.

use std::sync::Arc;
use std::time::Duration;

use helve_judge::{Call, Outcome};
use prost::Message as _;
use temporalio_protos::temporal::api::command::v1::command::Attributes;
use temporalio_protos::temporal::api::command::v1::{
    Command, CompleteWorkflowExecutionCommandAttributes, ProtocolMessageCommandAttributes,
    ScheduleActivityTaskCommandAttributes, StartTimerCommandAttributes,
};
use temporalio_protos::temporal::api::common::v1::{ActivityType, Payloads};
use temporalio_protos::temporal::api::enums::v1::{CommandType, EventType};
use temporalio_protos::temporal::api::protocol::v1::Message;
use temporalio_protos::temporal::api::protocol::v1::message::SequencingId;
use temporalio_protos::temporal::api::update::v1::{Acceptance, Meta, Outcome as Updated, Response, outcome};
use temporalio_protos::temporal::api::workflowservice::v1::{
    PollActivityTaskQueueRequest, PollActivityTaskQueueResponse, PollWorkflowTaskQueueRequest,
    PollWorkflowTaskQueueResponse, RespondActivityTaskCompletedRequest, RespondActivityTaskCompletedResponse,
    RespondWorkflowTaskCompletedRequest, RespondWorkflowTaskCompletedResponse,
};

use super::calls::{Caller, NAMESPACE, Told, queue};
use super::{AGAIN, ANSWER, QUEUE};
use crate::load::Shared;

/// A poll is answered before this, with a task or without.
const POLL: Duration = Duration::from_secs(20);

/// Answers workflow tasks until it is dropped.
pub(super) async fn workflows(mut caller: Caller) {
    loop {
        let request = PollWorkflowTaskQueueRequest {
            namespace: NAMESPACE.to_owned(),
            task_queue: queue(QUEUE),
            ..Default::default()
        };
        let polled = caller
            .call::<_, PollWorkflowTaskQueueResponse>("PollWorkflowTaskQueue", request, POLL)
            .await;
        let Some(task) = taken(polled).await.filter(|task| !task.task_token.is_empty()) else {
            continue;
        };
        // A task whose answer is lost is given out again.
        let rpc = "RespondWorkflowTaskCompleted";
        let _ = caller
            .call::<_, RespondWorkflowTaskCompletedResponse>(rpc, answer(task), ANSWER)
            .await;
    }
}

/// Completes activities until it is dropped.
pub(super) async fn activities(mut caller: Caller, shared: Arc<Shared>) {
    loop {
        let request = PollActivityTaskQueueRequest {
            namespace: NAMESPACE.to_owned(),
            task_queue: queue(QUEUE),
            ..Default::default()
        };
        let polled = caller
            .call::<_, PollActivityTaskQueueResponse>("PollActivityTaskQueue", request, POLL)
            .await;
        let Some(task) = taken(polled).await.filter(|task| !task.task_token.is_empty()) else {
            continue;
        };
        let request = RespondActivityTaskCompletedRequest {
            namespace: NAMESPACE.to_owned(),
            task_token: task.task_token,
            ..Default::default()
        };
        let began = shared.now();
        let told = caller
            .call::<_, RespondActivityTaskCompletedResponse>("RespondActivityTaskCompleted", request, ANSWER)
            .await;
        let outcome = match told {
            Told::Answer(_) => Outcome::Done,
            // Another attempt is under way, or was completed.
            Told::Refused(_) => Outcome::Failed,
            Told::NotSent => continue,
            Told::Lost => Outcome::Unknown,
        };
        let kind = "completion".to_owned();
        let name = task.workflow_execution.unwrap_or_default().workflow_id;
        shared.note(caller.client, began, outcome, Call::Ask { kind, name });
    }
}

async fn taken<T>(told: Told<T>) -> Option<T> {
    match told {
        Told::Answer(task) => return Some(task),
        Told::Refused(status) => panic!("a worker is refused: {status}"),
        Told::NotSent | Told::Lost => tokio::time::sleep(AGAIN).await,
    }
    None
}

fn command(kind: CommandType, attributes: Attributes) -> Command {
    Command {
        command_type: kind.into(),
        attributes: Some(attributes),
        ..Default::default()
    }
}

fn answer(task: PollWorkflowTaskQueueResponse) -> RespondWorkflowTaskCompletedRequest {
    let events = task.history.unwrap_or_default().events;
    let count = |kind| events.iter().filter(|event| event.event_type() == kind).count();
    let (mut commands, mut messages) = (Vec::new(), Vec::new());
    if count(EventType::ActivityTaskScheduled) == 0 {
        commands.extend(beginning());
    }
    for request in &task.messages {
        for message in update(request, task.started_event_id) {
            let message_id = message.id.clone();
            let attributes = ProtocolMessageCommandAttributes { message_id };
            commands.push(command(
                CommandType::ProtocolMessage,
                Attributes::ProtocolMessageCommandAttributes(attributes),
            ));
            messages.push(message);
        }
    }
    let updated = count(EventType::WorkflowExecutionUpdateCompleted) > 0 || !messages.is_empty();
    let had = count(EventType::ActivityTaskCompleted) > 0 && count(EventType::TimerFired) > 0;
    if had && updated && count(EventType::WorkflowExecutionSignaled) >= 2 {
        let attributes = CompleteWorkflowExecutionCommandAttributes::default();
        commands.push(command(
            CommandType::CompleteWorkflowExecution,
            Attributes::CompleteWorkflowExecutionCommandAttributes(attributes),
        ));
    }
    RespondWorkflowTaskCompletedRequest {
        namespace: NAMESPACE.to_owned(),
        task_token: task.task_token,
        commands,
        messages,
        ..Default::default()
    }
}

fn beginning() -> [Command; 2] {
    let activity = ScheduleActivityTaskCommandAttributes {
        activity_id: "one".to_owned(),
        activity_type: Some(ActivityType { name: "one".to_owned() }),
        task_queue: queue(QUEUE),
        start_to_close_timeout: Duration::from_secs(3).try_into().ok(),
        schedule_to_close_timeout: Duration::from_secs(600).try_into().ok(),
        ..Default::default()
    };
    let timer = StartTimerCommandAttributes {
        timer_id: "one".to_owned(),
        start_to_fire_timeout: Duration::from_millis(200).try_into().ok(),
    };
    [
        command(
            CommandType::ScheduleActivityTask,
            Attributes::ScheduleActivityTaskCommandAttributes(activity),
        ),
        command(CommandType::StartTimer, Attributes::StartTimerCommandAttributes(timer)),
    ]
}

/// Accepts an update, and completes it.
fn update(request: &Message, started: i64) -> [Message; 2] {
    let id = &request.protocol_instance_id;
    let before = match request.sequencing_id {
        Some(SequencingId::EventId(event)) => event,
        _ => started - 1,
    };
    let acceptance = Acceptance {
        accepted_request_message_id: request.id.clone(),
        accepted_request_sequencing_event_id: before,
        ..Default::default()
    };
    let response = Response {
        meta: Some(Meta {
            update_id: id.clone(),
            ..Default::default()
        }),
        outcome: Some(Updated {
            value: Some(outcome::Value::Success(Payloads::default())),
        }),
    };
    let message = |kind: &str, value| Message {
        id: format!("{id}/{kind}"),
        protocol_instance_id: id.clone(),
        body: Some(prost_types::Any {
            type_url: format!("type.googleapis.com/temporal.api.update.v1.{kind}"),
            value,
        }),
        ..Default::default()
    };
    [
        message("Acceptance", acceptance.encode_to_vec()),
        message("Response", response.encode_to_vec()),
    ]
}
