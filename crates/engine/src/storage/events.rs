//! The history table: appended in transitions, read in pages.

use helve_db::{
    ReadError,
    rusqlite::{Connection, OptionalExtension},
};
use helve_history::EventId;
use prost::Message;
use temporalio_protos::temporal::api::history::v1::{History, HistoryEvent};

use super::{RowId, position, span};

/// Part of a history.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) events: Vec<HistoryEvent>,
    /// Whether the limits ended it before the asked end.
    pub(crate) is_cut: bool,
}

/// Encodes events the way `History` does, without moving them into one.
pub(crate) fn encode_events(events: &[HistoryEvent]) -> Vec<u8> {
    let size = events.iter().map(|event| event.encoded_len() + 12).sum();
    let mut bytes = Vec::with_capacity(size);
    for event in events {
        prost::encoding::message::encode(1, event, &mut bytes);
    }
    bytes
}

/// The opposite of [`encode_events`]; `what` names the place for the error.
pub(crate) fn decode_events(bytes: &[u8], what: impl FnOnce() -> String) -> Result<Vec<HistoryEvent>, ReadError> {
    match History::decode(bytes) {
        Ok(history) => Ok(history.events),
        Err(error) => Err(ReadError::Corrupt(format!("{}: {error}", what()))),
    }
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
        "SELECT at, events FROM history
         WHERE at BETWEEN coalesce((SELECT max(at) FROM history WHERE at BETWEEN ?1 AND ?2), ?2) AND ?3 ORDER BY at",
    )?;
    let mut rows = query.query((span(row).0, position(row, from), position(row, to)))?;
    let mut page = Events::default();
    let mut bytes = 0;
    while let Some(batch) = rows.next()? {
        let (at, blob): (i64, Vec<u8>) = (batch.get(0)?, batch.get(1)?);
        bytes += blob.len();
        for event in decode_events(&blob, || format!("history row {at}"))? {
            if event.event_id < from || event.event_id > to {
                continue;
            }
            if page.events.len() >= max_events {
                page.is_cut = true;
                return Ok(page);
            }
            page.events.push(event);
        }
        if bytes >= max_bytes && page.events.last().is_some_and(|last| last.event_id < to) {
            page.is_cut = true;
            return Ok(page);
        }
    }
    Ok(page)
}

/// Reads events `from`, `from - 1`, ... down to 1, until `max_events` or about `max_bytes` are reached.
pub(crate) fn read_events_reverse(
    db: &Connection,
    row: RowId,
    from: EventId,
    (max_events, max_bytes): (usize, usize),
) -> Result<Events, ReadError> {
    let mut query = db.prepare_cached("SELECT at, events FROM history WHERE at BETWEEN ?1 AND ?2 ORDER BY at DESC")?;
    let mut rows = query.query((span(row).0, position(row, from)))?;
    let mut page = Events::default();
    let mut bytes = 0;
    while let Some(batch) = rows.next()? {
        let (at, blob): (i64, Vec<u8>) = (batch.get(0)?, batch.get(1)?);
        bytes += blob.len();
        for event in decode_events(&blob, || format!("history row {at}"))?.into_iter().rev() {
            if event.event_id > from {
                continue;
            }
            if page.events.len() >= max_events {
                page.is_cut = true;
                return Ok(page);
            }
            page.events.push(event);
        }
        if bytes >= max_bytes && page.events.last().is_some_and(|last| last.event_id > 1) {
            page.is_cut = true;
            return Ok(page);
        }
    }
    Ok(page)
}

/// The last event of a run's history.
pub(crate) fn read_close_event(db: &Connection, row: RowId) -> Result<Option<HistoryEvent>, ReadError> {
    let (from, to) = span(row);
    let last: Option<(i64, Vec<u8>)> = db
        .prepare_cached("SELECT at, events FROM history WHERE at BETWEEN ?1 AND ?2 ORDER BY at DESC LIMIT 1")?
        .query_row((from, to), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match last {
        Some((at, blob)) => Ok(decode_events(&blob, || format!("history row {at}"))?.pop()),
        None => Ok(None),
    }
}
