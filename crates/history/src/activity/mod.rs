//! The life of an activity: any number of attempts behind one Scheduled and one close event. [trap 8]

mod close;
mod end;
mod operate;
mod options;
mod poll;
mod timeout;

use std::sync::Arc;

pub(crate) use end::{ActivityEnd, canceled};
pub(crate) use operate::{precondition, recompute_interval};
pub(crate) use options::{Mask, Timeouts};
pub(crate) use timeout::activity_deadline;

use crate::{ActivityRef, EventId, Rejection, RunKind, draft::Draft, recorded::Activity};

impl Draft<'_> {
    /// The run is an activity, and not a workflow that has some.
    pub(crate) fn is_standalone(&self) -> bool {
        self.state().key.kind == RunKind::Activity
    }

    /// The activity a caller means, with a worker at it. A token must name its current attempt; an id names whatever
    /// attempt it is in. [trap 9]
    fn find_started(&self, reference: &ActivityRef) -> Result<(EventId, Arc<Activity>), Rejection> {
        let (id, activity) = self.find_activity(reference)?;
        if activity.attempt.started().is_none() {
            return Err(self.task_not_found());
        }
        Ok((id, activity))
    }

    /// Likewise, whether a worker is at it or not.
    fn find_activity(&self, reference: &ActivityRef) -> Result<(EventId, Arc<Activity>), Rejection> {
        if self.is_standalone() && !self.state().is_running() {
            return Err(self.task_not_found());
        }
        self.check_running()?;
        let recorded = &self.state().recorded;
        let found = match reference {
            ActivityRef::ById(id) => {
                let Some(id) = recorded.activity_by_id(id) else {
                    return Err(Rejection::NotFound(format!(
                        "cannot find pending activity with ActivityID {id}, check workflow execution history for more \
                         details"
                    )));
                };
                recorded.activities.get(&id).map(|activity| (id, activity))
            }
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
            .ok_or_else(|| self.task_not_found())
    }

    fn task_not_found(&self) -> Rejection {
        match self.state().key.kind {
            RunKind::Workflow => Rejection::activity_task_not_found(),
            RunKind::Activity => {
                Rejection::NotFound(format!("activity not found for ID: {}", self.state().key.workflow_id))
            }
        }
    }

    /// Changes an activity that is known to be there.
    pub(crate) fn edit_activity(&mut self, id: EventId, change: impl FnOnce(&mut Activity)) {
        if let Some(activity) = self.edit().recorded.activities.get_mut(&id) {
            change(activity);
        }
    }
}
