//! A store at the other end of a link, as a store of this machine takes it.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use helve_blobs::{BlobId, BlobRef, Control, Progress, StoreError, TargetManifest, Upstream};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::fetch::{self, Outcome};
use super::messages::{Answer, Request};
use super::outline::Outline;
use super::spread;
use crate::error::Error;
use crate::link::Link;

/// How often something is tried again that got nowhere.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);
/// How soon it is said again that a blob is here: the node may have been restarted.
const SAY_AGAIN: Duration = Duration::from_secs(10 * 60);
/// Blobs of which that is said in this time.
const SAID: usize = 256;

/// The store of a control plane. Its calls block, and run on the runtime in which it was made.
pub struct Remote {
    link: Link,
    runtime: Handle,
    name: String,
    shares: bool,
    /// When it was said last that a blob is here.
    said: Mutex<HashMap<BlobId, Instant>>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Remote").field(&self.name).finish()
    }
}

impl Remote {
    /// Over a link; calls nobody yet. To be made inside a runtime.
    pub fn new(link: Link) -> Self {
        Self {
            name: "the control plane, over the mesh".to_owned(),
            runtime: Handle::current(),
            link,
            shares: false,
            said: Mutex::default(),
        }
    }

    /// The same, which also fetches from others to whom a node sends it, and says what it has. To be used by who also hands on
    /// ([`super::Handing`]).
    pub fn sharing(link: Link) -> Self {
        Self {
            shares: true,
            ..Self::new(link)
        }
    }

    /// Runs something to its end while this thread waits.
    fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, StoreError> {
        let (sender, receiver) = sync_channel(1);
        self.runtime.spawn(async move {
            let _ = sender.send(work.await);
        });
        // The runtime may be shutting down.
        receiver.recv().map_err(|_| StoreError::Cancelled)
    }

    fn ask(&self, action: &'static str, request: Request) -> Result<Answer, StoreError> {
        let mut failures = 0;
        let request = Arc::new(request);
        loop {
            let (link, asked) = (self.link.clone(), Arc::clone(&request));
            let error = match self.run(async move { fetch::ask(&link, &asked).await })? {
                Ok(Answer::Failed(why)) => return Err(self.failed(action, why)),
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failures += 1;
            if failures >= TRIES || error.is_refusal() {
                return Err(self.failed(action, error));
            }
            thread::sleep(PAUSE);
        }
    }

    fn is(&self, action: &'static str, request: Request) -> Result<bool, StoreError> {
        match self.ask(action, request)? {
            Answer::Is(is) => Ok(is),
            _ => Err(self.failed(action, "another answer than was asked for")),
        }
    }

    fn failed(&self, action: &'static str, reason: impl ToString) -> StoreError {
        StoreError::Remote {
            action,
            place: self.name.clone(),
            reason: reason.to_string(),
        }
    }

    fn unusable(&self, path: &Path, error: &io::Error) -> StoreError {
        self.failed("keep what comes from", format!("{}: {error}", path.display()))
    }

    /// Runs a transfer that tells how far it is, and ends early when the caller gives up. The caller's control may not leave its
    /// thread, so what is told goes through a channel.
    fn transfer<T, F>(&self, control: &Control<'_>, work: impl FnOnce(Told) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        if control.is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        let (bytes, hear) = channel();
        let (done, outcome) = sync_channel(1);
        let stop = CancellationToken::new();
        let work = work(Told {
            bytes,
            stop: stop.clone(),
        });
        self.runtime.spawn(async move {
            let _ = done.send(work.await);
        });
        // Ends when the transfer has, and with it the other end.
        for transferred in hear {
            control.report(Progress {
                transferred,
                ..Progress::default()
            });
            if control.is_cancelled() {
                stop.cancel();
            }
        }
        outcome.recv().map_err(|_| StoreError::Cancelled)
    }

    /// Says what to do after a transfer ended early: an error, or to try again.
    fn after(&self, action: &'static str, outcome: Outcome, failures: &mut u32) -> Result<(), StoreError> {
        match outcome {
            Outcome::Broken { pieces, error } => {
                *failures = if pieces > 0 { 0 } else { *failures + 1 };
                if *failures >= TRIES || error.is_refusal() {
                    return Err(self.failed(action, error));
                }
                tracing::debug!(%error, pieces, "a transfer broke off and goes on");
                thread::sleep(PAUSE);
                Ok(())
            }
            Outcome::Failed(why) => Err(self.failed(action, why)),
            Outcome::Local(error) => Err(self.failed("read for", error)),
            Outcome::Cancelled | Outcome::Whole | Outcome::Missing => Err(StoreError::Cancelled),
        }
    }
}

/// Where a transfer tells how far it is.
#[derive(Clone)]
struct Told {
    bytes: Sender<u64>,
    stop: CancellationToken,
}

impl Told {
    /// Whether to go on.
    fn tell(&self, bytes: u64) -> bool {
        let _ = self.bytes.send(bytes);
        !self.stop.is_cancelled()
    }
}

impl Upstream for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self, id: &BlobId) -> Result<Option<u64>, StoreError> {
        match self.ask("read from", Request::Size(*id))? {
            Answer::Size(size) => Ok(size),
            _ => Err(self.failed("read from", "another answer than was asked for")),
        }
    }

    fn download(&self, id: &BlobId, file: &mut File, path: &Path, control: &Control<'_>) -> Result<(), StoreError> {
        let (mut failures, id) = (0, *id);
        loop {
            let own = file.try_clone().map_err(|error| self.unusable(path, &error))?;
            let (link, near) = (self.link.clone(), self.shares);
            let fetched = self.transfer(control, move |told| async move {
                let (outcome, _) = fetch::fetch(&link, id, own, near, move |bytes| told.tell(bytes)).await;
                outcome
            })?;
            match fetched {
                Outcome::Whole => return Ok(()),
                Outcome::Missing => {
                    return Err(StoreError::Missing {
                        id,
                        store: self.name.clone(),
                    });
                }
                Outcome::Local(error) => return Err(self.unusable(path, &error)),
                outcome => self.after("read from", outcome, &mut failures)?,
            }
        }
    }

    fn ensure(
        &self,
        blob: &BlobRef,
        file: &mut File,
        _journals: &Path,
        control: &Control<'_>,
    ) -> Result<bool, StoreError> {
        if self.touch(&blob.id, Some(blob.size))? {
            return Ok(false);
        }
        let unreadable = |error| self.failed("send to", error);
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let (outline, id) = Outline::of(&mut *file).map_err(unreadable)?;
        if id != blob.id {
            return Err(self.failed("send to", format!("blob {} is damaged on this machine", blob.id)));
        }
        let mut failures = 0;
        loop {
            let (link, blob, outline) = (self.link.clone(), *blob, outline.clone());
            let own = file.try_clone().map_err(unreadable)?;
            let stored = self.transfer(control, move |told| async move {
                fetch::store(&link, blob, &outline, &own, move |bytes| told.tell(bytes)).await
            })?;
            match stored {
                Ok(sent) => return Ok(sent),
                Err(outcome) => self.after("write to", outcome, &mut failures)?,
            }
        }
    }

    fn touch(&self, id: &BlobId, size: Option<u64>) -> Result<bool, StoreError> {
        self.is("read from", Request::Touch { id: *id, size })
    }

    fn kept(&self, blob: &BlobRef) {
        if !self.shares || blob.size < spread::LEAST {
            return;
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|_, when| when.elapsed() < SAY_AGAIN);
        if said.len() >= SAID || said.contains_key(&blob.id) {
            return;
        }
        said.insert(blob.id, Instant::now());
        drop(said);
        let (link, id) = (self.link.clone(), blob.id);
        self.runtime.spawn(async move {
            let address = link.endpoint().address();
            // When it is not heard nobody is sent here.
            let _ = fetch::ask(&link, &Request::Have { id, address }).await;
        });
    }

    fn target(&self, id: &BlobId) -> Option<TargetManifest> {
        match self.ask("read from", Request::Target(*id)) {
            Ok(Answer::Target(Some(text))) => serde_json::from_str(&text).ok(),
            _ => None,
        }
    }

    fn is_vouched(&self, id: &BlobId) -> Result<bool, StoreError> {
        self.is("read from", Request::IsVouched(*id))
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        StoreError::Remote {
            action: "reach",
            place: "the control plane".to_owned(),
            reason: error.to_string(),
        }
    }
}
