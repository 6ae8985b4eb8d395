//! What is sent: blobs, or who else has them.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use helve_blobs::{BlobId, BlobStore, StoreError};
use iroh::EndpointId;
use tokio::io::AsyncWriteExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;

use super::{SILENCE, Service, finish};
use crate::blobs::grant::{self, Grant};
use crate::blobs::messages::Answer;
use crate::blobs::outline::{Outline, PIECE};
use crate::blobs::spread::{Direct, LEAST, Source};
use crate::blobs::transfer::{self, Ended, pieces_of};
use crate::frame;
use crate::stream::Stream;

/// How long somebody who has to wait for their turn is kept before they are to ask again.
const HOLD: Duration = Duration::from_secs(10);
/// How soon somebody who fetched a blob says that it is there.
const SETTLES: Duration = Duration::from_secs(2);

impl Service {
    /// Sends a blob from one of its pieces on, whoever else fetches it.
    pub(super) async fn fetch(&self, mut stream: Stream, id: BlobId, from: u64) -> io::Result<()> {
        match self.outlined(id).await? {
            Ok(outline) => {
                let direct = self.0.spread.direct(id);
                self.send(&mut stream, id, from, &outline, &direct).await
            }
            Err(answer) => finish(stream, &answer).await,
        }
    }

    /// Sends a blob, or says who else has it.
    pub(super) async fn fetch_near(
        &self,
        mut stream: Stream,
        id: BlobId,
        from: u64,
        failed: &[EndpointId],
        permit: OwnedSemaphorePermit,
    ) -> io::Result<()> {
        let Some((key, together)) = &self.0.sharing else {
            return self.fetch(stream, id, from).await;
        };
        let outline = match self.outlined(id).await? {
            Ok(outline) => outline,
            Err(answer) => return finish(stream, &answer).await,
        };
        let (asker, spread) = (stream.peer(), &self.0.spread);
        if !failed.is_empty() {
            spread.complained(id, asker, failed);
        }
        if !failed.is_empty() || outline.size() < LEAST {
            return self.fetch(stream, id, from).await;
        }
        // Whoever waits works on nothing.
        let mut permit = Some(permit);
        let until = tokio::time::Instant::now() + HOLD;
        loop {
            let mut changed = std::pin::pin!(spread.changed());
            // From here on none is missed.
            changed.as_mut().enable();
            match spread.source(id, asker, |other| together(asker, other)) {
                Source::Node(direct) => {
                    let room = || Arc::clone(&self.0.room).acquire_owned();
                    let permit = match permit {
                        Some(permit) => permit,
                        None => room().await.map_err(io::Error::other)?,
                    };
                    self.send(&mut stream, id, from, &outline, &direct).await?;
                    drop(permit);
                    // Whoever comes next is sent there, and does not fetch it from here too.
                    let _ = tokio::time::timeout(SETTLES, spread.until_has(id, asker)).await;
                    return Ok(());
                }
                Source::Others(others) => {
                    self.0.sent[1].fetch_add(1, Ordering::Relaxed);
                    let names = others.iter().map(|other| other.id).collect();
                    let answer = Answer::Elsewhere {
                        outline: (*outline).clone(),
                        others,
                        grant: Grant::new(key, id, asker, names, SystemTime::now() + grant::LASTS),
                    };
                    return finish(stream, &answer).await;
                }
                Source::Later => {}
            }
            permit = None;
            if tokio::time::timeout_at(until, changed).await.is_err() {
                return finish(stream, &Answer::Later).await;
            }
        }
    }

    /// The outline of a blob, or what to answer without one.
    async fn outlined(&self, id: BlobId) -> io::Result<Result<Arc<Outline>, Answer>> {
        let service = self.clone();
        let outline = spawn_blocking(move || service.outline(&id)).await?;
        Ok(outline.map_err(|error| match error {
            StoreError::Missing { .. } => Answer::Missing,
            error => Answer::Failed(error.to_string()),
        }))
    }

    /// Sends a blob from one of its pieces on.
    async fn send(
        &self,
        stream: &mut Stream,
        id: BlobId,
        from: u64,
        outline: &Outline,
        direct: &Direct<'_>,
    ) -> io::Result<()> {
        frame::write(&mut stream.send, &Answer::Pieces(outline.clone())).await?;
        let store = self.0.store.clone();
        let reader = spawn_blocking(move || reader_from(&store, &id, from)).await??;
        let count = |_| {
            self.0.sent[0].fetch_add(PIECE, Ordering::Relaxed);
            direct.sent(PIECE);
            true
        };
        let (ended, _) = transfer::send(&mut stream.send, pieces_of(reader), SILENCE, count).await;
        match ended {
            // The other side sees a stream that ended too soon, and asks again.
            Ended::Line(error) | Ended::Local(error) => Err(error),
            Ended::Whole | Ended::Wrong(_) | Ended::Cancelled => stream.send.shutdown().await,
        }
    }
}

/// What there is from one of its pieces on. Blobs are checked while they are read, so what is before that is read as well.
fn reader_from(store: &BlobStore, id: &BlobId, from: u64) -> io::Result<impl Read + Send + use<>> {
    let mut reader = store.reader(id).map_err(io::Error::other)?;
    io::copy(&mut reader.by_ref().take(from.saturating_mul(PIECE)), &mut io::sink())?;
    Ok(reader)
}
