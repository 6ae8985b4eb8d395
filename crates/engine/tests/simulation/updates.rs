//! Updates: their callers, what workers answer, and what must be true of both.

use std::collections::BTreeMap;

use prost::Message;
use temporalio_protos::temporal::api::{
    command::v1::{Command, ProtocolMessageCommandAttributes, command::Attributes},
    enums::v1::{CommandType, UpdateWorkflowExecutionLifecycleStage as Stage, WorkflowIdConflictPolicy},
    failure::v1::{Failure, failure::FailureInfo},
    history::v1::history_event::Attributes as Event,
    protocol::v1::{Message as ProtocolMessage, message::SequencingId},
    update::v1::{self, Acceptance, Input, Meta, Outcome, Rejection, Response, UpdateRef, WaitPolicy, outcome},
    workflowservice::v1::{
        execute_multi_operation_request::{Operation, operation},
        execute_multi_operation_response::response,
        *,
    },
};

use crate::{
    client::Client,
    network::Caller,
    oracle::{Record, Records, Verdict, ensure},
    program::Past,
    proto::{namespace, payloads, run, text},
    world::World,
};

/// What is known of updates that runs accepted: by run and update id. The outcome, once somebody was told of it.
pub(crate) type KnownUpdates = BTreeMap<(String, String), Option<Outcome>>;

/// What a caller wants to happen to its update.
const KINDS: [&str; 3] = ["done at once", "done later", "rejected"];

// Callers.

impl Client {
    /// Asks for an update, and goes on asking until it knows the end of it.
    pub(crate) fn update(&mut self) {
        let run_id = self.some_run_id();
        let request = self.update_request(&run_id);
        self.caller.world.clone().spawn_asker(ask(self.caller.clone(), request));
    }

    fn update_request(&mut self, run_id: &str) -> UpdateWorkflowExecutionRequest {
        let update_id = self.request_id();
        let (kind, stage) = (self.rng.below(3), self.rng.percent(30));
        UpdateWorkflowExecutionRequest {
            namespace: namespace(),
            workflow_execution: run(&self.id, run_id),
            wait_policy: policy(if stage { Stage::Accepted } else { Stage::Completed }),
            request: Some(v1::Request {
                meta: Some(Meta {
                    update_id,
                    identity: String::new(),
                }),
                input: Some(Input {
                    name: "update".to_owned(),
                    args: payloads(KINDS[kind as usize]),
                    ..Input::default()
                }),
                ..v1::Request::default()
            }),
            ..UpdateWorkflowExecutionRequest::default()
        }
    }

    /// Starts the workflow with an update, or updates the run that is there.
    pub(crate) fn update_with_start(&mut self) {
        let start = StartWorkflowExecutionRequest {
            cron_schedule: String::new(),
            workflow_start_delay: None,
            workflow_id_conflict_policy: match self.rng.below(3) {
                0 => WorkflowIdConflictPolicy::Fail,
                _ => WorkflowIdConflictPolicy::UseExisting,
            } as i32,
            ..self.start_request()
        };
        let request_id = start.request_id.clone();
        let update = self.update_request("");
        let (id, caller) = (self.id.clone(), self.caller.clone());
        let operations = [
            operation::Operation::StartWorkflow(start),
            operation::Operation::UpdateWorkflow(update.clone()),
        ];
        let request = ExecuteMultiOperationRequest {
            namespace: namespace(),
            operations: operations
                .into_iter()
                .map(|operation| Operation {
                    operation: Some(operation),
                })
                .collect(),
            ..ExecuteMultiOperationRequest::default()
        };
        self.caller.world.clone().spawn_asker(async move {
            let done = caller
                .insist::<ExecuteMultiOperationResponse>("ExecuteMultiOperation", request)
                .await;
            let Ok(done) = done else { return };
            let mut update_ref = None;
            for answer in done.responses.into_iter().filter_map(|answer| answer.response) {
                match answer {
                    response::Response::StartWorkflow(started) if started.started => {
                        caller.world.acknowledge_start(&request_id, &id, &started.run_id);
                    }
                    response::Response::StartWorkflow(_) => {}
                    response::Response::UpdateWorkflow(updated) => {
                        caller
                            .world
                            .learn_of_update(updated.update_ref.as_ref(), updated.stage(), updated.outcome);
                        update_ref = updated.update_ref;
                    }
                }
            }
            if let Some(update_ref) = update_ref {
                poll_to_the_end(&caller, update_ref).await;
            }
        });
    }
}

fn policy(stage: Stage) -> Option<WaitPolicy> {
    Some(WaitPolicy {
        lifecycle_stage: stage.into(),
    })
}

/// Sends an update until it is accepted or refused, and waits for its outcome.
async fn ask(caller: Caller, request: UpdateWorkflowExecutionRequest) {
    loop {
        let answer = caller
            .insist::<UpdateWorkflowExecutionResponse>("UpdateWorkflowExecution", request.clone())
            .await;
        let Ok(answer) = answer else { return };
        let stage = answer.stage();
        caller
            .world
            .learn_of_update(answer.update_ref.as_ref(), stage, answer.outcome);
        match (stage, answer.update_ref) {
            (Stage::Completed, _) => return,
            (Stage::Accepted, Some(update_ref)) => return poll_to_the_end(&caller, update_ref).await,
            // Not yet: it is asked for again.
            _ => {}
        }
    }
}

/// Waits for the outcome of an update that was accepted.
async fn poll_to_the_end(caller: &Caller, update_ref: UpdateRef) {
    while let Some(Stage::Admitted | Stage::Accepted) = poll(caller, update_ref.clone()).await {}
}

/// Asks once how far an update is. `None`: it is not known.
async fn poll(caller: &Caller, update_ref: UpdateRef) -> Option<Stage> {
    let request = PollWorkflowExecutionUpdateRequest {
        namespace: namespace(),
        update_ref: Some(update_ref.clone()),
        wait_policy: policy(Stage::Completed),
        ..PollWorkflowExecutionUpdateRequest::default()
    };
    let world = &caller.world;
    match caller
        .insist::<PollWorkflowExecutionUpdateResponse>("PollWorkflowExecutionUpdate", request)
        .await
    {
        Ok(answer) => {
            let stage = answer.stage();
            world.learn_of_update(answer.update_ref.as_ref(), stage, answer.outcome);
            Some(stage)
        }
        Err(status) => {
            let key = key(&update_ref);
            let ledger = world.ledger.borrow();
            if ledger.updates.contains_key(&key) && !ledger.may_be_deleted(&key.0) {
                world.violated(format!("{key:?} was accepted, and an update poll says {status}"));
            }
            None
        }
    }
}

fn key(update_ref: &UpdateRef) -> (String, String) {
    let run_id = update_ref.workflow_execution.clone().unwrap_or_default().run_id;
    (run_id, update_ref.update_id.clone())
}

/// An outcome that only an accepted update can have. One that was not accepted may be asked for again, and do better.
fn is_of_accepted(outcome: &Outcome) -> bool {
    match &outcome.value {
        Some(outcome::Value::Success(_)) => true,
        Some(outcome::Value::Failure(failure)) => matches!(&failure.failure_info,
            Some(FailureInfo::ApplicationFailureInfo(info)) if info.r#type == "AcceptedUpdateCompletedWorkflow"),
        None => false,
    }
}

impl World {
    /// Somebody is told how far an update is. Whatever was said before must still be so.
    fn learn_of_update(&self, update_ref: Option<&UpdateRef>, stage: Stage, outcome: Option<Outcome>) {
        let Some(update_ref) = update_ref else {
            return self.violated("an update was answered without its name");
        };
        let key = key(update_ref);
        if key.0.is_empty() {
            return self.violated(format!("update {} was answered without its run", key.1));
        }
        let known = &mut self.ledger.borrow_mut().updates;
        match outcome {
            Some(outcome) if is_of_accepted(&outcome) => {
                let before = known.entry(key.clone()).or_default();
                if before.as_ref().is_some_and(|before| *before != outcome) {
                    self.violated(format!(
                        "update {key:?} was answered {before:?} and is now answered {outcome:?}"
                    ));
                }
                *before = Some(outcome);
            }
            Some(outcome) if known.contains_key(&key) => {
                self.violated(format!("update {key:?} was accepted, and is now answered {outcome:?}"));
            }
            None if stage == Stage::Accepted => {
                known.entry(key).or_default();
            }
            _ => {}
        }
    }
}

// Workers.

/// What a worker says of the updates that a task brings, and of those that were accepted before. `tag` makes outcomes that
/// are not the same look different.
pub(crate) fn answers(task: &PollWorkflowTaskQueueResponse, past: &Past, tag: &str) -> Vec<ProtocolMessage> {
    let mut answers: Vec<_> = past.open_updates().map(|id| completed(id, tag)).collect();
    for message in &task.messages {
        let body = message.body.clone().unwrap_or_default();
        let request = v1::Request::decode(body.value.as_slice()).expect("a task brings update requests");
        let id = &message.protocol_instance_id;
        let kind = text(request.input.as_ref().and_then(|input| input.args.as_ref()));
        if kind == "rejected" {
            answers.push(rejected(id));
            continue;
        }
        answers.push(accepted(message, request));
        if kind == "done at once" {
            answers.push(completed(id, tag));
        }
    }
    answers
}

/// The commands that put accepted and completed updates in their place among the others.
pub(crate) fn commands(answers: &[ProtocolMessage]) -> impl Iterator<Item = Command> {
    let placed = answers.iter().filter(|message| !message.id.ends_with("/reject"));
    placed.map(|message| Command {
        command_type: CommandType::ProtocolMessage.into(),
        attributes: Some(Attributes::ProtocolMessageCommandAttributes(
            ProtocolMessageCommandAttributes {
                message_id: message.id.clone(),
            },
        )),
        ..Command::default()
    })
}

fn message(id: &str, kind: &str, type_name: &str, body: &impl Message) -> ProtocolMessage {
    ProtocolMessage {
        id: format!("{id}/{kind}"),
        protocol_instance_id: id.to_owned(),
        body: Some(prost_types::Any {
            type_url: format!("type.googleapis.com/temporal.api.update.v1.{type_name}"),
            value: body.encode_to_vec(),
        }),
        ..ProtocolMessage::default()
    }
}

fn accepted(asked: &ProtocolMessage, request: v1::Request) -> ProtocolMessage {
    let acceptance = Acceptance {
        accepted_request_message_id: asked.id.clone(),
        accepted_request_sequencing_event_id: match asked.sequencing_id {
            Some(SequencingId::EventId(id)) => id,
            _ => 0,
        },
        accepted_request: Some(request),
    };
    message(&asked.protocol_instance_id, "accept", "Acceptance", &acceptance)
}

fn completed(id: &str, tag: &str) -> ProtocolMessage {
    let response = Response {
        meta: Some(Meta {
            update_id: id.to_owned(),
            ..Meta::default()
        }),
        outcome: Some(Outcome {
            value: payloads(&format!("outcome of {id} {tag}")).map(outcome::Value::Success),
        }),
    };
    message(id, "complete", "Response", &response)
}

fn rejected(id: &str) -> ProtocolMessage {
    let rejection = Rejection {
        failure: Some(Failure {
            message: "rejected".to_owned(),
            ..Failure::default()
        }),
        ..Rejection::default()
    };
    message(id, "reject", "Rejection", &rejection)
}

// What must be true of them.

/// Every update that a history says was accepted has one outcome, and always the same.
pub(crate) async fn judge(caller: &Caller, records: &Records) -> Verdict {
    for (run_id, record) in records {
        let accepted = accepted_in(record)?;
        for (update_id, outcome) in accepted {
            let update_ref = UpdateRef {
                workflow_execution: run(&record.workflow_id, run_id),
                update_id: update_id.clone(),
            };
            let key = (run_id.clone(), update_id);
            caller.world.ledger.borrow_mut().updates.entry(key.clone()).or_default();
            let stage = poll(caller, update_ref).await;
            ensure(stage == Some(Stage::Completed), || {
                format!("accepted update {key:?} is not answered after its run closed: {stage:?}")
            })?;
            let ledger = caller.world.ledger.borrow();
            let told = ledger.updates.get(&key).cloned().flatten();
            ensure(outcome.is_none() || outcome == told, || {
                format!("update {key:?} was completed with {outcome:?}, but its callers were told {told:?}")
            })?;
        }
    }
    let ledger = caller.world.ledger.borrow();
    for (run_id, update_id) in ledger
        .updates
        .keys()
        .filter(|(run_id, _)| !ledger.may_be_deleted(run_id))
    {
        let is_there = records
            .get(run_id)
            .is_some_and(|record| accepted_in(record).is_ok_and(|accepted| accepted.contains_key(update_id)));
        ensure(is_there, || {
            format!("update {update_id:?} of {run_id} was acknowledged as accepted and is lost")
        })?;
    }
    Ok(())
}

/// The updates that a run accepted, each with the outcome that its history has of it.
fn accepted_in(record: &Record) -> Result<BTreeMap<String, Option<Outcome>>, String> {
    let mut accepted = BTreeMap::new();
    for event in &record.events {
        match event.attributes.as_ref() {
            Some(Event::WorkflowExecutionUpdateAcceptedEventAttributes(a)) => {
                let before = accepted.insert(a.protocol_instance_id.clone(), None);
                ensure(before.is_none(), || {
                    format!("update {:?} was accepted twice", a.protocol_instance_id)
                })?;
            }
            Some(Event::WorkflowExecutionUpdateCompletedEventAttributes(a)) => {
                let id = a.meta.clone().unwrap_or_default().update_id;
                let outcome = accepted
                    .get_mut(&id)
                    .ok_or_else(|| format!("update {id:?} was completed before it was accepted"))?;
                ensure(outcome.is_none(), || format!("update {id:?} was completed twice"))?;
                *outcome = a.outcome.clone();
            }
            _ => {}
        }
    }
    Ok(accepted)
}
