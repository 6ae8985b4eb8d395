//! Uploads: streamed from where the bytes are, and taken up again where they broke off.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use helve_blobs::Skipped;
use helve_runs::TargetFacts;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use reqwest::{Body, Method};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::targets::TargetView;
use crate::transport::Client;

const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
/// Bytes that are in memory at a time.
const CHUNK: usize = 256 * 1024;
/// Bytes in a request: what a broken connection costs at most.
const PART: u64 = 64 << 20;
/// Connections that may break one after the other without a byte getting through.
const TRIES: u32 = 8;
/// Between them.
const PAUSE: Duration = Duration::from_millis(500);

/// What is going to be uploaded.
#[derive(Debug, Clone, Serialize)]
pub struct NewUpload {
    /// What the target is called.
    pub name: String,
    /// `tar`, `tar-gz`, `tar-zst` or `file`.
    pub format: &'static str,
    /// Bytes in all.
    pub size: u64,
    /// Take also what ignore files exclude: whoever packed it has applied them.
    pub include_ignored: bool,
    /// What the one who packed it left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<LeftOut>,
}

/// What packing left out, so that the server's reports say where nobody looked.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LeftOut {
    /// Entries that ignore files excluded.
    pub ignored: u64,
    /// Taken although ignore files name them: the first few.
    pub forced: Vec<String>,
    /// How many of them.
    pub forced_total: u64,
    /// Could not be taken: the first few.
    pub skipped: Vec<Skipped>,
    /// How many of them.
    pub skipped_total: u64,
}

impl From<&TargetFacts> for LeftOut {
    fn from(facts: &TargetFacts) -> Self {
        Self {
            ignored: facts.ignored,
            forced: facts.forced.clone(),
            forced_total: facts.forced_total,
            skipped: facts.skipped.clone(),
            skipped_total: facts.skipped_total,
        }
    }
}

/// Opens the bytes from the beginning, each time it is called. Blocking.
pub type Source = Arc<dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync>;

/// An upload as the server shows it.
#[derive(Debug, Deserialize)]
struct UploadView {
    id: String,
    offset: u64,
}

impl Client {
    /// Uploads a target. `progress` hears how many bytes are there.
    ///
    /// # Errors
    ///
    /// When the server refuses it, or cannot be reached for longer than a moment.
    pub async fn upload(
        &self,
        new: &NewUpload,
        source: &Source,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<TargetView, Error> {
        let begun: UploadView = self
            .read(self.call(Method::POST, &["uploads"], &[]).json(new).keyed())
            .await?;
        let (id, mut offset, mut broken) = (begun.id, begun.offset, 0);
        while offset < new.size {
            let end = (offset + PART).min(new.size);
            let (came, error) = match self.append(&id, offset, end, source).await {
                Ok(()) => (end, None),
                Err(error) => (offset, Some(error)),
            };
            offset = match error {
                None => came,
                Some(error) => self.offset_after(&id, offset, error, &mut broken).await?,
            };
            progress(offset);
        }
        let complete = self.call(Method::POST, &["uploads", &id, "complete"], &[]);
        self.read(complete.takes_long()).await
    }

    /// Where to go on after a part did not get through.
    async fn offset_after(&self, id: &str, offset: u64, error: Error, broken: &mut u32) -> Result<u64, Error> {
        // A conflict says that the server has more, or less, than we think.
        let is_passing =
            matches!(error, Error::Unreachable { .. }) || matches!(error.status(), Some(408 | 409 | 502..=504));
        if !is_passing || *broken >= TRIES {
            return Err(error);
        }
        *broken += 1;
        tracing::debug!(%error, offset, "an upload broke off; it goes on");
        tokio::time::sleep(PAUSE * *broken).await;
        let there: UploadView = self.get(&["uploads", id], &[]).await?;
        if there.offset > offset {
            *broken = 0;
        }
        Ok(there.offset)
    }

    async fn append(&self, id: &str, from: u64, to: u64, source: &Source) -> Result<(), Error> {
        let url = self.url(&["uploads", id], &[]);
        let request = self
            .request(Method::PATCH, url)
            .header(OFFSET, from)
            .header(CONTENT_TYPE, "application/offset+octet-stream")
            .header(CONTENT_LENGTH, to - from)
            .body(Body::wrap_stream(part(source, from, to)));
        self.answer(request.send().await).await.map(drop)
    }
}

enum Reading {
    Before(Source, u64, u64),
    At(Box<dyn Read + Send>, u64),
    Done,
}

/// The bytes between two places, read on threads that may block.
fn part(source: &Source, from: u64, to: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let begin = Reading::Before(Arc::clone(source), from, to);
    futures_util::stream::unfold(begin, |reading| async move {
        if matches!(reading, Reading::Done) {
            return None;
        }
        let read = tokio::task::spawn_blocking(move || read_on(reading)).await;
        match read {
            Ok(Ok(None)) => None,
            Ok(Ok(Some((bytes, rest)))) => Some((Ok(bytes), rest)),
            Ok(Err(error)) => Some((Err(error), Reading::Done)),
            Err(error) => Some((Err(io::Error::other(error)), Reading::Done)),
        }
    })
}

fn read_on(reading: Reading) -> io::Result<Option<(Bytes, Reading)>> {
    let (mut reader, left) = match reading {
        Reading::Done => return Ok(None),
        Reading::At(reader, left) => (reader, left),
        Reading::Before(source, from, to) => {
            let mut reader = source()?;
            let skipped = io::copy(&mut reader.by_ref().take(from), &mut io::sink())?;
            if skipped != from {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            (reader, to - from)
        }
    };
    if left == 0 {
        return Ok(None);
    }
    let wanted = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
    let mut buffer = vec![0; wanted];
    let count = reader.read(&mut buffer)?;
    if count == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    buffer.truncate(count);
    Ok(Some((buffer.into(), Reading::At(reader, left - count as u64))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::TryStreamExt;

    fn source(bytes: Vec<u8>) -> Source {
        Arc::new(move || Ok(Box::new(io::Cursor::new(bytes.clone()))))
    }

    #[tokio::test]
    async fn a_part_is_what_lies_between_two_places() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
        let pieces: Vec<Bytes> = part(&source(bytes.clone()), 1000, 900_000).try_collect().await.unwrap();
        assert!(pieces.iter().all(|piece| piece.len() <= CHUNK));
        assert_eq!(pieces.concat(), bytes[1000..900_000]);
    }

    #[tokio::test]
    async fn a_source_that_has_become_shorter_breaks_the_request() {
        let outcome: Result<Vec<Bytes>, _> = part(&source(vec![0; 10]), 0, 20).try_collect().await;
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
