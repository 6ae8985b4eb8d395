//! Anything may happen in any order: random stories, with every invariant checked after every step.

use std::{collections::BTreeSet, time::Duration};

use helve_history::{
    ActivityOperation, ActivityRef, ActivitySelection, ActivityStarted, CancelRequest, ChildClose, Input, Limits,
    MessageBody, MessageId, OptionsUpdate, PolledQueue, ReadyKind, ReadyTask, Rejection, ResetOrder, ResetRequest,
    Signal, Termination, UpdateAnswer, UpdateStage, WorkflowTaskFailure, WorkflowTaskStarted,
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use temporalio_protos::temporal::api::{
    activity::v1::ActivityOptions,
    command::v1::Command,
    enums::v1::{
        CancelExternalWorkflowExecutionFailedCause, EventType, ParentClosePolicy, PendingActivityState,
        SignalExternalWorkflowExecutionFailedCause, StartChildWorkflowExecutionFailedCause, WorkflowTaskFailedCause,
    },
    history::v1::{HistoryEvent, history_event::Attributes},
    protocol::v1::Message as ProtocolMessage,
    workflow::v1::PendingActivityInfo,
};

use crate::{children::closed, scenario::*};

/// One thing that happens. Numbers pick among what there is, so that most steps mean something.
#[derive(Clone, Debug)]
enum Step {
    Signal {
        request_id: u8,
    },
    RequestCancel,
    Terminate,
    Update {
        id: u8,
    },
    /// The process ends and the run is loaded again.
    Crash,
    Pass {
        millis: u32,
    },
    Tick,
    Poll {
        repeat: bool,
        wrong_queue: bool,
    },
    Complete {
        pick: u8,
        commands: Vec<Order>,
        answers: Vec<Answer>,
        sticky: bool,
        force: bool,
        inline: bool,
        eager: bool,
    },
    FailTask {
        pick: u8,
    },
    ResetSticky,
    PollActivity {
        pick: u8,
        repeat: bool,
    },
    CompleteActivity {
        pick: u8,
        by_id: bool,
    },
    FailActivity {
        pick: u8,
        by_id: bool,
    },
    CancelActivity {
        pick: u8,
    },
    Heartbeat {
        pick: u8,
    },
    /// What an operator does to an activity, or to all of them.
    Operate {
        id: u8,
        operation: Operation,
    },
    Deliver {
        pick: u8,
        fail: bool,
    },
    ChildClosed {
        pick: u8,
        how: u8,
    },
    Follow,
    Reset {
        pick: u8,
    },
}

/// One command, in short.
#[derive(Clone, Debug)]
enum Order {
    Activity(u8),
    CancelActivity(u8),
    Timer(u8, u8),
    CancelTimer(u8),
    Marker,
    Child(u8),
    SignalExternal,
    CancelExternal,
    Complete,
    Fail,
    Cancel,
    ContinueAsNew,
}

/// What an operator does.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Pause,
    Unpause,
    Reset,
    Options,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => Just(Operation::Pause),
        4 => Just(Operation::Unpause),
        2 => Just(Operation::Reset),
        1 => Just(Operation::Options),
    ]
}

/// What a worker says of one update that it was given, or accepted before.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Accept,
    AcceptAndComplete,
    Reject,
    Ignore,
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        3 => Just(Answer::Accept),
        2 => Just(Answer::AcceptAndComplete),
        4 => Just(Answer::Reject),
        1 => Just(Answer::Ignore),
    ]
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        6 => (0..4u8).prop_map(Order::Activity),
        3 => (0..8u8).prop_map(Order::CancelActivity),
        4 => (0..3u8, 0..20u8).prop_map(|(id, after)| Order::Timer(id, after)),
        3 => (0..3u8).prop_map(Order::CancelTimer),
        1 => Just(Order::Marker),
        3 => (0..3u8).prop_map(Order::Child),
        1 => Just(Order::SignalExternal),
        1 => Just(Order::CancelExternal),
        1 => Just(Order::Complete),
        1 => Just(Order::Fail),
        1 => Just(Order::Cancel),
        1 => Just(Order::ContinueAsNew),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let orders = prop::collection::vec(order(), 0..4);
    let answers = prop::collection::vec(answer(), 0..4);
    let complete = (any::<u8>(), orders, answers, any::<[bool; 4]>()).prop_map(
        |(pick, commands, answers, [sticky, force, inline, eager])| Step::Complete {
            pick,
            commands,
            answers,
            sticky,
            force: force && inline,
            inline,
            eager,
        },
    );
    prop_oneof![
        6 => (0..12u8).prop_map(|request_id| Step::Signal { request_id }),
        1 => Just(Step::RequestCancel),
        5 => (0..12u8).prop_map(|id| Step::Update { id }),
        1 => Just(Step::Crash),
        8 => (0..20_000u32).prop_map(|millis| Step::Pass { millis }),
        1 => Just(Step::Tick),
        12 => any::<[bool; 4]>().prop_map(|[a, b, c, d]| Step::Poll { repeat: a && b, wrong_queue: c && d }),
        14 => complete,
        3 => (0..2u8).prop_map(|pick| Step::FailTask { pick }),
        1 => Just(Step::ResetSticky),
        7 => (any::<u8>(), any::<bool>()).prop_map(|(pick, repeat)| Step::PollActivity { pick, repeat }),
        4 => (any::<u8>(), any::<[bool; 2]>()).prop_map(|(pick, [a, b])| Step::CompleteActivity { pick, by_id: a && b }),
        5 => (any::<u8>(), any::<[bool; 2]>()).prop_map(|(pick, [a, b])| Step::FailActivity { pick, by_id: a && b }),
        2 => any::<u8>().prop_map(|pick| Step::CancelActivity { pick }),
        3 => any::<u8>().prop_map(|pick| Step::Heartbeat { pick }),
        4 => (0..6u8, operation()).prop_map(|(id, operation)| Step::Operate { id, operation }),
        6 => (any::<u8>(), any::<[bool; 2]>()).prop_map(|(pick, [a, b])| Step::Deliver { pick, fail: a && b }),
        3 => (any::<u8>(), 0..5u8).prop_map(|(pick, how)| Step::ChildClosed { pick, how }),
        2 => Just(Step::Follow),
        2 => any::<u8>().prop_map(|pick| Step::Reset { pick }),
        1 => (0..20u8).prop_map(|n| if n == 0 { Step::Terminate } else { Step::Tick }),
    ]
}

/// A run and what the world around it remembers of it, stale things included.
struct World {
    s: Scenario,
    offered: Vec<ReadyTask>,
    tasks: Vec<WorkflowTaskStarted>,
    activities: Vec<ActivityStarted>,
    children: BTreeSet<i64>,
    polls: u32,
    /// Signals that were accepted, with the ids that deduplicate.
    signals: usize,
    signal_ids: BTreeSet<u8>,
    /// Updates whose callers wait for an answer.
    callers: BTreeSet<String>,
    /// Of those, the ones that were told of their acceptance, and of all, those that have an outcome.
    accepted: BTreeSet<String>,
    answered: BTreeSet<String>,
    /// How much of the news was looked at.
    heard: usize,
}

fn pick<T: Clone>(from: &[T], n: u8) -> Option<T> {
    // The latest is by far the most interesting one; small numbers are the likelier ones to be shrunk to.
    let back = usize::from(n % 16).saturating_sub(11);
    from.len().checked_sub(1 + back).map(|at| from[at].clone())
}

impl World {
    fn new(s: Scenario) -> Self {
        Self {
            s,
            offered: Vec::new(),
            tasks: Vec::new(),
            activities: Vec::new(),
            children: BTreeSet::new(),
            polls: 0,
            signals: 0,
            signal_ids: BTreeSet::new(),
            callers: BTreeSet::new(),
            accepted: BTreeSet::new(),
            answered: BTreeSet::new(),
            heard: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Signal { request_id } => self.signal(request_id),
            Step::RequestCancel => drop(self.s.send(Input::RequestCancel(CancelRequest::default()))),
            Step::Terminate => drop(self.s.send(Input::Terminate(Termination::default()))),
            Step::Pass { millis } => self.s.pass(Duration::from_millis(millis.into())),
            Step::Tick => drop(self.s.ok(Input::Tick)),
            Step::Poll { repeat, wrong_queue } => self.poll(repeat, wrong_queue),
            Step::Complete {
                pick: n,
                commands,
                answers,
                sticky,
                force,
                inline,
                eager,
            } => {
                self.complete(n, &commands, &answers, [sticky, force, inline, eager]);
            }
            Step::Update { id } => self.update(&id.to_string()),
            Step::Crash => {
                self.s.crash();
                // Callers of what only memory knew ask again, as if for the first time.
                let state = &self.s.state;
                self.callers.retain(|id| state.update_stage(id).is_some());
            }
            Step::FailTask { pick: n } => {
                let Some(task) = pick(&self.tasks, n) else { return };
                let _ = self.s.send(Input::FailWorkflowTask(Box::new(WorkflowTaskFailure {
                    token: task.token,
                    cause: WorkflowTaskFailedCause::NonDeterministicError,
                    ..WorkflowTaskFailure::default()
                })));
            }
            Step::ResetSticky => drop(self.s.send(Input::ResetSticky)),
            Step::PollActivity { pick: n, repeat } => self.poll_activity(n, repeat),
            Step::CompleteActivity { pick, by_id } => {
                let Some(activity) = self.activity_ref(pick, by_id) else {
                    return;
                };
                let _ = self.s.send(Input::CompleteActivity {
                    activity,
                    result: None,
                    identity: String::new(),
                });
            }
            Step::FailActivity { pick, by_id } => {
                let Some(activity) = self.activity_ref(pick, by_id) else {
                    return;
                };
                let _ = self.s.send(Input::FailActivity {
                    activity,
                    failure: Some(Box::new(failure("again"))),
                    last_heartbeat_details: (pick % 2 == 0).then(|| payloads("progress")),
                    identity: String::new(),
                });
            }
            Step::CancelActivity { pick } => {
                let Some(activity) = self.activity_ref(pick, false) else {
                    return;
                };
                let _ = self.s.send(Input::CancelActivity {
                    activity,
                    details: None,
                    identity: String::new(),
                });
            }
            Step::Heartbeat { pick } => {
                let Some(activity) = self.activity_ref(pick, false) else {
                    return;
                };
                let details = Some(payloads("alive"));
                let _ = self.s.send(Input::Heartbeat {
                    activity,
                    details,
                    identity: String::new(),
                });
            }
            Step::Operate { id, operation } => self.operate(id, operation),
            Step::Deliver { pick: n, fail } => self.deliver(n, fail),
            Step::ChildClosed { pick: n, how } => self.child_closed(n, how),
            Step::Follow => self.follow(),
            Step::Reset { pick: n } => self.reset(n),
        }
        self.check();
    }

    fn signal(&mut self, request_id: u8) {
        let fresh = request_id >= 8 || !self.signal_ids.contains(&request_id);
        let accepted = self.s.send(Input::Signal(Signal {
            name: "signal".to_owned(),
            request_id: if request_id < 8 {
                request_id.to_string()
            } else {
                String::new()
            },
            ..Signal::default()
        }));
        if accepted.is_ok() && fresh {
            self.signals += 1;
            if request_id < 8 {
                self.signal_ids.insert(request_id);
            }
        }
    }

    fn poll(&mut self, repeat: bool, wrong_queue: bool) {
        self.offered.extend(self.s.ready_workflow_task());
        let Some(task) = self.offered.last().cloned() else {
            return;
        };
        self.polls += u32::from(!repeat);
        let sticky = (task.kind == ReadyKind::StickyWorkflow) != wrong_queue;
        let queue = if sticky {
            PolledQueue::Sticky
        } else {
            PolledQueue::Normal
        };
        if let Ok(started) = self.s.poll_on(&task, queue, &self.polls.to_string()) {
            let seen = self.s.seen(&started);
            assert_eq!(
                seen.last().unwrap().event_id,
                started.started_event_id,
                "the task ends with its start"
            );
            assert!(
                seen.windows(2).all(|pair| pair[0].event_id + 1 == pair[1].event_id),
                "without gaps"
            );
            self.tasks.push(started);
        }
    }

    fn update(&mut self, id: &str) {
        let known = self.s.state.update_stage(id).is_some();
        if let Ok(stage) = self.s.try_update(id) {
            assert_eq!(self.s.state.update_stage(id), Some(stage));
            if !known {
                // A rejected update may be tried again.
                assert!(!self.accepted.contains(id), "what was accepted is never forgotten");
                self.answered.remove(id);
                self.callers.insert(id.to_owned());
            }
        }
    }

    /// What the worker says of the updates it was given, and of those it accepted before.
    fn messages(&self, task: &WorkflowTaskStarted, answers: &[Answer]) -> Vec<ProtocolMessage> {
        let given = task.messages.iter().map(|message| message.protocol_instance_id.clone());
        let open = |id: &&String| self.s.state.update_stage(id) == Some(UpdateStage::Accepted);
        let older = self.accepted.iter().filter(open).cloned();
        let ids: Vec<String> = given.chain(older).collect();
        let answer = |(id, answer): (&String, &Answer)| match answer {
            Answer::AcceptAndComplete if self.accepted.contains(id) => vec![completing(id)],
            _ if self.accepted.contains(id) => vec![],
            Answer::Accept => vec![accepting(task, id)],
            Answer::AcceptAndComplete => vec![accepting(task, id), completing(id)],
            Answer::Reject => vec![rejecting(id)],
            Answer::Ignore => vec![],
        };
        ids.iter().zip(answers.iter().cycle()).flat_map(answer).collect()
    }

    fn complete(
        &mut self,
        n: u8,
        orders: &[Order],
        answers: &[Answer],
        [sticky_worker, force, inline, eager]: [bool; 4],
    ) {
        let Some(task) = pick(&self.tasks, n) else { return };
        let messages = self.messages(&task, answers);
        let mut commands = named_by_commands(&messages);
        commands.extend(orders.iter().map(|order| self.command(order)));
        let reply = self.s.try_complete(&task, commands, |completion| {
            completion.messages = messages;
            completion.may_see_events_again = eager;
            completion.sticky = sticky_worker.then(sticky);
            completion.force_create_new = force;
            completion.return_new_task = inline;
            completion.eager_activities = usize::from(eager);
        });
        if let Ok(reply) = reply {
            self.tasks.extend(reply.new_task.map(|task| *task));
            self.activities.extend(reply.activities);
        }
        self.remember_children();
    }

    fn command(&self, order: &Order) -> Command {
        let scheduled: Vec<i64> = self
            .s
            .stored
            .events
            .iter()
            .filter(|event| event.event_type() == EventType::ActivityTaskScheduled)
            .map(|event| event.event_id)
            .collect();
        match order {
            Order::Activity(id) => schedule_activity(&id.to_string(), |a| {
                a.retry_policy = retry(i32::from(id % 3));
                a.request_eager_execution = id % 2 == 0;
                a.heartbeat_timeout = (*id == 1).then(|| seconds(4));
                a.schedule_to_start_timeout = (*id == 2).then(|| seconds(6));
                a.schedule_to_close_timeout = (*id == 3).then(|| seconds(15));
            }),
            Order::CancelActivity(n) => cancel_activity(pick(&scheduled, *n).unwrap_or(1)),
            Order::Timer(id, after) => timer(&id.to_string(), i64::from(*after)),
            Order::CancelTimer(id) => cancel_timer(&id.to_string()),
            Order::Marker => marker(),
            Order::Child(n) => start_child(&format!("child-{n}"), |a| {
                a.parent_close_policy = i32::from(n % 4).max(ParentClosePolicy::Terminate.into());
            }),
            Order::SignalExternal => signal_external("other"),
            Order::CancelExternal => cancel_external("other"),
            Order::Complete => complete_workflow(),
            Order::Fail => fail_workflow(failure("workflow")),
            Order::Cancel => cancel_workflow(),
            Order::ContinueAsNew => continue_as_new(),
        }
    }

    fn remember_children(&mut self) {
        let initiated = self
            .s
            .stored
            .events
            .iter()
            .filter(|event| event.event_type() == EventType::StartChildWorkflowExecutionInitiated);
        self.children.extend(initiated.map(|event| event.event_id));
    }

    fn poll_activity(&mut self, n: u8, repeat: bool) {
        let mut ready = self.s.ready(ReadyKind::Activity);
        ready.extend(
            self.offered
                .iter()
                .filter(|task| task.kind == ReadyKind::Activity)
                .cloned(),
        );
        let Some(task) = pick(&ready, n) else { return };
        self.offered.insert(0, task.clone());
        self.polls += u32::from(!repeat);
        self.activities
            .extend(self.s.start_activity(&task, &self.polls.to_string()));
    }

    fn activity_ref(&self, n: u8, by_id: bool) -> Option<ActivityRef> {
        if by_id {
            return Some(ActivityRef::ById((n % 4).to_string()));
        }
        pick(&self.activities, n).map(|activity| ActivityRef::Token(activity.token))
    }

    /// Activities have the ids 0 to 3; greater numbers mean all of them.
    fn operate(&mut self, id: u8, operation: Operation) {
        self.polls += 1;
        let request_id = self.polls.to_string();
        let selection = match id {
            0..4 => ActivitySelection::Id(id.to_string()),
            _ => ActivitySelection::All,
        };
        let operation = match operation {
            Operation::Pause => ActivityOperation::Pause {
                identity: String::new(),
                reason: String::new(),
                request_id,
            },
            Operation::Unpause => ActivityOperation::Unpause {
                reset_attempts: id.is_multiple_of(2),
                reset_heartbeat: id.is_multiple_of(3),
                jitter: Duration::from_secs(u64::from(id)),
                request_id,
            },
            Operation::Reset => ActivityOperation::Reset(ResetOrder {
                keep_paused: id.is_multiple_of(2),
                restore_original_options: id.is_multiple_of(3),
                request_id,
                ..ResetOrder::default()
            }),
            Operation::Options => ActivityOperation::UpdateOptions {
                update: OptionsUpdate::Fields {
                    options: Box::new(ActivityOptions {
                        start_to_close_timeout: Some(seconds(2 + i64::from(id))),
                        ..ActivityOptions::default()
                    }),
                    paths: vec!["start_to_close_timeout".to_owned()],
                },
                request_id,
            },
        };
        // Only what is pending can be operated on.
        let _ = self.s.send(Input::OperateActivities { selection, operation });
    }

    fn deliver(&mut self, n: u8, fail: bool) {
        let outbox = self.s.state.outbox();
        let ids: Vec<MessageId> = outbox.iter().map(|message| message.id).collect();
        assert_eq!(ids, self.s.state.outbox_ids());
        let Some(message) = pick(&outbox, n) else { return };
        let input = match (message.id, message.body) {
            (MessageId::StartChild(initiated_event_id), MessageBody::StartChild(_)) if fail => {
                Input::ChildStartFailed {
                    initiated_event_id,
                    cause: StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists,
                }
            }
            (MessageId::StartChild(initiated_event_id), _) => Input::ChildStarted {
                initiated_event_id,
                run_id: "child-run".to_owned(),
            },
            (MessageId::SignalExternal(initiated_event_id), _) if fail => Input::ExternalSignalFailed {
                initiated_event_id,
                cause: SignalExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound,
            },
            (MessageId::SignalExternal(initiated_event_id), _) => Input::ExternalSignalDelivered { initiated_event_id },
            (MessageId::CancelExternal(initiated_event_id), _) if fail => Input::ExternalCancelFailed {
                initiated_event_id,
                cause: CancelExternalWorkflowExecutionFailedCause::ExternalWorkflowExecutionNotFound,
            },
            (MessageId::CancelExternal(initiated_event_id), _) => Input::ExternalCancelDelivered { initiated_event_id },
            (id @ (MessageId::ParentClosed(_) | MessageId::ChildClosed | MessageId::WasReset), _) => {
                Input::MessageDelivered { id }
            }
        };
        self.s.ok(input.clone());
        assert!(
            !self.s.state.outbox_ids().contains(&message.id),
            "what was delivered is not owed any more"
        );
        let after = self.s.state.clone();
        self.s.ok(input);
        assert_eq!(self.s.state, after, "delivery is idempotent");
    }

    fn child_closed(&mut self, n: u8, how: u8) {
        let children: Vec<i64> = self.children.iter().copied().collect();
        let Some(initiated) = pick(&children, n) else { return };
        let mut closed = closed(initiated);
        closed.close = match how {
            0 => ChildClose::Completed { result: None },
            1 => ChildClose::Failed {
                failure: None,
                retry_state: 0,
            },
            2 => ChildClose::Canceled { details: None },
            3 => ChildClose::TimedOut { retry_state: 0 },
            _ => ChildClose::Terminated,
        };
        self.s.ok(Input::ChildClosed(Box::new(closed)));
    }

    /// Goes on with the next run of the chain, if there is one.
    fn follow(&mut self) {
        if let Some(successor) = self.s.successor.take() {
            let s = Scenario::of(successor, self.s.now, self.s.limits.clone());
            let (tasks, activities) = (std::mem::take(&mut self.tasks), std::mem::take(&mut self.activities));
            *self = Self::new(s);
            // Tokens of the run before must not fit the new one.
            (self.tasks, self.activities) = (tasks, activities);
        }
    }

    /// Goes on with a run that begins like this one: no signal is lost on the way, and none is taken twice.
    fn reset(&mut self, n: u8) {
        let is_point = |event: &&HistoryEvent| {
            matches!(
                event.event_type(),
                EventType::WorkflowTaskStarted
                    | EventType::WorkflowTaskCompleted
                    | EventType::WorkflowTaskFailed
                    | EventType::WorkflowTaskTimedOut
            )
        };
        let points: Vec<i64> = self
            .s
            .stored
            .events
            .iter()
            .filter(is_point)
            .map(|e| e.event_id)
            .collect();
        let Some(event_id) = pick(&points, n) else { return };
        let request = ResetRequest {
            event_id,
            ..ResetRequest::default()
        };
        let new = self.s.reset(&request).expect("the point is a workflow task's");
        self.s = new;
        self.offered.clear();
        self.children.clear();
        self.remember_children();
        self.remember_updates();
    }

    /// Whose callers of old wait no more: the run they asked was closed. What history says is what there is.
    fn remember_updates(&mut self) {
        self.heard = 0;
        self.callers.clear();
        (self.accepted, self.answered) = (BTreeSet::new(), BTreeSet::new());
        for event in &self.s.stored.events {
            match &event.attributes {
                Some(Attributes::WorkflowExecutionUpdateAcceptedEventAttributes(a)) => {
                    self.accepted.insert(a.protocol_instance_id.clone());
                }
                Some(Attributes::WorkflowExecutionUpdateCompletedEventAttributes(a)) => {
                    self.answered.insert(a.meta.as_ref().unwrap().update_id.clone());
                }
                _ => {}
            }
        }
    }

    /// Every caller is told once, at the right time. [trap 11]
    fn check_updates(&mut self) {
        for news in &self.s.news[self.heard..] {
            let id = &news.update_id;
            assert!(!self.answered.contains(id), "update {id} was answered twice");
            match &news.answer {
                UpdateAnswer::Accepted => assert!(self.accepted.insert(id.clone()), "update {id} was accepted twice"),
                UpdateAnswer::Completed(_) => {
                    if self.s.state.update_stage(id).is_some() {
                        self.accepted.insert(id.clone());
                    }
                    self.answered.insert(id.clone());
                    self.callers.remove(id);
                }
                UpdateAnswer::Refused(_) | UpdateAnswer::Closed | UpdateAnswer::Moved => {
                    assert!(!self.accepted.contains(id), "what was accepted gets an outcome");
                    self.answered.insert(id.clone());
                    self.callers.remove(id);
                }
            }
        }
        self.heard = self.s.news.len();
        for id in &self.callers {
            assert!(
                self.s.state.is_running(),
                "no caller of update {id} waits for a closed run"
            );
            let stage = self.s.state.update_stage(id);
            assert!(stage.is_some(), "update {id} was lost while its caller waits");
            if stage == Some(UpdateStage::Admitted) {
                assert!(
                    self.s.state.has_workflow_task(),
                    "a task will take update {id} to a worker"
                );
            }
        }
        for id in &self.accepted {
            assert!(
                self.s.state.update_stage(id).is_some(),
                "what was accepted is never forgotten"
            );
        }
        let recorded = self.s.count(EventType::WorkflowExecutionUpdateAccepted);
        assert_eq!(recorded, self.accepted.len(), "only what was accepted is in history");
    }

    /// Nobody is offered what is paused, and nothing that is open is forgotten.
    fn check_activities(&self) {
        if !self.s.state.is_running() {
            return;
        }
        let described = self.s.state.describe();
        let is_paused = |info: &&PendingActivityInfo| info.paused;
        let paused: BTreeSet<_> = described
            .pending_activities
            .iter()
            .filter(is_paused)
            .map(|info| info.activity_id.clone())
            .collect();
        let ready = self.s.state.ready_tasks();
        let ready: BTreeSet<_> = ready
            .iter()
            .filter(|task| task.kind == ReadyKind::Activity)
            .map(
                |task| match &self.s.stored.events[task.scheduled_event_id as usize - 1].attributes {
                    Some(Attributes::ActivityTaskScheduledEventAttributes(a)) => a.activity_id.clone(),
                    other => panic!("an activity task is of {other:?}"),
                },
            )
            .collect();
        assert!(
            ready.is_disjoint(&paused),
            "{paused:?} are paused, and {ready:?} are offered"
        );
        let waits = |info: &PendingActivityInfo| info.state() != PendingActivityState::Scheduled || info.paused;
        for info in &described.pending_activities {
            assert!(
                waits(info) || ready.contains(&info.activity_id) || self.s.state.next_deadline().is_some(),
                "nothing will bring this activity on: {info:?}"
            );
        }
    }

    fn check(&mut self) {
        self.check_updates();
        self.check_activities();
        let recorded = self.s.count(EventType::WorkflowExecutionSignaled);
        let buffered = self.s.state.buffered_events().iter();
        let waiting = buffered
            .filter(|event| event.event_type() == EventType::WorkflowExecutionSignaled)
            .count();
        assert_eq!(recorded + waiting, self.signals, "no signal is lost or taken twice");
        if self.s.state.is_running() && recorded > 0 && !self.s.state.has_workflow_task() {
            let last_signal = self.s.last(EventType::WorkflowExecutionSignaled).event_id;
            let seen = self.s.state.previous_started_event_id();
            let delayed = self.s.count(EventType::WorkflowTaskScheduled) == 0;
            // A signal recorded by a completion's flush comes after the completed task's start, and wakes a new one.
            assert!(
                last_signal < seen || delayed,
                "a signal that no worker has seen has a task coming"
            );
        }
    }
}

fn limits(tight: bool) -> Limits {
    if !tight {
        return Limits::default();
    }
    Limits {
        buffered_events_max: 4,
        history_count_max: 60,
        history_count_suggest: 20,
        pending_activities_max: 2,
        signals_max: 12,
        updates_in_flight_max: 3,
        updates_max: 6,
        ..Limits::default()
    }
}

/// A story: how the run begins, and what happens then.
#[derive(Clone, Debug)]
struct Story {
    tight: bool,
    retried: bool,
    delayed: bool,
    steps: Vec<Step>,
}

fn story() -> impl Strategy<Value = Story> {
    (any::<[bool; 3]>(), prop::collection::vec(step(), 1..80)).prop_map(|([tight, retried, delayed], steps)| Story {
        tight,
        retried,
        delayed,
        steps,
    })
}

impl Story {
    /// Lets it happen. Says which kinds of events there were.
    fn tell(self) -> BTreeSet<&'static str> {
        let s = Scenario::start_within(limits(self.tight), |r| {
            r.retry_policy = if self.retried { retry(0) } else { None };
            r.workflow_start_delay = self.delayed.then(|| seconds(3));
            r.workflow_run_timeout = self.tight.then(|| seconds(120));
        });
        let mut world = World::new(s);
        let mut kinds = BTreeSet::new();
        for step in self.steps {
            let is_another_run = matches!(step, Step::Reset { .. } | Step::Follow);
            if is_another_run {
                world.s.check_prefixes();
            }
            world.step(step);
            kinds.extend(world.s.types().into_iter().map(|kind| kind.as_str_name()));
        }
        world.s.check_prefixes();
        kinds
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn every_invariant_holds_whatever_happens(story in story()) {
        story.tell();
    }
}

/// Random stories that do not get anywhere would prove nothing.
#[test]
fn the_stories_get_to_every_kind_of_event() {
    let mut runner = TestRunner::deterministic();
    let mut kinds = BTreeSet::new();
    for _ in 0..1000 {
        kinds.extend(story().new_tree(&mut runner).unwrap().current().tell());
    }
    let mut missing = EVERY_KIND.to_vec();
    missing.retain(|kind| !kinds.contains(kind.as_str_name()));
    assert!(missing.is_empty(), "{missing:?}");
}

const EVERY_KIND: &[EventType] = {
    use EventType as T;
    &[
        T::WorkflowExecutionStarted,
        T::WorkflowExecutionCompleted,
        T::WorkflowExecutionFailed,
        T::WorkflowExecutionTimedOut,
        T::WorkflowExecutionCanceled,
        T::WorkflowExecutionTerminated,
        T::WorkflowExecutionContinuedAsNew,
        T::WorkflowExecutionSignaled,
        T::WorkflowExecutionCancelRequested,
        T::WorkflowExecutionUpdateAccepted,
        T::WorkflowExecutionUpdateCompleted,
        T::WorkflowTaskScheduled,
        T::WorkflowTaskStarted,
        T::WorkflowTaskCompleted,
        T::WorkflowTaskFailed,
        T::WorkflowTaskTimedOut,
        T::ActivityTaskScheduled,
        T::ActivityTaskStarted,
        T::ActivityTaskCompleted,
        T::ActivityTaskFailed,
        T::ActivityTaskTimedOut,
        T::ActivityTaskCancelRequested,
        T::ActivityTaskCanceled,
        T::TimerStarted,
        T::TimerFired,
        T::TimerCanceled,
        T::MarkerRecorded,
        T::StartChildWorkflowExecutionInitiated,
        T::StartChildWorkflowExecutionFailed,
        T::ChildWorkflowExecutionStarted,
        T::ChildWorkflowExecutionCompleted,
        T::ChildWorkflowExecutionFailed,
        T::ChildWorkflowExecutionCanceled,
        T::ChildWorkflowExecutionTimedOut,
        T::ChildWorkflowExecutionTerminated,
        T::SignalExternalWorkflowExecutionInitiated,
        T::ExternalWorkflowExecutionSignaled,
        T::SignalExternalWorkflowExecutionFailed,
        T::RequestCancelExternalWorkflowExecutionInitiated,
        T::ExternalWorkflowExecutionCancelRequested,
        T::RequestCancelExternalWorkflowExecutionFailed,
    ]
};

/// A stale token must be refused as such, never cause a panic or a change.
#[test]
fn tokens_of_another_run_fit_nothing() {
    let mut old = Scenario::start();
    let task = old.poll();
    old.complete(&task, vec![activity("a"), continue_as_new()]);
    let mut new = old.follow();
    new.pass_seconds(1);
    new.poll();
    assert!(matches!(
        new.try_complete(&task, vec![], |_| {}),
        Err(Rejection::NotFound(_))
    ));
}
