//! The two ends of handing over a task so that it cannot get lost: the poll, and the task in the poller's hand.

use tokio::sync::oneshot;

use super::{
    Matching, Poller, QueueId, Task,
    queue::{Delivery, Waiter},
};

/// A task in a poller's hand. Dropped without [`Handed::accept`], it goes back to the head of its queue.
pub(crate) struct Handed<T: Task> {
    matching: Matching<T>,
    queue: QueueId,
    task: Option<T>,
}

impl<T: Task> Handed<T> {
    pub(super) fn new(matching: Matching<T>, queue: QueueId, task: T) -> Self {
        Handed {
            matching,
            queue,
            task: Some(task),
        }
    }

    /// Takes the task for good: from here on the caller answers for it.
    pub(crate) fn accept(mut self) -> T {
        self.task.take().expect("taken only here, which consumes self")
    }
}

impl<T: Task> Drop for Handed<T> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            self.matching.give_back(self.queue.clone(), task);
        }
    }
}

/// A poller for which a task is being made. Dropped without [`Reserved::hand`], it waits on in its place.
pub(crate) struct Reserved<T: Task> {
    matching: Matching<T>,
    queue: QueueId,
    number: u64,
    waiter: Option<Waiter<T>>,
}

impl<T: Task> Reserved<T> {
    pub(super) fn new(matching: Matching<T>, queue: QueueId, number: u64, waiter: Waiter<T>) -> Self {
        Reserved {
            matching,
            queue,
            number,
            waiter: Some(waiter),
        }
    }

    pub(crate) fn queue(&self) -> &QueueId {
        &self.queue
    }

    pub(crate) fn poller(&self) -> Option<&Poller> {
        self.waiter.as_ref().map(Waiter::poller)
    }

    /// Gives the poller its task. If it is gone, the task goes to the head of the queue.
    pub(crate) fn hand(mut self, task: T) {
        let Some(waiter) = self.waiter.take() else { return };
        self.matching.passed(&self.queue, self.number, task.rank().level);
        let handed = Handed::new(self.matching.clone(), self.queue.clone(), task);
        // What comes back is dropped here, which puts it there.
        let _ = waiter.deliver(Delivery::Task(handed));
    }
}

impl<T: Task> Drop for Reserved<T> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            self.matching.release(&self.queue, self.number, waiter);
        }
    }
}

/// One poll. Dropping it withdraws it; a task that was on its way goes to the next poller.
pub(crate) struct Poll<T: Task> {
    waiting: Option<Waiting<T>>,
}

struct Waiting<T: Task> {
    matching: Matching<T>,
    queue: QueueId,
    number: u64,
    receiver: oneshot::Receiver<Delivery<T>>,
}

impl<T: Task> Poll<T> {
    pub(super) fn empty() -> Self {
        Poll { waiting: None }
    }

    pub(super) fn waiting(
        matching: Matching<T>,
        queue: QueueId,
        number: u64,
        receiver: oneshot::Receiver<Delivery<T>>,
    ) -> Self {
        Poll {
            waiting: Some(Waiting {
                matching,
                queue,
                number,
                receiver,
            }),
        }
    }

    /// Waits for a task; `None` when the worker or the engine shuts down.
    pub(crate) async fn task(mut self) -> Option<Handed<T>> {
        match (&mut self.waiting.as_mut()?.receiver).await {
            Ok(Delivery::Task(handed)) => Some(handed),
            Ok(Delivery::Empty) | Err(_) => None,
        }
    }
}

impl<T: Task> Drop for Waiting<T> {
    fn drop(&mut self) {
        self.matching.leave(&self.queue, self.number);
        // A task that arrived in between is still in the receiver; it goes back when that is dropped, after this.
    }
}
