//! Following a run to its end: history for what is certain, worker events or heartbeats for what is going on.

use std::pin::Pin;
use std::time::Duration;

use helve_worker::StepEvent;
use temporalio_client::tonic::Status;
use temporalio_protos::temporal::api::enums::v1::PendingActivityState;
use temporalio_protos::temporal::api::workflow::v1::PendingActivityInfo;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::client::{Client, HistoryPage, Wait, from_payloads};
use crate::history::{RunHistory, failure_message, timestamp};
use crate::progress::Display;
use crate::render::runs::Pending;

/// How often the engine is asked about running steps when their worker is in another process.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Waits until the run has ended, showing how it gets on. Fails when the engine does not answer any more.
pub(crate) async fn follow(
    client: &Client,
    run_id: &str,
    mut events: Option<&mut mpsc::Receiver<StepEvent>>,
    display: &mut Display,
) -> Result<RunHistory, Status> {
    let mut history = RunHistory::default();
    let mut page = next_page(client, run_id, Vec::new());
    let mut ask = interval(ASK_EVERY);
    ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let from_engine = events.is_none();
    loop {
        tokio::select! {
            result = &mut page => {
                let (new, token) = result?;
                new.iter().for_each(|event| history.apply(event));
                display.history(&history);
                if history.end.is_some() || token.is_empty() {
                    return Ok(history);
                }
                page = next_page(client, run_id, token);
            }
            Some(event) = next_event(&mut events) => {
                if event.run == run_id {
                    display.event(&event);
                }
            }
            _ = ask.tick(), if from_engine => display.pending(&pending(client, run_id).await?),
        }
    }
}

type Page = Pin<Box<dyn Future<Output = Result<HistoryPage, Status>> + Send>>;

fn next_page(client: &Client, run_id: &str, token: Vec<u8>) -> Page {
    let (client, run_id) = (client.clone(), run_id.to_owned());
    Box::pin(async move { client.history(&run_id, token, Wait::ForNews).await })
}

/// Never ready when nobody sends events.
async fn next_event(events: &mut Option<&mut mpsc::Receiver<StepEvent>>) -> Option<StepEvent> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

/// All events so far.
pub(crate) async fn history_so_far(client: &Client, run_id: &str) -> Result<RunHistory, Status> {
    let mut history = RunHistory::default();
    let mut token = Vec::new();
    loop {
        let (events, next) = client.history(run_id, token, Wait::No).await?;
        events.iter().for_each(|event| history.apply(event));
        if next.is_empty() {
            return Ok(history);
        }
        token = next;
    }
}

/// What the engine knows of activities that have not ended.
pub(crate) async fn pending(client: &Client, run_id: &str) -> Result<Vec<Pending>, Status> {
    Ok(client
        .describe(run_id)
        .await?
        .pending_activities
        .iter()
        .map(pending_activity)
        .collect())
}

/// One of them.
pub(crate) fn pending_activity(info: &PendingActivityInfo) -> Pending {
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
