//! Reading a few files of a packed target, without laying it out.

use std::io::{BufReader, Read};

use super::entry::{Entry, Kind, Names};
use super::order::Order;
use super::{BUFFER, Decoder, MAX_WINDOW_LOG, UnpackLimits};
use crate::{BlobId, BlobStore, Control, Refusal, UnpackError};

/// Hands the wanted files of target `id` to `take`, in the order of the archive. A file longer than `max_bytes` comes as none.
/// Paths have forward slashes. All bytes of the blob are checked before the first file is handed over.
pub fn peek(
    store: &BlobStore,
    id: &BlobId,
    limits: &UnpackLimits,
    max_bytes: u64,
    control: &Control<'_>,
    wanted: &dyn Fn(&str) -> bool,
    take: &mut dyn FnMut(&str, Option<&[u8]>),
) -> Result<(), UnpackError> {
    store.healing(|| Ok::<_, UnpackError>(store.reader_controlled(id, control)?.verify()?))?;
    let blob = store.reader_controlled(id, control)?;
    let most_bytes = limits.total_bytes.min(limits.most_bytes(blob.size()));
    let malformed = |detail: String| UnpackError::NotATarget { id: *id, detail };
    let decoder = Decoder::with_buffer(BufReader::with_capacity(BUFFER, blob))
        .and_then(|mut decoder| decoder.window_log_max(MAX_WINDOW_LOG).map(|()| decoder))
        .map_err(|error| malformed(error.to_string()))?;
    let mut archive = tar::Archive::new(decoder);
    let (mut names, mut order, mut bytes) = (Names::default(), Order::default(), 0_u64);
    for raw in archive
        .entries()
        .map_err(|error| malformed(error.to_string()))?
        .raw(true)
    {
        if control.is_cancelled() {
            return Err(UnpackError::Cancelled);
        }
        let mut raw = raw.map_err(|error| malformed(error.to_string()))?;
        let refused = |entry: String, reason: Refusal| UnpackError::Refused { id: *id, entry, reason };
        let Some(entry) = names
            .next(&mut raw, limits)
            .map_err(|(entry, reason)| refused(entry, reason))?
        else {
            continue;
        };
        order.admit(&entry).map_err(|reason| refused(entry.display(), reason))?;
        let Kind::File { size, .. } = entry.kind else { continue };
        bytes = bytes.saturating_add(size);
        if bytes > most_bytes {
            let reason = Refusal::Limit {
                what: "bytes in all files",
                limit: most_bytes,
            };
            return Err(refused(entry.display(), reason));
        }
        let path = slashed(&entry);
        if !wanted(&path) {
            continue;
        }
        if size > max_bytes {
            take(&path, None);
            continue;
        }
        let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        raw.read_to_end(&mut content)
            .map_err(|error| malformed(error.to_string()))?;
        take(&path, Some(&content));
    }
    Ok(())
}

fn slashed(entry: &Entry) -> String {
    let parts: Vec<_> = entry.parts.iter().map(|part| String::from_utf8_lossy(part)).collect();
    parts.join("/")
}
