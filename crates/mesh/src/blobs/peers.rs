//! Blobs from one endpoint to another that is no node: who was sent here with a grant gets that blob, and nothing else.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use helve_blobs::{BlobId, BlobStore};
use iroh::endpoint::{Connection, RecvStream, SendStream};
use iroh::{EndpointAddr, EndpointId};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::fetch::Outcome;
use super::grant::Grant;
use super::outline::{Outline, PIECE};
use super::spread::SERVED;
use super::transfer::{self, Ended, pieces_of};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::frame;
use crate::link::Link;

/// What is spoken between endpoints that are no nodes. Nothing of what a node answers is answered to it.
const ALPN: &[u8] = b"helve/peer-blobs/1";
/// Bytes of a call or an answer at most.
const LIMIT: usize = 64 << 10;
/// Connections that are there at once; the most are gone after one word.
const CONNECTIONS: usize = 4 * SERVED;
/// How long a connection may take to come about: one behind a router that lets nobody in never does.
const DIAL: Duration = Duration::from_secs(3);
/// The next is called too when one has not answered after this.
const STAGGER: Duration = Duration::from_millis(500);
/// How long a word may take, and every part of a piece.
const SILENCE: Duration = Duration::from_secs(5);
/// A piece that takes longer is better fetched from somebody else.
const SLOW: Duration = Duration::from_secs(20);
/// No transfer lasts longer: whoever was shut out in the midst of it gets no more.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// The only word of who calls.
#[derive(Debug, Serialize, Deserialize)]
struct Call {
    grant: Grant,
    /// The first piece that is wanted.
    from: u64,
}

/// The answer, before the pieces.
#[derive(Debug, Serialize, Deserialize)]
enum Reply {
    /// The pieces come.
    Coming,
    /// As many are served as should be at once.
    Busy,
    /// Nothing comes, and why.
    No(String),
}

/// Hands on what a store has here, to those whom a node of the link sends. Dropping it ends that.
pub struct Handing {
    serving: Arc<Serving>,
    _accepting: AbortOnDropHandle<()>,
}

struct Serving {
    link: Link,
    store: BlobStore,
    room: Semaphore,
    bytes: AtomicU64,
}

impl Handing {
    /// Begins; nothing of the store's is fetched for it. To be called inside a runtime.
    pub fn begin(link: &Link, store: BlobStore) -> Self {
        link.endpoint().0.set_alpns(vec![ALPN.to_vec()]);
        let serving = Arc::new(Serving {
            link: link.clone(),
            store,
            room: Semaphore::new(SERVED),
            bytes: AtomicU64::new(0),
        });
        Self {
            _accepting: AbortOnDropHandle::new(tokio::spawn(accept(Arc::clone(&serving)))),
            serving,
        }
    }

    /// Bytes that were handed on, in whole pieces.
    pub fn bytes(&self) -> u64 {
        self.serving.bytes.load(Ordering::Relaxed)
    }
}

async fn accept(serving: Arc<Serving>) {
    let endpoint = serving.link.endpoint().0.clone();
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    // Ends with the task that accepts.
    let mut served = JoinSet::new();
    while let Some(incoming) = endpoint.accept().await {
        while served.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let serving = Arc::clone(&serving);
        served.spawn(async move {
            let Ok(Ok(connection)) = timeout(SILENCE, incoming).await else {
                return;
            };
            let peer = connection.remote_id();
            match timeout(LONGEST, serving.answer(&connection)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(peer = %peer.fmt_short(), %error, "a blob was not handed on"),
                Err(_) => tracing::debug!(peer = %peer.fmt_short(), "a blob took too long to be handed on"),
            }
            connection.close(0_u32.into(), b"");
            drop(permit);
        });
    }
}

impl Serving {
    /// Serves one stream, the only one of its connection.
    async fn answer(&self, connection: &Connection) -> io::Result<()> {
        let asked = async {
            let (send, mut recv) = connection.accept_bi().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((send, frame::read::<Call>(&mut recv, LIMIT).await?))
        };
        let (mut send, Call { grant, from }) = timeout(SILENCE, asked).await??;
        let trusted = self.link.trusted();
        let allowed = grant.allows(connection.remote_id(), self.link.id(), &trusted, SystemTime::now());
        let id = match allowed {
            Ok(id) => id,
            Err(why) => return last(&mut send, &Reply::No(why.to_string())).await,
        };
        let Ok(_permit) = self.room.try_acquire() else {
            return last(&mut send, &Reply::Busy).await;
        };
        let store = self.store.clone();
        let Some(reader) = spawn_blocking(move || reader_from(&store, &id, from)).await?? else {
            return last(&mut send, &Reply::No("it is not here any more".to_owned())).await;
        };
        frame::write(&mut send, &Reply::Coming).await?;
        let count = |_| {
            self.bytes.fetch_add(PIECE, Ordering::Relaxed);
            true
        };
        let (ended, _) = transfer::send(&mut send, pieces_of(reader), SLOW, count).await;
        match ended {
            Ended::Line(error) | Ended::Local(error) => Err(error),
            Ended::Whole | Ended::Wrong(_) | Ended::Cancelled => finish(&mut send).await,
        }
    }
}

async fn last(send: &mut SendStream, reply: &Reply) -> io::Result<()> {
    frame::write(send, reply).await?;
    finish(send).await
}

/// The connection ends with what is on it, so the other side has to have it all.
async fn finish(send: &mut SendStream) -> io::Result<()> {
    send.shutdown().await?;
    let _ = timeout(SLOW, send.stopped()).await;
    Ok(())
}

/// What is here of the blob, from one of its pieces on. It is not fetched.
fn reader_from(store: &BlobStore, id: &BlobId, from: u64) -> io::Result<Option<impl Read + Send + use<>>> {
    let Some(mut reader) = store.local_reader(id).map_err(io::Error::other)? else {
        return Ok(None);
    };
    io::copy(&mut reader.by_ref().take(from.saturating_mul(PIECE)), &mut io::sink())?;
    Ok(Some(reader))
}

/// What a node said about a blob that others have.
pub(super) struct Sent<'a> {
    pub(super) id: BlobId,
    pub(super) outline: &'a Outline,
    pub(super) grant: &'a Grant,
}

/// What came of asking the others.
pub(super) struct Asked {
    /// None: none of them has sent it to its end.
    pub(super) outcome: Option<Outcome>,
    /// The first piece that is still missing.
    pub(super) from: u64,
    /// Who did not do what they should.
    pub(super) failed: Vec<EndpointId>,
    pub(super) file: File,
}

/// Appends the pieces from one on to the file, from one endpoint after the other.
pub(super) async fn fetch(
    link: &Link,
    what: Sent<'_>,
    others: &[EndpointAddr],
    from: u64,
    file: File,
    told: impl Fn(u64) -> bool + Clone + Send + 'static,
) -> Asked {
    let mut asked = Asked {
        outcome: None,
        from,
        failed: Vec::new(),
        file,
    };
    let mut left = others.to_vec();
    while !left.is_empty() {
        let (mut dialled, mut broke) = (dial(link.endpoint(), &left), false);
        while let Some(joined) = dialled.join_next().await {
            let (other, connection) = joined.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
            left.retain(|one| one.id != other);
            let call = Call {
                grant: what.grant.clone(),
                from: asked.from,
            };
            let replied = match &connection {
                Ok(connection) => ask(connection, &call).await,
                Err(error) => Err(io::Error::other(error.to_string())),
            };
            let why = match (connection, replied) {
                (_, Ok((_, Reply::Busy))) => continue,
                (_, Ok((_, Reply::No(why)))) => Error::protocol(other, why),
                (Err(error), _) | (_, Err(error)) => Error::broken(other, error),
                (Ok(connection), Ok((mut recv, Reply::Coming))) => {
                    // The rest is called only when this one fails.
                    dialled.abort_all();
                    match take(&connection, &mut recv, &what, &mut asked, &told).await {
                        Some(why) => {
                            broke = true;
                            why
                        }
                        None => return asked,
                    }
                }
            };
            tracing::debug!(error = %why, id = %what.id, "another endpoint did not hand on a blob");
            asked.failed.push(other);
            if broke {
                break;
            }
        }
    }
    asked
}

/// Calls all, one after the other until one has answered.
fn dial(endpoint: &Endpoint, others: &[EndpointAddr]) -> JoinSet<(EndpointId, io::Result<Connection>)> {
    let mut dialled = JoinSet::new();
    let mut wait = Duration::ZERO;
    for other in others {
        let (endpoint, other) = (endpoint.0.clone(), other.clone());
        dialled.spawn(async move {
            sleep(wait).await;
            let id = other.id;
            let connected = match timeout(DIAL, endpoint.connect(other, ALPN)).await {
                Ok(connected) => connected.map_err(io::Error::other),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            };
            (id, connected)
        });
        wait += STAGGER;
    }
    dialled
}

async fn ask(connection: &Connection, call: &Call) -> io::Result<(RecvStream, Reply)> {
    let asking = async {
        let (mut send, mut recv) = connection.open_bi().await.map_err(io::Error::other)?;
        frame::write(&mut send, call).await?;
        send.shutdown().await?;
        let reply = frame::read(&mut recv, LIMIT).await?;
        Ok((recv, reply))
    };
    timeout(SILENCE, asking).await?
}

/// Takes the pieces that come. Why it ended early, when others are to be asked for the rest.
async fn take(
    connection: &Connection,
    recv: &mut RecvStream,
    what: &Sent<'_>,
    asked: &mut Asked,
    told: &(impl Fn(u64) -> bool + Clone + Send + 'static),
) -> Option<Error> {
    let file = match asked.file.try_clone() {
        Ok(file) => file,
        Err(error) => {
            asked.outcome = Some(Outcome::Local(error));
            return None;
        }
    };
    let (ended, pieces, _) = receive(connection, recv, what, asked.from, file, told).await;
    connection.close(0_u32.into(), b"");
    asked.from += pieces;
    let peer = connection.remote_id();
    asked.outcome = Some(match ended {
        Ended::Line(error) => return Some(Error::broken(peer, error)),
        Ended::Wrong(piece) => return Some(Error::protocol(peer, format!("wrong bytes for piece {piece}"))),
        Ended::Whole => Outcome::Whole,
        Ended::Cancelled => Outcome::Cancelled,
        Ended::Local(error) => Outcome::Local(error),
    });
    None
}

async fn receive(
    connection: &Connection,
    recv: &mut RecvStream,
    what: &Sent<'_>,
    from: u64,
    file: File,
    told: &(impl Fn(u64) -> bool + Clone + Send + 'static),
) -> (Ended, u64, File) {
    let (pieces, told) = (Arc::new(AtomicU64::new(0)), told.clone());
    let come = Arc::clone(&pieces);
    let told = move |bytes| {
        come.fetch_add(1, Ordering::Relaxed);
        told(bytes)
    };
    let receiving = transfer::receive(recv, (what.id, what.outline), from, file, SILENCE, told);
    // One that sends a few bytes now and then is never silent.
    let stuck = async {
        let mut before = u64::MAX;
        loop {
            let now = pieces.load(Ordering::Relaxed);
            if now == before {
                return;
            }
            before = now;
            sleep(SLOW).await;
        }
    };
    let mut receiving = std::pin::pin!(receiving);
    tokio::select! {
        received = &mut receiving => return received,
        () = stuck => connection.close(0_u32.into(), b"too slow"),
    }
    receiving.await
}

#[cfg(test)]
mod tests;
