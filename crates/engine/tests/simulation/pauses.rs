//! What operators do to the activities of workflows: pause, unpause, reset, other options.

use helve_engine::Timestamp;
use temporalio_protos::temporal::api::{activity::v1::ActivityOptions, workflowservice::v1::*};

use crate::{
    client::Client,
    network::Caller,
    proto::{namespace, run, seconds},
    world::World,
};

impl Client {
    /// Does something to one of the activities that a run waits for.
    pub(crate) async fn operate(&mut self) {
        let run_id = self.run_id.clone();
        let request = DescribeWorkflowExecutionRequest {
            namespace: namespace(),
            execution: run(&self.id, &run_id),
        };
        let described = self
            .caller
            .call::<DescribeWorkflowExecutionResponse>("DescribeWorkflowExecution", request);
        let Ok(described) = described.await else { return };
        let pending = described.pending_activities;
        if pending.is_empty() || run_id.is_empty() {
            return;
        }
        let id = pending[self.rng.below(pending.len() as u64) as usize]
            .activity_id
            .clone();
        match self.rng.below(5) {
            0..=2 => self.pause(run_id, id).await,
            3 => self.reset_activity(run_id, id).await,
            _ => self.change_options(run_id, id).await,
        }
    }

    async fn pause(&mut self, run_id: String, id: String) {
        let request = PauseActivityRequest {
            namespace: namespace(),
            execution: run(&self.id, &run_id),
            activity: Some(pause_activity_request::Activity::Id(id.clone())),
            request_id: self.request_id(),
            ..PauseActivityRequest::default()
        };
        let answer = self
            .caller
            .insist::<PauseActivityResponse>("PauseActivity", request)
            .await;
        let world = self.caller.world.clone();
        if answer.is_ok() {
            world.acknowledge_pause(run_id.clone(), id);
        }
        world.nap(0, 10_000).await;
        if self.rng.percent(50) {
            unpause_all(&self.caller, &self.id, &run_id).await;
        }
    }

    async fn reset_activity(&mut self, run_id: String, id: String) {
        self.caller.world.about_to_wake(&run_id);
        let request = ResetActivityRequest {
            namespace: namespace(),
            execution: run(&self.id, &run_id),
            activity: Some(reset_activity_request::Activity::Id(id)),
            keep_paused: self.rng.percent(50),
            reset_heartbeat: self.rng.percent(50),
            ..ResetActivityRequest::default()
        };
        let _ = self
            .caller
            .insist::<ResetActivityResponse>("ResetActivity", request)
            .await;
    }

    async fn change_options(&mut self, run_id: String, id: String) {
        let request = UpdateActivityOptionsRequest {
            namespace: namespace(),
            execution: run(&self.id, &run_id),
            activity: Some(update_activity_options_request::Activity::Id(id)),
            activity_options: Some(ActivityOptions {
                start_to_close_timeout: seconds(self.rng.within(3, 20) as i64),
                ..ActivityOptions::default()
            }),
            update_mask: Some(prost_types::FieldMask {
                paths: vec!["start_to_close_timeout".to_owned()],
            }),
            ..UpdateActivityOptionsRequest::default()
        };
        let _ = self
            .caller
            .insist::<UpdateActivityOptionsResponse>("UpdateActivityOptions", request)
            .await;
    }
}

/// Lets all activities of a run go on.
pub(crate) async fn unpause_all(caller: &Caller, id: &str, run_id: &str) {
    caller.world.about_to_wake(run_id);
    let request = UnpauseActivityRequest {
        namespace: namespace(),
        execution: run(id, run_id),
        activity: Some(unpause_activity_request::Activity::UnpauseAll(true)),
        ..UnpauseActivityRequest::default()
    };
    let _ = caller
        .insist::<UnpauseActivityResponse>("UnpauseActivity", request)
        .await;
}

impl World {
    /// The engine says that an activity is paused.
    pub(crate) fn acknowledge_pause(&self, run_id: String, activity_id: String) {
        let now = self.now();
        self.ledger.borrow_mut().paused.insert((run_id, activity_id), now);
    }

    /// Activities of a run may go on from now on, and count their attempts anew: nothing is sure of their pauses any more.
    pub(crate) fn about_to_wake(&self, run_id: &str) {
        self.ledger.borrow_mut().woken.insert(run_id.to_owned());
    }

    /// A worker gets a task. No attempt begins while its activity is paused.
    pub(crate) fn check_pause(&self, run_id: &str, task: &PollActivityTaskQueueResponse) {
        let started = Timestamp::from(task.started_time.unwrap_or_default());
        let ledger = self.ledger.borrow();
        let paused = ledger.paused.get(&(run_id.to_owned(), task.activity_id.clone()));
        if let Some(since) = paused.filter(|since| started > **since)
            && !ledger.woken.contains(run_id)
        {
            self.violated(format!(
                "attempt {} of activity {:?} of {run_id} began at {started:?}, although it was paused at {since:?}",
                task.attempt, task.activity_id
            ));
        }
    }
}
