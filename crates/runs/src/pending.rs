//! What only the engine knows of activities that have not ended.

use helve_worker::StepProgress;
use jiff::Timestamp;
use temporalio_client::tonic::Status;
use temporalio_protos::temporal::api::enums::v1::PendingActivityState;
use temporalio_protos::temporal::api::workflow::v1::PendingActivityInfo;

use crate::client::{Client, from_payloads};
use crate::history::{failure_message, timestamp};

/// One attempt chain that has not ended, from the engine's own knowledge: history tells of it only afterwards.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pending {
    /// Id of the step, with the item's index for a fan-out.
    pub activity_id: String,
    /// The attempt that runs, or is next.
    pub attempt: u32,
    /// Whether a worker has it.
    pub running: bool,
    /// The worker that has it, or had it last.
    pub worker: String,
    /// When that worker took it.
    pub started: Option<Timestamp>,
    /// Why the attempt before failed.
    pub last_failure: Option<String>,
    /// How far it is.
    pub progress: Option<StepProgress>,
}

/// All of a run.
pub async fn pending(client: &Client, run_id: &str) -> Result<Vec<Pending>, Status> {
    Ok(client
        .describe(run_id)
        .await?
        .pending_activities
        .iter()
        .map(pending_activity)
        .collect())
}

/// One of them.
pub fn pending_activity(info: &PendingActivityInfo) -> Pending {
    let running = matches!(
        info.state(),
        PendingActivityState::Started | PendingActivityState::CancelRequested
    );
    Pending {
        activity_id: info.activity_id.clone(),
        attempt: u32::try_from(info.attempt).unwrap_or_default(),
        running,
        worker: info.last_worker_identity.clone(),
        started: info.last_started_time.as_ref().and_then(timestamp),
        last_failure: info.last_failure.as_ref().map(failure_message),
        progress: from_payloads(info.heartbeat_details.as_ref()).filter(|_| running),
    }
}
