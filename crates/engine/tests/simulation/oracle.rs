//! What must be true at the end, whatever happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use helve_engine::Timestamp;
use temporalio_protos::temporal::api::{
    enums::v1::{EventType, WorkflowExecutionStatus},
    history::v1::{HistoryEvent, history_event::Attributes as Event},
    workflow::v1::WorkflowExecutionInfo,
};
use tokio::sync::oneshot;

use crate::{
    batches,
    client::{history, list},
    deletion,
    network::Caller,
    proto::{is_close, text},
    resets, schedules, standalone, updates,
    world::World,
};

/// All that the engine says about its runs.
pub(crate) type Records = BTreeMap<String, Record>;

pub(crate) struct Record {
    pub(crate) workflow_id: String,
    pub(crate) info: WorkflowExecutionInfo,
    pub(crate) events: Vec<HistoryEvent>,
}

pub(crate) type Verdict = Result<(), String>;

/// Asks the engine for everything and judges it, before and after a restart.
pub(crate) async fn judge(world: Rc<World>) {
    // What closed runs owe each other is delivered by then.
    world.sleep(Duration::from_secs(120)).await;
    audit(&world).await;
    let before = judge_records(&world).await;
    world.restart().await;
    while world.engine().is_none() {
        world.nap(100, 100).await;
    }
    let recovered = world.engine().map_or(0, |engine| engine.recovered());
    if recovered > 0 {
        world.violated(format!(
            "{recovered} runs owe something although all are closed and had time"
        ));
    }
    let after = judge_records(&world).await;
    if before != after {
        world.violated("a restart changed what is said about the runs");
    }
    world.note("judge", format_args!("{} runs are as they should be", after.len()));
}

/// Compares the engine's memory with its disk now and then.
pub(crate) async fn audit_often(world: Rc<World>) {
    while !world.is_calm() {
        world.nap(1000, 20_000).await;
        audit(&world).await;
    }
}

async fn audit(world: &Rc<World>) {
    let Some(engine) = world.engine() else { return };
    let (answer, audited) = oneshot::channel();
    world.spawn_on_computer(async move {
        let _ = answer.send(engine.audit().await);
    });
    // Reads may fail as well; what was read must be right.
    match audited.await {
        Ok(Err(difference))
            if !difference.contains("reading the database failed") && !difference.contains("shutting down") =>
        {
            world.violated(format!("memory is not what is on disk: {difference}"));
        }
        _ => {}
    }
}

async fn judge_records(world: &Rc<World>) -> BTreeMap<String, (WorkflowExecutionStatus, Vec<HistoryEvent>)> {
    let caller = Caller::new(world, "judge");
    let records = match collect(&caller).await {
        Ok(records) => records,
        Err(status) => {
            world.violated(format!("the engine does not say what there is: {status}"));
            return BTreeMap::new();
        }
    };
    for (run_id, record) in &records {
        if let Err(wrong) = record.check() {
            world.violated(format!("run {run_id} of {}: {wrong}", record.workflow_id));
        }
    }
    let pure = [
        relations(world, &records),
        chains(world, &records),
        promises(world, &records),
        resets::judge(&world.ledger.borrow(), &records),
    ];
    let asked = [
        updates::judge(&caller, &records).await,
        standalone::judge(&caller).await,
        schedules::judge(&caller, &records).await,
        batches::judge(&caller, &records).await,
        deletion::judge(&caller, &records).await,
    ];
    for verdict in pure.into_iter().chain(asked) {
        if let Err(wrong) = verdict {
            world.violated(wrong);
        }
    }
    records
        .into_iter()
        .map(|(run_id, record)| (run_id, (record.info.status(), record.events)))
        .collect()
}

async fn collect(caller: &Caller) -> Result<Records, tonic::Status> {
    let mut records = Records::new();
    for info in list(caller, "").await? {
        let execution = info.execution.clone().unwrap_or_default();
        let events = history(caller, &execution.workflow_id, &execution.run_id).await?;
        let record = Record {
            workflow_id: execution.workflow_id,
            info,
            events,
        };
        records.insert(execution.run_id, record);
    }
    Ok(records)
}

pub(crate) fn time(time: Option<&prost_types::Timestamp>) -> Timestamp {
    time.map_or(Timestamp::MAX, |time| Timestamp::from(*time))
}

pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

// One run.

impl Record {
    pub(crate) fn run_id(&self) -> &str {
        self.info.execution.as_ref().map_or("", |execution| &execution.run_id)
    }

    pub(crate) fn closed_at(&self) -> Timestamp {
        time(self.info.close_time.as_ref())
    }

    /// How many of its first events are those of another run.
    fn copied(&self) -> usize {
        self.reset_of().map_or(0, |(_, copied)| copied)
    }

    fn check(&self) -> Verdict {
        self.check_ids()?;
        self.check_visibility()?;
        self.check_workflow_tasks()?;
        self.check_timers()?;
        self.check_once()
    }

    fn close(&self) -> Option<&HistoryEvent> {
        self.events.last().filter(|event| is_close(event))
    }

    fn check_ids(&self) -> Verdict {
        for (at, event) in self.events.iter().enumerate() {
            ensure(event.event_id == at as i64 + 1, || {
                format!("event {} is number {}", event.event_id, at + 1)
            })?;
        }
        let closes = self.events.iter().filter(|event| is_close(event)).count();
        ensure(closes == 1 && self.close().is_some(), || {
            format!("{closes} close events, and the last event is {:?}", self.events.last())
        })
    }

    /// The row says what the history says.
    fn check_visibility(&self) -> Verdict {
        use WorkflowExecutionStatus as S;
        let close = self.close().ok_or("it is open")?;
        let status = match close.event_type() {
            EventType::WorkflowExecutionCompleted => S::Completed,
            EventType::WorkflowExecutionFailed => S::Failed,
            EventType::WorkflowExecutionTimedOut => S::TimedOut,
            EventType::WorkflowExecutionCanceled => S::Canceled,
            EventType::WorkflowExecutionTerminated => S::Terminated,
            _ => S::ContinuedAsNew,
        };
        ensure(self.info.status() == status, || {
            format!("listed as {:?}, but it is {status:?}", self.info.status())
        })?;
        ensure(self.info.history_length == self.events.len() as i64, || {
            format!(
                "listed with {} events, but it has {}",
                self.info.history_length,
                self.events.len()
            )
        })?;
        ensure(self.info.close_time == close.event_time, || {
            format!(
                "listed as closed at {:?}, but it was at {:?}",
                self.info.close_time, close.event_time
            )
        })
    }

    /// Nothing is recorded between start and end of a workflow task. [traps 1 and 5]
    fn check_workflow_tasks(&self) -> Verdict {
        for pair in self.events.windows(2) {
            let ends = matches!(
                pair[1].event_type(),
                EventType::WorkflowTaskCompleted | EventType::WorkflowTaskFailed | EventType::WorkflowTaskTimedOut
            );
            ensure(pair[0].event_type() != EventType::WorkflowTaskStarted || ends, || {
                format!("{:?} follows the start of a workflow task", pair[1])
            })?;
        }
        Ok(())
    }

    fn check_timers(&self) -> Verdict {
        let mut due = BTreeMap::new();
        for event in &self.events {
            let at = time(event.event_time.as_ref());
            match event.attributes.as_ref() {
                Some(Event::TimerStartedEventAttributes(a)) => {
                    let after = a.start_to_fire_timeout.unwrap_or_default();
                    due.insert(
                        event.event_id,
                        at + Duration::new(after.seconds as u64, after.nanos as u32),
                    );
                }
                Some(Event::TimerFiredEventAttributes(a)) => {
                    ensure(due.get(&a.started_event_id).is_some_and(|due| *due <= at), || {
                        format!("timer {} fired too early", a.timer_id)
                    })?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Nothing that was begun comes to an end twice, and no signal is recorded twice.
    fn check_once(&self) -> Verdict {
        let (mut ended, mut signals) = (BTreeSet::new(), BTreeSet::new());
        for event in &self.events {
            let begun_by = match event.attributes.as_ref() {
                Some(Event::ActivityTaskCompletedEventAttributes(a)) => a.scheduled_event_id,
                Some(Event::ActivityTaskFailedEventAttributes(a)) => a.scheduled_event_id,
                Some(Event::ActivityTaskTimedOutEventAttributes(a)) => a.scheduled_event_id,
                Some(Event::ActivityTaskCanceledEventAttributes(a)) => a.scheduled_event_id,
                Some(Event::TimerFiredEventAttributes(a)) => a.started_event_id,
                Some(Event::TimerCanceledEventAttributes(a)) => a.started_event_id,
                Some(Event::ExternalWorkflowExecutionSignaledEventAttributes(a)) => a.initiated_event_id,
                Some(Event::SignalExternalWorkflowExecutionFailedEventAttributes(a)) => a.initiated_event_id,
                Some(Event::StartChildWorkflowExecutionFailedEventAttributes(a)) => a.initiated_event_id,
                Some(Event::ChildWorkflowExecutionCompletedEventAttributes(a)) => a.initiated_event_id,
                Some(Event::ChildWorkflowExecutionFailedEventAttributes(a)) => a.initiated_event_id,
                Some(Event::ChildWorkflowExecutionCanceledEventAttributes(a)) => a.initiated_event_id,
                Some(Event::ChildWorkflowExecutionTimedOutEventAttributes(a)) => a.initiated_event_id,
                Some(Event::ChildWorkflowExecutionTerminatedEventAttributes(a)) => a.initiated_event_id,
                Some(Event::WorkflowExecutionSignaledEventAttributes(a)) => {
                    // Signals of the finisher carry no request id.
                    let is_new = signals.insert(&a.signal_name) || a.signal_name.starts_with("finisher");
                    ensure(is_new, || format!("signal {:?} was recorded twice", a.signal_name))?;
                    continue;
                }
                _ => continue,
            };
            ensure(ended.insert(begun_by), || {
                format!("what event {begun_by} began ended twice, at last with {event:?}")
            })?;
        }
        Ok(())
    }

    pub(crate) fn signals(&self) -> impl Iterator<Item = &str> {
        self.events.iter().filter_map(|event| match event.attributes.as_ref() {
            Some(Event::WorkflowExecutionSignaledEventAttributes(a)) => Some(a.signal_name.as_str()),
            _ => None,
        })
    }
}

// Several runs.

/// What one run says of another is so.
fn relations(world: &World, records: &Records) -> Verdict {
    let ledger = world.ledger.borrow();
    let some_deleted = |workflow_id: &str| ledger.some_deleted(workflow_id);
    for (run_id, record) in records {
        let received = |name: &str, workflow_id: &str| {
            let of_target = records.values().filter(|other| other.workflow_id == workflow_id);
            of_target.flat_map(Record::signals).any(|signal| signal == name)
        };
        let mut sent = BTreeMap::new();
        for event in &record.events {
            let (what, other) = match event.attributes.as_ref() {
                Some(Event::SignalExternalWorkflowExecutionInitiatedEventAttributes(a)) => {
                    sent.insert(event.event_id, a.signal_name.as_str());
                    continue;
                }
                Some(Event::ExternalWorkflowExecutionSignaledEventAttributes(a)) => {
                    let name = sent.get(&a.initiated_event_id).copied().unwrap_or_default();
                    let target = a.workflow_execution.clone().unwrap_or_default().workflow_id;
                    ensure(received(name, &target) || some_deleted(&target), || {
                        format!("run {run_id} was told that signal {name:?} reached {target}, but it did not")
                    })?;
                    continue;
                }
                Some(Event::ChildWorkflowExecutionStartedEventAttributes(a)) => {
                    ("started child", a.workflow_execution.clone().unwrap_or_default().run_id)
                }
                Some(Event::WorkflowExecutionContinuedAsNewEventAttributes(a)) => {
                    ("was continued as", a.new_execution_run_id.clone())
                }
                Some(Event::WorkflowExecutionCompletedEventAttributes(a)) => {
                    ("was followed by", a.new_execution_run_id.clone())
                }
                Some(Event::WorkflowExecutionFailedEventAttributes(a)) => {
                    ("was retried as", a.new_execution_run_id.clone())
                }
                Some(Event::WorkflowExecutionTimedOutEventAttributes(a)) => {
                    ("was retried as", a.new_execution_run_id.clone())
                }
                _ => continue,
            };
            let is_there = other.is_empty() || records.contains_key(&other) || ledger.may_be_deleted(&other);
            ensure(is_there, || {
                format!("run {run_id} {what} {other}, which does not exist")
            })?;
        }
    }
    Ok(())
}

// What was promised.

fn promises(world: &World, records: &Records) -> Verdict {
    let ledger = world.ledger.borrow();
    // `None` for what somebody deleted.
    let record = |run_id: &str| match records.get(run_id) {
        None if ledger.may_be_deleted(run_id) => Ok(None),
        None => Err(format!("run {run_id} was acknowledged and is lost")),
        found => Ok(found),
    };
    for (run_id, workflow_id) in &ledger.started {
        ensure(
            record(run_id)?.is_none_or(|record| record.workflow_id == *workflow_id),
            || format!("run {run_id} is not of {workflow_id}"),
        )?;
    }
    for (name, workflow_id) in &ledger.signals {
        let runs = records.values().filter(|record| record.workflow_id == *workflow_id);
        let is_there = runs.flat_map(Record::signals).any(|signal| signal == name);
        ensure(is_there || ledger.some_deleted(workflow_id), || {
            format!("signal {name:?} to {workflow_id} was acknowledged and is lost")
        })?;
    }
    for (run_id, when) in ledger.cancelled.iter().filter(|(run_id, _)| !run_id.is_empty()) {
        let Some(record) = record(run_id)? else { continue };
        let is_requested = |event: &HistoryEvent| event.event_type() == EventType::WorkflowExecutionCancelRequested;
        let was_closed = record.closed_at() <= *when;
        ensure(was_closed || record.events.iter().any(is_requested), || {
            format!("a cancel request to {run_id} was acknowledged and is lost")
        })?;
    }
    for run_id in ledger.terminated.iter().filter(|run_id| !run_id.is_empty()) {
        let Some(record) = record(run_id)? else { continue };
        let status = record.info.status();
        ensure(status == WorkflowExecutionStatus::Terminated, || {
            format!("the termination of {run_id} was acknowledged, but it is {status:?}")
        })?;
    }
    for (run_id, started) in &ledger.completed_tasks {
        let completed = |event: &HistoryEvent| {
            matches!(event.attributes.as_ref(),
            Some(Event::WorkflowTaskCompletedEventAttributes(a)) if a.started_event_id == *started)
        };
        ensure(
            record(run_id)?.is_none_or(|record| record.events.iter().any(completed)),
            || {
                format!(
                    "the completion of the workflow task started by event {started} of {run_id} was acknowledged and is lost"
                )
            },
        )?;
    }
    for (run_id, result) in &ledger.completed_activities {
        if ledger.activities.contains_key(run_id) {
            // Its outcome is judged elsewhere.
            continue;
        }
        let Some(record) = record(run_id)? else { continue };
        let mut results = record.events.iter().filter_map(activity_result);
        ensure(results.any(|recorded| recorded == *result), || {
            format!("activity result {result:?} was acknowledged and is lost")
        })?;
    }
    for (run_id, record) in records {
        // What a reset copied is of another run.
        for result in record.events[record.copied()..].iter().filter_map(activity_result) {
            ensure(
                ledger.sent_results.contains(&result) && result.starts_with(run_id.as_str()),
                || format!("run {run_id} has the activity result {result:?}, which nobody sent it"),
            )?;
        }
    }
    for (run_id, shown) in world.shown() {
        let Some(record) = record(&run_id)? else { continue };
        let events = &record.events;
        ensure(events.starts_with(&shown), || {
            let at = shown.iter().zip(events).position(|(shown, event)| shown != event);
            format!("run {run_id}: what was shown of its history is not there any more, from event {at:?} on")
        })?;
    }
    Ok(())
}

/// The runs of a chain follow each other one by one, and none begins to work before its time.
fn chains(world: &World, records: &Records) -> Verdict {
    let mut followed = BTreeMap::new();
    for (run_id, record) in records {
        let Some(Event::WorkflowExecutionStartedEventAttributes(start)) =
            record.events.first().and_then(|event| event.attributes.as_ref())
        else {
            return Err(format!("run {run_id} does not begin with its start"));
        };
        let before = &start.continued_execution_run_id;
        // A reset run begins as its base did.
        if before.is_empty() || record.copied() > 0 {
            continue;
        }
        if let Some(other) = followed.insert(before, run_id) {
            return Err(format!("run {before} is followed by two runs: {other} and {run_id}"));
        }
        if let Some(before) = records.get(before) {
            ensure(before.info.first_run_id == record.info.first_run_id, || {
                format!("run {run_id} is of another chain than the run before it")
            })?;
        }
        // Cancel requests, signals with a start and updates do not wait, and an update may leave no trace.
        let is_request = |event: &HistoryEvent| event.event_type() == EventType::WorkflowExecutionCancelRequested;
        let with_start = &world.ledger.borrow().with_start;
        let is_hurried = record.events.iter().any(is_request) || record.signals().any(|name| with_start.contains(name));
        if world.plan.features.updates || is_hurried {
            continue;
        }
        let backoff = start.first_workflow_task_backoff.unwrap_or_default();
        let due =
            time(record.events[0].event_time.as_ref()) + Duration::new(backoff.seconds as u64, backoff.nanos as u32);
        let is_task = |event: &&HistoryEvent| event.event_type() == EventType::WorkflowTaskScheduled;
        let first_task = record.events.iter().find(is_task);
        ensure(
            first_task.is_none_or(|event| time(event.event_time.as_ref()) >= due),
            || format!("run {run_id} was to wait until {due:?}, but did not: {first_task:?}"),
        )?;
    }
    Ok(())
}

fn activity_result(event: &HistoryEvent) -> Option<String> {
    match event.attributes.as_ref() {
        Some(Event::ActivityTaskCompletedEventAttributes(a)) => Some(text(a.result.as_ref())),
        _ => None,
    }
}
