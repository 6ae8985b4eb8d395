//! Standalone activities: runs whose only content is one activity.
//!
//! Such a run has a short history that no client sees: a Started event with what belongs to the run (links, search
//! attributes, start delay), the activity's Scheduled event, and at the end the activity's close event, which closes the
//! run as well. Attempts, timeouts, retries and tokens are those of any activity.

mod describe;
mod operate;
mod request;
mod start;

use std::sync::Arc;

use crate::{
    EventId, RunKind, RunState,
    proto::{ActivityExecutionStatus, Attributes, HistoryEvent, Link, WorkflowExecutionCancelRequestedEventAttributes},
    recorded::{Activity, Recorded},
};

/// What only the history of a standalone activity says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Standalone {
    /// Links of the start, and of later starts that met the open activity.
    pub(crate) links: Vec<Link>,
    /// The requests of those later starts.
    pub(crate) attached: Vec<String>,
    /// Who asked it to cancel itself, and why.
    pub(crate) cancel: Option<WorkflowExecutionCancelRequestedEventAttributes>,
}

/// Where a standalone activity is, as its callers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Scheduled,
    Started,
    Paused,
    PauseRequested,
    CancelRequested,
    ResetRequested,
    Completed,
    Failed,
    TimedOut,
    Canceled,
    Terminated,
}

impl Stage {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "Scheduled",
            Self::Started => "Started",
            Self::Paused => "Paused",
            Self::PauseRequested => "PauseRequested",
            Self::CancelRequested => "CancelRequested",
            Self::ResetRequested => "ResetRequested",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::TimedOut => "TimedOut",
            Self::Canceled => "Canceled",
            Self::Terminated => "Terminated",
        }
    }

    /// The coarser view of lists.
    pub(crate) fn status(self) -> ActivityExecutionStatus {
        match self {
            Self::Scheduled | Self::Started | Self::PauseRequested | Self::CancelRequested | Self::ResetRequested => {
                ActivityExecutionStatus::Running
            }
            Self::Paused => ActivityExecutionStatus::Paused,
            Self::Completed => ActivityExecutionStatus::Completed,
            Self::Failed => ActivityExecutionStatus::Failed,
            Self::TimedOut => ActivityExecutionStatus::TimedOut,
            Self::Canceled => ActivityExecutionStatus::Canceled,
            Self::Terminated => ActivityExecutionStatus::Terminated,
        }
    }

    pub(crate) fn is_closed(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::TimedOut | Self::Canceled | Self::Terminated
        )
    }
}

impl RunState {
    /// The activity of a standalone run, open or closed.
    pub(crate) fn standalone_activity(&self) -> Option<(EventId, &Arc<Activity>)> {
        if self.key.kind != RunKind::Activity {
            return None;
        }
        self.recorded
            .activities
            .iter()
            .next()
            .map(|(id, activity)| (*id, activity))
    }

    pub(crate) fn stage(&self, activity: &Activity) -> Stage {
        use Attributes as A;
        if let Some(close) = &self.recorded.close {
            return match &close.attributes {
                Some(A::ActivityTaskCompletedEventAttributes(_)) => Stage::Completed,
                Some(A::ActivityTaskTimedOutEventAttributes(_)) => Stage::TimedOut,
                Some(A::ActivityTaskCanceledEventAttributes(_)) => Stage::Canceled,
                Some(A::WorkflowExecutionTerminatedEventAttributes(_)) => Stage::Terminated,
                _ => Stage::Failed,
            };
        }
        let attempt = &activity.attempt;
        match (attempt.started().is_some(), attempt.paused.is_some()) {
            _ if activity.cancel_requested.is_some() => Stage::CancelRequested,
            (true, _) if attempt.reset.is_some() => Stage::ResetRequested,
            (true, true) => Stage::PauseRequested,
            (true, false) => Stage::Started,
            (false, true) => Stage::Paused,
            (false, false) => Stage::Scheduled,
        }
    }
}

impl Recorded {
    /// Takes in what an event means to a standalone activity; `false` if it means the same to any run.
    pub(crate) fn absorb_standalone(&mut self, event: &HistoryEvent) -> bool {
        use Attributes as A;
        let links = |recorded: &mut Self| {
            let standalone = Arc::make_mut(recorded.standalone.get_or_insert_default());
            standalone.links.extend(event.links.iter().cloned());
        };
        match &event.attributes {
            Some(A::WorkflowExecutionStartedEventAttributes(_)) => {
                if !event.links.is_empty() {
                    links(self);
                }
                false
            }
            Some(A::WorkflowExecutionOptionsUpdatedEventAttributes(a)) => {
                links(self);
                if let Some(standalone) = &mut self.standalone {
                    Arc::make_mut(standalone).attached.push(a.attached_request_id.clone());
                }
                true
            }
            Some(A::WorkflowExecutionCancelRequestedEventAttributes(a)) => {
                Arc::make_mut(self.standalone.get_or_insert_default()).cancel = Some(a.clone());
                self.cancel_requested = true;
                let id = self.activities.keys().next().copied();
                if let Some(activity) = id.and_then(|id| self.activities.get_mut(&id)) {
                    activity.cancel_requested = Some(event.event_id);
                }
                true
            }
            // The activity stays: a closed one still shows its last attempt.
            Some(
                A::ActivityTaskCompletedEventAttributes(_)
                | A::ActivityTaskFailedEventAttributes(_)
                | A::ActivityTaskTimedOutEventAttributes(_)
                | A::ActivityTaskCanceledEventAttributes(_)
                | A::WorkflowExecutionTerminatedEventAttributes(_),
            ) => {
                self.close = Some(Arc::new(event.clone()));
                true
            }
            _ => false,
        }
    }
}
