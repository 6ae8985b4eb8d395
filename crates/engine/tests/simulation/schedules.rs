//! Schedules: their owners, and what must be true of what they start.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use helve_engine::Timestamp;
use temporalio_protos::temporal::api::{
    enums::v1::ScheduleOverlapPolicy as Overlap, schedule::v1::*, workflow::v1::NewWorkflowExecutionInfo,
    workflowservice::v1::*,
};
use tonic::{Code, Status};

use crate::{
    network::Caller,
    oracle::{Record, Records, Verdict, ensure, time},
    program::{Program, workflow_type},
    proto::{QUEUE, namespace, queue, seconds},
    rng::Rng,
    world::World,
};

/// What is known of schedules, by id.
pub(crate) type KnownSchedules = BTreeMap<String, KnownSchedule>;

#[derive(Debug, Clone)]
pub(crate) struct KnownSchedule {
    overlap: Overlap,
    interval: u64,
    /// Its spec has no times after this.
    end: Timestamp,
    /// It came to be between these.
    created: (Timestamp, Timestamp),
    /// Between these nobody knows whether it is paused.
    unsure: Vec<(Timestamp, Timestamp)>,
    /// Somebody asked for actions besides those of the spec: so many times this was acknowledged.
    triggered: i64,
    was_triggered: bool,
    /// Its deletion was asked for, and acknowledged.
    doomed: bool,
    deleted: Option<Timestamp>,
}

/// The owner of one schedule.
pub(crate) struct Owner {
    caller: Caller,
    rng: Rng,
    id: String,
    others: Vec<String>,
    sent: u32,
    may_trigger: bool,
    may_pause: bool,
}

impl Owner {
    pub(crate) fn new(world: &Rc<World>, number: u64, others: &[String]) -> Self {
        let mut rng = world.rng().fork();
        Owner {
            caller: Caller::new(world, format!("owner s{number}")),
            id: format!("s{number}"),
            others: others.to_vec(),
            sent: 0,
            may_trigger: rng.percent(30),
            may_pause: rng.percent(30),
            rng,
        }
    }

    pub(crate) async fn live(mut self) {
        let world = self.caller.world.clone();
        world.nap(0, 5000).await;
        if !self.create().await {
            return;
        }
        while !world.is_calm() {
            world.nap(0, 8000).await;
            match self.rng.below(8) {
                0..=2 => drop(describe(&self.caller, &self.id).await),
                3 => self.list().await,
                4 if self.may_trigger => self.trigger().await,
                5 if self.may_pause => self.pause().await,
                6 if self.may_pause && self.rng.percent(10) => self.delete().await,
                _ => {}
            }
        }
    }

    fn request_id(&mut self) -> String {
        self.sent += 1;
        format!("{} request {}", self.id, self.sent)
    }

    fn known(&self, note: impl FnOnce(&mut KnownSchedule)) {
        if let Some(known) = self.caller.world.ledger.borrow_mut().schedules.get_mut(&self.id) {
            note(known);
        }
    }

    async fn create(&mut self) -> bool {
        use Overlap::{AllowAll, BufferAll, BufferOne, CancelOther, Skip, TerminateOther};
        let world = self.caller.world.clone();
        let policies = [Skip, BufferOne, BufferAll, CancelOther, TerminateOther, AllowAll];
        let overlap = policies[self.rng.below(6) as usize];
        let interval = self.rng.within(2, 12);
        let end = world.now() + Duration::from_secs(self.rng.within(5, 40));
        let program = Program::draw(&mut self.rng, &self.id, &self.others, 2, 2).without_waiting();
        let request = CreateScheduleRequest {
            namespace: namespace(),
            schedule_id: self.id.clone(),
            request_id: self.request_id(),
            schedule: Some(Schedule {
                spec: Some(ScheduleSpec {
                    interval: vec![IntervalSpec {
                        interval: seconds(interval as i64),
                        phase: None,
                    }],
                    end_time: Some(end.into()),
                    ..ScheduleSpec::default()
                }),
                action: Some(ScheduleAction {
                    action: Some(schedule_action::Action::StartWorkflow(NewWorkflowExecutionInfo {
                        workflow_id: self.id.clone(),
                        workflow_type: workflow_type(),
                        task_queue: queue(QUEUE),
                        input: program.to_input(),
                        ..NewWorkflowExecutionInfo::default()
                    })),
                }),
                policies: Some(SchedulePolicies {
                    overlap_policy: overlap.into(),
                    ..SchedulePolicies::default()
                }),
                state: None,
            }),
            ..CreateScheduleRequest::default()
        };
        let asked = world.now();
        let answer = self.caller.insist::<CreateScheduleResponse>("CreateSchedule", request);
        if let Err(status) = answer.await {
            world.violated(format!("schedule {} is refused: {status}", self.id));
            return false;
        }
        let known = KnownSchedule {
            overlap,
            interval,
            end,
            created: (asked, world.now()),
            unsure: Vec::new(),
            triggered: 0,
            was_triggered: false,
            doomed: false,
            deleted: None,
        };
        world.ledger.borrow_mut().schedules.insert(self.id.clone(), known);
        true
    }

    async fn patch(&mut self, patch: SchedulePatch) -> bool {
        let request = PatchScheduleRequest {
            namespace: namespace(),
            schedule_id: self.id.clone(),
            patch: Some(patch),
            request_id: self.request_id(),
            ..PatchScheduleRequest::default()
        };
        let answer = self.caller.insist::<PatchScheduleResponse>("PatchSchedule", request);
        answer.await.is_ok()
    }

    async fn trigger(&mut self) {
        self.known(|known| known.was_triggered = true);
        // Beside whatever runs, so that each has to start.
        let trigger = TriggerImmediatelyRequest {
            overlap_policy: Overlap::AllowAll.into(),
            ..TriggerImmediatelyRequest::default()
        };
        let patch = SchedulePatch {
            trigger_immediately: Some(trigger),
            ..SchedulePatch::default()
        };
        if self.patch(patch).await {
            self.known(|known| known.triggered += 1);
        }
        // Two in one second would be of the same workflow id.
        self.caller.world.nap(1100, 1100).await;
    }

    async fn pause(&mut self) {
        let world = self.caller.world.clone();
        let asked = world.now();
        // Until it is known that it goes on, and for ever if that is not to be known.
        self.known(|known| known.unsure.push((asked, Timestamp::MAX)));
        self.patch(SchedulePatch {
            pause: "to rest".to_owned(),
            ..SchedulePatch::default()
        })
        .await;
        world.nap(0, 5000).await;
        let goes_on = self
            .patch(SchedulePatch {
                unpause: "to go on".to_owned(),
                ..SchedulePatch::default()
            })
            .await;
        if goes_on {
            let now = world.now();
            self.known(|known| known.unsure.last_mut().unwrap().1 = now);
        }
    }

    async fn list(&self) {
        let request = ListSchedulesRequest {
            namespace: namespace(),
            maximum_page_size: 10,
            ..ListSchedulesRequest::default()
        };
        let listed: Result<ListSchedulesResponse, _> = self.caller.call("ListSchedules", request).await;
        let Ok(listed) = listed else { return };
        let known = self.caller.world.ledger.borrow().schedules[&self.id].clone();
        if !known.doomed && !listed.schedules.iter().any(|entry| entry.schedule_id == self.id) {
            self.caller
                .world
                .violated(format!("schedule {} was acknowledged and is not listed", self.id));
        }
    }

    async fn delete(&mut self) {
        // Later than anything that the network may still hold back.
        self.caller.world.nap(5000, 5000).await;
        self.known(|known| known.doomed = true);
        let request = DeleteScheduleRequest {
            namespace: namespace(),
            schedule_id: self.id.clone(),
            ..DeleteScheduleRequest::default()
        };
        // That it is not there means that an earlier try was heard.
        let answer = self
            .caller
            .insist::<DeleteScheduleResponse>("DeleteSchedule", request)
            .await;
        if answer.is_ok() || answer.is_err_and(|status| status.code() == Code::NotFound) {
            let now = self.caller.world.now();
            self.known(|known| known.deleted = Some(known.deleted.unwrap_or(now)));
        }
    }
}

async fn describe(caller: &Caller, id: &str) -> Result<ScheduleInfo, Status> {
    let request = DescribeScheduleRequest {
        namespace: namespace(),
        schedule_id: id.to_owned(),
    };
    let described: DescribeScheduleResponse = caller.insist("DescribeSchedule", request).await?;
    Ok(described.info.unwrap_or_default())
}

/// Whether no schedule has anything left to do.
pub(crate) async fn are_over(caller: &Caller) -> bool {
    let known = caller.world.ledger.borrow().schedules.clone();
    for (id, known) in known {
        let Ok(info) = describe(caller, &id).await else {
            continue;
        };
        let is_over = caller.world.now() > known.end && info.buffer_size == 0 && info.running_workflows.is_empty();
        if !is_over {
            return false;
        }
    }
    true
}

/// No action is lost or done twice, too early, or beside another one that excludes it.
pub(crate) async fn judge(caller: &Caller, records: &Records) -> Verdict {
    let known = caller.world.ledger.borrow().schedules.clone();
    for (id, known) in known {
        let actions = actions(records, &id)?;
        known
            .check_times(&actions)
            .map_err(|wrong| format!("schedule {id}: {wrong}"))?;
        match describe(caller, &id).await {
            Ok(info) if known.deleted.is_none() => known.check_counts(&info, &actions),
            Ok(_) => Err("it was deleted, and can be described".to_owned()),
            Err(status) if status.code() == Code::NotFound && known.doomed => Ok(()),
            Err(status) => Err(format!("it was acknowledged, and is answered {status}")),
        }
        .map_err(|wrong| format!("schedule {id}: {wrong}"))?;
    }
    Ok(())
}

/// A chain of runs that a schedule started.
#[derive(Debug)]
struct Action {
    /// The time in its workflow id.
    nominal: Timestamp,
    began: Timestamp,
    ended: Timestamp,
}

/// What a schedule started, in the order in which that began.
fn actions(records: &Records, id: &str) -> Result<Vec<Action>, String> {
    let prefix = format!("{id}-");
    let mut actions = Vec::new();
    for (run_id, record) in records {
        let Some(nominal) = record.workflow_id.strip_prefix(&prefix) else {
            continue;
        };
        if record.info.first_run_id != *run_id {
            continue;
        }
        let nominal: prost_types::Timestamp = nominal
            .parse()
            .map_err(|_| format!("a schedule started {}", record.workflow_id))?;
        let chain = records.values().filter(|other| other.info.first_run_id == *run_id);
        actions.push(Action {
            nominal: nominal.into(),
            began: time(record.info.start_time.as_ref()),
            ended: chain.map(Record::closed_at).max().unwrap_or(Timestamp::MAX),
        });
    }
    actions.sort_by_key(|action| action.began);
    Ok(actions)
}

impl KnownSchedule {
    /// The times of the spec: all that there may be, each with whether it must be.
    fn times(&self) -> impl Iterator<Item = (Timestamp, bool)> {
        let interval = self.interval as i64;
        let first = self.created.0.as_nanos() / 1_000_000_000 / interval * interval;
        (0..)
            .map(move |n| Timestamp::from_seconds(first + n * interval))
            .skip_while(move |at| *at <= self.created.0)
            .take_while(move |at| *at <= self.end)
            .map(move |at| {
                let is_unsure = |(from, to): &(Timestamp, Timestamp)| *from <= at && at <= *to;
                let must = at > self.created.1 && at < self.end && !self.unsure.iter().any(is_unsure);
                (at, must && !self.doomed)
            })
    }

    fn check_times(&self, actions: &[Action]) -> Verdict {
        let times: BTreeMap<_, _> = self.times().collect();
        let mut seen = BTreeMap::new();
        for action in actions {
            ensure(action.began >= action.nominal, || {
                format!("it acted too early: {action:?}")
            })?;
            if let Some(deleted) = self.deleted {
                // A start under way is not called back.
                let latest = deleted + Duration::from_secs(30);
                ensure(action.began <= latest, || {
                    format!("it acted after its deletion at {deleted:?}: {action:?}")
                })?;
            }
            ensure(self.was_triggered || times.contains_key(&action.nominal), || {
                format!("it acted at a time that is not of its spec: {action:?}")
            })?;
            let before = seen.insert(action.nominal, action);
            ensure(before.is_none() || self.was_triggered, || {
                format!("it acted twice for one time: {action:?} and {before:?}")
            })?;
        }
        if matches!(self.overlap, Overlap::AllowAll | Overlap::BufferAll) && !self.was_triggered {
            let lost: Vec<_> = times
                .iter()
                .filter(|(at, must)| **must && !seen.contains_key(at))
                .collect();
            // Buffered actions are dropped while it is paused.
            let may_drop = self.overlap == Overlap::BufferAll && !self.unsure.is_empty();
            ensure(lost.is_empty() || may_drop, || {
                format!("it lost the actions of {lost:?}")
            })?;
        }
        if self.overlap != Overlap::AllowAll && !self.was_triggered {
            for pair in actions.windows(2) {
                ensure(pair[1].began >= pair[0].ended, || {
                    format!("two of its actions overlap: {pair:?}")
                })?;
            }
        }
        Ok(())
    }

    fn check_counts(&self, info: &ScheduleInfo, actions: &[Action]) -> Verdict {
        let begun = actions.len() as i64;
        ensure(info.action_count == begun, || {
            format!("it counts {} actions, and there are {begun}", info.action_count)
        })?;
        let (skipped, missed) = (info.overlap_skipped, info.missed_catchup_window);
        ensure(missed == 0 && info.buffer_dropped == 0, || {
            format!("it missed times: {info:?}")
        })?;
        let counted = begun + skipped;
        let (must, may) = (self.times().filter(|(_, must)| *must).count(), self.times().count());
        let (must, may) = (must as i64, may as i64 + self.triggered);
        ensure(counted <= may, || {
            format!(
                "it took up {counted} times, but had no more than {may} with its {} triggers",
                self.triggered
            )
        })?;
        // Those replaced before their turn, and those that wait when it is paused, are not counted.
        let counts_all = matches!(self.overlap, Overlap::Skip | Overlap::BufferOne | Overlap::AllowAll)
            && self.unsure.is_empty()
            && !self.was_triggered;
        ensure(counted >= must || !counts_all, || {
            format!("it took up {counted} of at least {must} times")
        })
    }
}
