//! Timers that workflow code starts.

use crate::{
    EventId, Timestamp,
    draft::Draft,
    proto::{Attributes, TimerFiredEventAttributes},
};

impl Draft<'_> {
    /// Fires what is due, in the order in which it fell due.
    pub(crate) fn fire_timers(&mut self) {
        let mut due: Vec<(Timestamp, EventId)> = self
            .state()
            .recorded
            .timers
            .iter()
            .filter(|(_, timer)| timer.fires_at <= self.now)
            .map(|(started_event_id, timer)| (timer.fires_at, *started_event_id))
            .collect();
        due.sort_unstable();
        for (_, started_event_id) in &due {
            let Some(timer) = self.state().recorded.timers.get(started_event_id) else {
                continue;
            };
            let timer_id = timer.id.clone();
            self.record(Attributes::TimerFiredEventAttributes(TimerFiredEventAttributes {
                timer_id,
                started_event_id: *started_event_id,
            }));
        }
        if !due.is_empty() {
            self.wake();
        }
    }
}
