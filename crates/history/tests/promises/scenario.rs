//! A run, a virtual clock, and words to tell a story about them.

use std::time::Duration;

use helve_history::{
    ActivityPoll, ActivityRef, ActivityStarted, Env, Input, Limits, PolledQueue, ReadyKind, ReadyTask, Rejection,
    Reply, ResetBase, ResetRequest, RunState, Sdk, Signal, StartRun, Timestamp, Transition, Update, UpdateAnswer,
    UpdateNews, UpdateStage, WorkflowTaskCompleted, WorkflowTaskCompletion, WorkflowTaskFailure, WorkflowTaskPoll,
    WorkflowTaskStarted, decide, reset, start,
};
use prost::Message;
use temporalio_protos::temporal::api::{
    command::v1::{Command, command::Attributes as C, *},
    common::v1::{ActivityType, Payload, Payloads, RetryPolicy, WorkflowType},
    enums::v1::{CommandType, EventType, TaskQueueKind, WorkflowTaskFailedCause},
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
    history::v1::HistoryEvent,
    protocol::v1::Message as ProtocolMessage,
    taskqueue::v1::{StickyExecutionAttributes, TaskQueue},
    update::v1::{
        Acceptance, Input as UpdateInput, Meta, Outcome, Rejection as UpdateRejection, Request, Response, outcome,
    },
    workflowservice::v1::StartWorkflowExecutionRequest,
};

use crate::invariants::{self, Batched, Stored};

pub(crate) const NAMESPACE_ID: &str = "ns-id";

/// A run under test.
pub(crate) struct Scenario {
    pub(crate) now: Timestamp,
    pub(crate) limits: Limits,
    pub(crate) state: RunState,
    pub(crate) stored: Stored,
    /// The same run where several inputs share a commit.
    batched: Batched,
    /// The successor of the last transition.
    pub(crate) successor: Option<Transition>,
    /// What became of updates, in the order in which it was told.
    pub(crate) news: Vec<UpdateNews>,
    fresh: u32,
}

impl Scenario {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub(crate) fn start_with(adapt: impl FnOnce(&mut StartWorkflowExecutionRequest)) -> Self {
        Self::start_within(Limits::default(), adapt)
    }

    pub(crate) fn start_within(limits: Limits, adapt: impl FnOnce(&mut StartWorkflowExecutionRequest)) -> Self {
        let mut request = request();
        adapt(&mut request);
        let now = Timestamp::from_seconds(1_700_000_000);
        let env = Env {
            now,
            limits: &limits,
            namespace_id: NAMESPACE_ID,
            fresh_run_id: "run-2",
            search_attributes: Default::default(),
        };
        let transition = start(StartRun::from_request(request, "run-1", &env).unwrap(), &env).unwrap();
        Self::of(transition, now, limits)
    }

    /// A run just made.
    pub(crate) fn of(transition: Transition, now: Timestamp, limits: Limits) -> Self {
        Self::after(Stored::default(), transition, now, limits)
    }

    fn after(mut stored: Stored, transition: Transition, now: Timestamp, limits: Limits) -> Self {
        stored.commit(None, &transition);
        invariants::check(&transition, &stored.events);
        Self {
            now,
            limits,
            state: transition.next,
            batched: Batched::new(&stored),
            stored,
            successor: None,
            news: Vec::new(),
            fresh: 1,
        }
    }

    /// Goes on with the successor of the closed run.
    pub(crate) fn follow(self) -> Self {
        Self::of(self.successor.expect("the run has a successor"), self.now, self.limits)
    }

    /// Resets this run, which is the current one of its workflow id; the new run.
    pub(crate) fn reset(&mut self, request: &ResetRequest) -> Result<Self, Rejection> {
        let base = self.state.clone();
        let events = self.stored.events.clone();
        let base = ResetBase {
            state: &base,
            events: &events,
            continued: &[],
        };
        self.reset_from(&base, request)
    }

    /// Resets an earlier run, or this one, which is the current one of its workflow id; the new run.
    pub(crate) fn reset_from(&mut self, base: &ResetBase<'_>, request: &ResetRequest) -> Result<Self, Rejection> {
        self.fresh += 1;
        let fresh_run_id = format!("{}-reset-{}", self.state.key().run_id, self.fresh);
        let env = Env {
            now: self.now,
            limits: &self.limits,
            namespace_id: NAMESPACE_ID,
            fresh_run_id: &fresh_run_id,
            search_attributes: Default::default(),
        };
        let reset = reset(base, &self.state, request, &env)?;
        if let Some(transition) = reset.current {
            self.stored.commit(Some(&self.state), &transition);
            self.batched = Batched::new(&self.stored);
            invariants::check(&transition, &self.stored.events);
            self.state = transition.next;
        }
        assert!(!self.state.is_running(), "one run of a workflow id is open at most");
        let copied = usize::try_from(reset.copied).unwrap();
        let stored = Stored::copied(&base.events[..copied]);
        Ok(Self::after(stored, reset.run, self.now, self.limits.clone()))
    }

    pub(crate) fn send(&mut self, input: Input) -> Result<Reply, Rejection> {
        self.fresh += 1;
        let fresh_run_id = format!("{}-{}", self.state.key().run_id, self.fresh);
        let env = Env {
            now: self.now,
            limits: &self.limits,
            namespace_id: NAMESPACE_ID,
            fresh_run_id: &fresh_run_id,
            search_attributes: Default::default(),
        };
        let tick = matches!(input, Input::Tick);
        let combined = self.batched.decide(&self.state, input.clone(), &env);
        let transition = decide(&self.state, input, &env)?;
        self.stored.commit(Some(&self.state), &transition);
        self.batched.check(combined, &transition);
        invariants::check(&transition, &self.stored.events);
        if transition.is_noop() {
            assert_eq!(transition.next, self.state, "a no-op changes nothing");
        }
        if tick {
            let next = transition.next.next_deadline();
            assert!(
                next.is_none_or(|next| next > self.now),
                "a tick handles all that is due: {next:?}"
            );
        }
        self.state = transition.next;
        self.news.extend(transition.updates);
        self.successor = transition.successor.map(|successor| *successor);
        Ok(transition.reply)
    }

    /// The beginnings of the history so far are states that fit what follows: some of them, for all take long.
    pub(crate) fn check_prefixes(&self) {
        let step = self.stored.events.len().div_ceil(6).max(1);
        invariants::check_prefixes(self.state.key(), &self.stored.events, step);
    }

    pub(crate) fn ok(&mut self, input: Input) -> Reply {
        self.send(input).expect("the input is accepted")
    }

    /// Lets time pass, ticking at every deadline.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.state.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.ok(Input::Tick);
        }
        self.now = end;
    }

    pub(crate) fn pass_seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    // What the run shows.

    pub(crate) fn ready(&self, kind: ReadyKind) -> Vec<ReadyTask> {
        self.state
            .ready_tasks()
            .into_iter()
            .filter(|task| task.kind == kind)
            .collect()
    }

    pub(crate) fn ready_workflow_task(&self) -> Option<ReadyTask> {
        self.state
            .ready_tasks()
            .into_iter()
            .find(|task| task.kind != ReadyKind::Activity)
    }

    pub(crate) fn types(&self) -> Vec<EventType> {
        self.stored.events.iter().map(HistoryEvent::event_type).collect()
    }

    /// The types of the last events.
    pub(crate) fn last_types(&self, count: usize) -> Vec<EventType> {
        let types = self.types();
        types[types.len() - count..].to_vec()
    }

    pub(crate) fn count(&self, kind: EventType) -> usize {
        self.types().into_iter().filter(|event| *event == kind).count()
    }

    /// The last event of a type.
    pub(crate) fn last(&self, kind: EventType) -> &HistoryEvent {
        self.stored
            .events
            .iter()
            .rev()
            .find(|event| event.event_type() == kind)
            .expect("there is such an event")
    }

    // Workflow tasks.

    pub(crate) fn try_poll(&mut self, request_id: &str) -> Result<WorkflowTaskStarted, Rejection> {
        let task = self
            .ready_workflow_task()
            .ok_or(Rejection::Obsolete("no workflow task is ready"))?;
        self.poll_as(&task, request_id)
    }

    pub(crate) fn poll_as(&mut self, task: &ReadyTask, request_id: &str) -> Result<WorkflowTaskStarted, Rejection> {
        let queue = if task.kind == ReadyKind::StickyWorkflow {
            PolledQueue::Sticky
        } else {
            PolledQueue::Normal
        };
        self.poll_on(task, queue, request_id)
    }

    pub(crate) fn poll_on(
        &mut self,
        task: &ReadyTask,
        queue: PolledQueue,
        request_id: &str,
    ) -> Result<WorkflowTaskStarted, Rejection> {
        let poll = WorkflowTaskPoll {
            scheduled_event_id: task.scheduled_event_id,
            attempt: task.attempt,
            queue,
            identity: "worker".to_owned(),
            request_id: request_id.to_owned(),
        };
        match self.send(Input::StartWorkflowTask(poll))? {
            Reply::WorkflowTaskStarted(task) => Ok(*task),
            other => panic!("a poll is not answered by {other:?}"),
        }
    }

    pub(crate) fn poll(&mut self) -> WorkflowTaskStarted {
        let request_id = format!("poll-{}", self.stored.events.len());
        self.try_poll(&request_id).expect("a workflow task is ready")
    }

    /// What the worker sees of the history with this task.
    pub(crate) fn seen(&self, task: &WorkflowTaskStarted) -> Vec<HistoryEvent> {
        let stored = self
            .stored
            .events
            .iter()
            .filter(|e| (task.history_from..=task.history_to).contains(&e.event_id));
        stored.chain(&task.suffix).cloned().collect()
    }

    pub(crate) fn try_complete(
        &mut self,
        task: &WorkflowTaskStarted,
        commands: Vec<Command>,
        adapt: impl FnOnce(&mut WorkflowTaskCompletion),
    ) -> Result<WorkflowTaskCompleted, Rejection> {
        let mut completion = WorkflowTaskCompletion {
            token: task.token.clone(),
            commands,
            identity: "worker".to_owned(),
            new_task_request_id: "inline".to_owned(),
            ..WorkflowTaskCompletion::default()
        };
        adapt(&mut completion);
        match self.send(Input::CompleteWorkflowTask(Box::new(completion)))? {
            Reply::WorkflowTaskCompleted(reply) => Ok(*reply),
            other => panic!("a completion is not answered by {other:?}"),
        }
    }

    pub(crate) fn complete(&mut self, task: &WorkflowTaskStarted, commands: Vec<Command>) {
        let reply = self
            .try_complete(task, commands, |_| {})
            .expect("the completion is accepted");
        assert_eq!(reply.answer_error, None);
    }

    pub(crate) fn complete_sticky(&mut self, task: &WorkflowTaskStarted, commands: Vec<Command>) {
        let reply = self
            .try_complete(task, commands, |completion| completion.sticky = Some(sticky()))
            .unwrap();
        assert_eq!(reply.answer_error, None);
    }

    /// Takes the next workflow task and answers it.
    pub(crate) fn run(&mut self, commands: Vec<Command>) {
        let task = self.poll();
        self.complete(&task, commands);
    }

    /// Wakes the workflow by a signal, then takes its task and answers it.
    pub(crate) fn run_after_signal(&mut self, name: &str, commands: Vec<Command>) {
        self.signal(name);
        self.run(commands);
    }

    pub(crate) fn fail(&mut self, task: &WorkflowTaskStarted) {
        self.ok(Input::FailWorkflowTask(Box::new(WorkflowTaskFailure {
            token: task.token.clone(),
            cause: WorkflowTaskFailedCause::WorkflowWorkerUnhandledFailure,
            identity: "worker".to_owned(),
            ..WorkflowTaskFailure::default()
        })));
    }

    pub(crate) fn signal(&mut self, name: &str) {
        self.ok(signal(name));
    }

    // Updates.

    pub(crate) fn try_update(&mut self, id: &str) -> Result<UpdateStage, Rejection> {
        match self.send(Input::Update(Box::new(update(id))))? {
            Reply::Update(stage) => Ok(stage),
            other => panic!("an update is not answered by {other:?}"),
        }
    }

    pub(crate) fn update(&mut self, id: &str) {
        assert_eq!(self.try_update(id), Ok(UpdateStage::Admitted));
    }

    /// What was told of an update, oldest first.
    pub(crate) fn told(&self, id: &str) -> Vec<UpdateAnswer> {
        let news = self.news.iter().filter(|news| news.update_id == id);
        news.map(|news| news.answer.clone()).collect()
    }

    /// Answers a workflow task by messages: each acceptance and outcome by a command of its own, as SDKs do it.
    pub(crate) fn answer(
        &mut self,
        task: &WorkflowTaskStarted,
        messages: Vec<ProtocolMessage>,
    ) -> WorkflowTaskCompleted {
        self.answer_with(task, messages, Vec::new())
    }

    pub(crate) fn answer_with(
        &mut self,
        task: &WorkflowTaskStarted,
        messages: Vec<ProtocolMessage>,
        more: Vec<Command>,
    ) -> WorkflowTaskCompleted {
        let commands = named_by_commands(&messages).into_iter().chain(more).collect();
        let reply = self.try_complete(task, commands, |completion| completion.messages = messages);
        let reply = reply.expect("the completion is accepted");
        assert_eq!(reply.answer_error, None);
        reply
    }

    /// The process ends, and the run is loaded again.
    pub(crate) fn crash(&mut self) {
        self.batched.commit();
        self.state = self.stored.rebuild(self.state.key().clone());
    }

    // Activities.

    pub(crate) fn poll_activity(&mut self) -> ActivityStarted {
        let task = self
            .ready(ReadyKind::Activity)
            .into_iter()
            .next()
            .expect("an activity is ready");
        self.start_activity(&task, "activity-poll")
            .expect("the activity can be started")
    }

    pub(crate) fn start_activity(&mut self, task: &ReadyTask, request_id: &str) -> Result<ActivityStarted, Rejection> {
        let poll = ActivityPoll {
            scheduled_event_id: task.scheduled_event_id,
            stamp: task.stamp,
            identity: "activity-worker".to_owned(),
            sdk: Some(Sdk {
                name: "an-sdk".to_owned(),
                version: "1.2".to_owned(),
            }),
            request_id: request_id.to_owned(),
        };
        match self.send(Input::StartActivity(poll))? {
            Reply::ActivityStarted(started) => Ok(*started),
            other => panic!("an activity poll is not answered by {other:?}"),
        }
    }
}

pub(crate) fn request() -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest {
        namespace: "default".to_owned(),
        workflow_id: "wf".to_owned(),
        workflow_type: Some(WorkflowType {
            name: "scan".to_owned(),
        }),
        task_queue: Some(queue("queue")),
        identity: "starter".to_owned(),
        request_id: "start-request".to_owned(),
        input: Some(payloads("input")),
        ..StartWorkflowExecutionRequest::default()
    }
}

pub(crate) fn queue(name: &str) -> TaskQueue {
    TaskQueue {
        name: name.to_owned(),
        kind: TaskQueueKind::Normal.into(),
        normal_name: String::new(),
    }
}

pub(crate) fn sticky() -> StickyExecutionAttributes {
    StickyExecutionAttributes {
        worker_task_queue: Some(TaskQueue {
            name: "sticky-queue".to_owned(),
            kind: TaskQueueKind::Sticky.into(),
            normal_name: "queue".to_owned(),
        }),
        schedule_to_start_timeout: Some(seconds(10)),
    }
}

pub(crate) fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

pub(crate) fn payloads(text: &str) -> Payloads {
    Payloads {
        payloads: vec![payload(text)],
    }
}

pub(crate) fn payload(text: &str) -> Payload {
    Payload {
        data: text.as_bytes().to_vec(),
        ..Payload::default()
    }
}

pub(crate) fn failure(message: &str) -> Failure {
    Failure {
        message: message.to_owned(),
        failure_info: Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
            r#type: "Oops".to_owned(),
            ..ApplicationFailureInfo::default()
        })),
        ..Failure::default()
    }
}

pub(crate) fn signal(name: &str) -> Input {
    Input::Signal(Signal {
        name: name.to_owned(),
        identity: "sender".to_owned(),
        ..Signal::default()
    })
}

pub(crate) fn update(id: &str) -> Update {
    Update {
        request: Request {
            meta: Some(Meta {
                update_id: id.to_owned(),
                identity: "caller".to_owned(),
            }),
            input: Some(UpdateInput {
                name: "change".to_owned(),
                args: Some(payloads("argument")),
                ..UpdateInput::default()
            }),
            ..Request::default()
        },
        first_execution_run_id: String::new(),
    }
}

fn message(update_id: &str, kind: &str, body: &impl Message, type_name: &str) -> ProtocolMessage {
    ProtocolMessage {
        id: format!("{update_id}/{kind}"),
        protocol_instance_id: update_id.to_owned(),
        body: Some(prost_types::Any {
            type_url: format!("type.googleapis.com/temporal.api.update.v1.{type_name}"),
            value: body.encode_to_vec(),
        }),
        ..ProtocolMessage::default()
    }
}

pub(crate) fn accepting(task: &WorkflowTaskStarted, id: &str) -> ProtocolMessage {
    let acceptance = Acceptance {
        accepted_request_message_id: format!("{id}/request"),
        accepted_request_sequencing_event_id: task.started_event_id - 1,
        accepted_request: Some(update(id).request),
    };
    message(id, "accept", &acceptance, "Acceptance")
}

pub(crate) fn rejecting(id: &str) -> ProtocolMessage {
    let rejection = UpdateRejection {
        rejected_request_message_id: format!("{id}/request"),
        rejected_request: Some(update(id).request),
        failure: Some(failure("no")),
        ..UpdateRejection::default()
    };
    message(id, "reject", &rejection, "Rejection")
}

pub(crate) fn completing(id: &str) -> ProtocolMessage {
    completing_with(id, outcome())
}

pub(crate) fn completing_with(id: &str, outcome: Outcome) -> ProtocolMessage {
    let response = Response {
        meta: update(id).request.meta,
        outcome: Some(outcome),
    };
    message(id, "complete", &response, "Response")
}

/// The outcome that [`completing`] reports.
pub(crate) fn outcome() -> Outcome {
    Outcome {
        value: Some(outcome::Value::Success(payloads("outcome"))),
    }
}

/// The commands that give messages their places: for all but rejections.
pub(crate) fn named_by_commands(messages: &[ProtocolMessage]) -> Vec<Command> {
    let with_place = messages.iter().filter(|message| !message.id.ends_with("/reject"));
    with_place.map(|message| protocol_message(&message.id)).collect()
}

pub(crate) fn protocol_message(id: &str) -> Command {
    let attributes = ProtocolMessageCommandAttributes {
        message_id: id.to_owned(),
    };
    command(
        CommandType::ProtocolMessage,
        C::ProtocolMessageCommandAttributes(attributes),
    )
}

pub(crate) fn complete_activity(activity: &ActivityStarted) -> Input {
    Input::CompleteActivity {
        activity: ActivityRef::Token(activity.token.clone()),
        result: Some(payloads("result")),
        identity: "activity-worker".to_owned(),
    }
}

pub(crate) fn fail_activity(activity: &ActivityStarted, failure: Failure) -> Input {
    Input::FailActivity {
        activity: ActivityRef::Token(activity.token.clone()),
        failure: Some(Box::new(failure)),
        last_heartbeat_details: None,
        identity: "activity-worker".to_owned(),
    }
}

// Commands.

pub(crate) fn command(kind: CommandType, attributes: C) -> Command {
    Command {
        command_type: kind.into(),
        attributes: Some(attributes),
        ..Command::default()
    }
}

pub(crate) fn schedule_activity(id: &str, adapt: impl FnOnce(&mut ScheduleActivityTaskCommandAttributes)) -> Command {
    let mut attributes = ScheduleActivityTaskCommandAttributes {
        activity_id: id.to_owned(),
        activity_type: Some(ActivityType {
            name: "module".to_owned(),
        }),
        task_queue: Some(queue("activities")),
        start_to_close_timeout: Some(seconds(60)),
        ..ScheduleActivityTaskCommandAttributes::default()
    };
    adapt(&mut attributes);
    command(
        CommandType::ScheduleActivityTask,
        C::ScheduleActivityTaskCommandAttributes(attributes),
    )
}

pub(crate) fn activity(id: &str) -> Command {
    schedule_activity(id, |_| {})
}

pub(crate) fn retry(attempts: i32) -> Option<RetryPolicy> {
    Some(RetryPolicy {
        maximum_attempts: attempts,
        initial_interval: Some(seconds(1)),
        ..RetryPolicy::default()
    })
}

pub(crate) fn cancel_activity(scheduled_event_id: i64) -> Command {
    let attributes = RequestCancelActivityTaskCommandAttributes { scheduled_event_id };
    command(
        CommandType::RequestCancelActivityTask,
        C::RequestCancelActivityTaskCommandAttributes(attributes),
    )
}

pub(crate) fn timer(id: &str, after: i64) -> Command {
    let attributes = StartTimerCommandAttributes {
        timer_id: id.to_owned(),
        start_to_fire_timeout: Some(seconds(after)),
    };
    command(CommandType::StartTimer, C::StartTimerCommandAttributes(attributes))
}

pub(crate) fn cancel_timer(id: &str) -> Command {
    let attributes = CancelTimerCommandAttributes {
        timer_id: id.to_owned(),
    };
    command(CommandType::CancelTimer, C::CancelTimerCommandAttributes(attributes))
}

pub(crate) fn marker() -> Command {
    let attributes = RecordMarkerCommandAttributes {
        marker_name: "marker".to_owned(),
        ..RecordMarkerCommandAttributes::default()
    };
    command(CommandType::RecordMarker, C::RecordMarkerCommandAttributes(attributes))
}

pub(crate) fn complete_workflow() -> Command {
    let attributes = CompleteWorkflowExecutionCommandAttributes {
        result: Some(payloads("done")),
    };
    command(
        CommandType::CompleteWorkflowExecution,
        C::CompleteWorkflowExecutionCommandAttributes(attributes),
    )
}

pub(crate) fn fail_workflow(failure: Failure) -> Command {
    let attributes = FailWorkflowExecutionCommandAttributes { failure: Some(failure) };
    command(
        CommandType::FailWorkflowExecution,
        C::FailWorkflowExecutionCommandAttributes(attributes),
    )
}

pub(crate) fn cancel_workflow() -> Command {
    let attributes = CancelWorkflowExecutionCommandAttributes { details: None };
    command(
        CommandType::CancelWorkflowExecution,
        C::CancelWorkflowExecutionCommandAttributes(attributes),
    )
}

pub(crate) fn continue_as_new() -> Command {
    let attributes = ContinueAsNewWorkflowExecutionCommandAttributes {
        input: Some(payloads("next input")),
        ..ContinueAsNewWorkflowExecutionCommandAttributes::default()
    };
    command(
        CommandType::ContinueAsNewWorkflowExecution,
        C::ContinueAsNewWorkflowExecutionCommandAttributes(attributes),
    )
}

pub(crate) fn start_child(id: &str, adapt: impl FnOnce(&mut StartChildWorkflowExecutionCommandAttributes)) -> Command {
    let mut attributes = StartChildWorkflowExecutionCommandAttributes {
        workflow_id: id.to_owned(),
        workflow_type: Some(WorkflowType {
            name: "child".to_owned(),
        }),
        ..StartChildWorkflowExecutionCommandAttributes::default()
    };
    adapt(&mut attributes);
    command(
        CommandType::StartChildWorkflowExecution,
        C::StartChildWorkflowExecutionCommandAttributes(attributes),
    )
}

pub(crate) fn signal_external(workflow_id: &str) -> Command {
    let attributes = SignalExternalWorkflowExecutionCommandAttributes {
        execution: Some(temporalio_protos::temporal::api::common::v1::WorkflowExecution {
            workflow_id: workflow_id.to_owned(),
            run_id: String::new(),
        }),
        signal_name: "hello".to_owned(),
        ..SignalExternalWorkflowExecutionCommandAttributes::default()
    };
    command(
        CommandType::SignalExternalWorkflowExecution,
        C::SignalExternalWorkflowExecutionCommandAttributes(attributes),
    )
}

pub(crate) fn cancel_external(workflow_id: &str) -> Command {
    let attributes = RequestCancelExternalWorkflowExecutionCommandAttributes {
        workflow_id: workflow_id.to_owned(),
        ..RequestCancelExternalWorkflowExecutionCommandAttributes::default()
    };
    command(
        CommandType::RequestCancelExternalWorkflowExecution,
        C::RequestCancelExternalWorkflowExecutionCommandAttributes(attributes),
    )
}

/// The attributes of an event, if they are of the wanted kind.
macro_rules! attributes {
    ($event:expr, $kind:ident) => {
        match &$event.attributes {
            Some(temporalio_protos::temporal::api::history::v1::history_event::Attributes::$kind(attributes)) => {
                attributes
            }
            other => panic!("expected {}, found {other:?}", stringify!($kind)),
        }
    };
}
pub(crate) use attributes;
