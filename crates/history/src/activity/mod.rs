//! The life of an activity: any number of attempts behind one Scheduled and one close event. [trap 8]

mod close;
mod poll;
mod timeout;

use std::sync::Arc;

pub(crate) use timeout::activity_deadline;

use crate::{ActivityRef, EventId, Rejection, Timestamp, draft::Draft, recorded::Activity, timestamp::duration};

/// When all attempts together must be done.
pub(crate) fn expiration(activity: &Activity) -> Option<Timestamp> {
    let timeout = duration(activity.scheduled.schedule_to_close_timeout.as_ref());
    (!timeout.is_zero()).then(|| activity.scheduled_time + timeout)
}

impl Draft<'_> {
    /// The activity a caller means. A token must name its current attempt; an id names whatever attempt it is in. [trap 9]
    fn find_activity(&self, reference: &ActivityRef) -> Result<(EventId, Arc<Activity>), Rejection> {
        self.check_running()?;
        let recorded = &self.state().recorded;
        let found = match reference {
            ActivityRef::ById(id) => recorded
                .activity_by_id(id)
                .and_then(|id| Some((id, recorded.activities.get(&id)?))),
            ActivityRef::Token(token) => recorded
                .activities
                .get(&token.scheduled_event_id)
                .filter(|activity| {
                    token.run_id == self.state().key.run_id
                        && token.attempt == activity.attempt.number
                        && activity
                            .attempt
                            .started()
                            .is_some_and(|started| started.time == token.started_time())
                })
                .map(|activity| (token.scheduled_event_id, activity)),
        };
        found
            .map(|(id, activity)| (id, Arc::clone(activity)))
            .ok_or_else(Rejection::activity_task_not_found)
    }

    /// Changes an activity that is known to be pending.
    fn edit_activity(&mut self, id: EventId, change: impl FnOnce(&mut Activity)) {
        if let Some(activity) = self.edit().recorded.activities.get_mut(&id) {
            change(activity);
        }
    }
}
