//! Whether a run could have been made by other code: its recorded history against a changed workflow.

use std::sync::Arc;

use helve_toolbox::run::WORKFLOW_QUEUE;
use helve_toolbox::{Shelf, Toolbox};
use temporalio_common::worker::WorkerTaskTypes;
use temporalio_protos::coresdk::workflow_activation::remove_from_cache::EvictionReason;
use temporalio_protos::coresdk::workflow_activation::workflow_activation_job::Variant;
use temporalio_protos::coresdk::workflow_activation::{RemoveFromCache, WorkflowActivation};
use temporalio_protos::coresdk::workflow_completion::workflow_activation_completion::Status;
use temporalio_protos::temporal::api::history::v1::History;
use temporalio_sdk_core::replay::{HistoryFeeder, HistoryForReplay, ReplayWorkerInput};
use temporalio_sdk_core::{PollError, Worker, WorkerConfig, WorkerVersioningStrategy, init_replay_worker};

use crate::cached::{Cached, Surroundings};
use crate::code::Codes;

/// What a replay shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The code does what the history says. Runs like this one may go on with it.
    Compatible,
    /// It does something else, or cannot be run.
    Incompatible {
        /// What, and at which event; for people.
        reason: String,
    },
}

/// Why a history cannot be replayed at all.
#[derive(Debug, thiserror::Error)]
#[error("the history cannot be replayed: {0}")]
pub struct ReplayError(String);

/// Replays a history, all of it that there is: an open run's as far as it got. Code runs as `instead`, the digest of other
/// code that `codes` has, or as the code that the run pinned. Nothing is sent to any server.
pub async fn replay(
    workflow_id: &str,
    history: History,
    codes: Codes,
    instead: Option<String>,
) -> Result<Verdict, ReplayError> {
    let worker = worker(workflow_id, history).await?;
    let surroundings = Surroundings {
        toolbox: Shelf::from(Arc::new(Toolbox::default())),
        codes: Some(codes),
        instead,
    };
    let mut cached = Cached::default();
    let mut verdict = Verdict::Compatible;
    loop {
        let activation = match worker.poll_workflow_activation().await {
            Ok(activation) => activation,
            Err(PollError::ShutDown) => break,
            Err(error) => return Err(ReplayError(error.to_string())),
        };
        if let Some(reason) = disagreement(&activation) {
            verdict = Verdict::Incompatible { reason };
        }
        let completion = cached.work(&surroundings, activation);
        if let Some(Status::Failed(failed)) = &completion.status {
            let reason = failed.failure.as_ref().map(|failure| failure.message.clone());
            verdict = Verdict::Incompatible {
                reason: reason.unwrap_or_default(),
            };
        }
        let over = verdict != Verdict::Compatible;
        worker
            .complete_workflow_activation(completion)
            .await
            .map_err(|error| ReplayError(error.to_string()))?;
        if over {
            break;
        }
    }
    worker.initiate_shutdown();
    Ok(verdict)
}

async fn worker(workflow_id: &str, history: History) -> Result<Worker, ReplayError> {
    let failed = |error: String| ReplayError(error);
    let config = WorkerConfig::builder()
        .namespace("replay".to_owned())
        .task_queue(WORKFLOW_QUEUE.to_owned())
        .task_types(WorkerTaskTypes::workflow_only())
        .versioning_strategy(WorkerVersioningStrategy::None {
            build_id: env!("CARGO_PKG_VERSION").to_owned(),
        })
        .build()
        .map_err(failed)?;
    let (feeder, histories) = HistoryFeeder::new(1);
    let worker = init_replay_worker(ReplayWorkerInput::new(config, histories));
    let worker = worker.map_err(|error| failed(error.to_string()))?;
    let fed = feeder.feed(HistoryForReplay::new(history, workflow_id)).await;
    fed.map_err(|error| failed(error.to_string()))?;
    Ok(worker)
}

/// What core says when commands and events do not fit.
fn disagreement(activation: &WorkflowActivation) -> Option<String> {
    activation.jobs.iter().find_map(|job| match &job.variant {
        Some(Variant::RemoveFromCache(RemoveFromCache { message, reason })) => {
            (*reason == EvictionReason::Nondeterminism as i32).then(|| plain(message))
        }
        _ => None,
    })
}

/// Core shows the failure that it would have sent as a debugger does; people want the sentence in it.
fn plain(message: &str) -> String {
    let sentence = message
        .split_once("message: \"")
        .and_then(|(_, rest)| rest.split_once("\", source:"));
    sentence.map_or(message, |(sentence, _)| sentence).replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_disagreement_is_told_as_a_sentence() {
        let debugged =
            "it failed: Failure { failure: Some(Failure { message: \"event 5 is not `\\\"x\\\"`\", source: \"\" }) }";
        assert_eq!(plain(debugged), "event 5 is not `\"x\"`");
        assert_eq!(plain("something else"), "something else");
    }
}
