//! What a worker is doing: the attempts under way, and how many steps there have been.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use temporalio_protos::coresdk::activity_task::{ActivityCancelReason, Cancel};
use tokio::sync::Notify;

use crate::StepError;
use crate::step::Watch;

/// What all queues of one worker are doing.
#[derive(Default)]
pub struct Work {
    attempts: Mutex<HashMap<Vec<u8>, Arc<Control>>>,
    ended: AtomicU64,
    changed: Notify,
    /// The worker leaves when its steps have ended, however long they take.
    patient: AtomicBool,
}

/// The way to stop an attempt.
#[derive(Default)]
pub(crate) struct Control {
    pub(crate) watch: Watch,
    /// The worker leaves: the step goes back to the queue instead of ending as cancelled.
    pub(crate) leaving: AtomicBool,
}

/// What one queue of a worker is doing, as the engine is told.
#[derive(Debug)]
pub(crate) struct Slots {
    pub(crate) total: usize,
    pub(crate) used: AtomicI32,
    pub(crate) processed: AtomicI32,
    pub(crate) failed: AtomicI32,
}

impl Work {
    /// Steps that this worker has run to their end, whatever the end was.
    pub fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed)
    }

    /// Steps that run now.
    pub fn running(&self) -> usize {
        self.lock().len()
    }

    /// Ready when a step has ended since this was last ready. For one caller at a time.
    pub async fn step_ended(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn begin(&self, token: Vec<u8>) -> Arc<Control> {
        let control = Arc::new(Control::default());
        self.lock().insert(token, Arc::clone(&control));
        control
    }

    pub(crate) fn end(&self, token: &[u8], is_step: bool) {
        self.lock().remove(token);
        if is_step {
            self.ended.fetch_add(1, Ordering::Relaxed);
            self.changed.notify_one();
        }
    }

    /// The engine, or the core on its way out, wants an attempt to stop.
    pub(crate) fn cancel(&self, token: &[u8], cancel: &Cancel) {
        let leaves = cancel.reason() == ActivityCancelReason::WorkerShutdown;
        if leaves && self.patient.load(Ordering::Relaxed) {
            return;
        }
        if let Some(control) = self.lock().get(token) {
            control.stop(leaves);
        }
    }

    /// From now on nothing is stopped because the worker leaves.
    pub(crate) fn be_patient(&self) {
        self.patient.store(true, Ordering::Relaxed);
    }

    /// Gives back whatever runs.
    pub(crate) fn give_back(&self) {
        self.patient.store(false, Ordering::Relaxed);
        self.lock().values().for_each(|control| control.stop(true));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Arc<Control>>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control {
    fn stop(&self, leaves: bool) {
        if leaves {
            self.leaving.store(true, Ordering::Relaxed);
        }
        self.watch.cancelled.store(true, Ordering::Relaxed);
    }

    /// What the error means when the worker leaves: the step goes back instead of ending as cancelled.
    pub(crate) fn given_back(&self, error: StepError) -> StepError {
        match error.is_cancellation() && self.leaving.load(Ordering::Relaxed) {
            true => StepError::GivenBack,
            false => error,
        }
    }
}

impl Slots {
    pub(crate) fn new(total: usize) -> Self {
        Self {
            total,
            used: AtomicI32::new(0),
            processed: AtomicI32::new(0),
            failed: AtomicI32::new(0),
        }
    }

    pub(crate) fn begin(&self) {
        self.used.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self, failed: bool) {
        self.used.fetch_sub(1, Ordering::Relaxed);
        self.processed.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(i32::from(failed), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cancel(reason: ActivityCancelReason) -> Cancel {
        Cancel {
            reason: reason.into(),
            details: None,
        }
    }

    #[test]
    fn a_patient_worker_stops_no_step_because_it_leaves_but_one_that_was_cancelled() {
        let work = Work::default();
        let (first, second) = (work.begin(vec![1]), work.begin(vec![2]));
        work.be_patient();
        work.cancel(&[1], &cancel(ActivityCancelReason::WorkerShutdown));
        assert!(!first.watch.cancelled.load(Ordering::Relaxed));
        work.cancel(&[2], &cancel(ActivityCancelReason::Cancelled));
        assert!(second.watch.cancelled.load(Ordering::Relaxed) && !second.leaving.load(Ordering::Relaxed));
        work.give_back();
        assert!(first.watch.cancelled.load(Ordering::Relaxed) && first.leaving.load(Ordering::Relaxed));
    }

    #[test]
    fn only_steps_are_counted() {
        let work = Work::default();
        work.begin(vec![1]);
        work.begin(vec![2]);
        assert_eq!((work.running(), work.ended()), (2, 0));
        work.end(&[1], false);
        work.end(&[2], true);
        assert_eq!((work.running(), work.ended()), (0, 1));
    }
}
