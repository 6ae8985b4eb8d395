//! Updates as their callers and workers see them.

use temporalio_protos::temporal::api::{
    command::v1::{Command, ProtocolMessageCommandAttributes, command::Attributes},
    enums::v1::{
        CommandType, UpdateWorkflowExecutionLifecycleStage as Stage, WorkflowExecutionStatus, WorkflowIdConflictPolicy,
    },
    failure::v1::Failure,
    protocol::v1::Message as ProtocolMessage,
    update::v1::*,
    workflowservice::v1::{
        execute_multi_operation_request::{Operation, operation},
        execute_multi_operation_response::response,
        respond_workflow_task_completed_request::Capabilities,
        *,
    },
};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use crate::client::*;

type Updated = Result<UpdateWorkflowExecutionResponse, Status>;

pub(crate) fn update_request(workflow: &str, id: &str, stage: Stage) -> UpdateWorkflowExecutionRequest {
    UpdateWorkflowExecutionRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_execution: execution(workflow),
        wait_policy: Some(WaitPolicy {
            lifecycle_stage: stage.into(),
        }),
        request: Some(temporalio_protos::temporal::api::update::v1::Request {
            meta: Some(Meta {
                update_id: id.to_owned(),
                identity: "caller".to_owned(),
            }),
            input: Some(Input {
                name: "change".to_owned(),
                args: payloads("argument"),
                ..Input::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// An update that waits in the background.
fn updating(world: &World, id: &str, stage: Stage) -> JoinHandle<Updated> {
    let (client, request) = (world.client.clone(), update_request("w", id, stage));
    tokio::spawn(async move { client.rpc("UpdateWorkflowExecution", request).await })
}

async fn poll_update(world: &World, id: &str, stage: Stage) -> Result<PollWorkflowExecutionUpdateResponse, Status> {
    let request = PollWorkflowExecutionUpdateRequest {
        namespace: NAMESPACE.to_owned(),
        update_ref: Some(UpdateRef {
            workflow_execution: execution("w"),
            update_id: id.to_owned(),
        }),
        wait_policy: Some(WaitPolicy {
            lifecycle_stage: stage.into(),
        }),
        ..Default::default()
    };
    world.client.rpc("PollWorkflowExecutionUpdate", request).await
}

fn message(id: &str, kind: &str, type_name: &str, body: &impl prost::Message) -> ProtocolMessage {
    ProtocolMessage {
        id: format!("{id}/{kind}"),
        protocol_instance_id: id.to_owned(),
        body: Some(prost_types::Any {
            type_url: format!("type.googleapis.com/temporal.api.update.v1.{type_name}"),
            value: body.encode_to_vec(),
        }),
        ..Default::default()
    }
}

fn accept(task: &PollWorkflowTaskQueueResponse, id: &str) -> ProtocolMessage {
    let acceptance = Acceptance {
        accepted_request_message_id: format!("{id}/request"),
        accepted_request_sequencing_event_id: task.started_event_id - 1,
        ..Default::default()
    };
    message(id, "accept", "Acceptance", &acceptance)
}

fn complete(id: &str, result: &str) -> ProtocolMessage {
    let response = Response {
        meta: Some(Meta {
            update_id: id.to_owned(),
            ..Default::default()
        }),
        outcome: Some(success(result)),
    };
    message(id, "complete", "Response", &response)
}

fn reject(id: &str) -> ProtocolMessage {
    let rejection = Rejection {
        failure: Some(Failure {
            message: "no".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    message(id, "reject", "Rejection", &rejection)
}

fn success(text: &str) -> Outcome {
    Outcome {
        value: payloads(text).map(outcome::Value::Success),
    }
}

fn answer_with(
    task: &PollWorkflowTaskQueueResponse,
    messages: Vec<ProtocolMessage>,
) -> RespondWorkflowTaskCompletedRequest {
    let named = messages.iter().filter(|message| !message.id.ends_with("/reject"));
    let commands = named.map(|message| Command {
        command_type: CommandType::ProtocolMessage.into(),
        attributes: Some(Attributes::ProtocolMessageCommandAttributes(
            ProtocolMessageCommandAttributes {
                message_id: message.id.clone(),
            },
        )),
        ..Default::default()
    });
    RespondWorkflowTaskCompletedRequest {
        capabilities: Some(Capabilities {
            discard_speculative_workflow_task_with_events: true,
        }),
        ..RespondWorkflowTaskCompletedRequest {
            messages: messages.clone(),
            ..completion(task, commands.collect())
        }
    }
}

async fn answer_task(
    world: &World,
    task: &PollWorkflowTaskQueueResponse,
    messages: Vec<ProtocolMessage>,
) -> RespondWorkflowTaskCompletedResponse {
    let request = answer_with(task, messages);
    world.client.rpc("RespondWorkflowTaskCompleted", request).await.unwrap()
}

async fn idle(world: &World) {
    world.client.start("w").await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_gets_the_outcome() {
    let world = World::new().await;
    idle(&world).await;
    let update = updating(&world, "u", Stage::Completed);
    let task = world.client.poll().await;
    assert_eq!(task.messages.len(), 1);
    answer_task(&world, &task, vec![accept(&task, "u"), complete("u", "fine")]).await;
    let updated = update.await.unwrap().unwrap();
    assert_eq!(
        (updated.stage(), updated.outcome),
        (Stage::Completed, Some(success("fine")))
    );
    assert_eq!(updated.update_ref.unwrap().update_id, "u");
    let polled = poll_update(&world, "u", Stage::Completed).await.unwrap();
    assert_eq!(polled.outcome, Some(success("fine")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_reaches_its_caller_and_nothing_else() {
    let world = World::new().await;
    idle(&world).await;
    let before = world.client.event_types("w").await;
    let update = updating(&world, "u", Stage::Accepted);
    let task = world.client.poll().await;
    let answer = answer_task(&world, &task, vec![reject("u")]).await;
    assert_eq!(answer.reset_history_event_id, 3);
    let updated = update.await.unwrap().unwrap();
    assert_eq!(updated.stage(), Stage::Completed);
    assert!(
        matches!(updated.outcome.unwrap().value, Some(outcome::Value::Failure(failure)) if failure.message == "no")
    );
    assert_eq!(world.client.event_types("w").await, before);
    assert_code(poll_update(&world, "u", Stage::Completed).await, Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_cache_lost_the_run_reads_the_virtual_events_of_its_task() {
    let world = World::new().await;
    idle(&world).await;
    let _update = updating(&world, "u", Stage::Completed);
    let task = world.client.poll().await;
    assert_eq!(events(&task).len(), 6);
    let request = GetWorkflowExecutionHistoryRequest {
        namespace: NAMESPACE.to_owned(),
        execution: execution("w"),
        ..Default::default()
    };
    let read: GetWorkflowExecutionHistoryResponse =
        world.client.rpc("GetWorkflowExecutionHistory", request).await.unwrap();
    assert_eq!(read.history.unwrap().events, events(&task));
    assert_eq!(world.client.history("w").await.len(), 4, "they are stored nowhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_told_how_far_things_are_when_it_takes_long() {
    let world = World::new().await;
    idle(&world).await;
    let update = updating(&world, "u", Stage::Completed);
    let task = world.client.poll().await;
    answer_task(&world, &task, vec![accept(&task, "u")]).await;
    assert_eq!(
        poll_update(&world, "u", Stage::Accepted).await.unwrap().stage(),
        Stage::Accepted
    );
    assert_eq!(
        poll_update(&world, "u", Stage::Unspecified).await.unwrap().outcome,
        None
    );
    world.advance(20);
    let updated = update.await.unwrap().unwrap();
    assert_eq!((updated.stage(), updated.outcome), (Stage::Accepted, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_update_survives_a_crash_and_a_new_caller_gets_its_outcome() {
    let world = World::new().await;
    idle(&world).await;
    let update = updating(&world, "u", Stage::Accepted);
    let task = world.client.poll().await;
    answer_task(&world, &task, vec![accept(&task, "u")]).await;
    assert_eq!(update.await.unwrap().unwrap().stage(), Stage::Accepted);
    let world = world.crash().await;
    let again = updating(&world, "u", Stage::Completed);
    world.client.signal("w", "go").await.unwrap();
    let task = world.client.poll().await;
    assert!(task.messages.is_empty(), "it was accepted before");
    answer_task(&world, &task, vec![complete("u", "fine")]).await;
    assert_eq!(again.await.unwrap().unwrap().outcome, Some(success("fine")));
    let world = world.restart().await;
    assert_eq!(
        poll_update(&world, "u", Stage::Completed).await.unwrap().outcome,
        Some(success("fine"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_a_speculative_task_and_nothing_else() {
    let world = World::new().await;
    idle(&world).await;
    let _lost = updating(&world, "u", Stage::Completed);
    let stale = world.client.poll().await;
    let world = world.crash().await;
    let late = world.client.try_complete(&stale, vec![]).await;
    assert_code(late, Code::NotFound);
    world.advance(1);
    let update = updating(&world, "u", Stage::Completed);
    let task = world.client.poll().await;
    answer_task(&world, &task, vec![accept(&task, "u"), complete("u", "fine")]).await;
    assert_eq!(update.await.unwrap().unwrap().outcome, Some(success("fine")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_its_run_did_not_see_goes_to_the_next_run() {
    let world = World::new().await;
    idle(&world).await;
    world.client.signal("w", "go").await.unwrap();
    let task = world.client.poll().await;
    let update = updating(&world, "u", Stage::Completed);
    eventually("the update is admitted", async || {
        poll_update(&world, "u", Stage::Unspecified).await.is_ok()
    })
    .await;
    world.client.complete(&task, vec![continue_as_new()]).await;
    let next = world.client.polling(QUEUE);
    world.advance(1);
    let task = next.await.unwrap();
    assert_eq!(task.messages.len(), 1);
    answer_task(&world, &task, vec![accept(&task, "u"), complete("u", "fine")]).await;
    let updated = update.await.unwrap().unwrap();
    let run_id = updated.update_ref.unwrap().workflow_execution.unwrap().run_id;
    assert_eq!(run_id, task.workflow_execution.unwrap().run_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_run_that_is_closed() {
    let world = World::new().await;
    idle(&world).await;
    let update = updating(&world, "u", Stage::Completed);
    eventually("the update is admitted", async || {
        poll_update(&world, "u", Stage::Unspecified).await.is_ok()
    })
    .await;
    world.client.terminate("w").await.unwrap();
    assert_code(update.await.unwrap(), Code::NotFound);
    assert_code(updating(&world, "new", Stage::Completed).await.unwrap(), Code::NotFound);
}

fn update_with_start(id: &str, policy: WorkflowIdConflictPolicy) -> ExecuteMultiOperationRequest {
    let start = StartWorkflowExecutionRequest {
        workflow_id_conflict_policy: policy.into(),
        ..start_request("w")
    };
    let operations = [
        operation::Operation::StartWorkflow(start),
        operation::Operation::UpdateWorkflow(update_request("w", id, Stage::Completed)),
    ];
    ExecuteMultiOperationRequest {
        namespace: NAMESPACE.to_owned(),
        operations: operations
            .into_iter()
            .map(|operation| Operation {
                operation: Some(operation),
            })
            .collect(),
        ..Default::default()
    }
}

fn updating_with_start(
    world: &World,
    id: &str,
    policy: WorkflowIdConflictPolicy,
) -> JoinHandle<Result<ExecuteMultiOperationResponse, Status>> {
    let (client, request) = (world.client.clone(), update_with_start(id, policy));
    tokio::spawn(async move { client.rpc("ExecuteMultiOperation", request).await })
}

fn started(response: &ExecuteMultiOperationResponse) -> &StartWorkflowExecutionResponse {
    match response.responses[0].response.as_ref().unwrap() {
        response::Response::StartWorkflow(started) => started,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_starts_its_workflow_in_one_go() {
    let world = World::new().await;
    let update = updating_with_start(&world, "u", WorkflowIdConflictPolicy::Fail);
    let task = world.client.poll().await;
    assert_eq!(
        (task.messages.len(), task.started_event_id),
        (1, 3),
        "both in the first task"
    );
    answer_task(&world, &task, vec![accept(&task, "u"), complete("u", "fine")]).await;
    let response = update.await.unwrap().unwrap();
    assert!(started(&response).started);

    // The same again: the update is known, whatever the policy says.
    let again = updating_with_start(&world, "u", WorkflowIdConflictPolicy::Fail)
        .await
        .unwrap()
        .unwrap();
    assert!(!started(&again).started);

    let refused = updating_with_start(&world, "other", WorkflowIdConflictPolicy::Fail)
        .await
        .unwrap();
    assert_code(refused, Code::AlreadyExists);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_with_start_replaces_the_running_workflow_if_it_is_told_to() {
    let world = World::new().await;
    idle(&world).await;
    let update = updating_with_start(&world, "u", WorkflowIdConflictPolicy::TerminateExisting);
    let task = world.client.poll().await;
    assert_eq!(task.started_event_id, 3);
    answer_task(&world, &task, vec![accept(&task, "u"), complete("u", "fine")]).await;
    assert!(started(&update.await.unwrap().unwrap()).started);
    assert_eq!(world.client.status("w").await, WorkflowExecutionStatus::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_with_start_whose_workflow_closes_first_starts_it_anew() {
    let world = World::new().await;
    idle(&world).await;
    world.client.signal("w", "go").await.unwrap();
    let task = world.client.poll().await;
    let update = updating_with_start(&world, "u", WorkflowIdConflictPolicy::UseExisting);
    eventually("the update is admitted", async || {
        poll_update(&world, "u", Stage::Unspecified).await.is_ok()
    })
    .await;
    world.client.complete(&task, vec![complete_workflow("done")]).await;
    let task = world.client.poll().await;
    assert_eq!((task.messages.len(), task.started_event_id), (1, 3));
    answer_task(&world, &task, vec![accept(&task, "u"), complete("u", "fine")]).await;
    assert!(started(&update.await.unwrap().unwrap()).started);
}
