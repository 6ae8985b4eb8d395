//! Following a run to its end, showing how it gets on.

use std::time::Duration;

use helve_runs::{Client, News, RunHistory, Watch};
use helve_worker::StepEvent;
use temporalio_client::tonic::Status;
use tokio::sync::mpsc;

use crate::progress::Display;

/// How often the engine is asked about running steps when their worker is in another process.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Waits until the run has ended, showing how it gets on. Fails when the engine does not answer any more.
pub(crate) async fn follow(
    client: &Client,
    run_id: &str,
    mut events: Option<&mut mpsc::Receiver<StepEvent>>,
    display: &mut Display,
) -> Result<RunHistory, Status> {
    let ask_every = events.is_none().then_some(ASK_EVERY);
    let mut watch = Watch::new(client, run_id, ask_every);
    loop {
        tokio::select! {
            news = watch.next() => match news? {
                Some(News::Events(_)) => display.history(watch.history()),
                Some(News::Pending(pending)) => display.pending(&pending),
                None => return Ok(watch.into_history()),
            },
            Some(event) = next_event(&mut events) => {
                if event.run == run_id {
                    display.event(&event);
                }
            }
        }
    }
}

/// Never ready when nobody sends events.
async fn next_event(events: &mut Option<&mut mpsc::Receiver<StepEvent>>) -> Option<StepEvent> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}
