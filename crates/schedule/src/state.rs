//! A schedule: what its owner said, how far it got, and what that obliges the engine to do.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use prost::Message;
use temporalio_protos::temporal::api::{
    enums::v1::{ScheduleOverlapPolicy, WorkflowExecutionStatus},
    schedule::v1::{Schedule, ScheduleAction, SchedulePolicies, schedule_action},
    workflow::v1::NewWorkflowExecutionInfo,
};

use crate::{
    canonical::SpecError,
    spec::{ActionTime, CompiledSpec},
    steps::{OutOfSteps, Steps},
    stored::Progress,
    time::{duration, later, proto_duration, proto_timestamp, timestamp},
};

/// A time missed by more than this is not made up for, unless the schedule says otherwise.
const USUAL_CATCHUP: SignedDuration = SignedDuration::from_hours(365 * 24);
/// A schedule cannot ask for less.
const LEAST_CATCHUP: SignedDuration = SignedDuration::from_secs(10);
/// A schedule that has nothing left to do is kept for this long.
const RETENTION: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The conflict token of a new schedule.
const FIRST_TOKEN: i64 = 1;

/// A schedule at one moment. Cheap to copy but for what is waiting.
#[derive(Debug, Clone)]
pub struct ScheduleState {
    pub(crate) definition: Arc<Definition>,
    pub(crate) progress: Progress,
    /// The next time of the spec, as far as one may come. Derived.
    pub(crate) next: Option<Timestamp>,
}

/// What the owner of a schedule said, but for the switches that the schedule itself may turn.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) spec: CompiledSpec,
    pub(crate) action: Option<ScheduleAction>,
    /// With its defaults filled in.
    pub(crate) policies: SchedulePolicies,
}

/// A stored schedule that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No such messages.
    #[error("a stored schedule cannot be decoded: {0}")]
    Message(#[from] prost::DecodeError),
    /// A spec that is refused today.
    #[error("a stored schedule is not understood: {0}")]
    Spec(#[from] SpecError),
}

/// Something the engine owes a schedule. What is owed is derived from the state, after a restart as before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Duty {
    /// Start a workflow: [`ScheduleState::start_request`] says which.
    Start {
        /// Names the start.
        request_id: String,
    },
    /// Ask a workflow to cancel itself.
    Cancel(Execution),
    /// Terminate a workflow.
    Terminate(Execution),
    /// Tell the schedule when a workflow's chain of runs has ended.
    Watch(Execution),
}

/// A workflow that a schedule started, by the first run of its chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Execution {
    /// Its workflow id.
    pub workflow_id: String,
    /// The first run.
    pub run_id: String,
}

impl Definition {
    fn new(schedule: Schedule) -> Result<Self, SpecError> {
        let mut policies = schedule.policies.unwrap_or_default();
        if policies.overlap_policy() == ScheduleOverlapPolicy::Unspecified {
            policies.set_overlap_policy(ScheduleOverlapPolicy::Skip);
        }
        let catchup = policies.catchup_window.as_ref();
        let catchup = catchup.map_or(USUAL_CATCHUP, |given| duration(Some(given)).max(LEAST_CATCHUP));
        policies.catchup_window = Some(proto_duration(catchup.unsigned_abs()));
        Ok(Definition {
            spec: CompiledSpec::new(schedule.spec.unwrap_or_default())?,
            action: schedule.action,
            policies,
        })
    }

    fn message(&self) -> Schedule {
        Schedule {
            spec: Some(self.spec.canonical().clone()),
            action: Some(self.action.clone().unwrap_or_default()),
            policies: Some(self.policies),
            state: None,
        }
    }

    pub(crate) fn workflow(&self) -> Option<&NewWorkflowExecutionInfo> {
        match self.action.as_ref()?.action.as_ref()? {
            schedule_action::Action::StartWorkflow(workflow) => Some(workflow),
        }
    }

    pub(crate) fn catchup_window(&self) -> SignedDuration {
        duration(self.policies.catchup_window.as_ref())
    }
}

impl ScheduleState {
    /// A schedule that begins now. `seed` is an id that no other schedule has.
    pub(crate) fn begin(schedule: Schedule, seed: &str, now: Timestamp) -> Result<Self, SpecError> {
        let switches = schedule.state.clone().unwrap_or_default();
        Ok(ScheduleState {
            definition: Arc::new(Definition::new(schedule)?),
            progress: Progress {
                seed: seed.to_owned(),
                switches,
                conflict_token: FIRST_TOKEN,
                seen_to: Some(proto_timestamp(now)),
                created: Some(proto_timestamp(now)),
                ..Progress::default()
            },
            next: None,
        })
    }

    /// Takes on a new definition.
    pub(crate) fn redefine(&mut self, schedule: Schedule) -> Result<(), SpecError> {
        let switches = schedule.state.clone().unwrap_or_default();
        self.definition = Arc::new(Definition::new(schedule)?);
        self.progress.switches = switches;
        Ok(())
    }

    /// Reads what [`ScheduleState::definition`] and [`ScheduleState::progress`] wrote.
    pub fn decode(definition: &[u8], progress: &[u8]) -> Result<Self, Unreadable> {
        let mut state = ScheduleState {
            definition: Arc::new(Definition::new(Schedule::decode(definition)?)?),
            progress: Progress::decode(progress)?,
            next: None,
        };
        state.plan();
        Ok(state)
    }

    /// What the owner said, to be stored. It changes only by an update: see [`ScheduleState::is_defined_like`].
    pub fn definition(&self) -> Vec<u8> {
        self.definition.message().encode_to_vec()
    }

    /// How far the schedule got, to be stored.
    pub fn progress(&self) -> Vec<u8> {
        self.progress.encode_to_vec()
    }

    /// Whether the two have the very same definition.
    pub fn is_defined_like(&self, other: &ScheduleState) -> bool {
        Arc::ptr_eq(&self.definition, &other.definition)
    }

    /// Raised by every change that its owner might want to know of before making one.
    pub fn conflict_token(&self) -> i64 {
        self.progress.conflict_token
    }

    /// Does it rest until its owner wakes it?
    pub fn is_paused(&self) -> bool {
        self.progress.switches.paused
    }

    /// Has the turn of a start come that did not happen yet?
    pub fn is_starting(&self) -> bool {
        !self.progress.starting.is_empty()
    }

    /// When it was made.
    pub fn created(&self) -> Timestamp {
        timestamp(self.progress.created.as_ref()).unwrap_or_default()
    }

    /// The schedule as its owner sees it.
    pub fn message(&self) -> Schedule {
        Schedule {
            state: Some(self.progress.switches.clone()),
            ..self.definition.message()
        }
    }

    /// Whether times of the spec lead to actions now.
    pub(crate) fn may_act(&self) -> bool {
        let switches = &self.progress.switches;
        !switches.paused && (!switches.limited_actions || switches.remaining_actions > 0)
    }

    /// When [`crate::Input::Tick`] is next due.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let next = self.next.filter(|_| self.may_act());
        let backfill = timestamp(self.progress.backfill_at.as_ref());
        [next, backfill, self.expires_at()].into_iter().flatten().min()
    }

    /// Nothing is left for it to do, and has not been for as long as such schedules are kept.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at().is_some_and(|at| at <= now)
    }

    fn expires_at(&self) -> Option<Timestamp> {
        let progress = &self.progress;
        let has_more = self.next.is_some() && self.may_act();
        let is_busy = !(progress.backfills.is_empty()
            && progress.waiting.is_empty()
            && progress.starting.is_empty()
            && progress.running.is_empty());
        if progress.switches.paused || has_more || is_busy {
            return None;
        }
        let acted = progress
            .recent
            .last()
            .and_then(|last| timestamp(last.actual_time.as_ref()));
        let latest = acted.unwrap_or_default().max(self.created()).max(progress.updated());
        Some(later(latest, RETENTION))
    }

    /// What the engine owes the schedule.
    pub fn duties(&self) -> Vec<Duty> {
        let progress = &self.progress;
        // One after another, so that they happen in the order of their times.
        let starts = progress.starting.first().map(|start| Duty::Start {
            request_id: start.request_id.clone(),
        });
        let ends = progress
            .running
            .iter()
            .filter(|running| !running.told)
            .filter_map(|running| {
                let execution = Execution {
                    workflow_id: running.workflow_id.clone(),
                    run_id: running.run_id.clone(),
                };
                match (running.terminate, running.cancel) {
                    (true, _) => Some(Duty::Terminate(execution)),
                    (false, true) => Some(Duty::Cancel(execution)),
                    (false, false) => None,
                }
            });
        let watched = progress.running.iter().map(|running| Execution {
            workflow_id: running.workflow_id.clone(),
            run_id: running.run_id.clone(),
        });
        // Those that run beside others hold nobody up, but their end is shown.
        let shown = progress
            .recent
            .iter()
            .filter(|action| action.start_workflow_status() == WorkflowExecutionStatus::Running)
            .filter_map(|action| action.start_workflow_result.as_ref())
            .map(|execution| Execution {
                workflow_id: execution.workflow_id.clone(),
                run_id: execution.run_id.clone(),
            });
        let mut watches: Vec<_> = watched.chain(shown).map(Duty::Watch).collect();
        watches.sort();
        watches.dedup();
        starts.into_iter().chain(ends).chain(watches).collect()
    }

    /// Times of the spec after `after`.
    pub(crate) fn next_after(&self, after: Timestamp, steps: &mut Steps) -> Result<Option<ActionTime>, OutOfSteps> {
        self.definition.spec.next(&self.progress.seed, after, steps)
    }

    /// Finds out what comes next.
    pub(crate) fn plan(&mut self) {
        let mut steps = Steps::default();
        let mut after = self.progress.seen_to();
        self.next = loop {
            match self.next_after(after, &mut steps) {
                // What an update came before does not count.
                Ok(Some(time)) if time.actual < self.progress.updated() => after = time.actual,
                Ok(next) => break next.map(|next| next.actual),
                // A spec that excludes nearly everything acts no more until it is changed.
                Err(OutOfSteps) => break None,
            }
        };
    }
}
