//! Live events of runs for any number of listeners: each run that somebody listens to is followed once.
//!
//! A feed keeps what its run's history told, so that whoever comes later, or comes back, gets it from here. It ends when nobody
//! listens any more, and begins anew from the history.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use axum::response::sse;
use helve_blobs::BlobStore;
use helve_runs::{Client, EventId, Events, RunEvent};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::problem::{Problem, Result};

/// News without an id that are kept for slow listeners; each supersedes the ones before, so older ones are no loss.
const PASSING: usize = 256;

/// All feeds.
pub(crate) struct Feeds {
    open: Mutex<HashMap<Key, Weak<Feed>>>,
    listeners: Arc<Semaphore>,
}

/// Namespace and run.
type Key = (String, String);

/// One run's events so far.
struct Feed {
    told: RwLock<Told>,
    /// Counts changes of `told`.
    changed: watch::Receiver<u64>,
    _follower: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Told {
    /// With ids, in order; all of them.
    lasting: Vec<(EventId, Line)>,
    /// Without, with how many lasting ones came before; the latest.
    passing: VecDeque<(u64, usize, Line)>,
    /// Passing ones that there ever were.
    passed: u64,
    ended: bool,
}

/// An event as it is sent.
#[derive(Clone)]
struct Line {
    name: &'static str,
    data: Arc<str>,
}

/// What `data` of an event holds, beside what its kind has.
#[derive(Serialize)]
struct Data<'a> {
    at: Option<Timestamp>,
    #[serde(flatten)]
    kind: &'a helve_runs::RunEventKind,
}

/// Somebody who listens.
pub(crate) struct Listener {
    feed: Arc<Feed>,
    changed: watch::Receiver<u64>,
    /// Lasting events that were handed out.
    lasting: usize,
    /// Passing ones.
    passed: u64,
    _permit: OwnedSemaphorePermit,
}

impl Feeds {
    pub(crate) fn new(listeners: usize) -> Self {
        Self {
            open: Mutex::default(),
            listeners: Arc::new(Semaphore::new(listeners)),
        }
    }

    /// How many listen: what is not left of the permits.
    pub(crate) fn listeners(&self) -> impl Fn() -> usize + Send + Sync + use<> {
        let (all, left) = (self.listeners.available_permits(), Arc::clone(&self.listeners));
        move || all.saturating_sub(left.available_permits())
    }

    /// Listens to a run, from the beginning or after an event.
    pub(crate) fn listen(
        &self,
        client: &Client,
        blobs: &BlobStore,
        run_id: &str,
        after: Option<EventId>,
    ) -> Result<Listener> {
        let permit = Arc::clone(&self.listeners).try_acquire_owned();
        let permit = permit.map_err(|_| Problem::too_many("too many listen to events at this moment", 10))?;
        let feed = self.feed(client, blobs, run_id);
        let lasting = match after {
            None => 0,
            Some(after) => feed.told().lasting.partition_point(|(id, _)| *id <= after),
        };
        Ok(Listener {
            changed: feed.changed.clone(),
            lasting,
            // Who comes back has seen them, or their successors come soon.
            passed: after.map_or(0, |_| feed.told().passed),
            feed,
            _permit: permit,
        })
    }

    fn feed(&self, client: &Client, blobs: &BlobStore, run_id: &str) -> Arc<Feed> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, feed| feed.strong_count() > 0);
        let key = (client.namespace.clone(), run_id.to_owned());
        if let Some(feed) = open.get(&key).and_then(Weak::upgrade).filter(|feed| !feed.is_broken()) {
            return feed;
        }
        let events = Events::new(client, blobs.clone(), run_id, None);
        let feed = Arc::new_cyclic(|feed: &Weak<Feed>| {
            let (sender, changed) = watch::channel(0);
            let follower = tokio::spawn(follow(events, feed.clone(), sender));
            Feed {
                told: RwLock::default(),
                changed,
                _follower: AbortOnDropHandle::new(follower),
            }
        });
        open.insert(key, Arc::downgrade(&feed));
        feed
    }
}

async fn follow(mut events: Events, feed: Weak<Feed>, changed: watch::Sender<u64>) {
    loop {
        let next = events.next().await;
        let Some(feed) = feed.upgrade() else { return };
        match next {
            Ok(Some(event)) => feed.tell(event),
            Ok(None) => {
                feed.told.write().unwrap_or_else(PoisonError::into_inner).ended = true;
                changed.send_modify(|count| *count += 1);
                return;
            }
            // Listeners come back, and a new feed tries again.
            Err(status) => {
                tracing::debug!(%status, "a run cannot be followed any more");
                return;
            }
        }
        changed.send_modify(|count| *count += 1);
    }
}

impl Feed {
    fn told(&self) -> std::sync::RwLockReadGuard<'_, Told> {
        self.told.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether its follower has given up.
    fn is_broken(&self) -> bool {
        self.changed.has_changed().is_err() && !self.told().ended
    }

    fn tell(&self, event: RunEvent) {
        let RunEvent { id, at, kind } = event;
        let data = serde_json::to_string(&Data { at, kind: &kind }).expect("an event is plain data");
        let line = Line {
            name: kind.name(),
            data: data.into(),
        };
        let mut told = self.told.write().unwrap_or_else(PoisonError::into_inner);
        match id {
            Some(id) => told.lasting.push((id, line)),
            None => {
                let (number, before) = (told.passed, told.lasting.len());
                told.passed += 1;
                told.passing.push_back((number, before, line));
                if told.passing.len() > PASSING {
                    told.passing.pop_front();
                }
            }
        }
    }
}

impl Listener {
    /// The next event; none when the run has ended, or cannot be followed now (then the client comes back by itself).
    async fn next(&mut self, after: Option<EventId>) -> Option<sse::Event> {
        loop {
            // Asked before the look: what was told before it was over is found by that look.
            let is_over = self.feed.told().ended || self.changed.has_changed().is_err();
            match self.take() {
                // A feed that began with this listener tells from the beginning.
                Some((Some(id), _)) if Some(id) <= after => {}
                Some((id, line)) => {
                    let event = sse::Event::default().event(line.name).data(&*line.data);
                    return Some(match id {
                        Some(id) => event.id(id.to_string()),
                        None => event,
                    });
                }
                None if is_over => return None,
                // An error says that it is over, which the next look finds.
                None => drop(self.changed.changed().await),
            }
        }
    }

    /// What was not handed out yet, in the order in which it came.
    fn take(&mut self) -> Option<(Option<EventId>, Line)> {
        let told = self.feed.told();
        let passing = told.passing.iter().find(|(number, ..)| *number >= self.passed);
        match (told.lasting.get(self.lasting), passing) {
            (Some((id, line)), passing) if passing.is_none_or(|(_, before, _)| *before > self.lasting) => {
                let next = (Some(*id), line.clone());
                drop(told);
                self.lasting += 1;
                Some(next)
            }
            (_, Some((number, _, line))) => {
                let (number, next) = (*number, (None, line.clone()));
                drop(told);
                self.passed = number + 1;
                Some(next)
            }
            _ => None,
        }
    }

    /// As a stream for an answer.
    pub(crate) fn stream(
        self,
        after: Option<EventId>,
    ) -> impl futures_util::Stream<Item = std::result::Result<sse::Event, std::convert::Infallible>> + Send {
        futures_util::stream::unfold(self, move |mut listener| async move {
            let event = listener.next(after).await?;
            Some((Ok(event), listener))
        })
    }
}
