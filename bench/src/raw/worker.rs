//! Workers: polls and completions, many at once, and a script in the place of workflow code.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow};
use temporalio_protos::temporal::api::command::v1::Command;
use temporalio_protos::temporal::api::common::v1::WorkflowExecution;
use temporalio_protos::temporal::api::enums::v1::TaskQueueKind;
use temporalio_protos::temporal::api::taskqueue::v1::{StickyExecutionAttributes, TaskQueue};
use temporalio_protos::temporal::api::workflowservice::v1::{
    GetWorkflowExecutionHistoryRequest, PollActivityTaskQueueRequest, PollWorkflowTaskQueueRequest,
    RespondActivityTaskCompletedRequest, RespondWorkflowTaskCompletedRequest,
};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::messages::{ActivityTask, Event, Execution, HistoryPage, Nothing, WorkflowTask};
use super::{Caller, IDENTITY, NAMESPACE, Rpc, Server};

/// The server answers a poll before this, with a task or without. A poll given up earlier may take a task with it.
const LONG_POLL: Duration = Duration::from_secs(70);
/// How long a task waits for its sticky worker before it is anybody's.
const STICKY_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What a workflow does next, told from the events of its history so far (ids and types).
pub(crate) type Script = fn(queue: &str, events: &[Event]) -> Step;

/// The commands of a workflow task.
pub(crate) struct Step {
    pub(crate) commands: Vec<Command>,
    /// The last of them closes the workflow.
    pub(crate) closes: bool,
}

impl Step {
    pub(crate) fn goes_on(commands: Vec<Command>) -> Self {
        Self {
            commands,
            closes: false,
        }
    }
}

/// How many polls are open at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pollers {
    pub(crate) workflow: usize,
    pub(crate) activity: usize,
    /// Keep workflows with the worker that has them: tasks then bring only what is new.
    pub(crate) sticky: bool,
}

/// Workers on one task queue. They stop when this is dropped.
pub(crate) struct Workers {
    tasks: JoinSet<Result<(), Status>>,
    worker: Arc<Worker>,
}

impl Workers {
    pub(crate) fn start(server: &Server, queue: &str, script: Script, pollers: Pollers) -> Self {
        let mut tasks = JoinSet::new();
        let worker = Arc::new(Worker {
            queue: queue.to_owned(),
            sticky: pollers.sticky.then(|| format!("{queue}-sticky")),
            script,
            cache: Mutex::default(),
            answered: AtomicUsize::new(0),
        });
        for index in 0..pollers.workflow {
            // Most of the tasks come on the sticky queue; only first ones come on the other.
            let sticky = pollers.sticky && index % 3 != 0;
            tasks.spawn(Arc::clone(&worker).workflow_tasks(server.caller(), sticky));
        }
        for _ in 0..pollers.activity {
            tasks.spawn(Arc::clone(&worker).activity_tasks(server.caller()));
        }
        Self { tasks, worker }
    }

    /// Drives a load while the workers work; they stop with it. Fails when a worker gives up.
    pub(crate) async fn during<T>(mut self, load: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            failed = self.failure() => Err(failed),
            loaded = load => loaded,
        }
    }

    /// Works until so many workflow tasks are answered.
    pub(crate) async fn until_answered(self, tasks: usize) -> Result<()> {
        let worker = Arc::clone(&self.worker);
        self.during(async move {
            while worker.answered.load(Ordering::Relaxed) < tasks {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Ok(())
        })
        .await
    }

    /// Ends only when a worker gives up, with the reason.
    async fn failure(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok(Err(status))) => anyhow!("a worker gave up: {status}"),
            Some(other) => anyhow!("a worker ended: {other:?}"),
            None => std::future::pending().await,
        }
    }
}

struct Worker {
    queue: String,
    sticky: Option<String>,
    script: Script,
    /// What is known of the runs that are kept, by run id.
    cache: Mutex<HashMap<String, Vec<Event>>>,
    /// Workflow tasks that were answered.
    answered: AtomicUsize,
}

impl Worker {
    /// Polls, and answers each task beside the next poll: a completion waits for the disk, and a poll must not.
    async fn workflow_tasks(self: Arc<Self>, mut caller: Caller, sticky: bool) -> Result<(), Status> {
        let mut answers = JoinSet::new();
        loop {
            let request = PollWorkflowTaskQueueRequest {
                namespace: NAMESPACE.to_owned(),
                task_queue: match &self.sticky {
                    Some(name) if sticky => sticky_queue(name, &self.queue),
                    _ => task_queue(&self.queue),
                },
                identity: IDENTITY.to_owned(),
                ..Default::default()
            };
            let task: WorkflowTask = polled(caller.long_poll(Rpc::POLL_WORKFLOW_TASK, request, LONG_POLL).await)?;
            settled(&mut answers)?;
            if !task.task_token.is_empty() {
                answers.spawn(Arc::clone(&self).answer_workflow(caller.clone(), task));
            }
        }
    }

    async fn answer_workflow(self: Arc<Self>, mut caller: Caller, task: WorkflowTask) -> Result<(), Status> {
        let execution = task.execution.unwrap_or_default();
        let mut events = task.history.unwrap_or_default().events;
        if !task.next_page_token.is_empty() {
            events.extend(rest_of_history(&mut caller, &execution, task.next_page_token).await?);
        }
        let run_id = execution.run_id;
        let step = match &self.sticky {
            None => (self.script)(&self.queue, &events),
            Some(_) => self.kept(run_id, events),
        };
        let request = RespondWorkflowTaskCompletedRequest {
            namespace: NAMESPACE.to_owned(),
            task_token: task.task_token,
            commands: step.commands,
            identity: IDENTITY.to_owned(),
            sticky_attributes: self.sticky.as_ref().map(|name| StickyExecutionAttributes {
                worker_task_queue: sticky_queue(name, &self.queue),
                schedule_to_start_timeout: STICKY_TIMEOUT.try_into().ok(),
            }),
            ..Default::default()
        };
        tolerated(caller.call(Rpc::RESPOND_WORKFLOW_TASK_COMPLETED, request).await)?;
        self.answered.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The step of a run that the worker keeps: what it knew, and what is new.
    fn kept(&self, run_id: String, new: Vec<Event>) -> Step {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let known = cache.entry(run_id.clone()).or_default();
        if new.first().is_some_and(|event| event.id == 1) {
            known.clear();
        }
        known.extend(new);
        let step = (self.script)(&self.queue, known);
        if step.closes {
            cache.remove(&run_id);
        }
        step
    }

    async fn activity_tasks(self: Arc<Self>, mut caller: Caller) -> Result<(), Status> {
        let mut answers = JoinSet::new();
        loop {
            let request = PollActivityTaskQueueRequest {
                namespace: NAMESPACE.to_owned(),
                task_queue: task_queue(&self.queue),
                identity: IDENTITY.to_owned(),
                ..Default::default()
            };
            let task: ActivityTask = polled(caller.long_poll(Rpc::POLL_ACTIVITY_TASK, request, LONG_POLL).await)?;
            settled(&mut answers)?;
            if !task.task_token.is_empty() {
                answers.spawn(answer_activity(caller.clone(), task));
            }
        }
    }
}

/// What did not fit into the task.
async fn rest_of_history(caller: &mut Caller, of: &Execution, mut token: Vec<u8>) -> Result<Vec<Event>, Status> {
    let mut events = Vec::new();
    while !token.is_empty() {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: NAMESPACE.to_owned(),
            execution: Some(WorkflowExecution {
                workflow_id: of.workflow_id.clone(),
                run_id: of.run_id.clone(),
            }),
            next_page_token: token,
            ..Default::default()
        };
        let page: HistoryPage = caller.call(Rpc::GET_HISTORY, request).await?;
        events.extend(page.history.unwrap_or_default().events);
        token = page.next_page_token;
    }
    Ok(events)
}

/// An activity does nothing, at once.
async fn answer_activity(mut caller: Caller, task: ActivityTask) -> Result<(), Status> {
    let request = RespondActivityTaskCompletedRequest {
        namespace: NAMESPACE.to_owned(),
        task_token: task.task_token,
        identity: IDENTITY.to_owned(),
        ..Default::default()
    };
    tolerated(caller.call(Rpc::RESPOND_ACTIVITY_TASK_COMPLETED, request).await)
}

/// A server that is overloaded leaves polls unanswered for longer than it should: that is a poll without a task.
fn polled<T: Default>(answer: Result<T, Status>) -> Result<T, Status> {
    match answer {
        Err(status) if matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded) => Ok(T::default()),
        answer => answer,
    }
}

/// Takes the answers that are done off the list, and fails with the first that failed.
fn settled(answers: &mut JoinSet<Result<(), Status>>) -> Result<(), Status> {
    while let Some(answer) = answers.try_join_next() {
        answer.map_err(|error| Status::internal(error.to_string()))??;
    }
    Ok(())
}

/// A server that is slow gives a task out again: the first answer to come late is no failure of the load.
fn tolerated(answered: Result<Nothing, Status>) -> Result<(), Status> {
    match answered {
        Err(status) if status.code() != Code::NotFound => Err(status),
        _ => Ok(()),
    }
}

/// A queue that everybody may poll.
pub(crate) fn task_queue(name: &str) -> Option<TaskQueue> {
    Some(TaskQueue {
        name: name.to_owned(),
        kind: TaskQueueKind::Normal.into(),
        ..Default::default()
    })
}

fn sticky_queue(name: &str, normal: &str) -> Option<TaskQueue> {
    Some(TaskQueue {
        name: name.to_owned(),
        kind: TaskQueueKind::Sticky.into(),
        normal_name: normal.to_owned(),
    })
}
