//! How many workflows the engine alone can do: `throughput DATA_DIR WORKFLOWS ACTIVITIES CONCURRENCY`.
//!
//! A driver of raw messages in the same process plays client and worker, so that nothing but the engine and the disk is
//! measured. Each workflow runs its activities one after the other.

use std::{collections::HashMap, error::Error, sync::Arc, time::Instant};

use helve_engine::{Engine, EngineOptions, InProcess};
use prost::Message;
use temporalio_protos::temporal::api::{
    command::v1::{Command, command::Attributes, *},
    common::v1::{ActivityType, WorkflowType},
    enums::v1::{CommandType, EventType},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::*,
};
use tokio::sync::Semaphore;
use tonic::{Status, codegen::http::HeaderMap};

const SERVICE: &str = "temporal.api.workflowservice.v1.WorkflowService";

async fn rpc<A: Message + Default>(engine: &InProcess, rpc: &str, request: impl Message) -> Result<A, Status> {
    let (_, bytes) = engine
        .call(SERVICE, rpc, HeaderMap::new(), request.encode_to_vec().into())
        .await?;
    A::decode(bytes.as_slice()).map_err(|error| Status::internal(error.to_string()))
}

fn queue() -> Option<TaskQueue> {
    Some(TaskQueue {
        name: "q".to_owned(),
        ..Default::default()
    })
}

fn next_command(done: usize, activities: usize) -> Command {
    if done < activities {
        let attributes = ScheduleActivityTaskCommandAttributes {
            activity_id: done.to_string(),
            activity_type: Some(ActivityType { name: "act".to_owned() }),
            task_queue: queue(),
            start_to_close_timeout: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
            ..Default::default()
        };
        let attributes = Some(Attributes::ScheduleActivityTaskCommandAttributes(attributes));
        Command {
            command_type: CommandType::ScheduleActivityTask as i32,
            attributes,
            ..Default::default()
        }
    } else {
        let attributes = Some(Attributes::CompleteWorkflowExecutionCommandAttributes(
            Default::default(),
        ));
        Command {
            command_type: CommandType::CompleteWorkflowExecution as i32,
            attributes,
            ..Default::default()
        }
    }
}

async fn work_on_workflows(engine: InProcess, activities: usize, room: Arc<Semaphore>) -> Result<(), Status> {
    loop {
        let request = PollWorkflowTaskQueueRequest {
            namespace: "default".to_owned(),
            task_queue: queue(),
            ..Default::default()
        };
        let task: PollWorkflowTaskQueueResponse = rpc(&engine, "PollWorkflowTaskQueue", request).await?;
        if task.task_token.is_empty() {
            return Ok(());
        }
        let events = task.history.unwrap_or_default().events;
        let done = events
            .iter()
            .filter(|event| event.event_type() == EventType::ActivityTaskCompleted)
            .count();
        let request = RespondWorkflowTaskCompletedRequest {
            task_token: task.task_token,
            commands: vec![next_command(done, activities)],
            ..Default::default()
        };
        rpc::<RespondWorkflowTaskCompletedResponse>(&engine, "RespondWorkflowTaskCompleted", request).await?;
        if done == activities {
            room.add_permits(1);
        }
    }
}

async fn work_on_activities(engine: InProcess) -> Result<(), Status> {
    loop {
        let request = PollActivityTaskQueueRequest {
            namespace: "default".to_owned(),
            task_queue: queue(),
            ..Default::default()
        };
        let task: PollActivityTaskQueueResponse = rpc(&engine, "PollActivityTaskQueue", request).await?;
        if task.task_token.is_empty() {
            return Ok(());
        }
        let request = RespondActivityTaskCompletedRequest {
            task_token: task.task_token,
            ..Default::default()
        };
        rpc::<RespondActivityTaskCompletedResponse>(&engine, "RespondActivityTaskCompleted", request).await?;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, workflows, activities, concurrency] = arguments.as_slice() else {
        return Err("usage: throughput DATA_DIR WORKFLOWS ACTIVITIES CONCURRENCY".into());
    };
    let (workflows, activities): (usize, usize) = (workflows.parse()?, activities.parse()?);
    let concurrency: usize = concurrency.parse()?;
    let engine = Engine::open(EngineOptions::new(dir)).await?;
    let room = Arc::new(Semaphore::new(concurrency));
    for _ in 0..concurrency {
        tokio::spawn(work_on_workflows(engine.in_process(), activities, room.clone()));
        tokio::spawn(work_on_activities(engine.in_process()));
    }
    let begun = Instant::now();
    for _ in 0..workflows {
        room.acquire().await?.forget();
        let client = engine.in_process();
        tokio::spawn(async move {
            let request = StartWorkflowExecutionRequest {
                namespace: "default".to_owned(),
                workflow_id: uuid::Uuid::new_v4().to_string(),
                workflow_type: Some(WorkflowType {
                    name: "kind".to_owned(),
                }),
                task_queue: queue(),
                ..Default::default()
            };
            rpc::<StartWorkflowExecutionResponse>(&client, "StartWorkflowExecution", request).await
        });
    }
    let _all = room.acquire_many(u32::try_from(concurrency)?).await?;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{}",
        serde_json::to_string(&HashMap::from([
            ("workflows_per_second", workflows as f64 / seconds),
            ("activities_per_second", (workflows * activities) as f64 / seconds),
            ("seconds", seconds),
        ]))?
    );
    engine.shutdown().await;
    Ok(())
}
