//! The workflows of the loads, and their one activity, which does nothing.

use std::time::Duration;

use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use temporalio_sdk::workflows::join_all;
use temporalio_sdk::{
    ActivityOptions, ChildWorkflowOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
};

const ACTIVITY_TIMEOUT: Duration = Duration::from_secs(120);
/// Timers of a long workflow that run at once.
const TIMERS: u64 = 500;

pub(crate) struct Activities;

#[activities]
impl Activities {
    #[activity]
    pub(crate) async fn increment(_ctx: ActivityContext, number: u64) -> Result<u64, ActivityError> {
        Ok(number + 1)
    }
}

/// So many activities, one after the other.
#[workflow]
#[derive(Default)]
pub(crate) struct Sequential;

#[workflow_methods]
impl Sequential {
    #[run]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>, count: u64) -> WorkflowResult<u64> {
        let mut number = 0_u64;
        for _ in 0..count {
            let options = ActivityOptions::start_to_close_timeout(ACTIVITY_TIMEOUT);
            number = ctx.execute_activity(Activities::increment, number, options).await?;
        }
        Ok(number)
    }
}

/// So many activities at once.
#[workflow]
#[derive(Default)]
pub(crate) struct Parallel;

#[workflow_methods]
impl Parallel {
    #[run]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>, count: u64) -> WorkflowResult<u64> {
        let ctx = &*ctx;
        let results = join_all((0..count).map(|_| {
            let options = ActivityOptions::start_to_close_timeout(ACTIVITY_TIMEOUT);
            ctx.execute_activity(Activities::increment, 0_u64, options)
        }))
        .await;
        let mut sum = 0;
        for result in results {
            sum += result?;
        }
        Ok(sum)
    }
}

/// One timer of so many milliseconds.
#[workflow]
#[derive(Default)]
pub(crate) struct Timer;

#[workflow_methods]
impl Timer {
    #[run]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>, milliseconds: u64) -> WorkflowResult<u64> {
        ctx.timer(Duration::from_millis(milliseconds)).await;
        Ok(milliseconds)
    }
}

/// Counts what it is told by signals and updates, and never ends by itself.
#[workflow]
#[derive(Default)]
pub(crate) struct Counter {
    count: u64,
}

#[workflow_methods]
impl Counter {
    #[run]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>, until: u64) -> WorkflowResult<u64> {
        ctx.wait_condition(|counter| counter.count >= until).await?;
        Ok(until)
    }

    #[signal]
    pub(crate) fn increment(&mut self, _ctx: &mut SyncWorkflowContext<Self>, amount: u64) {
        self.count += amount;
    }

    #[query]
    pub(crate) fn count(&self, _ctx: &WorkflowContextView) -> u64 {
        self.count
    }

    #[update]
    pub(crate) fn add(&mut self, _ctx: &mut SyncWorkflowContext<Self>, amount: u64) -> u64 {
        self.count += amount;
        self.count
    }
}

/// So many children at once; each ends at once.
#[workflow]
#[derive(Default)]
pub(crate) struct Family;

#[workflow_methods]
impl Family {
    #[run]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>, children: u64) -> WorkflowResult<u64> {
        let parent = ctx.info().workflow_id().to_owned();
        let ctx = &*ctx;
        for result in join_all((0..children).map(|number| child(ctx, format!("{parent}-{number}")))).await {
            result?;
        }
        Ok(children)
    }
}

async fn child(ctx: &WorkflowContext<Family>, workflow_id: String) -> WorkflowResult<u64> {
    let options = ChildWorkflowOptions::workflow_id(workflow_id);
    let child = ctx.start_child_workflow(Counter::run, 0_u64, options).await?;
    Ok(child.result().await?)
}

/// Rounds of timers, each of which leaves two events, and then a wait for the signal to end.
#[workflow]
#[derive(Default)]
pub(crate) struct Long {
    rounds: u64,
    ends: bool,
}

impl Long {
    /// The rounds that make a history of about so many events.
    pub(crate) fn rounds_of(events: usize) -> u64 {
        events as u64 / (2 * TIMERS)
    }
}

#[workflow_methods]
impl Long {
    #[run]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>, rounds: u64) -> WorkflowResult<u64> {
        for _ in 0..rounds {
            let timers = &*ctx;
            join_all((0..TIMERS).map(|_| timers.timer(Duration::from_millis(1)))).await;
            ctx.state_mut(|long| long.rounds += 1);
        }
        ctx.wait_condition(|long| long.ends).await?;
        Ok(rounds)
    }

    #[signal]
    pub(crate) fn end(&mut self, _ctx: &mut SyncWorkflowContext<Self>, _input: ()) {
        self.ends = true;
    }

    #[query]
    pub(crate) fn rounds(&self, _ctx: &WorkflowContextView) -> u64 {
        self.rounds
    }
}
