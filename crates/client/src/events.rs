//! Following a run: its events as they come, over as many connections as it takes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use helve_runs::RunEventKind;
use reqwest::header::{ACCEPT, HeaderName};
use reqwest::{Method, Response, StatusCode};

use crate::error::Error;
use crate::sse::{Message, Parser};
use crate::transport::Client;

const LAST: HeaderName = HeaderName::from_static("last-event-id");
/// How long a server may be away before it is given up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Before the first attempt to come back, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What was heard of a run.
#[derive(Debug)]
pub enum Heard {
    /// Something happened.
    Event(RunEventKind),
    /// The connection broke, for this reason; it is tried again.
    Broken(String),
}

/// A run while it is followed.
pub struct Events {
    client: Client,
    run_id: String,
    /// The last event that has an id: the stream goes on after it.
    last: Option<String>,
    open: Option<(Response, Parser)>,
    queue: VecDeque<Message>,
    /// Since when nothing is heard, and how long to wait before the next attempt.
    away: Option<(Instant, Duration)>,
    ended: bool,
}

impl Client {
    /// Follows a run from its beginning to its end.
    pub fn events(&self, run_id: &str) -> Events {
        Events {
            client: self.clone(),
            run_id: run_id.to_owned(),
            last: None,
            open: None,
            queue: VecDeque::new(),
            away: None,
            ended: false,
        }
    }
}

impl Events {
    /// Waits for the next event; none when the run has ended.
    ///
    /// # Errors
    ///
    /// When the server refuses, or was away for two minutes.
    pub async fn next(&mut self) -> Result<Option<Heard>, Error> {
        loop {
            while let Some(message) = self.queue.pop_front() {
                if message.id.is_some() {
                    self.last = message.id;
                }
                // What a newer server tells and this version does not know is left out.
                let Ok(event) = serde_json::from_str::<RunEventKind>(&message.data) else {
                    tracing::debug!(data = message.data, "an event that this version does not know");
                    continue;
                };
                self.ended |= matches!(event, RunEventKind::RunEnded { .. });
                return Ok(Some(Heard::Event(event)));
            }
            if self.ended {
                return Ok(None);
            }
            let Some((response, parser)) = &mut self.open else {
                match self.connect().await? {
                    Some(broken) => return Ok(Some(broken)),
                    None => continue,
                }
            };
            match response.chunk().await {
                Ok(Some(bytes)) => match parser.push(&bytes) {
                    Ok(messages) => {
                        self.away = None;
                        self.queue.extend(messages);
                    }
                    Err(_) => return Err(self.client.strange("an event has no end")),
                },
                // A server that stops closes the stream; the run goes on with the next one.
                Ok(None) => self.open = None,
                Err(error) => {
                    self.open = None;
                    return self.broken(self.client.unreachable(&error)).map(Some);
                }
            }
        }
    }

    /// Opens the stream, or says why that did not work this time.
    async fn connect(&mut self) -> Result<Option<Heard>, Error> {
        if let Some((_, pause)) = self.away {
            tokio::time::sleep(pause).await;
        } else {
            // A stream that ends at once, again and again, must not keep anybody busy.
            self.away = Some((Instant::now(), PAUSES.0));
        }
        let url = self.client.url(&["runs", &self.run_id, "events"], &[]);
        let mut request = self
            .client
            .request(Method::GET, url)
            .header(ACCEPT, "text/event-stream");
        if let Some(last) = &self.last {
            request = request.header(LAST, last);
        }
        match self.client.answer(request.send().await).await {
            Ok(response) if response.status() == StatusCode::NO_CONTENT => self.ended = true,
            Ok(response) => self.open = Some((response, Parser::default())),
            Err(error @ Error::Unreachable { .. }) => return self.broken(error).map(Some),
            Err(error) if matches!(error.status(), Some(429 | 502..=504)) => return self.broken(error).map(Some),
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    fn broken(&mut self, error: Error) -> Result<Heard, Error> {
        let (since, pause) = self.away.unwrap_or((Instant::now(), PAUSES.0));
        if since.elapsed() >= PATIENCE {
            return Err(error);
        }
        self.away = Some((since, (pause * 2).min(PAUSES.1)));
        Ok(Heard::Broken(error.to_string()))
    }
}
