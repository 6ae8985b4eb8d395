//! A decision in the making: a copy of the state, changed step by step, and the events so far. Dropping it undoes all.

use std::{collections::HashMap, sync::Arc};

use crate::{
    Env, EventId, Reply, RunState, Timestamp, Transition, UpdateNews,
    event::{event_type, must_not_wait, started_of, wire},
    proto::{Attributes, Command, EventGroupMarker, HistoryEvent, Link, UserMetadata},
};

/// A decision in the making.
pub(crate) struct Draft<'a> {
    pub(crate) env: Env<'a>,
    /// The time of this decision: never before the run's last event.
    pub(crate) now: Timestamp,
    state: RunState,
    events: Vec<HistoryEvent>,
    successor: Option<Box<Transition>>,
    /// Something durable changed.
    changed: bool,
    /// Something changed that memory alone holds.
    remembered: bool,
    news: Vec<UpdateNews>,
    began_running: bool,
}

/// An event to be recorded: attributes and what may accompany them.
pub(crate) struct Entry {
    attributes: Attributes,
    time: Option<Timestamp>,
    user_metadata: Option<UserMetadata>,
    links: Vec<Link>,
    event_group_markers: Vec<EventGroupMarker>,
}

impl From<Attributes> for Entry {
    fn from(attributes: Attributes) -> Self {
        Self {
            attributes,
            time: None,
            user_metadata: None,
            links: Vec::new(),
            event_group_markers: Vec::new(),
        }
    }
}

impl Entry {
    /// It happened earlier than now.
    pub(crate) fn at(self, time: Timestamp) -> Self {
        Self {
            time: Some(time),
            ..self
        }
    }

    pub(crate) fn user_metadata(self, user_metadata: Option<UserMetadata>) -> Self {
        Self { user_metadata, ..self }
    }

    pub(crate) fn links(self, links: Vec<Link>) -> Self {
        Self { links, ..self }
    }

    /// Takes over what its command carries beside the attributes.
    pub(crate) fn by_command(self, command: &Command) -> Self {
        Self {
            user_metadata: command.user_metadata.clone(),
            event_group_markers: command.event_group_markers.clone(),
            ..self
        }
    }

    pub(crate) fn into_event(self, event_id: EventId, now: Timestamp) -> HistoryEvent {
        HistoryEvent {
            event_id,
            // It says nothing to workflow code, and old workers do not know it.
            worker_may_ignore: matches!(
                self.attributes,
                Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(_)
            ),
            event_time: Some(self.time.unwrap_or(now).into()),
            event_type: event_type(&self.attributes).into(),
            user_metadata: self.user_metadata,
            links: self.links,
            event_group_markers: self.event_group_markers,
            attributes: Some(self.attributes),
            ..HistoryEvent::default()
        }
    }
}

impl<'a> Draft<'a> {
    pub(crate) fn new(state: RunState, env: &Env<'a>) -> Self {
        let now = env.now.max(state.recorded.last_time);
        Self {
            env: *env,
            now,
            began_running: state.is_running(),
            state,
            events: Vec::new(),
            successor: None,
            changed: false,
            remembered: false,
            news: Vec::new(),
        }
    }

    pub(crate) fn state(&self) -> &RunState {
        &self.state
    }

    /// The state, to be changed. A workflow task that is in memory only becomes a real one by that: what is stored must
    /// make sense without memory, and an event must not take the id of a virtual one. [trap 10]
    pub(crate) fn edit(&mut self) -> &mut RunState {
        self.changed = true;
        self.make_task_real();
        &mut self.state
    }

    /// The state, to be changed in what no restart would find again.
    pub(crate) fn edit_in_memory(&mut self) -> &mut RunState {
        self.remembered = true;
        &mut self.state
    }

    /// Tells whoever waits for an update what became of it. The latest counts.
    pub(crate) fn tell(&mut self, news: UpdateNews) {
        self.news.retain(|older| older.update_id != news.update_id);
        self.news.push(news);
    }

    pub(crate) fn has_successor(&self) -> bool {
        self.successor.is_some()
    }

    /// Records an event, or buffers it while a workflow task is in flight. [trap 1]
    ///
    /// Returns its id; a buffered one has none yet, and 0 stands in for it until the flush.
    pub(crate) fn record(&mut self, entry: impl Into<Entry>) -> EventId {
        let entry = entry.into();
        self.edit();
        if self.state.workflow_task_in_flight() && !must_not_wait(&entry.attributes) {
            let event = entry.into_event(0, self.now);
            let state = self.edit();
            state.recorded.absorb(&event);
            Arc::make_mut(&mut state.buffered).push(event);
            return 0;
        }
        let event = entry.into_event(self.state.recorded.next_event_id(), self.now);
        self.append(event, Absorb::Now)
    }

    fn append(&mut self, event: HistoryEvent, absorb: Absorb) -> EventId {
        let id = event.event_id;
        let state = self.edit();
        match absorb {
            Absorb::Now => state.recorded.apply(&event),
            Absorb::Already => state.recorded.number(&event),
        }
        self.events.push(event);
        id
    }

    /// Gives the buffered events their ids; says whether there were any.
    pub(crate) fn flush(&mut self) -> bool {
        if self.state.buffered.is_empty() {
            return false;
        }
        let buffered = std::mem::take(&mut self.edit().buffered);
        let mut started = HashMap::new();
        for event in buffered.iter() {
            let mut event = event.clone();
            event.event_id = self.state.recorded.next_event_id();
            wire(&mut event, &started);
            if let Some(origin) = started_of(&event) {
                started.insert(origin, event.event_id);
            }
            self.append(event, Absorb::Already);
        }
        true
    }

    pub(crate) fn has_buffered(&self) -> bool {
        !self.state.buffered.is_empty()
    }

    /// Removes a buffered event that never happened after all. [trap 4]
    pub(crate) fn unbuffer(&mut self, matches: impl Fn(&Attributes) -> bool) -> Option<HistoryEvent> {
        let at = self
            .state
            .buffered
            .iter()
            .position(|event| event.attributes.as_ref().is_some_and(&matches))?;
        Some(Arc::make_mut(&mut self.edit().buffered).remove(at))
    }

    pub(crate) fn set_successor(&mut self, successor: Box<Transition>) {
        self.successor = Some(successor);
    }

    /// Ends the decision.
    pub(crate) fn finish(mut self, reply: Reply) -> Transition {
        if self.changed || self.remembered {
            self.settle();
        }
        if self.began_running && !self.state.is_running() {
            self.end_updates();
        }
        if self.changed {
            self.state.facts.transitions += 1;
        }
        Transition {
            next: self.state,
            events: self.events,
            reply,
            successor: self.successor,
            updates: self.news,
            changed: self.changed,
            remembered: self.remembered,
        }
    }
}

enum Absorb {
    Now,
    Already,
}
