//! Priority and fairness of tasks: what was asked for, checked, and handed on from a run to what it starts.

use crate::{
    ReadyKind, ReadyTask, RunState, Timestamp, attempt::Phase, proto::Priority, recorded::Activity,
    workflow_task::WorkflowTask,
};

/// Bytes a fairness key may have.
const FAIRNESS_KEY_MAX: usize = 64;

/// Checks a priority that a client or workflow code asks for. The words are Temporal's.
pub fn check_priority(priority: Option<&Priority>) -> Result<(), &'static str> {
    let Some(priority) = priority else { return Ok(()) };
    if priority.priority_key < 0 {
        Err("priority key can't be negative")
    } else if priority.fairness_key.len() > FAIRNESS_KEY_MAX {
        Err("fairness key length exceeds limit")
    } else if priority.fairness_weight < 0.0 {
        Err("must be greater than zero")
    } else {
        Ok(())
    }
}

/// What is asked for something that belongs to a run: what is not asked for is the run's.
pub(crate) fn inherit(run: Option<&Priority>, own: Option<&Priority>) -> Option<Priority> {
    let (run, own) = match (run, own) {
        (None, other) | (other, None) => return other.cloned(),
        (Some(run), Some(own)) => (run, own),
    };
    Some(Priority {
        priority_key: if own.priority_key == 0 { run } else { own }.priority_key,
        fairness_key: if own.fairness_key.is_empty() { run } else { own }.fairness_key.clone(),
        fairness_weight: if own.fairness_weight == 0.0 { run } else { own }.fairness_weight,
    })
}

impl RunState {
    /// The priority of the run itself: of its workflow tasks and queries.
    pub fn priority(&self) -> Priority {
        self.run_priority().cloned().unwrap_or_default()
    }

    /// The priority of a task of this run.
    pub fn task_priority(&self, task: &ReadyTask) -> Priority {
        let activity = match task.kind {
            ReadyKind::Activity => self.recorded.activities.get(&task.scheduled_event_id),
            ReadyKind::Workflow | ReadyKind::StickyWorkflow => None,
        };
        match activity {
            Some(activity) => self.activity_priority(activity).unwrap_or_default(),
            None => self.priority(),
        }
    }

    pub(crate) fn activity_priority(&self, activity: &Activity) -> Option<Priority> {
        inherit(self.run_priority(), activity.priority())
    }

    /// Since when a task of this run waits for a poller.
    pub fn waits_since(&self, task: &ReadyTask) -> Option<Timestamp> {
        match task.kind {
            ReadyKind::Activity => match self.recorded.activities.get(&task.scheduled_event_id)?.attempt.phase {
                Phase::Ready { since } => Some(since),
                Phase::BackingOff { .. } | Phase::Started(_) => None,
            },
            ReadyKind::Workflow | ReadyKind::StickyWorkflow => match &self.facts.workflow_task {
                WorkflowTask::Scheduled(task) => Some(task.time),
                WorkflowTask::Idle { .. } | WorkflowTask::Started(..) => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority(priority_key: i32, fairness_key: &str, fairness_weight: f32) -> Priority {
        Priority {
            priority_key,
            fairness_key: fairness_key.to_owned(),
            fairness_weight,
        }
    }

    #[test]
    fn what_is_not_asked_for_is_inherited_field_by_field() {
        let (run, none) = (priority(1, "tenant", 2.0), priority(0, "", 0.0));
        assert_eq!(inherit(Some(&run), Some(&none)), Some(run.clone()));
        assert_eq!(
            inherit(Some(&run), Some(&priority(4, "", 0.0))),
            Some(priority(4, "tenant", 2.0))
        );
        assert_eq!(
            inherit(Some(&run), Some(&priority(0, "own", 7.0))),
            Some(priority(1, "own", 7.0))
        );
        assert_eq!(inherit(None, Some(&run)), Some(run.clone()));
        assert_eq!(inherit(Some(&run), None), Some(run));
        assert_eq!(inherit(None, None), None);
    }

    #[test]
    fn priorities_that_make_no_sense_are_refused() {
        assert!(check_priority(None).is_ok());
        assert!(check_priority(Some(&priority(0, &"k".repeat(64), 0.0))).is_ok());
        for bad in [
            priority(-1, "", 0.0),
            priority(1, &"k".repeat(65), 0.0),
            priority(1, "k", -0.5),
        ] {
            assert!(check_priority(Some(&bad)).is_err(), "{bad:?}");
        }
    }
}
