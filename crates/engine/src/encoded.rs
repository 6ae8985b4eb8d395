//! Events in the encoding in which they are stored and sent.
//!
//! The transition that records events encodes them, once. From there on they are bytes: to the disk, to the memory that is
//! kept of a run, to workers and to whoever reads a history. They are decoded only where somebody looks into them.

use bytes::Bytes;
use helve_history::EventId;
use prost::Message;
use temporalio_protos::temporal::api::history::v1::{History, HistoryEvent};

/// The field `events` of a `History`, with its wire type: what stands before each event.
const KEY: u8 = 0x0a;

/// Consecutive events, encoded as a `temporal.api.history.v1.History`. Between two events that can be cut and joined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EncodedEvents {
    first: EventId,
    count: i64,
    bytes: Bytes,
}

/// The bytes are not the events that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl EncodedEvents {
    /// Encodes events whose ids follow each other.
    pub(crate) fn encode(events: &[HistoryEvent]) -> Self {
        let size = events.iter().map(|event| {
            let length = event.encoded_len();
            1 + prost::encoding::encoded_len_varint(length as u64) + length
        });
        let mut bytes = Vec::with_capacity(size.sum());
        for event in events {
            prost::encoding::message::encode(1, event, &mut bytes);
        }
        EncodedEvents {
            first: events.first().map_or(0, |first| first.event_id),
            count: events.len() as i64,
            bytes: bytes.into(),
        }
    }

    /// Takes bytes for events `first..=last`, if there are so many in them.
    pub(crate) fn from_bytes(bytes: Bytes, first: EventId, last: EventId) -> Result<Self, Malformed> {
        let count = last - first + 1;
        if frames(&bytes).count_whole() != Some(count) {
            return Err(Malformed);
        }
        Ok(EncodedEvents { first, count, bytes })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn count(&self) -> i64 {
        self.count
    }

    pub(crate) fn first(&self) -> EventId {
        self.first
    }

    pub(crate) fn last(&self) -> EventId {
        self.first + self.count - 1
    }

    /// The event that follows them, if they begin with `from`.
    pub(crate) fn end(&self, from: EventId) -> EventId {
        from + self.count
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Those of the events that are in `from..=to`.
    pub(crate) fn range(&self, from: EventId, to: EventId) -> Self {
        let (from, to) = (from.max(self.first), to.min(self.last()));
        if from > to {
            return EncodedEvents::default();
        }
        let skipped = self.bytes_of(0, from - self.first);
        let taken = self.bytes_of(skipped, to - from + 1);
        EncodedEvents {
            first: from,
            count: to - from + 1,
            bytes: self.bytes.slice(skipped..skipped + taken),
        }
    }

    /// As many of the events as `max_bytes` have room for: at least one, and one that begins within them whole.
    pub(crate) fn fitting(&self, max_events: usize, max_bytes: usize) -> Self {
        let mut used = 0;
        let fits = |frame: &&[u8]| {
            let has_room = used < max_bytes;
            used += frame.len();
            has_room
        };
        let count = frames(&self.bytes).take(max_events).take_while(fits).count();
        self.range(self.first, self.first + count as i64 - 1)
    }

    /// Joins what follows each other.
    pub(crate) fn join<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut parts = parts.into_iter().filter(|part| !part.is_empty());
        let Some(mut whole) = parts.next().cloned() else {
            return EncodedEvents::default();
        };
        let mut joined: Option<Vec<u8>> = None;
        for part in parts {
            debug_assert_eq!(whole.first + whole.count, part.first, "a gap between events");
            joined
                .get_or_insert_with(|| whole.bytes.to_vec())
                .extend_from_slice(&part.bytes);
            whole.count += part.count;
        }
        EncodedEvents {
            bytes: joined.map_or(whole.bytes, Bytes::from),
            ..whole
        }
    }

    pub(crate) fn decode(&self) -> Result<Vec<HistoryEvent>, Malformed> {
        let history = History::decode(self.bytes.clone()).map_err(|_| Malformed)?;
        Ok(history.events)
    }

    /// The length of `count` events from a place between two of them.
    fn bytes_of(&self, from: usize, count: i64) -> usize {
        if count == self.count {
            return self.bytes.len();
        }
        let frames = frames(&self.bytes[from..]).take(usize::try_from(count).unwrap_or(0));
        frames.map(<[u8]>::len).sum()
    }
}

/// The events of an encoded `History`, each with what frames it. Ends early at what is none.
pub(crate) fn frames(bytes: &[u8]) -> Frames<'_> {
    Frames(bytes)
}

pub(crate) struct Frames<'a>(&'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut rest = self.0.strip_prefix(&[KEY])?;
        let length = usize::try_from(prost::encoding::decode_varint(&mut rest).ok()?).ok()?;
        let head = self.0.len() - rest.len();
        let (frame, rest) = self.0.split_at_checked(head.checked_add(length)?)?;
        self.0 = rest;
        Some(frame)
    }
}

impl Frames<'_> {
    /// How many there are, if there is nothing else.
    fn count_whole(mut self) -> Option<i64> {
        let mut count = 0;
        while self.next().is_some() {
            count += 1;
        }
        self.0.is_empty().then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events of different lengths.
    fn events(ids: std::ops::RangeInclusive<i64>) -> Vec<HistoryEvent> {
        let event = |event_id| HistoryEvent {
            event_id,
            task_id: if event_id % 3 == 0 { i64::MAX } else { 0 },
            ..Default::default()
        };
        ids.map(event).collect()
    }

    #[test]
    fn what_is_encoded_is_a_history() {
        let encoded = EncodedEvents::encode(&events(5..=200));
        let history = History {
            events: events(5..=200),
        };
        assert_eq!(encoded.bytes(), &history.encode_to_vec());
        assert_eq!((encoded.first(), encoded.last(), encoded.count()), (5, 200, 196));
        assert_eq!(encoded.decode(), Ok(events(5..=200)));
    }

    #[test]
    fn any_part_can_be_cut_out_and_joined_again() {
        let whole = EncodedEvents::encode(&events(5..=20));
        for from in 3..=21 {
            for to in from - 1..=22 {
                let expected: Vec<_> = events(5..=20)
                    .into_iter()
                    .filter(|event| (from..=to).contains(&event.event_id))
                    .collect();
                let part = whole.range(from, to);
                assert_eq!(part.decode(), Ok(expected), "{from}..={to}");
                let parts = [whole.range(1, from - 1), part, whole.range(to + 1, 99)];
                assert_eq!(EncodedEvents::join(&parts), whole, "{from}..={to}");
            }
        }
    }

    #[test]
    fn a_page_has_one_event_at_least_and_ends_with_the_one_that_fills_it() {
        let whole = EncodedEvents::encode(&events(1..=9));
        let two = whole.range(1, 2).bytes().len();
        assert_eq!(whole.fitting(100, 1).last(), 1);
        assert_eq!(whole.fitting(100, two).last(), 2);
        assert_eq!(whole.fitting(100, two + 1).last(), 3);
        assert_eq!(whole.fitting(4, usize::MAX).last(), 4);
        assert_eq!(whole.fitting(100, usize::MAX), whole);
    }

    #[test]
    fn bytes_that_are_not_so_many_events_are_refused() {
        let bytes = EncodedEvents::encode(&events(1..=3)).into_bytes();
        assert!(EncodedEvents::from_bytes(bytes.clone(), 1, 3).is_ok());
        assert_eq!(EncodedEvents::from_bytes(bytes.clone(), 1, 4), Err(Malformed));
        assert_eq!(
            EncodedEvents::from_bytes(bytes.slice(..bytes.len() - 1), 1, 3),
            Err(Malformed)
        );
        assert_eq!(EncodedEvents::from_bytes(bytes.slice(1..), 1, 3), Err(Malformed));
        assert_eq!(
            EncodedEvents::from_bytes(Bytes::from_static(&[KEY, 0xff]), 1, 1),
            Err(Malformed)
        );
    }
}
