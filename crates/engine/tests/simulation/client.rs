//! Clients: each cares about one workflow id. They start, signal, ask, and change their minds.

use std::rc::Rc;

use temporalio_protos::temporal::api::{
    common::v1::RetryPolicy,
    enums::v1::{WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
    history::v1::HistoryEvent,
    query::v1::WorkflowQuery,
    workflow::v1::WorkflowExecutionInfo,
    workflowservice::v1::*,
};
use tonic::Status;

use crate::{
    batches,
    network::Caller,
    pauses::unpause_all,
    program::{Program, workflow_type},
    proto::{QUEUE, execution, namespace, payloads, queue, run, seconds, text},
    rng::Rng,
    schedules, standalone,
    world::World,
};

pub(crate) struct Client {
    pub(crate) caller: Caller,
    pub(crate) rng: Rng,
    pub(crate) id: String,
    others: Vec<String>,
    sent: u32,
    /// The run that this client started last, if it knows.
    pub(crate) run_id: String,
}

impl Client {
    pub(crate) fn new(world: &Rc<World>, id: &str, others: &[String]) -> Client {
        Client {
            caller: Caller::new(world, format!("client {id}")),
            rng: world.rng().fork(),
            id: id.to_owned(),
            others: others.to_vec(),
            sent: 0,
            run_id: String::new(),
        }
    }

    /// Does this and that until the faults are over.
    pub(crate) async fn live(mut self) {
        let world = self.caller.world.clone();
        world.nap(0, 3000).await;
        self.start().await;
        while !world.is_calm() {
            world.nap(0, 8000).await;
            let features = &world.plan.features;
            match self.rng.below(30) {
                0..=5 => self.signal().await,
                6..=8 => self.query().await,
                9 | 10 => self.describe().await,
                11 | 12 => self.read().await,
                13 => drop(list(&self.caller, "").await),
                14 => self.cancel().await,
                15 if self.rng.percent(50) => self.terminate().await,
                16 => self.signal_with_start().await,
                17 => self.wait_for_news().await,
                18..=20 if features.updates => self.update(),
                21 if features.updates => self.update_with_start(),
                22 if features.resets => self.reset().await,
                23 if features.deletions && self.rng.percent(50) => self.delete().await,
                24..=26 if features.operations => self.operate().await,
                _ => self.start().await,
            }
        }
    }

    /// The run that this client cares about, or whichever is there.
    pub(crate) fn some_run_id(&mut self) -> String {
        if self.rng.percent(50) {
            self.run_id.clone()
        } else {
            String::new()
        }
    }

    pub(crate) fn request_id(&mut self) -> String {
        self.sent += 1;
        format!("{} request {}", self.id, self.sent)
    }

    pub(crate) fn start_request(&mut self) -> StartWorkflowExecutionRequest {
        let world = self.caller.world.clone();
        let program = Program::draw(&mut self.rng, &self.id, &self.others, world.plan.largest_program, 0);
        let request_id = self.request_id();
        let is_cron = world.plan.features.cron && self.rng.percent(10);
        if is_cron {
            world.ledger.borrow_mut().endless.insert(self.id.clone());
        }
        let rng = &mut self.rng;
        StartWorkflowExecutionRequest {
            cron_schedule: if is_cron { "@every 7s".to_owned() } else { String::new() },
            namespace: namespace(),
            workflow_id: self.id.clone(),
            workflow_type: workflow_type(),
            task_queue: queue(QUEUE),
            input: program.to_input(),
            request_id,
            workflow_run_timeout: if rng.percent(15) {
                seconds(rng.within(5, 60) as i64)
            } else {
                None
            },
            workflow_start_delay: if rng.percent(10) {
                seconds(rng.within(1, 10) as i64)
            } else {
                None
            },
            workflow_id_reuse_policy: WorkflowIdReusePolicy::AllowDuplicate as i32,
            workflow_id_conflict_policy: match rng.below(4) {
                0 => WorkflowIdConflictPolicy::UseExisting,
                1 => WorkflowIdConflictPolicy::TerminateExisting,
                _ => WorkflowIdConflictPolicy::Fail,
            } as i32,
            retry_policy: rng.percent(25).then(|| RetryPolicy {
                initial_interval: seconds(1),
                backoff_coefficient: 1.0,
                maximum_attempts: 2,
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    async fn start(&mut self) {
        let request = self.start_request();
        let request_id = request.request_id.clone();
        let answer = self
            .caller
            .insist::<StartWorkflowExecutionResponse>("StartWorkflowExecution", request)
            .await;
        if let Ok(answer) = answer {
            if answer.started {
                self.caller
                    .world
                    .acknowledge_start(&request_id, &self.id, &answer.run_id);
            }
            self.run_id = answer.run_id;
        }
    }

    async fn signal_with_start(&mut self) {
        let start = self.start_request();
        let name = start.request_id.clone();
        self.caller.world.ledger.borrow_mut().with_start.insert(name.clone());
        let request = SignalWithStartWorkflowExecutionRequest {
            namespace: namespace(),
            workflow_id: start.workflow_id,
            workflow_type: start.workflow_type,
            task_queue: start.task_queue,
            input: start.input,
            workflow_run_timeout: start.workflow_run_timeout,
            request_id: start.request_id,
            workflow_id_reuse_policy: start.workflow_id_reuse_policy,
            signal_name: name.clone(),
            ..Default::default()
        };
        let answer = self
            .caller
            .insist::<SignalWithStartWorkflowExecutionResponse>("SignalWithStartWorkflowExecution", request)
            .await;
        if answer.is_ok() {
            self.acknowledge_signal(name);
        }
    }

    fn acknowledge_signal(&self, name: String) {
        let ledger = &mut self.caller.world.ledger.borrow_mut();
        ledger.signals.insert(name, self.id.clone());
    }

    async fn signal(&mut self) {
        let name = self.request_id();
        let run_id = self.some_run_id();
        let request = SignalWorkflowExecutionRequest {
            namespace: namespace(),
            workflow_execution: run(&self.id, &run_id),
            signal_name: name.clone(),
            request_id: name.clone(),
            ..Default::default()
        };
        let answer = self
            .caller
            .insist::<SignalWorkflowExecutionResponse>("SignalWorkflowExecution", request)
            .await;
        if answer.is_ok() {
            self.acknowledge_signal(name);
            let ledger = &mut self.caller.world.ledger.borrow_mut();
            *ledger.signals_of_run.entry(run_id).or_default() += 1;
        }
    }

    /// A query must see all that was acknowledged before it was sent.
    async fn query(&mut self) {
        let world = self.caller.world.clone();
        let expected = world.ledger.borrow().signals_of_run.get(&self.run_id).copied();
        let request = QueryWorkflowRequest {
            namespace: namespace(),
            execution: run(&self.id, &self.run_id),
            query: Some(WorkflowQuery {
                query_type: "signals".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let Ok(answer) = self
            .caller
            .call::<QueryWorkflowResponse>("QueryWorkflow", request)
            .await
        else {
            return;
        };
        let seen: usize = text(answer.query_result.as_ref()).parse().unwrap_or(0);
        if !self.run_id.is_empty() && seen < expected.unwrap_or(0) {
            world.violated(format!(
                "a query of {} saw {seen} signals after {expected:?} were acknowledged",
                self.run_id
            ));
        }
    }

    async fn describe(&mut self) {
        let request = DescribeWorkflowExecutionRequest {
            namespace: namespace(),
            execution: execution(&self.id),
        };
        let _ = self
            .caller
            .call::<DescribeWorkflowExecutionResponse>("DescribeWorkflowExecution", request)
            .await;
    }

    async fn read(&mut self) {
        let run_id = self.run_id.clone();
        if !run_id.is_empty()
            && let Ok(events) = history(&self.caller, &self.id, &run_id).await
        {
            self.caller.world.show(&run(&self.id, &run_id).unwrap(), &events);
        }
    }

    async fn wait_for_news(&mut self) {
        let run_id = self.run_id.clone();
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: namespace(),
            execution: run(&self.id, &run_id),
            wait_new_event: true,
            ..Default::default()
        };
        let page = self
            .caller
            .call::<GetWorkflowExecutionHistoryResponse>("GetWorkflowExecutionHistory", request)
            .await;
        if let (false, Ok(page)) = (run_id.is_empty(), page) {
            let events = page.history.unwrap_or_default().events;
            self.caller.world.show(&run(&self.id, &run_id).unwrap(), &events);
        }
    }

    async fn cancel(&mut self) {
        let request = RequestCancelWorkflowExecutionRequest {
            namespace: namespace(),
            workflow_execution: run(&self.id, &self.run_id),
            request_id: self.request_id(),
            ..Default::default()
        };
        let answer = self
            .caller
            .insist::<RequestCancelWorkflowExecutionResponse>("RequestCancelWorkflowExecution", request)
            .await;
        if answer.is_ok() {
            let ledger = &mut self.caller.world.ledger.borrow_mut();
            ledger
                .cancelled
                .entry(self.run_id.clone())
                .or_insert(self.caller.world.now());
        }
    }

    async fn terminate(&mut self) {
        let request = TerminateWorkflowExecutionRequest {
            namespace: namespace(),
            workflow_execution: run(&self.id, &self.run_id),
            ..Default::default()
        };
        let answer = self
            .caller
            .insist::<TerminateWorkflowExecutionResponse>("TerminateWorkflowExecution", request)
            .await;
        if answer.is_ok() {
            let ledger = &mut self.caller.world.ledger.borrow_mut();
            ledger.terminated.insert(self.run_id.clone());
        }
    }
}

/// Helps everything to its end, once nothing goes wrong any more: some runs wait for signals.
pub(crate) async fn bring_to_an_end(world: Rc<World>) {
    let caller = Caller::new(&world, "finisher");
    let (mut sent, mut rounds) = (0, 0);
    loop {
        rounds += 1;
        let Ok(open) = list(&caller, "ExecutionStatus = 'Running'").await else {
            continue;
        };
        let are_closed = open.is_empty();
        for info in open {
            sent += 1;
            help(&caller, info, sent, rounds).await;
        }
        let is_over = standalone::bring_to_an_end(&caller).await
            && batches::are_over(&caller).await
            && schedules::are_over(&caller).await;
        if are_closed && is_over && !world.has_askers() {
            return;
        }
        world.nap(20_000, 40_000).await;
    }
}

/// Helps an open run to its end.
async fn help(caller: &Caller, info: WorkflowExecutionInfo, number: u32, rounds: u32) {
    let execution = info.execution.unwrap_or_default();
    let world = &caller.world;
    if world.plan.features.operations {
        unpause_all(caller, &execution.workflow_id, &execution.run_id).await;
    }
    // A run made by a reset may wait for a child that had told the closed base run of its end, as on Temporal.
    let may_be_stuck = rounds > 30 && world.plan.features.resets;
    if may_be_stuck || world.ledger.borrow().endless.contains(&execution.workflow_id) {
        let request = TerminateWorkflowExecutionRequest {
            namespace: namespace(),
            workflow_execution: run(&execution.workflow_id, ""),
            ..Default::default()
        };
        let _ = caller
            .insist::<TerminateWorkflowExecutionResponse>("TerminateWorkflowExecution", request)
            .await;
        return;
    }
    let request = SignalWorkflowExecutionRequest {
        namespace: namespace(),
        workflow_execution: run(&execution.workflow_id, &execution.run_id),
        signal_name: format!("finisher {number}"),
        input: payloads("go on"),
        ..Default::default()
    };
    let _ = caller
        .insist::<SignalWorkflowExecutionResponse>("SignalWorkflowExecution", request)
        .await;
}

/// All executions that match.
pub(crate) async fn list(caller: &Caller, query: &str) -> Result<Vec<WorkflowExecutionInfo>, Status> {
    let mut all = Vec::new();
    let mut token = Vec::new();
    loop {
        let request = ListWorkflowExecutionsRequest {
            namespace: namespace(),
            query: query.to_owned(),
            page_size: 7,
            next_page_token: token,
        };
        let page: ListWorkflowExecutionsResponse = caller.insist("ListWorkflowExecutions", request).await?;
        all.extend(page.executions);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        token = page.next_page_token;
    }
}

/// A whole history.
pub(crate) async fn history(caller: &Caller, id: &str, run_id: &str) -> Result<Vec<HistoryEvent>, Status> {
    let mut all = Vec::new();
    let mut token = Vec::new();
    loop {
        let request = GetWorkflowExecutionHistoryRequest {
            namespace: namespace(),
            execution: run(id, run_id),
            next_page_token: token,
            ..Default::default()
        };
        let page: GetWorkflowExecutionHistoryResponse = caller.insist("GetWorkflowExecutionHistory", request).await?;
        all.extend(page.history.unwrap_or_default().events);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        token = page.next_page_token;
    }
}
