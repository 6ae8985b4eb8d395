//! The world around a run: callers and workers, who remember what is stale, too.

use std::{collections::BTreeSet, time::Duration};

use helve_history::{
    ActivityRef, ActivityStarted, CancelRequest, Input, PolledQueue, ReadyKind, ReadyTask, Signal, Termination,
    UpdateStage, WorkflowTaskFailure, WorkflowTaskStarted,
};
use temporalio_protos::temporal::api::{
    command::v1::Command,
    enums::v1::{EventType, ParentClosePolicy, WorkflowTaskFailedCause},
    protocol::v1::Message as ProtocolMessage,
};

use super::steps::{Answer, Order, Step};
use crate::scenario::*;

/// A run and what the world around it remembers of it, stale things included.
pub(super) struct World {
    pub(super) s: Scenario,
    pub(super) offered: Vec<ReadyTask>,
    pub(super) tasks: Vec<WorkflowTaskStarted>,
    pub(super) activities: Vec<ActivityStarted>,
    pub(super) children: BTreeSet<i64>,
    pub(super) polls: u32,
    /// Signals that were accepted, with the ids that deduplicate.
    pub(super) signals: usize,
    pub(super) signal_ids: BTreeSet<u8>,
    /// Updates whose callers wait for an answer.
    pub(super) callers: BTreeSet<String>,
    /// Of those, the ones that were told of their acceptance, and of all, those that have an outcome.
    pub(super) accepted: BTreeSet<String>,
    pub(super) answered: BTreeSet<String>,
    /// How much of the news was looked at.
    pub(super) heard: usize,
}

pub(super) fn pick<T: Clone>(from: &[T], n: u8) -> Option<T> {
    // The latest is by far the most interesting one; small numbers are the likelier ones to be shrunk to.
    let back = usize::from(n % 16).saturating_sub(11);
    from.len().checked_sub(1 + back).map(|at| from[at].clone())
}

impl World {
    pub(super) fn new(s: Scenario) -> Self {
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

    pub(super) fn step(&mut self, step: Step) {
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

    pub(super) fn remember_children(&mut self) {
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
}
