//! The workflows and activities of all tests.

use std::time::Duration;

use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::{
    ActivityExecutionError, ActivityOptions, ChildWorkflowOptions, ContinueAsNewOptions, LocalActivityOptions,
    SignalWorkflowOptions, SyncWorkflowContext, WorkflowCancellationToken, WorkflowContext, WorkflowContextView,
    WorkflowResult,
    activities::{ActivityContext, ActivityError},
};

const SOON: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) struct Activities;

#[activities]
impl Activities {
    /// Fails at its first attempt.
    #[activity]
    pub(crate) async fn greet(ctx: ActivityContext, name: String) -> Result<String, ActivityError> {
        match ctx.info().attempt {
            1 => Err(ActivityError::from(std::io::Error::other("the first attempt fails"))),
            attempt => Ok(format!("hello {name}, attempt {attempt}")),
        }
    }

    /// Goes on until it is told to stop.
    #[activity]
    pub(crate) async fn stall(ctx: ActivityContext, _input: ()) -> Result<(), ActivityError> {
        while !ctx.is_cancelled() {
            ctx.record_heartbeat(()).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(ActivityError::cancelled())
    }
}

#[workflow]
#[derive(Default)]
pub(crate) struct Greeting;

#[workflow_methods]
impl Greeting {
    #[run]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>, name: String) -> WorkflowResult<String> {
        Ok(ctx
            .execute_activity(Activities::greet, name, ActivityOptions::start_to_close_timeout(SOON))
            .await?)
    }
}

#[workflow]
#[derive(Default)]
pub(crate) struct Steps;

#[workflow_methods]
impl Steps {
    #[run]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Vec<String>> {
        ctx.timer(Duration::from_millis(10)).await;
        let mut log = vec!["slept".to_owned()];
        let winner = temporalio_sdk::workflows::select! {
            _ = ctx.timer(Duration::from_millis(10)) => "the short timer won",
            _ = ctx.timer(DAY) => "the long timer won",
        };
        log.push(winner.to_owned());
        let options = LocalActivityOptions::builder().start_to_close_timeout(SOON).build();
        log.push(
            ctx.execute_local_activity(Activities::greet, "local".to_owned(), options)
                .await?,
        );
        log.push(
            if ctx.patched("a-change") {
                "patched"
            } else {
                "unpatched"
            }
            .to_owned(),
        );
        Ok(log)
    }
}

#[workflow]
#[derive(Default)]
pub(crate) struct Counter {
    count: i32,
}

#[workflow_methods]
impl Counter {
    #[run]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>, until: i32) -> WorkflowResult<i32> {
        ctx.wait_condition(|counter| counter.count >= until).await?;
        Ok(ctx.state(|counter| counter.count))
    }

    #[signal]
    pub(crate) fn increment(&mut self, _ctx: &mut SyncWorkflowContext<Self>, amount: i32) {
        self.count += amount;
    }

    #[query]
    pub(crate) fn count(&self, _ctx: &WorkflowContextView) -> i32 {
        self.count
    }

    #[update_validator(add)]
    fn check(&self, _ctx: &WorkflowContextView, amount: &i32) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if *amount > 0 {
            Ok(())
        } else {
            Err("nothing to add".into())
        }
    }

    #[update]
    pub(crate) fn add(&mut self, _ctx: &mut SyncWorkflowContext<Self>, amount: i32) -> i32 {
        self.count += amount;
        self.count
    }
}

#[workflow]
#[derive(Default)]
pub(crate) struct Family;

#[workflow_methods]
impl Family {
    #[run]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>, numbers: Vec<i32>) -> WorkflowResult<Vec<i32>> {
        let mut counted = Vec::new();
        for number in numbers {
            let options = ChildWorkflowOptions::workflow_id(format!("family-{number}"));
            let child = ctx.start_child_workflow(Counter::run, number, options).await?;
            child
                .signal(Counter::increment, number, SignalWorkflowOptions::default())
                .await?;
            counted.push(child.result().await?);
        }
        Ok(counted)
    }
}

#[workflow]
#[derive(Default)]
pub(crate) struct Countdown;

#[workflow_methods]
impl Countdown {
    #[run]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>, left: u32) -> WorkflowResult<u32> {
        if left > 0 {
            ctx.continue_as_new(left - 1, ContinueAsNewOptions::default())?;
        }
        Ok(left)
    }
}

#[workflow]
#[derive(Default)]
pub(crate) struct Patient;

#[workflow_methods]
impl Patient {
    #[run]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>, _input: ()) -> WorkflowResult<String> {
        let options = ActivityOptions::with_start_to_close_timeout(DAY)
            .heartbeat_timeout(SOON)
            .build();
        match ctx.execute_activity(Activities::stall, (), options).await {
            Err(ActivityExecutionError::Cancelled(_)) => {}
            other => return Ok(format!("not cancelled: {other:?}")),
        }
        let why = ctx.cancellation_token().reason().unwrap_or_default();
        // What cleans up must not be cancelled as well.
        let options = ActivityOptions::with_start_to_close_timeout(SOON)
            .cancellation_token(WorkflowCancellationToken::new())
            .build();
        let cleaned = ctx
            .execute_activity(Activities::greet, "cleaner".to_owned(), options)
            .await?;
        Ok(format!("cancelled since {why}; {cleaned}"))
    }
}

#[workflow]
#[derive(Default)]
pub(crate) struct Resting;

#[workflow_methods]
impl Resting {
    #[run]
    pub(crate) async fn run(ctx: &mut WorkflowContext<Self>, _input: ()) -> WorkflowResult<()> {
        ctx.timer(DAY).await;
        Ok(())
    }
}
