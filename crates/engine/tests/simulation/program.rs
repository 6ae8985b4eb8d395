//! Model workflows: a list of steps, written into the input of the start. What a workflow does next is a function of its
//! program and its history, so any worker can go on with it at any time.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use temporalio_protos::temporal::api::{
    command::v1::{Command, command::Attributes, *},
    common::v1::*,
    enums::v1::*,
    failure::v1::Failure,
    history::v1::{HistoryEvent, history_event::Attributes as Event},
};

use crate::{
    proto::{QUEUE, execution, payloads, queue, seconds, text},
    rng::Rng,
};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    /// Ends as soon as it is asked to cancel itself.
    pub(crate) heeds_cancel: bool,
    pub(crate) ending: Ending,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Ending {
    Completes,
    Fails,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// All at once.
    Activities(Vec<Activity>),
    Timer(i64),
    /// A timer that is cancelled at about the time at which it fires. [trap 4]
    CancelledTimer(i64),
    /// An activity that is asked to cancel itself.
    CancelledActivity(Activity),
    /// Goes on after so many signals.
    Signals(usize),
    Marker,
    SignalOther(String),
    CancelOther(String),
    Child {
        id: String,
        program: Program,
        policy: i32,
        is_awaited: bool,
    },
    ContinueAsNew,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Activity {
    /// Attempts that fail.
    pub(crate) fails: i32,
    /// How long the last attempt takes.
    pub(crate) seconds: u64,
    pub(crate) heartbeats: bool,
    pub(crate) start_to_close: i64,
    /// 0 for as many as it takes.
    pub(crate) maximum_attempts: i32,
    pub(crate) is_eager: bool,
}

// Making them up.

impl Program {
    /// `id` is that of the workflow; `others` are workflows that it may talk to.
    pub(crate) fn draw(rng: &mut Rng, id: &str, others: &[String], size: u64, depth: u32) -> Program {
        let count = rng.within(0, size);
        Program {
            steps: (0..count)
                .map(|n| Step::draw(rng, id, n, others, size, depth))
                .collect(),
            heeds_cancel: rng.percent(70),
            ending: if rng.percent(85) {
                Ending::Completes
            } else {
                Ending::Fails
            },
        }
    }

    /// The same without the steps that wait for others.
    pub(crate) fn without_waiting(mut self) -> Program {
        self.steps
            .retain(|step| !matches!(step, Step::Signals(_) | Step::Child { .. }));
        self
    }

    pub(crate) fn parse(input: Option<&Payloads>) -> Program {
        serde_json::from_str(&text(input)).expect("every input is a program")
    }

    pub(crate) fn to_input(&self) -> Option<Payloads> {
        payloads(&serde_json::to_string(self).unwrap())
    }
}

impl Step {
    fn draw(rng: &mut Rng, id: &str, n: u64, others: &[String], size: u64, depth: u32) -> Step {
        match rng.below(16) {
            0..=2 => Step::Activities((0..rng.within(1, 4)).map(|_| Activity::draw(rng)).collect()),
            3 => Step::Timer(rng.within(0, 20) as i64),
            4 | 5 => Step::CancelledTimer(rng.within(1, 8) as i64),
            6 => Step::CancelledActivity(Activity {
                heartbeats: true,
                ..Activity::draw(rng)
            }),
            7 => Step::Signals(rng.within(1, 3) as usize),
            8 => Step::SignalOther(others[rng.below(others.len() as u64) as usize].clone()),
            9 if rng.percent(30) => Step::CancelOther(others[rng.below(others.len() as u64) as usize].clone()),
            10 | 11 | 13 | 14 if depth < 2 => {
                let child = format!("{id}/{n}");
                Step::Child {
                    program: Program::draw(rng, &child, others, size.div_ceil(2), depth + 1),
                    id: child,
                    policy: 1 + rng.below(3) as i32,
                    is_awaited: rng.percent(60),
                }
            }
            12 => Step::ContinueAsNew,
            _ => Step::Marker,
        }
    }
}

/// The step of a program that sent a message: its name begins with the run, which another run made by a reset is not.
fn step_of(message: &str) -> String {
    match message.split_once(' ') {
        Some((_, step)) => step.to_owned(),
        None => message.to_owned(),
    }
}

impl Activity {
    pub(crate) fn draw(rng: &mut Rng) -> Activity {
        Activity {
            fails: if rng.percent(40) { rng.within(1, 3) as i32 } else { 0 },
            seconds: rng.within(0, 8),
            heartbeats: rng.percent(50),
            start_to_close: rng.within(3, 20) as i64,
            maximum_attempts: if rng.percent(30) { rng.within(1, 3) as i32 } else { 0 },
            is_eager: rng.percent(40),
        }
    }

    pub(crate) fn to_input(&self) -> Option<Payloads> {
        payloads(&serde_json::to_string(self).unwrap())
    }

    pub(crate) fn parse(input: Option<&Payloads>) -> Activity {
        serde_json::from_str(&text(input)).expect("every input is an activity")
    }
}

// What a history says of them.

/// What a workflow knows of its past.
#[derive(Default)]
pub(crate) struct Past {
    pub(crate) program: Option<Program>,
    pub(crate) signals: usize,
    /// Updates that were accepted and not completed.
    updates: BTreeSet<String>,
    run_id: String,
    cancel_requested: bool,
    /// Activities, timers, messages and children that were begun: their events by name.
    begun: BTreeMap<String, i64>,
    begun_by_event: BTreeMap<i64, String>,
    /// Those that came to an end, whatever it was.
    ended: BTreeSet<String>,
    /// Activities that were asked to cancel themselves, timers that were cancelled, children that were started.
    turned: BTreeSet<String>,
    markers: BTreeSet<String>,
}

impl Past {
    pub(crate) fn of(history: &[HistoryEvent]) -> Past {
        let mut past = Past::default();
        for event in history {
            past.learn(event);
        }
        past
    }

    fn begin(&mut self, name: String, event: i64) {
        self.begun_by_event.insert(event, name.clone());
        self.begun.insert(name, event);
    }

    fn end(&mut self, begun_by: i64) {
        self.ended.extend(self.begun_by_event.get(&begun_by).cloned());
    }

    fn turn(&mut self, begun_by: i64) {
        self.turned.extend(self.begun_by_event.get(&begun_by).cloned());
    }

    fn learn(&mut self, event: &HistoryEvent) {
        let id = event.event_id;
        let Some(attributes) = &event.attributes else { return };
        match attributes {
            Event::WorkflowExecutionStartedEventAttributes(a) => {
                self.program = Some(Program::parse(a.input.as_ref()));
                self.run_id = a.original_execution_run_id.clone();
            }
            // What follows it is a run of its own, made by a reset.
            Event::WorkflowTaskFailedEventAttributes(a) if !a.new_run_id.is_empty() => {
                self.run_id = a.new_run_id.clone();
            }
            Event::WorkflowExecutionUpdateAcceptedEventAttributes(a) => {
                self.updates.insert(a.protocol_instance_id.clone());
            }
            Event::WorkflowExecutionUpdateCompletedEventAttributes(a) => {
                self.updates.remove(&a.meta.clone().unwrap_or_default().update_id);
            }
            Event::WorkflowExecutionSignaledEventAttributes(_) => self.signals += 1,
            Event::WorkflowExecutionCancelRequestedEventAttributes(_) => self.cancel_requested = true,
            Event::ActivityTaskScheduledEventAttributes(a) => self.begin(a.activity_id.clone(), id),
            Event::ActivityTaskCancelRequestedEventAttributes(a) => self.turn(a.scheduled_event_id),
            Event::ActivityTaskCompletedEventAttributes(a) => self.end(a.scheduled_event_id),
            Event::ActivityTaskFailedEventAttributes(a) => self.end(a.scheduled_event_id),
            Event::ActivityTaskTimedOutEventAttributes(a) => self.end(a.scheduled_event_id),
            Event::ActivityTaskCanceledEventAttributes(a) => self.end(a.scheduled_event_id),
            Event::TimerStartedEventAttributes(a) => self.begin(a.timer_id.clone(), id),
            Event::TimerFiredEventAttributes(a) => self.end(a.started_event_id),
            Event::TimerCanceledEventAttributes(a) => self.end(a.started_event_id),
            Event::MarkerRecordedEventAttributes(a) => {
                self.markers.insert(a.marker_name.clone());
            }
            Event::SignalExternalWorkflowExecutionInitiatedEventAttributes(a) => {
                self.begin(step_of(&a.signal_name), id)
            }
            Event::ExternalWorkflowExecutionSignaledEventAttributes(a) => self.end(a.initiated_event_id),
            Event::SignalExternalWorkflowExecutionFailedEventAttributes(a) => self.end(a.initiated_event_id),
            Event::RequestCancelExternalWorkflowExecutionInitiatedEventAttributes(a) => {
                self.begin(step_of(&a.reason), id);
            }
            Event::ExternalWorkflowExecutionCancelRequestedEventAttributes(a) => self.end(a.initiated_event_id),
            Event::RequestCancelExternalWorkflowExecutionFailedEventAttributes(a) => self.end(a.initiated_event_id),
            Event::StartChildWorkflowExecutionInitiatedEventAttributes(a) => self.begin(a.workflow_id.clone(), id),
            Event::ChildWorkflowExecutionStartedEventAttributes(a) => self.turn(a.initiated_event_id),
            Event::StartChildWorkflowExecutionFailedEventAttributes(a) => self.end(a.initiated_event_id),
            Event::ChildWorkflowExecutionCompletedEventAttributes(a) => self.end(a.initiated_event_id),
            Event::ChildWorkflowExecutionFailedEventAttributes(a) => self.end(a.initiated_event_id),
            Event::ChildWorkflowExecutionCanceledEventAttributes(a) => self.end(a.initiated_event_id),
            Event::ChildWorkflowExecutionTimedOutEventAttributes(a) => self.end(a.initiated_event_id),
            Event::ChildWorkflowExecutionTerminatedEventAttributes(a) => self.end(a.initiated_event_id),
            _ => {}
        }
    }

    pub(crate) fn open_updates(&self) -> impl Iterator<Item = &str> {
        self.updates.iter().map(String::as_str)
    }

    fn is_over(&self, name: &str) -> bool {
        self.ended.contains(name)
    }
}

// What they do next.

/// The commands that a workflow's next task ends with.
pub(crate) fn commands(past: &Past) -> Vec<Command> {
    let program = past.program.as_ref().expect("every history begins with the start");
    if past.cancel_requested && program.heeds_cancel {
        return vec![command(
            CommandType::CancelWorkflowExecution,
            Attributes::CancelWorkflowExecutionCommandAttributes(Default::default()),
        )];
    }
    let mut commands = Vec::new();
    for (n, step) in program.steps.iter().enumerate() {
        if matches!(step, Step::ContinueAsNew) {
            let rest = Program {
                steps: program.steps[n + 1..].to_vec(),
                ..program.clone()
            };
            commands.push(continue_as_new(&rest));
            return commands;
        }
        if !step.advance(n, past, &mut commands) {
            return commands;
        }
    }
    commands.push(match program.ending {
        Ending::Completes => command(
            CommandType::CompleteWorkflowExecution,
            Attributes::CompleteWorkflowExecutionCommandAttributes(Default::default()),
        ),
        Ending::Fails => command(
            CommandType::FailWorkflowExecution,
            Attributes::FailWorkflowExecutionCommandAttributes(FailWorkflowExecutionCommandAttributes {
                failure: Some(Failure {
                    message: "as planned".to_owned(),
                    ..Default::default()
                }),
            }),
        ),
    });
    commands
}

impl Step {
    /// Adds the commands of this step that are due; `true` if the next step may begin.
    fn advance(&self, n: usize, past: &Past, commands: &mut Vec<Command>) -> bool {
        match self {
            Step::Activities(activities) => {
                let names: Vec<_> = (0..activities.len()).map(|k| format!("a{n}.{k}")).collect();
                for (name, activity) in names.iter().zip(activities) {
                    if !past.begun.contains_key(name) {
                        commands.push(schedule(name, activity));
                    }
                }
                names.iter().all(|name| past.is_over(name))
            }
            Step::Timer(after) => {
                let name = format!("t{n}");
                if !past.begun.contains_key(&name) {
                    commands.push(start_timer(&name, *after));
                }
                past.is_over(&name)
            }
            Step::CancelledTimer(after) => {
                let (long, short) = (format!("t{n}.long"), format!("t{n}.short"));
                if !past.begun.contains_key(&long) {
                    commands.extend([start_timer(&long, *after), start_timer(&short, *after)]);
                    return false;
                }
                if past.is_over(&short) && !past.is_over(&long) {
                    commands.push(cancel_timer(&long));
                }
                past.is_over(&short)
            }
            Step::CancelledActivity(activity) => {
                let (name, timer) = (format!("a{n}"), format!("t{n}"));
                let Some(scheduled) = past.begun.get(&name) else {
                    commands.extend([schedule(&name, activity), start_timer(&timer, 3)]);
                    return false;
                };
                if past.is_over(&timer) && !past.is_over(&name) && !past.turned.contains(&name) {
                    commands.push(cancel_activity(*scheduled));
                }
                past.is_over(&name)
            }
            Step::Signals(count) => past.signals >= *count,
            Step::Marker => {
                let name = format!("m{n}");
                if !past.markers.contains(&name) {
                    commands.push(marker(&name));
                }
                true
            }
            Step::SignalOther(id) => {
                let name = format!("step {n}");
                if !past.begun.contains_key(&name) {
                    commands.push(signal_other(id, &format!("{} {name}", past.run_id)));
                }
                past.is_over(&name)
            }
            Step::CancelOther(id) => {
                let name = format!("step {n}");
                if !past.begun.contains_key(&name) {
                    commands.push(cancel_other(id, &format!("{} {name}", past.run_id)));
                }
                past.is_over(&name)
            }
            Step::Child {
                id,
                program,
                policy,
                is_awaited,
            } => {
                if !past.begun.contains_key(id) {
                    commands.push(start_child(id, program, *policy));
                }
                past.is_over(id) || (!is_awaited && past.turned.contains(id))
            }
            Step::ContinueAsNew => true,
        }
    }
}

fn command(kind: CommandType, attributes: Attributes) -> Command {
    Command {
        command_type: kind as i32,
        attributes: Some(attributes),
        ..Default::default()
    }
}

fn schedule(name: &str, activity: &Activity) -> Command {
    command(
        CommandType::ScheduleActivityTask,
        Attributes::ScheduleActivityTaskCommandAttributes(ScheduleActivityTaskCommandAttributes {
            activity_id: name.to_owned(),
            activity_type: Some(ActivityType {
                name: "modelled".to_owned(),
            }),
            task_queue: queue(QUEUE),
            input: activity.to_input(),
            start_to_close_timeout: seconds(activity.start_to_close),
            heartbeat_timeout: if activity.heartbeats { seconds(3) } else { None },
            retry_policy: Some(RetryPolicy {
                initial_interval: seconds(1),
                backoff_coefficient: 1.5,
                maximum_attempts: activity.maximum_attempts,
                ..Default::default()
            }),
            request_eager_execution: activity.is_eager,
            ..Default::default()
        }),
    )
}

fn cancel_activity(scheduled_event_id: i64) -> Command {
    command(
        CommandType::RequestCancelActivityTask,
        Attributes::RequestCancelActivityTaskCommandAttributes(RequestCancelActivityTaskCommandAttributes {
            scheduled_event_id,
        }),
    )
}

fn start_timer(id: &str, after: i64) -> Command {
    command(
        CommandType::StartTimer,
        Attributes::StartTimerCommandAttributes(StartTimerCommandAttributes {
            timer_id: id.to_owned(),
            start_to_fire_timeout: seconds(after.max(1)),
        }),
    )
}

fn cancel_timer(id: &str) -> Command {
    command(
        CommandType::CancelTimer,
        Attributes::CancelTimerCommandAttributes(CancelTimerCommandAttributes {
            timer_id: id.to_owned(),
        }),
    )
}

fn marker(name: &str) -> Command {
    command(
        CommandType::RecordMarker,
        Attributes::RecordMarkerCommandAttributes(RecordMarkerCommandAttributes {
            marker_name: name.to_owned(),
            ..Default::default()
        }),
    )
}

fn signal_other(id: &str, name: &str) -> Command {
    command(
        CommandType::SignalExternalWorkflowExecution,
        Attributes::SignalExternalWorkflowExecutionCommandAttributes(
            SignalExternalWorkflowExecutionCommandAttributes {
                execution: execution(id),
                signal_name: name.to_owned(),
                ..Default::default()
            },
        ),
    )
}

fn cancel_other(id: &str, name: &str) -> Command {
    command(
        CommandType::RequestCancelExternalWorkflowExecution,
        Attributes::RequestCancelExternalWorkflowExecutionCommandAttributes(
            RequestCancelExternalWorkflowExecutionCommandAttributes {
                workflow_id: id.to_owned(),
                reason: name.to_owned(),
                ..Default::default()
            },
        ),
    )
}

fn start_child(id: &str, program: &Program, policy: i32) -> Command {
    command(
        CommandType::StartChildWorkflowExecution,
        Attributes::StartChildWorkflowExecutionCommandAttributes(StartChildWorkflowExecutionCommandAttributes {
            workflow_id: id.to_owned(),
            workflow_type: workflow_type(),
            task_queue: queue(QUEUE),
            input: program.to_input(),
            parent_close_policy: policy,
            ..Default::default()
        }),
    )
}

fn continue_as_new(program: &Program) -> Command {
    command(
        CommandType::ContinueAsNewWorkflowExecution,
        Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(ContinueAsNewWorkflowExecutionCommandAttributes {
            workflow_type: workflow_type(),
            task_queue: queue(QUEUE),
            input: program.to_input(),
            ..Default::default()
        }),
    )
}

pub(crate) fn workflow_type() -> Option<WorkflowType> {
    Some(WorkflowType {
        name: "modelled".to_owned(),
    })
}
