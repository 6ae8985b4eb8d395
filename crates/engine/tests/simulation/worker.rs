//! Workers: they take tasks, go on with model workflows, and are as unreliable as the plan says.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use temporalio_protos::temporal::api::{
    command::v1::Command,
    common::v1::WorkflowExecution,
    enums::v1::{QueryResultType, WorkflowTaskFailedCause},
    failure::v1::Failure,
    history::v1::HistoryEvent,
    query::v1::WorkflowQueryResult,
    taskqueue::v1::{StickyExecutionAttributes, TaskQueue},
    workflowservice::v1::{respond_workflow_task_completed_request::Capabilities, *},
};
use tonic::Code;

use crate::{
    network::{Caller, Failed},
    program::{Activity, Past, commands},
    proto::{QUEUE, namespace, payloads, queue, seconds, sticky_queue},
    standalone, updates,
    world::World,
};

#[derive(Clone)]
struct Worker {
    caller: Caller,
    /// Histories of runs whose tasks come to this worker's own queue.
    cache: Rc<RefCell<BTreeMap<String, Vec<HistoryEvent>>>>,
}

/// Puts a worker to work.
pub(crate) fn employ(world: &Rc<World>, number: u64) {
    let worker = Worker {
        caller: Caller::worker(world, format!("worker{number}")),
        cache: Rc::default(),
    };
    world.actors.spawn(worker.clone().take_workflow_tasks(queue(QUEUE)));
    if world.plan.sticky {
        let own = sticky_queue(&worker.own_queue());
        world.actors.spawn(worker.clone().take_workflow_tasks(own));
    }
    world.actors.spawn(worker.clone().take_activities());
    world.actors.spawn(worker.take_activities());
}

impl Worker {
    fn world(&self) -> &Rc<World> {
        &self.caller.world
    }

    fn identity(&self) -> String {
        self.caller.name.to_string()
    }

    fn own_queue(&self) -> String {
        format!("of {}", self.caller.name)
    }

    fn mishap(&self, percent: u32) -> bool {
        self.world().mishap(percent)
    }

    // Workflow tasks.

    async fn take_workflow_tasks(self, queue: Option<TaskQueue>) {
        while !self.world().is_work_over() {
            let poll = PollWorkflowTaskQueueRequest {
                namespace: namespace(),
                task_queue: queue.clone(),
                identity: self.identity(),
                worker_instance_key: self.identity(),
                ..Default::default()
            };
            let answer = self
                .caller
                .call::<PollWorkflowTaskQueueResponse>("PollWorkflowTaskQueue", poll);
            match answer.await {
                Ok(task) if !task.task_token.is_empty() => self.clone().workflow_task(task).await,
                // Nothing came in time, or the engine stops.
                _ => self.world().nap(100, 1000).await,
            }
        }
    }

    async fn workflow_task(self, first: PollWorkflowTaskQueueResponse) {
        let mut next = Some(first);
        while let Some(task) = next.take() {
            if task.task_token.is_empty() {
                return;
            }
            let faults = &self.world().plan.worker;
            if self.mishap(faults.vanishes) {
                self.caller.note(format_args!("vanishes with a workflow task"));
                self.cache.borrow_mut().clear();
                return self.world().nap(0, 20_000).await;
            }
            let Ok(history) = self.whole_history(&task).await else {
                return;
            };
            if task.query.is_some() {
                self.answer_query(&task, &history).await;
                return;
            }
            if self.mishap(faults.late) {
                self.world().nap(0, 25_000).await;
            }
            if self.mishap(faults.fails) {
                return self.fail(&task).await;
            }
            next = self.complete(&task, history).await;
        }
    }

    /// The history that a task is about, with what this worker has of it already.
    async fn whole_history(&self, task: &PollWorkflowTaskQueueResponse) -> Result<Vec<HistoryEvent>, Failed> {
        let execution = task.workflow_execution.clone().unwrap_or_default();
        let mut events = task.history.clone().unwrap_or_default().events;
        let mut token = task.next_page_token.clone();
        while !token.is_empty() {
            let page = self.page(&execution, token).await?;
            events.extend(page.history.unwrap_or_default().events);
            token = page.next_page_token;
        }
        let known = match events.first().map(|event| event.event_id) {
            Some(1) => Vec::new(),
            first => {
                let before = first.map_or(usize::MAX, |first| first as usize - 1);
                let cached = self.cache.borrow().get(&execution.run_id).cloned();
                match cached {
                    Some(cached) if cached.len() >= before || first.is_none() => {
                        cached.into_iter().take(before).collect()
                    }
                    _ => self.beginning(&execution, before).await?,
                }
            }
        };
        let history = [known, events].concat();
        for (at, event) in history.iter().enumerate() {
            if event.event_id != at as i64 + 1 {
                self.world().violated(format!(
                    "a worker gets event {} of {execution:?} as number {}",
                    event.event_id,
                    at + 1
                ));
            }
        }
        // The task's own events become final only when it completes.
        let is_final = |event: &&HistoryEvent| {
            event.event_id < task.started_event_id - 1 || (task.started_event_id == 0 && task.query.is_some())
        };
        let shown: Vec<_> = history.iter().take_while(is_final).cloned().collect();
        self.world().show(&execution, &shown);
        Ok(history)
    }

    async fn page(
        &self,
        execution: &WorkflowExecution,
        token: Vec<u8>,
    ) -> Result<GetWorkflowExecutionHistoryResponse, Failed> {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: namespace(),
            execution: Some(execution.clone()),
            next_page_token: token,
            ..Default::default()
        };
        self.caller.call("GetWorkflowExecutionHistory", request).await
    }

    /// The first events of a history that this worker has not got any more.
    async fn beginning(&self, execution: &WorkflowExecution, count: usize) -> Result<Vec<HistoryEvent>, Failed> {
        let mut events = Vec::new();
        let mut token = Vec::new();
        loop {
            let page = self.page(execution, token).await?;
            events.extend(page.history.unwrap_or_default().events);
            if page.next_page_token.is_empty() || events.len() >= count {
                events.truncate(count);
                return Ok(events);
            }
            token = page.next_page_token;
        }
    }

    async fn answer_query(&self, task: &PollWorkflowTaskQueueResponse, history: &[HistoryEvent]) {
        let request = RespondQueryTaskCompletedRequest {
            task_token: task.task_token.clone(),
            namespace: namespace(),
            completed_type: QueryResultType::Answered as i32,
            query_result: payloads(&Past::of(history).signals.to_string()),
            ..Default::default()
        };
        // Whoever asked may be gone.
        let _ = self
            .caller
            .call::<RespondQueryTaskCompletedResponse>("RespondQueryTaskCompleted", request)
            .await;
    }

    async fn fail(&self, task: &PollWorkflowTaskQueueResponse) {
        let request = RespondWorkflowTaskFailedRequest {
            task_token: task.task_token.clone(),
            namespace: namespace(),
            identity: self.identity(),
            cause: WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure as i32,
            ..Default::default()
        };
        let _ = self
            .caller
            .call::<RespondWorkflowTaskFailedResponse>("RespondWorkflowTaskFailed", request)
            .await;
    }

    /// Answers the task that came with the answer, if one did.
    async fn complete(
        &self,
        task: &PollWorkflowTaskQueueResponse,
        history: Vec<HistoryEvent>,
    ) -> Option<PollWorkflowTaskQueueResponse> {
        let execution = task.workflow_execution.clone().unwrap_or_default();
        let past = Past::of(&history);
        let tag = self.world().rng().next().to_string();
        let mut messages = updates::answers(task, &past, &tag);
        if self.mishap(self.world().plan.worker.talks_nonsense) {
            messages.clear();
        }
        let mut commands: Vec<_> = updates::commands(&messages).chain(commands(&past)).collect();
        if self.mishap(self.world().plan.worker.talks_nonsense) {
            commands.push(Command::default());
        }
        let answer = |_: &String| WorkflowQueryResult {
            result_type: QueryResultType::Answered as i32,
            answer: payloads(&past.signals.to_string()),
            ..Default::default()
        };
        let request = RespondWorkflowTaskCompletedRequest {
            task_token: task.task_token.clone(),
            namespace: namespace(),
            identity: self.identity(),
            commands,
            query_results: task.queries.keys().map(|id| (id.clone(), answer(id))).collect(),
            sticky_attributes: self.world().plan.sticky.then(|| StickyExecutionAttributes {
                worker_task_queue: sticky_queue(&self.own_queue()),
                schedule_to_start_timeout: seconds(10),
            }),
            return_new_workflow_task: true,
            messages,
            capabilities: Some(Capabilities {
                discard_speculative_workflow_task_with_events: self.world().rng().percent(50),
            }),
            ..Default::default()
        };
        self.maybe_twice::<RespondWorkflowTaskCompletedResponse>("RespondWorkflowTaskCompleted", &request);
        let response: RespondWorkflowTaskCompletedResponse =
            match self.caller.call("RespondWorkflowTaskCompleted", request).await {
                Ok(response) => response,
                Err(_) => {
                    self.cache.borrow_mut().remove(&execution.run_id);
                    return None;
                }
            };
        let world = self.world();
        // A task that brought nothing but updates which were all rejected leaves no trace.
        if response.reset_history_event_id == 0 {
            let completed = &mut world.ledger.borrow_mut().completed_tasks;
            completed.insert((execution.run_id.clone(), task.started_event_id));
        }
        let mut history = history;
        // The task may have been forgotten, since all that it brought was rejected.
        if let Ok(last @ 1..) = usize::try_from(response.reset_history_event_id) {
            history.truncate(last);
        }
        world.show(&execution, &history);
        self.cache.borrow_mut().insert(execution.run_id, history);
        for activity in response.activity_tasks {
            world.actors.spawn(self.clone().activity(activity));
        }
        response.workflow_task
    }

    /// Sends the same completion a second time, somewhat later, now and then.
    fn maybe_twice<A: prost::Message + Default + 'static>(
        &self,
        rpc: &'static str,
        request: &(impl prost::Message + Clone + 'static),
    ) {
        if self.mishap(self.world().plan.worker.twice) {
            let (worker, request) = (self.clone(), request.clone());
            self.world().actors.spawn(async move {
                worker.world().nap(0, 2000).await;
                let _ = worker.caller.call::<A>(rpc, request).await;
            });
        }
    }

    // Activities.

    async fn take_activities(self) {
        while !self.world().is_work_over() {
            let poll = PollActivityTaskQueueRequest {
                namespace: namespace(),
                task_queue: queue(QUEUE),
                identity: self.identity(),
                worker_instance_key: self.identity(),
                ..Default::default()
            };
            let answer = self
                .caller
                .call::<PollActivityTaskQueueResponse>("PollActivityTaskQueue", poll);
            match answer.await {
                Ok(task) if !task.task_token.is_empty() => self.clone().activity(task).await,
                _ => self.world().nap(100, 1000).await,
            }
        }
    }

    async fn activity(self, task: PollActivityTaskQueueResponse) {
        standalone::check_task(self.world(), &task);
        self.world().check_pause(&run_of(&task), &task);
        let failed = self
            .world()
            .ledger
            .borrow()
            .failed_attempts
            .get(&name_of(&task))
            .copied();
        let is_woken = self.world().ledger.borrow().woken.contains(&run_of(&task));
        if !is_woken && failed.is_some_and(|failed| task.attempt <= failed) {
            self.world().violated(format!(
                "attempt {} of {:?} is handed out although the failure of attempt {failed:?} was acknowledged",
                task.attempt,
                name_of(&task)
            ));
        }
        let faults = &self.world().plan.worker;
        if self.mishap(faults.vanishes) {
            self.caller.note(format_args!("vanishes with an activity"));
            return;
        }
        let activity = Activity::parse(task.input.as_ref());
        if task.attempt <= activity.fails {
            self.world().nap(0, 1000).await;
            return self.fail_activity(&task).await;
        }
        let mut work = Duration::from_secs(activity.seconds.min(activity.start_to_close as u64 - 2));
        if self.mishap(faults.late) {
            work += Duration::from_secs(activity.start_to_close as u64);
        }
        if self.work(&task, work, activity.heartbeats).await {
            self.complete_activity(&task).await;
        }
    }

    /// Takes its time; `false` if there is nothing left to be answered.
    async fn work(&self, task: &PollActivityTaskQueueResponse, mut left: Duration, heartbeats: bool) -> bool {
        const BEAT: Duration = Duration::from_secs(1);
        while !left.is_zero() {
            self.world().sleep(left.min(BEAT)).await;
            left = left.saturating_sub(BEAT);
            if !heartbeats {
                continue;
            }
            let beat = RecordActivityTaskHeartbeatRequest {
                task_token: task.task_token.clone(),
                namespace: namespace(),
                details: payloads(&format!("{} s left", left.as_secs())),
                ..Default::default()
            };
            let answer = self
                .caller
                .call::<RecordActivityTaskHeartbeatResponse>("RecordActivityTaskHeartbeat", beat);
            match answer.await {
                Ok(answer) if answer.cancel_requested => {
                    self.cancel_activity(task).await;
                    return false;
                }
                Err(error) if error.is(Code::NotFound) => return false,
                _ => {}
            }
        }
        true
    }

    async fn complete_activity(&self, task: &PollActivityTaskQueueResponse) {
        let run_id = run_of(task);
        let result = format!("{run_id} {} attempt {}", task.activity_id, task.attempt);
        self.world().ledger.borrow_mut().sent_results.insert(result.clone());
        let request = RespondActivityTaskCompletedRequest {
            task_token: task.task_token.clone(),
            namespace: namespace(),
            identity: self.identity(),
            result: payloads(&result),
            ..Default::default()
        };
        self.maybe_twice::<RespondActivityTaskCompletedResponse>("RespondActivityTaskCompleted", &request);
        let answer = self
            .caller
            .insist::<RespondActivityTaskCompletedResponse>("RespondActivityTaskCompleted", request);
        if answer.await.is_ok() {
            let ledger = &mut *self.world().ledger.borrow_mut();
            if task.activity_run_id == run_id {
                ledger.activities.entry(run_id.clone()).or_default();
            }
            ledger.completed_activities.insert((run_id, result));
        }
    }

    async fn fail_activity(&self, task: &PollActivityTaskQueueResponse) {
        let request = RespondActivityTaskFailedRequest {
            task_token: task.task_token.clone(),
            namespace: namespace(),
            identity: self.identity(),
            failure: Some(Failure {
                message: "no luck".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        self.maybe_twice::<RespondActivityTaskFailedResponse>("RespondActivityTaskFailed", &request);
        let answer = self
            .caller
            .insist::<RespondActivityTaskFailedResponse>("RespondActivityTaskFailed", request);
        if answer.await.is_ok() {
            let failed = &mut self.world().ledger.borrow_mut().failed_attempts;
            let last = failed.entry(name_of(task)).or_default();
            *last = task.attempt.max(*last);
        }
    }

    async fn cancel_activity(&self, task: &PollActivityTaskQueueResponse) {
        let request = RespondActivityTaskCanceledRequest {
            task_token: task.task_token.clone(),
            namespace: namespace(),
            identity: self.identity(),
            ..Default::default()
        };
        let _ = self
            .caller
            .insist::<RespondActivityTaskCanceledResponse>("RespondActivityTaskCanceled", request)
            .await;
    }
}

/// The run and the activity that a task is of.
fn name_of(task: &PollActivityTaskQueueResponse) -> (String, String) {
    (run_of(task), task.activity_id.clone())
}

/// The run that a task is of: a workflow's, or that of a standalone activity.
fn run_of(task: &PollActivityTaskQueueResponse) -> String {
    let of_workflow = task.workflow_execution.clone().unwrap_or_default().run_id;
    match of_workflow.is_empty() {
        true => task.activity_run_id.clone(),
        false => of_workflow,
    }
}
