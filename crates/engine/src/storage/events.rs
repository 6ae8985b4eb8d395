//! The history table: appended in transitions, read in pages. Whoever only hands events on gets them as they are stored.

use bytes::Bytes;
use helve_db::{
    ReadError,
    rusqlite::{Connection, OptionalExtension, Row},
};
use helve_history::EventId;
use prost::Message;
use temporalio_protos::temporal::api::history::v1::{History, HistoryEvent};

use super::{RowId, position, span, within};
use crate::encoded::{EncodedEvents, frames};

/// Part of a history.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) events: EncodedEvents,
    /// Whether the limits ended it before the asked end.
    pub(crate) is_cut: bool,
}

/// Part of a history, the last event first.
#[derive(Debug, Default)]
pub(crate) struct ReverseEvents {
    /// A `temporal.api.history.v1.History`.
    pub(crate) bytes: Bytes,
    /// Where the next part begins, if there is one.
    pub(crate) next: Option<EventId>,
}

fn malformed(at: i64) -> ReadError {
    ReadError::Corrupt(format!(
        "history row {at}: it does not have the events that it should have"
    ))
}

/// A row of `at, last_event_id, events`.
pub(super) fn stored_batch(row: &Row<'_>) -> Result<EncodedEvents, ReadError> {
    let (at, last): (i64, EventId) = (row.get(0)?, row.get(1)?);
    let blob = Bytes::from(row.get::<_, Vec<u8>>(2)?);
    EncodedEvents::from_bytes(blob, within(at), last).map_err(|_| malformed(at))
}

/// Reads events `from..=to` in order, until `max_events` or about `max_bytes` are reached.
pub(crate) fn read_events(
    db: &Connection,
    row: RowId,
    (from, to): (EventId, EventId),
    (max_events, max_bytes): (usize, usize),
) -> Result<Events, ReadError> {
    // The batch that contains `from` begins at or before it.
    let mut query = db.prepare_cached(
        "SELECT at, last_event_id, events FROM history
         WHERE at BETWEEN coalesce((SELECT max(at) FROM history WHERE at BETWEEN ?1 AND ?2), ?2) AND ?3 ORDER BY at",
    )?;
    let mut rows = query.query((span(row).0, position(row, from), position(row, to)))?;
    let (mut batches, mut count, mut bytes) = (Vec::new(), 0, 0);
    let mut is_cut = false;
    while let Some(batch) = rows.next()? {
        let batch = stored_batch(batch)?;
        bytes += batch.bytes().len();
        let wanted = batch.range(from, to);
        let fits = wanted.fitting(max_events.saturating_sub(count), usize::MAX);
        count += fits.count() as usize;
        is_cut = fits.count() < wanted.count() || (bytes >= max_bytes && count > 0 && wanted.last() < to);
        batches.push(fits);
        if is_cut {
            break;
        }
    }
    Ok(Events {
        events: EncodedEvents::join(&batches),
        is_cut,
    })
}

/// Reads events `from`, `from - 1`, ... down to 1, until `max_events` or about `max_bytes` are reached.
pub(crate) fn read_events_reverse(
    db: &Connection,
    row: RowId,
    from: EventId,
    (max_events, max_bytes): (usize, usize),
) -> Result<ReverseEvents, ReadError> {
    let mut query =
        db.prepare_cached("SELECT at, last_event_id, events FROM history WHERE at BETWEEN ?1 AND ?2 ORDER BY at DESC")?;
    let mut rows = query.query((span(row).0, position(row, from)))?;
    let mut page = Vec::new();
    let (mut next, mut read, mut room) = (from, 0, max_events);
    while let Some(batch) = rows.next()? {
        let batch = stored_batch(batch)?;
        read += batch.bytes().len();
        let wanted = batch.range(1, from);
        let newest: Vec<&[u8]> = frames(wanted.bytes()).collect();
        for frame in newest.into_iter().rev().take(room) {
            page.extend_from_slice(frame);
            (next, room) = (next - 1, room - 1);
        }
        if room == 0 || read >= max_bytes {
            break;
        }
    }
    Ok(ReverseEvents {
        bytes: page.into(),
        next: (next > 0 && next < from).then_some(next),
    })
}

/// The last event of a run's history.
pub(crate) fn read_close_event(db: &Connection, row: RowId) -> Result<Option<HistoryEvent>, ReadError> {
    let (from, to) = span(row);
    let last: Option<(i64, Vec<u8>)> = db
        .prepare_cached("SELECT at, events FROM history WHERE at BETWEEN ?1 AND ?2 ORDER BY at DESC LIMIT 1")?
        .query_row((from, to), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((at, blob)) = last else { return Ok(None) };
    let last = frames(&blob).last().ok_or_else(|| malformed(at))?;
    let history = History::decode(last).map_err(|_| malformed(at))?;
    Ok(history.events.into_iter().next())
}
