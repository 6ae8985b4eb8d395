//! What schedules promise, decision by decision, without an engine.

use helve_schedule::{Closed, Duty, Execution, Input, ScheduleRejection, ScheduleState, Timestamp, create, decide};
use jiff::SignedDuration;
use temporalio_protos::temporal::api::{
    common::v1::{Payload, Payloads, WorkflowType},
    enums::v1::{ScheduleOverlapPolicy as Policy, WorkflowExecutionStatus as Status, WorkflowIdReusePolicy},
    failure::v1::Failure,
    schedule::v1::{
        BackfillRequest, IntervalSpec, Schedule, ScheduleAction, SchedulePatch, SchedulePolicies, ScheduleSpec,
        ScheduleState as Switches, TriggerImmediatelyRequest, schedule_action,
    },
    workflow::v1::NewWorkflowExecutionInfo,
};

/// A minute after which the first time of `every(60)` comes.
const START: &str = "2024-01-01T00:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn proto(time: Timestamp) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp {
        seconds: time.as_second(),
        nanos: 0,
    })
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

/// Every so many seconds.
fn every(period: i64, policy: Policy) -> Schedule {
    let workflow = NewWorkflowExecutionInfo {
        workflow_id: "wf".to_owned(),
        workflow_type: Some(WorkflowType {
            name: "Nightly".to_owned(),
        }),
        ..Default::default()
    };
    Schedule {
        spec: Some(ScheduleSpec {
            interval: vec![IntervalSpec {
                interval: seconds(period),
                phase: None,
            }],
            ..Default::default()
        }),
        action: Some(ScheduleAction {
            action: Some(schedule_action::Action::StartWorkflow(workflow)),
        }),
        policies: Some(SchedulePolicies {
            overlap_policy: policy.into(),
            ..Default::default()
        }),
        state: None,
    }
}

fn paused(text: &str) -> SchedulePatch {
    SchedulePatch {
        pause: text.to_owned(),
        ..Default::default()
    }
}

fn unpaused(text: &str) -> SchedulePatch {
    SchedulePatch {
        unpause: text.to_owned(),
        ..Default::default()
    }
}

fn trigger(policy: Policy) -> SchedulePatch {
    SchedulePatch {
        trigger_immediately: Some(TriggerImmediatelyRequest {
            overlap_policy: policy.into(),
            scheduled_time: None,
        }),
        ..Default::default()
    }
}

/// A schedule and a world that does at once what it is asked to.
struct World {
    state: ScheduleState,
    now: Timestamp,
    /// Workflow ids in the order of their starts.
    started: Vec<String>,
    running: Vec<Execution>,
    told: Vec<Duty>,
}

impl World {
    fn new(schedule: Schedule) -> Self {
        Self::patched(schedule, None)
    }

    fn patched(schedule: Schedule, patch: Option<SchedulePatch>) -> Self {
        let mut world = World {
            state: create(schedule, patch, "seed", at(START)).unwrap(),
            now: at(START),
            started: Vec::new(),
            running: Vec::new(),
            told: Vec::new(),
        };
        world.work();
        world
    }

    fn give(&mut self, input: Input) {
        self.state = decide(&self.state, input, self.now).unwrap();
    }

    /// Does what is owed. Every second time the state has been on disk in between.
    fn work(&mut self) {
        loop {
            self.state = ScheduleState::decode(&self.state.definition(), &self.state.progress()).unwrap();
            let duty = self
                .state
                .duties()
                .into_iter()
                .find(|duty| !matches!(duty, Duty::Watch(_)));
            match duty {
                None => return,
                Some(Duty::Start { request_id }) => {
                    let order = self.state.start_order(&request_id).unwrap();
                    let execution = Execution {
                        workflow_id: order.request.workflow_id,
                        run_id: format!("run-{}", self.started.len()),
                    };
                    self.started.push(execution.workflow_id.clone());
                    self.running.push(execution.clone());
                    self.give(Input::Started {
                        request_id,
                        run_id: execution.run_id,
                        at: self.now,
                    });
                }
                Some(duty @ (Duty::Cancel(_) | Duty::Terminate(_))) => {
                    let (Duty::Cancel(execution) | Duty::Terminate(execution)) = duty.clone() else {
                        unreachable!()
                    };
                    self.told.push(duty);
                    self.give(Input::Told(execution));
                }
                Some(Duty::Watch(_)) => unreachable!(),
            }
        }
    }

    /// Lets time pass, waking the schedule whenever it wants to be woken.
    fn pass(&mut self, seconds: i64) {
        let end = self.now + SignedDuration::from_secs(seconds);
        while let Some(wake) = self.state.wake_at().filter(|wake| *wake <= end) {
            self.now = self.now.max(wake);
            self.give(Input::Tick);
            self.work();
        }
        self.now = end;
    }

    fn patch(&mut self, patch: SchedulePatch) {
        self.patch_as(patch, "");
    }

    fn patch_as(&mut self, patch: SchedulePatch, request_id: &str) {
        self.give(Input::Patch {
            patch: Box::new(patch),
            request_id: request_id.to_owned(),
        });
        self.work();
    }

    fn update(&mut self, schedule: Schedule) {
        self.give(Input::Update {
            schedule: Box::new(schedule),
            conflict_token: None,
            request_id: String::new(),
        });
        self.work();
    }

    fn close(&mut self, status: Status, result: Option<&str>, failure: Option<&str>) {
        let execution = self.running.remove(0);
        self.give(Input::Closed(Box::new(Closed {
            execution,
            status,
            result: result.map(payloads),
            failure: failure.map(|message| Failure {
                message: message.to_owned(),
                ..Default::default()
            }),
        })));
        self.work();
    }

    fn complete(&mut self) {
        self.close(Status::Completed, None, None);
    }

    fn info(&self) -> temporalio_protos::temporal::api::schedule::v1::ScheduleInfo {
        self.state.info(self.now)
    }

    fn switches(&self) -> Switches {
        self.state.describe().state.unwrap()
    }
}

fn payloads(text: &str) -> Payloads {
    Payloads {
        payloads: vec![Payload {
            data: text.as_bytes().to_vec(),
            ..Default::default()
        }],
    }
}

fn ids(times: &[&str]) -> Vec<String> {
    times.iter().map(|time| format!("wf-2024-01-01T{time}Z")).collect()
}

#[test]
fn an_action_is_a_workflow_named_after_its_nominal_time() {
    let mut world = World::new(every(60, Policy::Skip));
    world.pass(59);
    assert!(world.started.is_empty());
    world.pass(1);
    assert_eq!(world.started, ids(&["00:01:00"]));
    world.complete();
    world.pass(60);
    assert_eq!(world.started, ids(&["00:01:00", "00:02:00"]));
    let info = world.info();
    assert_eq!(info.action_count, 2);
    assert_eq!(info.recent_actions.len(), 2);
    assert_eq!(info.recent_actions[0].start_workflow_status(), Status::Completed);
    assert_eq!(info.recent_actions[1].start_workflow_status(), Status::Running);
    assert_eq!(info.recent_actions[1].schedule_time, proto(at("2024-01-01T00:02:00Z")));
    assert_eq!(info.running_workflows.len(), 1);
    assert_eq!(info.future_action_times.len(), 10);
    assert_eq!(info.future_action_times[0], proto(at("2024-01-01T00:03:00Z")).unwrap());
}

#[test]
fn only_the_last_ten_actions_are_remembered() {
    let mut world = World::new(every(60, Policy::AllowAll));
    world.pass(60 * 12);
    let info = world.info();
    assert_eq!((info.action_count, info.recent_actions.len()), (12, 10));
    assert_eq!(world.state.list_info(world.now).recent_actions.len(), 5);
}

#[test]
fn a_skipped_action_is_counted_and_forgotten() {
    let mut world = World::new(every(60, Policy::Skip));
    world.pass(180);
    assert_eq!(world.started, ids(&["00:01:00"]));
    assert_eq!(world.info().overlap_skipped, 2);
    world.complete();
    assert_eq!(world.started.len(), 1, "what was skipped does not come later");
}

#[test]
fn one_action_waits_when_one_may() {
    let mut world = World::new(every(60, Policy::BufferOne));
    world.pass(240);
    let info = world.info();
    assert_eq!((world.started.len(), info.buffer_size, info.overlap_skipped), (1, 1, 2));
    world.complete();
    assert_eq!(world.started, ids(&["00:01:00", "00:02:00"]));
}

#[test]
fn all_actions_wait_when_all_may_and_start_one_after_another() {
    let mut world = World::new(every(60, Policy::BufferAll));
    world.pass(240);
    assert_eq!((world.started.len(), world.info().buffer_size), (1, 3));
    for count in 2..=4 {
        world.complete();
        assert_eq!(world.started.len(), count);
    }
    assert_eq!(world.started, ids(&["00:01:00", "00:02:00", "00:03:00", "00:04:00"]));
}

#[test]
fn a_full_buffer_drops_and_counts() {
    let mut world = World::new(every(1, Policy::BufferAll));
    world.pass(1_100);
    let info = world.info();
    assert_eq!((info.buffer_size, info.buffer_dropped), (1000, 99));
}

#[test]
fn all_actions_run_side_by_side_when_all_are_allowed() {
    let mut world = World::new(every(60, Policy::AllowAll));
    world.pass(180);
    assert_eq!(world.started.len(), 3);
    assert!(world.info().running_workflows.is_empty(), "they hold nobody up");
    world.complete();
    assert_eq!(
        world.info().recent_actions[0].start_workflow_status(),
        Status::Completed
    );
}

#[test]
fn another_one_is_cancelled_once_and_followed_when_it_has_ended() {
    let mut world = World::new(every(60, Policy::CancelOther));
    world.pass(120);
    let first = world.running[0].clone();
    assert_eq!(world.told, [Duty::Cancel(first.clone())]);
    assert_eq!(world.started.len(), 1);
    world.pass(60);
    assert_eq!(world.told.len(), 1);
    world.close(Status::Canceled, None, None);
    assert_eq!(
        world.started,
        ids(&["00:01:00", "00:03:00"]),
        "the last one replaces those before"
    );
}

#[test]
fn another_one_is_terminated_even_if_it_was_asked_to_cancel_before() {
    let mut world = World::new(every(60, Policy::CancelOther));
    world.pass(120);
    world.patch(trigger(Policy::TerminateOther));
    let first = world.running[0].clone();
    assert_eq!(world.told, [Duty::Cancel(first.clone()), Duty::Terminate(first)]);
    world.close(Status::Terminated, None, None);
    assert_eq!(world.started.len(), 2);
}

#[test]
fn times_missed_within_the_catch_up_window_are_made_up_for_and_others_counted() {
    let mut schedule = every(60, Policy::AllowAll);
    schedule.policies.as_mut().unwrap().catchup_window = seconds(150);
    let mut world = World::new(schedule);
    // The engine was away.
    world.now += SignedDuration::from_secs(601);
    world.give(Input::Tick);
    world.work();
    assert_eq!(world.started, ids(&["00:08:00", "00:09:00", "00:10:00"]));
    assert_eq!(world.info().missed_catchup_window, 7);
    world.give(Input::Tick);
    assert_eq!(world.info().missed_catchup_window, 7, "each is counted once");
}

#[test]
fn a_long_absence_is_caught_up_with_in_bounded_steps() {
    let mut schedule = every(1, Policy::Skip);
    schedule.policies.as_mut().unwrap().catchup_window = seconds(10);
    let mut world = World::new(schedule);
    world.now += SignedDuration::from_secs(35_000);
    world.give(Input::Tick);
    assert_eq!(world.info().missed_catchup_window, 10_000);
    assert!(world.state.wake_at().is_some_and(|wake| wake <= world.now));
    world.pass(0);
    let info = world.info();
    assert_eq!(
        info.missed_catchup_window + info.overlap_skipped + info.action_count,
        35_000
    );
}

#[test]
fn the_catch_up_window_is_a_year_unless_given_and_ten_seconds_at_least() {
    let window = |given| {
        let mut schedule = every(60, Policy::Unspecified);
        schedule.policies.as_mut().unwrap().catchup_window = given;
        World::new(schedule).state.describe().policies.unwrap()
    };
    assert_eq!(window(None).catchup_window, seconds(365 * 24 * 3600));
    assert_eq!(window(seconds(1)).catchup_window, seconds(10));
    assert_eq!(window(None).overlap_policy(), Policy::Skip);
}

#[test]
fn a_paused_schedule_does_nothing_and_makes_up_for_nothing() {
    let mut world = World::new(every(60, Policy::AllowAll));
    world.patch(paused("holiday"));
    assert_eq!(world.state.wake_at(), None);
    world.pass(600);
    let switches = world.switches();
    assert_eq!((switches.paused, switches.notes.as_str()), (true, "holiday"));
    // It still says when it would act.
    assert_eq!(
        world.info().future_action_times[0],
        proto(at("2024-01-01T00:11:00Z")).unwrap()
    );
    world.patch(unpaused("back"));
    world.pass(60);
    assert_eq!(world.started, ids(&["00:11:00"]));
    assert_eq!(world.info().missed_catchup_window, 0);
}

#[test]
fn a_trigger_acts_at_once_even_if_paused() {
    let mut world = World::patched(every(60, Policy::Skip), Some(trigger(Policy::Unspecified)));
    assert_eq!(world.started, ids(&["00:00:00"]));
    world.complete();
    world.patch(paused("p"));
    world.pass(7);
    world.patch(trigger(Policy::Unspecified));
    assert_eq!(world.started, ids(&["00:00:00", "00:00:07"]));
    world.patch(trigger(Policy::Unspecified));
    assert_eq!(world.info().overlap_skipped, 1);
}

#[test]
fn limited_actions_are_counted_down_to_rest() {
    let mut schedule = every(60, Policy::AllowAll);
    schedule.state = Some(Switches {
        limited_actions: true,
        remaining_actions: 2,
        ..Default::default()
    });
    let mut world = World::new(schedule);
    assert_eq!(world.info().future_action_times.len(), 2);
    world.pass(600);
    assert_eq!(world.started.len(), 2);
    assert_eq!(world.switches().remaining_actions, 0);
    assert!(world.info().future_action_times.is_empty());
    world.patch(trigger(Policy::Unspecified));
    assert_eq!(world.started.len(), 3, "what somebody asks for is not limited");
}

#[test]
fn a_backfill_takes_both_ends_and_its_own_policy() {
    let mut world = World::new(every(60, Policy::Skip));
    world.patch(SchedulePatch {
        backfill_request: vec![BackfillRequest {
            start_time: proto(at("2023-12-31T23:00:00Z")),
            end_time: proto(at("2023-12-31T23:25:00Z")),
            overlap_policy: Policy::AllowAll.into(),
        }],
        ..Default::default()
    });
    assert_eq!(world.started.len(), 10, "ten at once");
    world.pass(10);
    assert_eq!(world.started.len(), 26);
    assert_eq!(world.started[0], "wf-2023-12-31T23:00:00Z");
    assert_eq!(world.started[25], "wf-2023-12-31T23:25:00Z");
    let waiting = world.state.wake_at();
    assert_eq!(waiting, Some(at("2024-01-01T00:01:00Z")), "and it is over");
}

#[test]
fn a_backfill_that_waits_leaves_room_in_the_buffer() {
    let mut world = World::new(every(3600, Policy::Skip));
    world.patch(SchedulePatch {
        backfill_request: vec![BackfillRequest {
            start_time: proto(at("2000-01-01T00:00:00Z")),
            end_time: proto(at("2010-01-01T00:00:00Z")),
            overlap_policy: Policy::BufferAll.into(),
        }],
        ..Default::default()
    });
    world.pass(600);
    assert!(
        (500..=510).contains(&world.info().buffer_size),
        "{}",
        world.info().buffer_size
    );
    assert_eq!(
        world.state.wake_at(),
        Some(at("2024-01-01T01:00:00Z")),
        "it waits for an end"
    );
    world.complete();
    assert_eq!(world.started[1], "wf-2000-01-01T01:00:00Z");
}

#[test]
fn a_failure_pauses_if_it_should_and_says_why() {
    let mut schedule = every(60, Policy::Skip);
    schedule.policies.as_mut().unwrap().pause_on_failure = true;
    let mut world = World::new(schedule);
    world.pass(60);
    world.close(Status::Failed, None, Some("out of luck"));
    let switches = world.switches();
    assert!(switches.paused);
    assert_eq!(
        switches.notes,
        "paused due to workflow failure: wf-2024-01-01T00:01:00Z: out of luck"
    );
    world.patch(unpaused("go"));
    world.pass(60);
    world.close(Status::TimedOut, None, None);
    assert!(
        world
            .switches()
            .notes
            .starts_with("paused due to workflow timeout: wf-")
    );
    world.patch(unpaused("go"));
    world.pass(60);
    world.close(Status::Terminated, None, None);
    assert!(!world.switches().paused, "a termination is no failure");
}

#[test]
fn a_run_is_handed_the_last_result_and_the_failure_since() {
    let mut world = World::new(every(60, Policy::Skip));
    world.pass(60);
    world.close(Status::Completed, Some("one"), None);
    let handed = |world: &mut World| {
        world.now = world.state.wake_at().unwrap();
        world.give(Input::Tick);
        let Duty::Start { request_id } = &world.state.duties()[0] else {
            panic!()
        };
        let order = world.state.start_order(request_id).unwrap();
        world.work();
        (
            order.request.last_completion_result,
            order.request.continued_failure.map(|f| f.message),
        )
    };
    assert_eq!(handed(&mut world), (Some(payloads("one")), None));
    world.close(Status::Failed, None, Some("bad"));
    assert_eq!(handed(&mut world), (Some(payloads("one")), Some("bad".to_owned())));
    world.close(Status::Completed, Some("two"), None);
    assert_eq!(handed(&mut world), (Some(payloads("two")), None));
}

#[test]
fn a_time_of_the_spec_may_be_acted_on_once_but_a_trigger_again() {
    let mut world = World::new(every(60, Policy::AllowAll));
    let policy = |world: &World| {
        let Duty::Start { request_id } = &world.state.duties()[0] else {
            panic!()
        };
        world
            .state
            .start_order(request_id)
            .unwrap()
            .request
            .workflow_id_reuse_policy()
    };
    world.give(Input::Patch {
        patch: Box::new(trigger(Policy::Unspecified)),
        request_id: String::new(),
    });
    assert_eq!(policy(&world), WorkflowIdReusePolicy::AllowDuplicate);
    world.work();
    world.now = at("2024-01-01T00:01:00Z");
    world.give(Input::Tick);
    assert_eq!(policy(&world), WorkflowIdReusePolicy::RejectDuplicate);
}

#[test]
fn a_start_that_cannot_happen_makes_room_for_the_next() {
    let mut world = World::new(every(60, Policy::BufferAll));
    world.now = at("2024-01-01T00:02:00Z");
    world.give(Input::Tick);
    let duties = world.state.duties();
    let [Duty::Start { request_id }] = &duties[..] else {
        panic!("{duties:?}")
    };
    world.give(Input::NotStarted {
        request_id: request_id.clone(),
    });
    world.work();
    assert_eq!(world.started, ids(&["00:02:00"]));
    assert_eq!(world.info().action_count, 1);
}

#[test]
fn an_update_counts_from_now_and_keeps_what_happened() {
    let mut world = World::new(every(60, Policy::AllowAll));
    world.pass(90);
    world.update(every(20, Policy::AllowAll));
    world.pass(10);
    assert_eq!(
        world.started,
        ids(&["00:01:00", "00:01:40"]),
        "00:01:20 was before the update"
    );
    let info = world.info();
    assert_eq!(info.action_count, 2);
    assert_eq!(info.update_time, proto(at("2024-01-01T00:01:30Z")));
}

#[test]
fn an_update_of_a_schedule_that_changed_meanwhile_is_refused() {
    let mut world = World::new(every(60, Policy::Skip));
    let token = world.state.conflict_token();
    world.patch(paused("p"));
    let update = |token| Input::Update {
        schedule: Box::new(every(5, Policy::Skip)),
        conflict_token: token,
        request_id: String::new(),
    };
    assert_eq!(
        decide(&world.state, update(Some(token)), world.now).unwrap_err(),
        ScheduleRejection::Conflict
    );
    let token = world.state.conflict_token();
    assert!(decide(&world.state, update(Some(token)), world.now).is_ok());
    assert!(decide(&world.state, update(None), world.now).is_ok());
}

#[test]
fn a_request_that_is_sent_again_is_heard_once() {
    let mut world = World::new(every(3600, Policy::AllowAll));
    world.patch_as(trigger(Policy::AllowAll), "one");
    world.patch_as(paused("p"), "two");
    world.patch_as(trigger(Policy::AllowAll), "one");
    assert_eq!(world.info().action_count, 1);
    world.patch(SchedulePatch {
        unpause: "go on".to_owned(),
        ..SchedulePatch::default()
    });
    // The network kept it back until now.
    world.patch_as(paused("p"), "two");
    assert!(!world.state.is_paused());
    let stored = ScheduleState::decode(&world.state.definition(), &world.state.progress()).unwrap();
    assert!(!decide(&stored, pause_again(), world.now).unwrap().is_paused());
}

fn pause_again() -> Input {
    Input::Patch {
        patch: Box::new(paused("p")),
        request_id: "two".to_owned(),
    }
}

#[test]
fn a_schedule_without_a_future_is_kept_for_a_week() {
    let mut schedule = every(60, Policy::AllowAll);
    schedule.spec.as_mut().unwrap().end_time = proto(at("2024-01-01T00:02:30Z"));
    let mut world = World::new(schedule);
    world.pass(200);
    assert_eq!(world.started.len(), 2);
    let week = at("2024-01-08T00:02:00Z");
    assert_eq!(world.state.wake_at(), Some(week));
    assert!(!world.state.is_over(world.now) && world.state.is_over(week));
    world.patch(paused("keep"));
    assert_eq!(world.state.wake_at(), None);
}

#[test]
fn news_that_comes_twice_changes_nothing() {
    let mut world = World::new(every(60, Policy::Skip));
    world.pass(60);
    let before = world.state.progress();
    world.give(Input::Started {
        request_id: "seed-1".to_owned(),
        run_id: "again".to_owned(),
        at: world.now,
    });
    world.give(Input::NotStarted {
        request_id: "seed-1".to_owned(),
    });
    world.give(Input::Closed(Box::new(Closed {
        execution: Execution {
            workflow_id: "wf".to_owned(),
            run_id: "other".to_owned(),
        },
        status: Status::Failed,
        result: None,
        failure: None,
    })));
    assert_eq!(world.state.progress(), before);
}
