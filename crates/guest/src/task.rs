//! Things that were started and end once.

use std::fmt;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::bindings::helve::workflow::durable;
use crate::bindings::helve::workflow::types as wit;
use crate::{Failure, Result};

/// Something that was started: a module, a timer, a child, a signal to come. Dropping it does not stop it.
pub struct Task<T> {
    task: durable::Task,
    answer: PhantomData<fn() -> T>,
}

impl<T> Task<T> {
    pub(crate) fn new(task: durable::Task) -> Self {
        Self {
            task,
            answer: PhantomData,
        }
    }

    /// Whether it has ended.
    pub fn is_done(&self) -> bool {
        self.task.is_done()
    }

    /// Asks it to end. It may still end well, or take a while to clean up.
    pub fn cancel(&self) {
        self.task.cancel();
    }
}

impl<T: DeserializeOwned> Task<T> {
    /// Waits until it has ended, and says how.
    pub fn wait(&self) -> Result<T> {
        let answer = self.task.wait().map_err(failure)?;
        serde_json::from_str(&answer)
            .map_err(|error| Failure::new(format!("an answer is not what it should be: {error}")))
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Task")
    }
}

/// A [`Task`] of any answer, to wait for tasks of several kinds.
pub trait Answer {
    #[doc(hidden)]
    fn task(&self) -> &durable::Task;
}

impl<T> Answer for Task<T> {
    fn task(&self) -> &durable::Task {
        &self.task
    }
}

/// Waits until one of them has ended; the lowest place of those that have. At least one is needed.
pub fn any(tasks: &[&dyn Answer]) -> usize {
    let tasks: Vec<&durable::Task> = tasks.iter().map(|task| task.task()).collect();
    durable::wait_any(&tasks) as usize
}

/// Waits until all of them have ended.
pub fn all(tasks: &[&dyn Answer]) {
    let tasks: Vec<&durable::Task> = tasks.iter().map(|task| task.task()).collect();
    durable::wait_all(&tasks);
}

pub(crate) fn failure(failure: wit::Failure) -> Failure {
    Failure {
        kind: failure.kind,
        message: failure.message,
    }
}
