//! Requests about blobs, from the side that has them not.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::time::Duration;

use helve_blobs::{BlobId, BlobRef};
use iroh::EndpointAddr;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::grant::Grant;
use super::messages::{Answer, LIMIT, Request};
use super::outline::Outline;
use super::peers;
use super::serve::whole_pieces;
use super::transfer::{self, Ended, pieces_of};
use crate::error::Error;
use crate::frame;
use crate::link::Link;
use crate::stream::{Kind, Stream};

/// A stream on which nothing comes for this long is given up, and the request made anew.
const SILENCE: Duration = Duration::from_secs(30);
/// Making an outline of a large blob means reading it.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often, and after how long, a node is asked again when all whom it named were busy; then the blob comes from there.
const BUSY: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// What came of a transfer.
pub(super) enum Outcome {
    /// All of it is there.
    Whole,
    /// There is no such blob.
    Missing,
    /// It broke, after this many pieces that were not there before: asking again goes on where it was.
    Broken {
        /// New pieces.
        pieces: u64,
        /// Why.
        error: Error,
    },
    /// It will not work the next time either.
    Failed(String),
    /// The caller gave up.
    Cancelled,
    /// This machine cannot read or write the file.
    Local(io::Error),
}

/// Asks for something small.
pub(super) async fn ask(link: &Link, request: &Request) -> Result<Answer, Error> {
    let mut stream = link.open(Kind::Blob).await?;
    let peer = stream.peer();
    let asking = async {
        frame::write(&mut stream.send, request).await?;
        stream.send.shutdown().await?;
        frame::read(&mut stream.recv, LIMIT).await
    };
    match timeout(PATIENCE, asking).await {
        Ok(answer) => answer.map_err(|error| Error::broken(peer, error)),
        Err(_) => Err(Error::broken(peer, "no answer came")),
    }
}

/// Fetches what the file has not got yet: from others too if `near`, when the node says so. `told` hears how many bytes are there,
/// and says whether to go on.
pub(super) async fn fetch(
    link: &Link,
    id: BlobId,
    file: File,
    near: bool,
    told: impl Fn(u64) -> bool + Clone + Send + 'static,
) -> (Outcome, File) {
    let (mut file, mut near, mut failed, mut busy) = (file, near, Vec::new(), 0);
    // What is there can only be judged with the outline, and the outline comes with the first pieces: those are asked for that
    // are most likely missing.
    let have = match file.metadata() {
        Ok(meta) => meta.len() / super::PIECE,
        Err(error) => return (Outcome::Local(error), file),
    };
    let mut from = have;
    loop {
        let request = match near {
            true => Request::FetchNear {
                id,
                from,
                failed: failed.clone(),
            },
            false => Request::Fetch { id, from },
        };
        let begun = match begin(link, id, &request).await {
            // A node of an earlier version ends the stream.
            Err(Error::Broken { .. }) if near => {
                near = false;
                continue;
            }
            Err(error) => return (Outcome::Broken { pieces: 0, error }, file),
            Ok(Begun::Ended(outcome)) => return (outcome, file),
            Ok(Begun::Later) if told(from.saturating_mul(super::PIECE)) => continue,
            Ok(Begun::Later) => return (Outcome::Cancelled, file),
            Ok(begun) => begun,
        };
        let outline = begun.outline().clone();
        let (whole, back) = judge(file, id, outline.clone()).await;
        file = back;
        let whole = match whole {
            Ok(whole) => whole,
            Err(error) => return (Outcome::Local(error), file),
        };
        let (others, grant) = match begun {
            Begun::Elsewhere { others, grant, .. } => (others, grant),
            Begun::Pieces(mut stream, _) if whole >= from => {
                return receive(&mut stream, id, &outline, whole, file, told).await;
            }
            // Something of what was there is damaged: from there on it is asked for again.
            _ => {
                from = whole;
                continue;
            }
        };
        let what = peers::Sent {
            id,
            outline: &outline,
            grant: &grant,
        };
        let asked = peers::fetch(link, what, &others, whole, file, told.clone()).await;
        (from, failed, file) = (asked.from, asked.failed, asked.file);
        if let Some(outcome) = asked.outcome {
            return (outcome, file);
        }
        if failed.is_empty() {
            // All of them were busy, so others are done soon.
            busy += 1;
            near = busy < BUSY;
            sleep(PAUSE).await;
        }
        if !told(from.saturating_mul(super::PIECE)) {
            return (Outcome::Cancelled, file);
        }
    }
}

/// How many pieces of the file are right; it then ends behind them.
async fn judge(mut file: File, id: BlobId, outline: Outline) -> (io::Result<u64>, File) {
    let judged = spawn_blocking(move || {
        let whole = whole_pieces(&mut file, &id, &outline);
        (whole, file)
    });
    judged
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

enum Begun {
    Pieces(Stream, Outline),
    Elsewhere {
        outline: Outline,
        others: Vec<EndpointAddr>,
        grant: Grant,
    },
    Later,
    Ended(Outcome),
}

impl Begun {
    fn outline(&self) -> &Outline {
        match self {
            Self::Pieces(_, outline) | Self::Elsewhere { outline, .. } => outline,
            Self::Later | Self::Ended(_) => unreachable!("these were looked at before"),
        }
    }
}

async fn begin(link: &Link, id: BlobId, request: &Request) -> Result<Begun, Error> {
    let mut stream = link.open(Kind::Blob).await?;
    let peer = stream.peer();
    let asking = async {
        frame::write(&mut stream.send, request).await?;
        stream.send.shutdown().await?;
        frame::read(&mut stream.recv, LIMIT).await
    };
    let answer = match timeout(PATIENCE, asking).await {
        Ok(answer) => answer.map_err(|error| Error::broken(peer, error))?,
        Err(_) => return Err(Error::broken(peer, "no answer came")),
    };
    match answer {
        Answer::Pieces(outline) if outline.is_of(&id) => Ok(Begun::Pieces(stream, outline)),
        Answer::Elsewhere { outline, others, grant } if outline.is_of(&id) => {
            Ok(Begun::Elsewhere { outline, others, grant })
        }
        Answer::Later => Ok(Begun::Later),
        Answer::Pieces(_) | Answer::Elsewhere { .. } => {
            Err(Error::protocol(peer, "pieces that are not those of the blob"))
        }
        Answer::Missing => Ok(Begun::Ended(Outcome::Missing)),
        Answer::Failed(why) => Ok(Begun::Ended(Outcome::Failed(why))),
        _ => Err(Error::protocol(peer, "another answer than was asked for")),
    }
}

async fn receive(
    stream: &mut Stream,
    id: BlobId,
    outline: &Outline,
    from: u64,
    file: File,
    told: impl Fn(u64) -> bool + Send + 'static,
) -> (Outcome, File) {
    let peer = stream.peer();
    let (ended, pieces, file) = transfer::receive(&mut stream.recv, (id, outline), from, file, SILENCE, told).await;
    let error = match ended {
        Ended::Whole => return (Outcome::Whole, file),
        Ended::Cancelled => return (Outcome::Cancelled, file),
        Ended::Local(error) => return (Outcome::Local(error), file),
        Ended::Line(error) => Error::broken(peer, error),
        Ended::Wrong(piece) => Error::protocol(peer, format!("wrong bytes for piece {piece} of blob {id}")),
    };
    (Outcome::Broken { pieces, error }, file)
}

/// Sends a blob, of which the other side may have a part. Whether anything had to be sent.
pub(super) async fn store(
    link: &Link,
    blob: BlobRef,
    outline: &Outline,
    file: &File,
    told: impl Fn(u64) -> bool,
) -> Result<bool, Outcome> {
    let broken = |pieces, error| Outcome::Broken { pieces, error };
    let mut stream = link.open(Kind::Blob).await.map_err(|error| broken(0, error))?;
    let peer = stream.peer();
    let request = Request::Store {
        blob,
        outline: outline.clone(),
    };
    let asking = async {
        frame::write(&mut stream.send, &request).await?;
        frame::read(&mut stream.recv, LIMIT).await
    };
    let answer = match timeout(PATIENCE, asking).await {
        Ok(answer) => answer.map_err(|error| broken(0, Error::broken(peer, error)))?,
        Err(_) => return Err(broken(0, Error::broken(peer, "no answer came"))),
    };
    let from = match answer {
        Answer::Store { from } => from,
        Answer::Stored => return Ok(false),
        Answer::Failed(why) => return Err(Outcome::Failed(why)),
        _ => return Err(broken(0, Error::protocol(peer, "another answer than was asked for"))),
    };
    let mut file = file.try_clone().map_err(Outcome::Local)?;
    file.seek(SeekFrom::Start(from * super::PIECE))
        .map_err(Outcome::Local)?;
    let told = |pieces: u64| told(((from + pieces) * super::PIECE).min(blob.size));
    let (ended, sent) = transfer::send(&mut stream.send, pieces_of(file), SILENCE, told).await;
    match ended {
        Ended::Line(error) => return Err(broken(sent, Error::broken(peer, error))),
        Ended::Local(error) => return Err(Outcome::Local(error)),
        Ended::Cancelled => return Err(Outcome::Cancelled),
        Ended::Whole | Ended::Wrong(_) => {}
    }
    match timeout(PATIENCE, frame::read(&mut stream.recv, LIMIT)).await {
        Ok(Ok(Answer::Stored)) => Ok(true),
        Ok(Ok(Answer::Failed(why))) => Err(Outcome::Failed(why)),
        Ok(Ok(_)) => Err(broken(sent, Error::protocol(peer, "another answer than was asked for"))),
        Ok(Err(error)) => Err(broken(sent, Error::broken(peer, error))),
        Err(_) => Err(broken(sent, Error::broken(peer, "no answer came"))),
    }
}
