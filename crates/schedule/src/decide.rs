//! The pure decision: what a schedule makes of what happened.

use jiff::{SignedDuration, Timestamp};
use temporalio_protos::temporal::api::{
    common::v1::{Payloads, WorkflowExecution},
    enums::v1::{ScheduleOverlapPolicy, WorkflowExecutionStatus},
    failure::v1::Failure,
    schedule::v1::{BackfillRequest, Schedule, ScheduleActionResult, SchedulePatch},
};

use crate::{
    canonical::SpecError,
    overlap::{self, End},
    state::{Execution, ScheduleState},
    steps::{OutOfSteps, Steps},
    stored::{Running, Start},
    time::{later, proto_timestamp, timestamp},
};

/// Starts, and backfills, that may wait.
const MAX_WAITING: usize = 1000;
/// Backfills leave this much of the buffer to the schedule's own times.
const MAX_WAITING_BY_BACKFILL: usize = MAX_WAITING / 2;
/// Times that backfills take up in one decision; the others follow a second later.
const BACKFILLED_AT_ONCE: usize = 10;
const BACKFILL_PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// Times that one decision looks at; the others follow at once. Bounds the work after a long absence.
const CAUGHT_UP_AT_ONCE: usize = 10_000;
/// Actions that are remembered.
const RECENT: usize = 10;
/// Requests that are remembered: enough for one that is sent again, since its owner waits for the answer.
const REMEMBERED_REQUESTS: usize = 20;

/// What happened to a schedule.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Time passed.
    Tick,
    /// Its owner pauses, unpauses, triggers or backfills it.
    Patch {
        /// What to do.
        patch: Box<SchedulePatch>,
        /// Names the request: the same one does nothing a second time. Empty for one that cannot be repeated.
        request_id: String,
    },
    /// Its owner defines it anew.
    Update {
        /// The new definition.
        schedule: Box<Schedule>,
        /// The token of the schedule that the owner saw; without it, whatever it is.
        conflict_token: Option<i64>,
        /// Names the request, as above.
        request_id: String,
    },
    /// A start happened.
    Started {
        /// Names the start.
        request_id: String,
        /// The first run of the workflow.
        run_id: String,
        /// When it began.
        at: Timestamp,
    },
    /// A start cannot happen: the workflow id is in use, say.
    NotStarted {
        /// Names the start.
        request_id: String,
    },
    /// The workflow was asked to cancel itself, or terminated, or that was refused for good.
    Told(Execution),
    /// A workflow's chain of runs has ended.
    Closed(Box<Closed>),
}

/// How a workflow ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Closed {
    /// Which one.
    pub execution: Execution,
    /// Its last status; unspecified if nobody knows it any more.
    pub status: WorkflowExecutionStatus,
    /// What it returned.
    pub result: Option<Payloads>,
    /// Why it failed.
    pub failure: Option<Failure>,
}

/// Why a schedule refuses what its owner asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleRejection {
    /// The spec makes no sense.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The schedule was changed since its owner saw it.
    #[error("mismatched conflict token")]
    Conflict,
}

/// Makes a schedule. `seed` is an id that no other schedule has; `patch` is done to it at once.
pub fn create(
    schedule: Schedule,
    patch: Option<SchedulePatch>,
    seed: &str,
    now: Timestamp,
) -> Result<ScheduleState, ScheduleRejection> {
    let state = ScheduleState::begin(schedule, seed, now)?;
    let patch = Box::new(patch.unwrap_or_default());
    let request_id = String::new();
    decide(&state, Input::Patch { patch, request_id }, now)
}

/// The state that follows.
pub fn decide(state: &ScheduleState, input: Input, now: Timestamp) -> Result<ScheduleState, ScheduleRejection> {
    let mut next = state.clone();
    // First what was due before this happened.
    next.catch_up(now);
    match input {
        Input::Tick => {}
        Input::Patch { request_id, .. } | Input::Update { request_id, .. } if !next.is_new(&request_id) => {}
        Input::Patch { patch, .. } => next.patch(*patch, now),
        Input::Update {
            schedule,
            conflict_token,
            ..
        } => {
            if conflict_token.is_some_and(|token| token != next.progress.conflict_token) {
                return Err(ScheduleRejection::Conflict);
            }
            next.redefine(*schedule)?;
            next.progress.updated = Some(proto_timestamp(now));
            next.progress.conflict_token += 1;
        }
        Input::Started { request_id, run_id, at } => next.started(&request_id, run_id, at),
        Input::NotStarted { request_id } => next.progress.starting.retain(|start| start.request_id != request_id),
        Input::Told(execution) => {
            if let Some(running) = next.progress.running.iter_mut().find(|running| execution.is(running)) {
                running.told = true;
            }
        }
        Input::Closed(closed) => next.closed(*closed),
    }
    next.backfill(now);
    next.start_what_may();
    next.plan();
    Ok(next)
}

impl Execution {
    fn is(&self, running: &Running) -> bool {
        running.workflow_id == self.workflow_id && running.run_id == self.run_id
    }
}

impl ScheduleState {
    /// Whether a request of the owner came for the first time. It is remembered.
    fn is_new(&mut self, request_id: &str) -> bool {
        let requests = &mut self.progress.requests;
        if request_id.is_empty() {
            return true;
        }
        if requests.iter().any(|known| known == request_id) {
            return false;
        }
        requests.push(request_id.to_owned());
        let excess = requests.len().saturating_sub(REMEMBERED_REQUESTS);
        requests.drain(..excess);
        true
    }

    /// Takes up the times that have come.
    fn catch_up(&mut self, now: Timestamp) {
        if !self.may_act() {
            self.progress.see_to(now);
            return;
        }
        let mut steps = Steps::default();
        for _ in 0..CAUGHT_UP_AT_ONCE {
            let next = match self.next_after(self.progress.seen_to(), &mut steps) {
                Ok(Some(next)) if next.actual <= now => next,
                Ok(_) => return,
                Err(OutOfSteps) => return,
            };
            self.progress.see_to(next.actual);
            if next.actual < self.progress.updated() {
                continue;
            }
            if now.duration_since(next.actual) > self.definition.catchup_window() {
                self.progress.missed_catchup += 1;
                continue;
            }
            self.wait(next.nominal, next.actual, ScheduleOverlapPolicy::Unspecified, false);
        }
    }

    /// Adds a start to those that wait.
    fn wait(&mut self, nominal: Timestamp, actual: Timestamp, policy: ScheduleOverlapPolicy, manual: bool) {
        if self.progress.waiting.len() >= MAX_WAITING {
            self.progress.buffer_dropped += 1;
            return;
        }
        self.progress.waiting.push(Start {
            nominal: Some(proto_timestamp(nominal)),
            actual: Some(proto_timestamp(actual)),
            overlap_policy: policy.into(),
            manual,
            ..Start::default()
        });
    }

    fn patch(&mut self, patch: SchedulePatch, now: Timestamp) {
        if let Some(trigger) = patch.trigger_immediately {
            let time = timestamp(trigger.scheduled_time.as_ref()).unwrap_or(now);
            self.wait(time, time, trigger.overlap_policy(), true);
        }
        for backfill in patch.backfill_request {
            if self.progress.backfills.len() >= MAX_WAITING {
                self.progress.buffer_dropped += 1;
                continue;
            }
            // The first time counts.
            let start = timestamp(backfill.start_time.as_ref()).unwrap_or_default();
            let before = start.saturating_sub(SignedDuration::from_millis(1)).unwrap_or(start);
            self.progress.backfills.push(BackfillRequest {
                start_time: Some(proto_timestamp(before)),
                ..backfill
            });
        }
        if !patch.pause.is_empty() {
            self.switch(true, patch.pause);
        }
        if !patch.unpause.is_empty() {
            self.switch(false, patch.unpause);
        }
    }

    fn switch(&mut self, paused: bool, notes: String) {
        let switches = &mut self.progress.switches;
        switches.paused = paused;
        switches.notes = notes;
        self.progress.conflict_token += 1;
    }

    /// Takes up times of backfills, as far as there is room for them.
    fn backfill(&mut self, now: Timestamp) {
        if timestamp(self.progress.backfill_at.as_ref()).is_some_and(|at| at > now) {
            return;
        }
        self.progress.backfill_at = None;
        let mut steps = Steps::default();
        let mut taken = 0;
        while let Some(backfill) = self.progress.backfills.first().cloned() {
            if self.progress.waiting.len() >= MAX_WAITING_BY_BACKFILL {
                // The end of a workflow makes room.
                return;
            }
            if taken == BACKFILLED_AT_ONCE {
                self.progress.backfill_at = Some(proto_timestamp(later(now, BACKFILL_PAUSE)));
                return;
            }
            let (from, to) = (
                timestamp(backfill.start_time.as_ref()).unwrap_or_default(),
                timestamp(backfill.end_time.as_ref()).unwrap_or_default(),
            );
            match self.next_after(from, &mut steps) {
                Ok(Some(next)) if next.actual <= to => {
                    self.wait(next.nominal, next.actual, backfill.overlap_policy(), true);
                    self.progress.backfills[0].start_time = Some(proto_timestamp(next.actual));
                    taken += 1;
                }
                Ok(_) | Err(OutOfSteps) => {
                    self.progress.backfills.remove(0);
                }
            }
        }
    }

    /// Gives their turn to all starts that may have it.
    fn start_what_may(&mut self) {
        let definition = self.definition.clone();
        let Some(workflow) = definition.workflow() else {
            self.progress.waiting.clear();
            return;
        };
        let usual = definition.policies.overlap_policy();
        let policy = |start: &Start| match ScheduleOverlapPolicy::try_from(start.overlap_policy) {
            Ok(ScheduleOverlapPolicy::Unspecified) | Err(_) => usual,
            Ok(own) => own,
        };
        loop {
            let progress = &mut self.progress;
            if progress.waiting.is_empty() {
                return;
            }
            let busy = !progress.running.is_empty() || progress.starting.iter().any(|start| !start.beside);
            let chosen = overlap::choose(std::mem::take(&mut progress.waiting), busy, policy);
            progress.waiting = chosen.waiting;
            progress.overlap_skipped += chosen.skipped;
            if let Some(end) = chosen.end {
                for running in &mut progress.running {
                    running.end(end);
                }
            }
            let beside = chosen.beside.into_iter().map(|start| (start, true));
            let mut refused = false;
            for (mut start, beside) in beside.chain(chosen.alone.map(|start| (start, false))) {
                if !start.manual && !self.use_action() {
                    refused = true;
                    continue;
                }
                let progress = &mut self.progress;
                progress.starts += 1;
                start.request_id = format!("{}-{}", progress.seed, progress.starts);
                start.workflow_id = format!("{}-{}", workflow.workflow_id, start.nominal_second());
                start.beside = beside;
                progress.starting.push(start);
            }
            if !refused {
                return;
            }
            // Another one may be allowed instead.
        }
    }

    /// Counts an action of the schedule's own, if it may still act.
    fn use_action(&mut self) -> bool {
        if !self.may_act() {
            return false;
        }
        let switches = &mut self.progress.switches;
        if switches.limited_actions {
            switches.remaining_actions -= 1;
            self.progress.conflict_token += 1;
        }
        true
    }

    fn started(&mut self, request_id: &str, run_id: String, at: Timestamp) {
        let progress = &mut self.progress;
        let Some(place) = progress
            .starting
            .iter()
            .position(|start| start.request_id == request_id)
        else {
            return;
        };
        let start = progress.starting.remove(place);
        progress.actions += 1;
        let mut action = ScheduleActionResult {
            schedule_time: start.actual,
            actual_time: Some(proto_timestamp(at)),
            start_workflow_result: Some(WorkflowExecution {
                workflow_id: start.workflow_id.clone(),
                run_id: run_id.clone(),
            }),
            ..ScheduleActionResult::default()
        };
        action.set_start_workflow_status(WorkflowExecutionStatus::Running);
        progress.recent.push(action);
        let excess = progress.recent.len().saturating_sub(RECENT);
        progress.recent.drain(..excess);
        if !start.beside {
            progress.running.push(Running {
                workflow_id: start.workflow_id,
                run_id,
                ..Running::default()
            });
        }
    }

    fn closed(&mut self, closed: Closed) {
        let Closed {
            execution,
            status,
            result,
            failure,
        } = closed;
        let progress = &mut self.progress;
        let shown = progress.recent.iter_mut().find(|action| {
            action
                .start_workflow_result
                .as_ref()
                .is_some_and(|e| e.workflow_id == execution.workflow_id && e.run_id == execution.run_id)
        });
        let was_shown = shown.is_some();
        if let Some(shown) = shown {
            shown.set_start_workflow_status(status);
        }
        let was_alone = progress.running.iter().any(|running| execution.is(running));
        progress.running.retain(|running| !execution.is(running));
        if !(was_shown || was_alone) {
            return;
        }
        let notes = match status {
            WorkflowExecutionStatus::Failed => {
                let message = failure.as_ref().map_or("", |failure| &failure.message);
                Some(format!(
                    "paused due to workflow failure: {}: {message}",
                    execution.workflow_id
                ))
            }
            WorkflowExecutionStatus::TimedOut => {
                Some(format!("paused due to workflow timeout: {}", execution.workflow_id))
            }
            _ => None,
        };
        // Those that ran beside others hand nothing on.
        if was_alone {
            if result.is_some() {
                progress.last_result = result;
                progress.last_failure = None;
            } else if failure.is_some() {
                progress.last_failure = failure;
            }
        }
        if let Some(notes) = notes
            && self.definition.policies.pause_on_failure
            && !self.is_paused()
        {
            self.switch(true, notes);
        }
    }
}

impl Running {
    fn end(&mut self, end: End) {
        match end {
            End::Cancel => self.cancel = true,
            End::Terminate if !self.terminate => {
                self.terminate = true;
                self.told = false;
            }
            End::Terminate => {}
        }
    }
}

impl Start {
    /// As it stands in workflow ids.
    fn nominal_second(&self) -> Timestamp {
        let seconds = self.nominal.as_ref().map_or(0, |nominal| nominal.seconds);
        Timestamp::from_second(seconds).unwrap_or_default()
    }
}
