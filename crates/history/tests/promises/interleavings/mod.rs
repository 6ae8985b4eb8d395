//! Anything may happen in any order: random stories, with every invariant checked after every step.

mod checks;
mod others;
mod steps;
mod world;

use std::collections::BTreeSet;

use helve_history::{Limits, Rejection};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use temporalio_protos::temporal::api::enums::v1::EventType;

use self::{
    steps::{Step, step},
    world::World,
};
use crate::scenario::*;

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
