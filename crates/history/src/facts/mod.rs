//! The stored form of what history does not contain, and loading a run from both.
//!
//! All of it is protobuf with stable tags: fields may be added, never reused.

mod attempt;
mod run;

use std::{sync::Arc, time::Duration};

use prost::Message;

use self::{attempt::AttemptRecord, run::CoreRecord};
use crate::{Corrupt, EventId, RunKey, RunState, proto::HistoryEvent, recorded::Recorded, update::WaitingUpdates};

/// What to write beside a transition's events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FactChanges {
    /// The run's own record, if it changed.
    pub core: Option<Vec<u8>>,
    /// Activity records by Scheduled event id; `None` deletes.
    pub activities: Vec<(EventId, Option<Vec<u8>>)>,
    /// The buffered events.
    pub buffered: Buffered,
}

/// How the list of buffered events changed. Each event is an encoded `HistoryEvent`.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Buffered {
    /// Not at all.
    #[default]
    Unchanged,
    /// It is empty now.
    Cleared,
    /// These came at its end.
    Appended(Vec<Vec<u8>>),
    /// It is this now.
    Replaced(Vec<Vec<u8>>),
}

/// What changed from `prev` (`None`: the run is new) to `next`. What is in memory only is not part of it.
pub fn fact_changes(prev: Option<&RunState>, next: &RunState) -> FactChanges {
    FactChanges {
        core: (prev.is_none_or(|prev| prev.facts != next.facts)).then(|| CoreRecord::from(&next.facts).encode_to_vec()),
        activities: activity_changes(prev, next),
        buffered: buffered_changes(prev.map_or(&[], |prev| prev.buffered.as_slice()), &next.buffered),
    }
}

fn activity_changes(prev: Option<&RunState>, next: &RunState) -> Vec<(EventId, Option<Vec<u8>>)> {
    let (new, old) = (&next.recorded.activities, prev.map(|prev| &prev.recorded.activities));
    if old.is_some_and(|old| old.same(new)) {
        return Vec::new();
    }
    // An activity whose attempt is just what its Scheduled event implies needs no record.
    let mut changes = Vec::new();
    for (id, activity) in new.iter() {
        let before = old.and_then(|old| old.get(id));
        if before.is_some_and(|before| Arc::ptr_eq(before, activity) || before.attempt == activity.attempt) {
            continue;
        }
        if activity.attempt != activity.first_attempt() {
            changes.push((*id, Some(AttemptRecord::from(&activity.attempt).encode_to_vec())));
        }
    }
    for (id, before) in old.into_iter().flat_map(|old| old.iter()) {
        if !new.contains(id) && before.attempt != before.first_attempt() {
            changes.push((*id, None));
        }
    }
    changes
}

fn buffered_changes(old: &[HistoryEvent], new: &[HistoryEvent]) -> Buffered {
    let encode = |events: &[HistoryEvent]| events.iter().map(Message::encode_to_vec).collect();
    if old == new {
        Buffered::Unchanged
    } else if new.is_empty() {
        Buffered::Cleared
    } else if let Some(added) = new.strip_prefix(old) {
        Buffered::Appended(encode(added))
    } else {
        Buffered::Replaced(encode(new))
    }
}

impl RunState {
    /// Loads a run from its stored events and facts.
    pub fn rebuild(
        key: RunKey,
        events: impl IntoIterator<Item = HistoryEvent>,
        core: &[u8],
        activities: &[(EventId, Vec<u8>)],
        buffered: &[Vec<u8>],
    ) -> Result<Self, Corrupt> {
        let corrupt = |problem: String| Corrupt {
            run: key.to_string(),
            problem,
        };
        let mut recorded = Recorded::empty(key.kind);
        for event in events {
            if event.event_id != recorded.next_event_id() {
                let (got, expected) = (event.event_id, recorded.next_event_id());
                return Err(corrupt(format!(
                    "its history has event {got} where event {expected} belongs"
                )));
            }
            recorded.apply(&event);
        }
        if recorded.length == 0 {
            return Err(corrupt("its history is empty".to_owned()));
        }
        for (id, bytes) in activities {
            let record = AttemptRecord::decode(bytes.as_slice())
                .map_err(|error| corrupt(format!("the record of activity {id} cannot be read: {error}")))?;
            let activity = recorded
                .activities
                .get_mut(id)
                .ok_or_else(|| corrupt(format!("there is a record of activity {id}, which is not pending")))?;
            activity.attempt = record.into_attempt(activity.scheduled_time);
        }
        let buffered: Vec<HistoryEvent> = buffered
            .iter()
            .map(|bytes| HistoryEvent::decode(bytes.as_slice()))
            .collect::<Result<_, _>>()
            .map_err(|error| corrupt(format!("a buffered event cannot be read: {error}")))?;
        for event in &buffered {
            recorded.absorb(event);
        }
        let facts = CoreRecord::decode(core)
            .map_err(|error| corrupt(format!("its record cannot be read: {error}")))?
            .into_facts();
        Ok(Self {
            key,
            recorded,
            buffered: Arc::new(buffered),
            facts,
            waiting: WaitingUpdates::default(),
        })
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
