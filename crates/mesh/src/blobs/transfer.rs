//! Pieces of a blob on their way between a file and a line: the disk and the hashing go on while the line does.

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::Duration;

use helve_blobs::BlobId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::outline::{Outline, PIECE};
use crate::frame;

/// Pieces that the faster side is ahead at most.
const AHEAD: usize = 2;

/// How a transfer ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// With the last piece.
    Whole,
    /// The line broke.
    Line(io::Error),
    /// This piece is not what the outline says.
    Wrong(u64),
    /// This machine cannot read or write the file.
    Local(io::Error),
    /// Nobody wants it any more.
    Cancelled,
}

/// Appends the pieces that come, from one on, to the file; a wrong one is not written. Says how many were.
///
/// `told` hears how many bytes of the blob are there, and says whether to go on. Nothing for as long as `silence` is a broken
/// line.
pub(super) async fn receive(
    line: &mut (impl AsyncRead + Unpin),
    (id, outline): (BlobId, &Outline),
    from: u64,
    file: File,
    silence: Duration,
    told: impl Fn(u64) -> bool + Send + 'static,
) -> (Ended, u64, File) {
    let (sender, mut come) = mpsc::channel::<Vec<u8>>(AHEAD);
    let expected = outline.clone();
    let writer = spawn_blocking(move || {
        let (mut file, mut piece) = (file, from);
        let mut append = |piece, bytes: &[u8]| {
            if !expected.matches(&id, piece, bytes) {
                return Some(Ended::Wrong(piece));
            }
            if let Err(error) = file.write_all(bytes) {
                return Some(Ended::Local(error));
            }
            (!told(piece * PIECE + bytes.len() as u64)).then_some(Ended::Cancelled)
        };
        let mut ended = Ended::Whole;
        while let Some(bytes) = come.blocking_recv() {
            if let Some(early) = append(piece, &bytes) {
                ended = early;
                break;
            }
            piece += 1;
        }
        (ended, piece - from, file)
    });
    let mut broken = None;
    for piece in from..outline.pieces() {
        let mut bytes = vec![0; usize::try_from(outline.length(piece)).expect("a piece fits")];
        if let Err(error) = frame::read_all(line, &mut bytes, silence).await {
            broken = Some(error);
            break;
        }
        if sender.send(bytes).await.is_err() {
            // The writer says why.
            break;
        }
    }
    drop(sender);
    match (finished(writer.await), broken) {
        ((Ended::Whole, pieces, file), Some(error)) => (Ended::Line(error), pieces, file),
        (ended, _) => ended,
    }
}

/// Sends the pieces that `read` hands over until there are no more. Says how many were taken by the line.
///
/// `told` hears how many that are, and says whether to go on.
pub(super) async fn send(
    line: &mut (impl AsyncWrite + Unpin),
    mut read: impl FnMut() -> io::Result<Option<Vec<u8>>> + Send + 'static,
    silence: Duration,
    told: impl Fn(u64) -> bool,
) -> (Ended, u64) {
    let (sender, mut pieces) = mpsc::channel(AHEAD);
    // Ends when nobody takes any more, and is not waited for then.
    spawn_blocking(move || {
        while let Some(piece) = read().transpose() {
            let last = piece.is_err();
            if sender.blocking_send(piece).is_err() || last {
                break;
            }
        }
    });
    let mut sent = 0;
    while let Some(piece) = pieces.recv().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => return (Ended::Local(error), sent),
        };
        if let Err(error) = frame::write_all(line, &piece, silence).await {
            return (Ended::Line(error), sent);
        }
        sent += 1;
        if !told(sent) {
            return (Ended::Cancelled, sent);
        }
    }
    (Ended::Whole, sent)
}

/// Reads one piece after the other.
pub(super) fn pieces_of(mut blob: impl Read) -> impl FnMut() -> io::Result<Option<Vec<u8>>> {
    move || {
        let mut piece = Vec::with_capacity(PIECE as usize);
        blob.by_ref().take(PIECE).read_to_end(&mut piece)?;
        Ok((!piece.is_empty()).then_some(piece))
    }
}

fn finished<T>(joined: Result<T, tokio::task::JoinError>) -> T {
    joined.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
