//! Following a run to its end: history for what is certain, heartbeats for what is going on.

use std::pin::Pin;
use std::time::Duration;

use temporalio_client::tonic::Status;
use temporalio_protos::temporal::api::history::v1::HistoryEvent;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::client::{Client, HistoryPage, Wait};
use crate::history::RunHistory;
use crate::pending::{Pending, pending};

/// Something about a run is known that was not known before.
#[derive(Debug)]
pub enum News {
    /// The history has grown by these events; [`Watch::history`] has them already.
    Events(Vec<HistoryEvent>),
    /// What the engine knows of the activities that have not ended.
    Pending(Vec<Pending>),
}

/// A run while it is followed.
pub struct Watch {
    client: Client,
    run_id: String,
    history: RunHistory,
    /// None when the run has ended.
    page: Option<Page>,
    ask: Option<Interval>,
}

type Page = Pin<Box<dyn Future<Output = Result<HistoryPage, Status>> + Send>>;

impl Watch {
    /// Follows a run from its beginning. With `ask_every`, the engine is asked that often about running steps, which a
    /// history tells of only afterwards.
    pub fn new(client: &Client, run_id: &str, ask_every: Option<Duration>) -> Self {
        Self {
            page: Some(next_page(client, run_id, Vec::new())),
            client: client.clone(),
            run_id: run_id.to_owned(),
            history: RunHistory::default(),
            ask: ask_every.map(|every| {
                let mut ask = interval(every);
                ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
                ask
            }),
        }
    }

    /// What the events so far say.
    pub fn history(&self) -> &RunHistory {
        &self.history
    }

    /// The same, when there is nothing more to come.
    pub fn into_history(self) -> RunHistory {
        self.history
    }

    /// Waits for news; none when the run has ended. Dropping the call loses no event of the history.
    ///
    /// # Errors
    ///
    /// When the engine does not answer any more, or does not know the run.
    pub async fn next(&mut self) -> Result<Option<News>, Status> {
        while let Some(page) = &mut self.page {
            tokio::select! {
                result = page => {
                    let (new, token) = result?;
                    new.iter().for_each(|event| self.history.apply(event));
                    let ended = self.history.end.is_some() || token.is_empty();
                    self.page = (!ended).then(|| next_page(&self.client, &self.run_id, token));
                    if !new.is_empty() {
                        return Ok(Some(News::Events(new)));
                    }
                }
                () = tick(&mut self.ask) => {
                    return Ok(Some(News::Pending(pending(&self.client, &self.run_id).await?)));
                }
            }
        }
        Ok(None)
    }
}

/// Never ready when nobody asks.
async fn tick(ask: &mut Option<Interval>) {
    match ask {
        Some(ask) => {
            ask.tick().await;
        }
        None => std::future::pending().await,
    }
}

fn next_page(client: &Client, run_id: &str, token: Vec<u8>) -> Page {
    let (client, run_id) = (client.clone(), run_id.to_owned());
    Box::pin(async move { client.history(&run_id, token, Wait::ForNews).await })
}

/// All events so far.
pub async fn history_so_far(client: &Client, run_id: &str) -> Result<RunHistory, Status> {
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
