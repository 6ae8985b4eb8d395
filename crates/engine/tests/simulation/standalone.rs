//! Standalone activities: their callers, and what must be true of them.

use std::{collections::BTreeMap, rc::Rc};

use helve_engine::Timestamp;
use temporalio_protos::temporal::api::{
    activity::v1::{ActivityExecutionListInfo, ActivityExecutionOutcome, activity_execution_outcome::Value},
    common::v1::{ActivityType, RetryPolicy},
    enums::v1::{ActivityExecutionStatus, ActivityIdConflictPolicy},
    workflowservice::v1::*,
};
use tonic::Status;

use crate::{
    network::Caller,
    oracle::{Verdict, ensure},
    program::Activity,
    proto::{QUEUE, namespace, queue, seconds, text},
    rng::Rng,
    world::World,
};

/// What is known of standalone activities, by run id.
pub(crate) type KnownActivities = BTreeMap<String, KnownActivity>;

#[derive(Debug, Default)]
pub(crate) struct KnownActivity {
    /// The id, if its start was acknowledged.
    id: Option<String>,
    terminated: bool,
    /// How it ended, and since when somebody knows.
    outcome: Option<(ActivityExecutionOutcome, Timestamp)>,
}

/// One who cares about one activity id.
pub(crate) struct ActivityClient {
    caller: Caller,
    rng: Rng,
    id: String,
    run_id: String,
    sent: u32,
}

impl ActivityClient {
    pub(crate) fn new(world: &Rc<World>, number: u64) -> Self {
        ActivityClient {
            caller: Caller::new(world, format!("client a{number}")),
            rng: world.rng().fork(),
            id: format!("a{number}"),
            run_id: String::new(),
            sent: 0,
        }
    }

    pub(crate) async fn live(mut self) {
        let world = self.caller.world.clone();
        world.nap(0, 5000).await;
        self.start().await;
        while !world.is_calm() {
            world.nap(0, 8000).await;
            match self.rng.below(16) {
                0..=4 => self.start().await,
                5..=7 => self.wait_for_outcome(),
                8 => self.describe().await,
                9 => drop(list(&self.caller, "").await),
                10 => self.cancel().await,
                11 if self.rng.percent(50) => self.terminate().await,
                12 if world.plan.features.operations => self.pause().await,
                13 if world.plan.features.operations => self.unpause().await,
                14 if world.plan.features.operations => self.reset().await,
                15 if world.plan.features.deletions && self.rng.percent(50) => self.delete().await,
                _ => {}
            }
        }
    }

    fn request_id(&mut self) -> String {
        self.sent += 1;
        format!("{} request {}", self.id, self.sent)
    }

    async fn start(&mut self) {
        let activity = Activity::draw(&mut self.rng);
        let request_id = self.request_id();
        let request = StartActivityExecutionRequest {
            namespace: namespace(),
            activity_id: self.id.clone(),
            activity_type: Some(ActivityType {
                name: "modelled".to_owned(),
            }),
            task_queue: queue(QUEUE),
            input: activity.to_input(),
            request_id: request_id.clone(),
            start_to_close_timeout: seconds(activity.start_to_close),
            heartbeat_timeout: if activity.heartbeats { seconds(3) } else { None },
            retry_policy: Some(RetryPolicy {
                initial_interval: seconds(1),
                backoff_coefficient: 1.5,
                maximum_attempts: activity.maximum_attempts,
                ..RetryPolicy::default()
            }),
            id_conflict_policy: match self.rng.percent(50) {
                true => ActivityIdConflictPolicy::UseExisting,
                false => ActivityIdConflictPolicy::Fail,
            } as i32,
            ..StartActivityExecutionRequest::default()
        };
        let answer = self
            .caller
            .insist::<StartActivityExecutionResponse>("StartActivityExecution", request);
        let Ok(answer) = answer.await else { return };
        if answer.started {
            let world = &self.caller.world;
            world.acknowledge_only_start(&request_id, &answer.run_id);
            let known = &mut world.ledger.borrow_mut().activities;
            known.entry(answer.run_id.clone()).or_default().id = Some(self.id.clone());
        }
        self.run_id = answer.run_id;
    }

    async fn describe(&self) {
        let request = DescribeActivityExecutionRequest {
            namespace: namespace(),
            activity_id: self.id.clone(),
            include_outcome: true,
            ..DescribeActivityExecutionRequest::default()
        };
        let answer = self
            .caller
            .call::<DescribeActivityExecutionResponse>("DescribeActivityExecution", request);
        if let Ok(answer) = answer.await {
            learn_outcome(&self.caller.world, &answer.run_id, answer.outcome);
        }
    }

    fn wait_for_outcome(&self) {
        let (caller, id, run_id) = (self.caller.clone(), self.id.clone(), self.run_id.clone());
        self.caller
            .world
            .spawn_asker(async move { while let Ok(false) = poll(&caller, &id, &run_id).await {} });
    }

    async fn cancel(&mut self) {
        let request = RequestCancelActivityExecutionRequest {
            namespace: namespace(),
            activity_id: self.id.clone(),
            run_id: self.run_id.clone(),
            request_id: self.request_id(),
            ..RequestCancelActivityExecutionRequest::default()
        };
        let _ = self
            .caller
            .insist::<RequestCancelActivityExecutionResponse>("RequestCancelActivityExecution", request)
            .await;
    }

    async fn terminate(&mut self) {
        let run_id = self.run_id.clone();
        let request = TerminateActivityExecutionRequest {
            namespace: namespace(),
            activity_id: self.id.clone(),
            run_id: run_id.clone(),
            request_id: self.request_id(),
            ..TerminateActivityExecutionRequest::default()
        };
        let answer = self
            .caller
            .insist::<TerminateActivityExecutionResponse>("TerminateActivityExecution", request)
            .await;
        if answer.is_ok() && !run_id.is_empty() {
            let known = &mut self.caller.world.ledger.borrow_mut().activities;
            known.entry(run_id).or_default().terminated = true;
        }
    }

    async fn pause(&mut self) {
        let run_id = self.run_id.clone();
        let request = PauseActivityExecutionRequest {
            namespace: namespace(),
            activity_id: self.id.clone(),
            run_id: run_id.clone(),
            request_id: self.request_id(),
            ..PauseActivityExecutionRequest::default()
        };
        let answer = self
            .caller
            .insist::<PauseActivityExecutionResponse>("PauseActivityExecution", request)
            .await;
        if answer.is_ok() && !run_id.is_empty() {
            self.caller.world.acknowledge_pause(run_id, self.id.clone());
        }
    }

    async fn unpause(&mut self) {
        self.caller.world.about_to_wake(&self.run_id);
        let _ = unpause(&self.caller, &self.id, &self.run_id).await;
    }

    async fn reset(&mut self) {
        self.caller.world.about_to_wake(&self.run_id);
        let request = ResetActivityExecutionRequest {
            namespace: namespace(),
            activity_id: self.id.clone(),
            run_id: self.run_id.clone(),
            keep_paused: self.rng.percent(50),
            reset_heartbeat: self.rng.percent(50),
            ..ResetActivityExecutionRequest::default()
        };
        let _ = self
            .caller
            .insist::<ResetActivityExecutionResponse>("ResetActivityExecution", request)
            .await;
    }

    async fn delete(&mut self) {
        let run_id = self.run_id.clone();
        if run_id.is_empty() {
            return;
        }
        self.caller.world.about_to_delete(&self.id, &run_id);
        let request = DeleteActivityExecutionRequest {
            namespace: namespace(),
            activity_id: self.id.clone(),
            run_id: run_id.clone(),
        };
        let answer = self
            .caller
            .insist::<DeleteActivityExecutionResponse>("DeleteActivityExecution", request)
            .await;
        if answer.is_ok() {
            let deleted = &mut self.caller.world.ledger.borrow_mut().deleted_activities;
            deleted.insert(run_id);
        }
    }
}

async fn unpause(caller: &Caller, id: &str, run_id: &str) -> Result<UnpauseActivityExecutionResponse, Status> {
    let request = UnpauseActivityExecutionRequest {
        namespace: namespace(),
        activity_id: id.to_owned(),
        run_id: run_id.to_owned(),
        ..UnpauseActivityExecutionRequest::default()
    };
    caller.insist("UnpauseActivityExecution", request).await
}

/// Waits for an outcome; whether there is one.
async fn poll(caller: &Caller, id: &str, run_id: &str) -> Result<bool, Status> {
    let request = PollActivityExecutionRequest {
        namespace: namespace(),
        activity_id: id.to_owned(),
        run_id: run_id.to_owned(),
    };
    let answer: PollActivityExecutionResponse = caller.insist("PollActivityExecution", request).await?;
    let is_over = answer.outcome.is_some();
    learn_outcome(&caller.world, &answer.run_id, answer.outcome);
    Ok(is_over)
}

/// Somebody is told how an activity ended. Whatever was said before must still be so.
fn learn_outcome(world: &World, run_id: &str, outcome: Option<ActivityExecutionOutcome>) {
    let Some(outcome) = outcome else { return };
    let now = world.now();
    let ledger = &mut *world.ledger.borrow_mut();
    let known = ledger.activities.entry(run_id.to_owned()).or_default();
    match &known.outcome {
        Some((before, _)) if *before != outcome => world.violated(format!(
            "the outcome of activity {run_id} was {before:?} and is now {outcome:?}"
        )),
        Some(_) => {}
        None => known.outcome = Some((outcome, now)),
    }
}

/// A worker gets a task. Nobody may be told to work for what is over.
pub(crate) fn check_task(world: &World, task: &PollActivityTaskQueueResponse) {
    let started = Timestamp::from(task.started_time.unwrap_or_default());
    let ledger = world.ledger.borrow();
    let known = ledger.activities.get(&task.activity_run_id);
    if let Some((outcome, since)) = known.and_then(|known| known.outcome.as_ref())
        && started > *since
    {
        world.violated(format!(
            "attempt {} of activity {} began at {started:?}, after its outcome was {outcome:?}",
            task.attempt, task.activity_run_id
        ));
    }
}

/// All activities that match.
async fn list(caller: &Caller, query: &str) -> Result<Vec<ActivityExecutionListInfo>, Status> {
    let mut all = Vec::new();
    let mut token = Vec::new();
    loop {
        let request = ListActivityExecutionsRequest {
            namespace: namespace(),
            query: query.to_owned(),
            page_size: 7,
            next_page_token: token,
        };
        let page: ListActivityExecutionsResponse = caller.insist("ListActivityExecutions", request).await?;
        all.extend(page.executions);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        token = page.next_page_token;
    }
}

/// Wakes what is paused, until nothing is open.
pub(crate) async fn bring_to_an_end(caller: &Caller) -> bool {
    let Ok(all) = list(caller, "").await else { return false };
    let open: Vec<_> = all.into_iter().filter(|info| info.close_time.is_none()).collect();
    for info in &open {
        caller.world.about_to_wake(&info.run_id);
        let _ = unpause(caller, &info.activity_id, &info.run_id).await;
    }
    open.is_empty()
}

/// Every activity ended once, as its callers and workers were told.
pub(crate) async fn judge(caller: &Caller) -> Verdict {
    let listed = list(caller, "").await.map_err(|status| status.to_string())?;
    let listed: BTreeMap<_, _> = listed.into_iter().map(|info| (info.run_id.clone(), info)).collect();
    for (run_id, info) in &listed {
        poll(caller, &info.activity_id, run_id)
            .await
            .map_err(|status| format!("activity {run_id} is listed, and a poll says {status}"))?;
    }
    let ledger = caller.world.ledger.borrow();
    for run_id in &ledger.deleted_activities {
        ensure(!listed.contains_key(run_id), || {
            format!("the deletion of activity {run_id} was acknowledged, but it is still listed")
        })?;
    }
    for (run_id, known) in &ledger.activities {
        let Some(info) = listed.get(run_id) else {
            ensure(ledger.may_be_deleted(run_id), || {
                format!("activity {run_id} was acknowledged and is lost: {known:?}")
            })?;
            continue;
        };
        ensure(known.id.as_ref().is_none_or(|id| *id == info.activity_id), || {
            format!("activity {run_id} is {info:?}, not {known:?}")
        })?;
        let (outcome, _) = known
            .outcome
            .as_ref()
            .ok_or_else(|| format!("activity {run_id} is closed and has no outcome: {info:?}"))?;
        let completed = matches!(outcome.value, Some(Value::Result(_)));
        ensure(
            (info.status() == ActivityExecutionStatus::Completed) == completed,
            || {
                format!(
                    "activity {run_id} is listed as {:?}, and its outcome is {outcome:?}",
                    info.status()
                )
            },
        )?;
        ensure(
            !known.terminated || info.status() == ActivityExecutionStatus::Terminated,
            || {
                format!(
                    "the termination of activity {run_id} was acknowledged, but it is {:?}",
                    info.status()
                )
            },
        )?;
        if let Some(Value::Result(result)) = &outcome.value {
            let result = text(Some(result));
            ensure(
                ledger.sent_results.contains(&result) && result.starts_with(run_id.as_str()),
                || format!("activity {run_id} has the result {result:?}, which nobody sent it"),
            )?;
        }
    }
    for (run_id, result) in &ledger.completed_activities {
        let Some(known) = ledger.activities.get(run_id) else {
            continue;
        };
        let is_told = known.outcome.as_ref().is_none_or(
            |(outcome, _)| matches!(&outcome.value, Some(Value::Result(told)) if text(Some(told)) == *result),
        );
        ensure(is_told, || {
            format!("the completion of activity {run_id} with {result:?} was acknowledged, but it ended as {known:?}")
        })?;
    }
    Ok(())
}
