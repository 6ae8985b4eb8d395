//! Pages of history and the tokens that lead from one to the next.

use std::sync::Arc;

use bytes::Bytes;
use helve_history::EventId;
use prost::Message;
use temporalio_protos::temporal::api::history::v1::History;
use uuid::Uuid;

use crate::{
    encoded::EncodedEvents,
    error::{Failed, Fault},
    run::Slot,
    shell::Shell,
    storage::read_events,
};

/// Where the next page begins. Opaque to clients.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct HistoryToken {
    /// The run, which stays the same while a client pages on.
    #[prost(string, tag = "1")]
    pub(crate) run_id: String,
    /// The first event of the next page.
    #[prost(int64, tag = "2")]
    pub(crate) next_event_id: EventId,
    /// The last stored event to be given out, or 0 for whatever there is by then.
    #[prost(int64, tag = "3")]
    pub(crate) last_event_id: EventId,
    /// Events that follow the last stored one and are stored nowhere: those of a transient workflow task. [trap 5]
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) suffix: Bytes,
}

impl HistoryToken {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Failed> {
        HistoryToken::decode(bytes)
            .ok()
            .filter(|token| Uuid::parse_str(&token.run_id).is_ok())
            .ok_or_else(|| Failed::invalid("Invalid NextPageToken."))
    }
}

/// A part of a run's history, for a worker.
pub(crate) struct Part {
    pub(crate) from: EventId,
    pub(crate) to: EventId,
    /// More events, encoded, which are stored nowhere.
    pub(crate) suffix: Bytes,
}

/// The page of history that comes with a task.
#[derive(Debug, Default)]
pub(crate) struct FirstPage {
    /// A `temporal.api.history.v1.History`.
    pub(crate) history: Bytes,
    /// Empty if there is no more.
    pub(crate) next: Vec<u8>,
}

impl Shell {
    /// The first page of a part; `events` is the whole part if it was at hand.
    pub(crate) async fn first_page(
        &self,
        slot: &Slot,
        part: Part,
        events: Option<EncodedEvents>,
    ) -> Result<FirstPage, Failed> {
        let Part { from, to, suffix } = part;
        let (events, is_cut) = match events {
            Some(events) => {
                let fitting = events.fitting(self.options.page_events, self.options.page_bytes);
                let is_cut = fitting.count() < events.count();
                (fitting, is_cut)
            }
            None => self.stored_page(slot, from, to, 0).await?,
        };
        if is_cut {
            let next = HistoryToken {
                run_id: slot.key.run_id.clone(),
                next_event_id: events.end(from),
                last_event_id: to,
                suffix,
            };
            return Ok(FirstPage {
                history: events.into_bytes(),
                next: next.encode_to_vec(),
            });
        }
        let history = match suffix.is_empty() {
            true => events.into_bytes(),
            false => [events.into_bytes(), suffix].concat().into(),
        };
        Ok(FirstPage {
            history,
            next: Vec::new(),
        })
    }

    /// The last stored event, and the virtual events of the workflow task that follow it. [traps 5 and 10]
    pub(crate) async fn end_of_history(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<(EventId, EncodedEvents), Failed> {
        let mut guard = self.lock(slot).await?;
        let state = &guard.loaded().ok_or(Fault::Conflict)?.state;
        Ok((state.history_length(), EncodedEvents::encode(&state.virtual_events())))
    }

    /// The page that a worker's token leads to.
    pub(crate) async fn next_page(&self, slot: &Slot, token: HistoryToken) -> Result<FirstPage, Failed> {
        History::decode(token.suffix.clone()).map_err(|_| Failed::invalid("Invalid NextPageToken."))?;
        let part = Part {
            from: token.next_event_id,
            to: token.last_event_id,
            suffix: token.suffix,
        };
        self.first_page(slot, part, None).await
    }

    /// Stored events from..=to as far as they fit into a page of at most `wanted` events (if that is not 0), and whether
    /// there are more.
    pub(crate) async fn stored_page(
        &self,
        slot: &Slot,
        from: EventId,
        to: EventId,
        wanted: usize,
    ) -> Result<(EncodedEvents, bool), Failed> {
        let (row, limits) = (slot.row, self.page_limits(wanted));
        let page = self
            .store
            .read(move |db| read_events(db, row, (from, to), limits))
            .await
            .map_err(Fault::from)?;
        Ok((page.events, page.is_cut))
    }

    /// Events and bytes of a page for which `wanted` events were asked, 0 for as many as is usual.
    pub(crate) fn page_limits(&self, wanted: usize) -> (usize, usize) {
        let usual = self.options.page_events;
        (
            if wanted == 0 { usual } else { wanted.min(usual) },
            self.options.page_bytes,
        )
    }
}
