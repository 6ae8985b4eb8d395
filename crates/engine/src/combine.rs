//! Inputs to one run that come while its last commit is under way share the next one.
//!
//! A run's lock is held across its commit. Whoever brings an input then does not wait for the lock, but leaves the input in
//! the run's queue. One job per run takes from there: it decides one input after the other, each on the state that the
//! one before it left, and commits all of that at once. So a run with much to do needs as many commits as the disk makes,
//! and not as many as it has inputs. A run that is told one thing at a time has no queue, and nothing else changes for it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use helve_history::{Input, Reply, Transition, UpdateNews};
use tokio::sync::oneshot;

use crate::{
    error::{Failed, Fault},
    publish::Effects,
    run::{Cell, Loaded, Slot},
    shell::Shell,
};

/// How many inputs may share a commit. The run's lock is held while they are decided.
const MAX_INPUTS: usize = 256;
/// How many bytes of payloads they may bring, or of events make, before what follows is left for the next commit.
const MAX_BYTES: u64 = 1 << 20;

/// An input on its way to a run, and who brought it.
pub(crate) struct Waiting {
    input: Input,
    caller: Box<dyn Caller>,
}

/// Who brought an input.
trait Caller: Send {
    /// Asked under the run's lock, right before the decision.
    fn is_wanted(&self, shell: &Shell, slot: &Arc<Slot>) -> bool;
    /// Makes the answer under the run's lock, once the state is installed. It is not sent yet.
    fn make(&mut self, loaded: &Loaded, reply: Reply);
    /// Sends what was made, or that nothing was.
    fn answer(self: Box<Self>);
    fn fail(self: Box<Self>, failed: Failed);
}

struct Call<T, W, F> {
    is_wanted: W,
    make: Option<F>,
    made: Option<T>,
    answer: oneshot::Sender<Result<Option<T>, Failed>>,
}

impl<T, W, F> Caller for Call<T, W, F>
where
    T: Send,
    W: Fn(&Shell, &Arc<Slot>) -> bool + Send,
    F: FnOnce(&Loaded, Reply) -> T + Send,
{
    fn is_wanted(&self, shell: &Shell, slot: &Arc<Slot>) -> bool {
        (self.is_wanted)(shell, slot)
    }

    fn make(&mut self, loaded: &Loaded, reply: Reply) {
        self.made = self.make.take().map(|make| make(loaded, reply));
    }

    // An error of these means that the caller is gone, which changes nothing.

    fn answer(self: Box<Self>) {
        let _ = self.answer.send(Ok(self.made));
    }

    fn fail(self: Box<Self>, failed: Failed) {
        let _ = self.answer.send(Err(failed));
    }
}

/// The inputs that wait for a run.
#[derive(Default)]
pub(crate) struct Inputs {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// A job takes what is there, and does not end before it saw that there is nothing.
    is_served: bool,
}

impl Inputs {
    /// Queues an input, or gives it back to whoever is to serve the queue from now on.
    fn push(&self, waiting: Waiting) -> Option<Waiting> {
        let mut queue = self.lock();
        if queue.is_served {
            queue.waiting.push_back(waiting);
            return None;
        }
        queue.is_served = true;
        Some(waiting)
    }

    fn pop(&self) -> Option<Waiting> {
        self.lock().waiting.pop_front()
    }

    /// The next input, or the end of the service.
    fn pop_or_retire(&self) -> Option<Waiting> {
        let mut queue = self.lock();
        let next = queue.waiting.pop_front();
        if next.is_none() {
            // A run that was busy for a while does not keep the memory for that.
            *queue = Queue::default();
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The service of a run's queue. If it is cut short nobody may wait in vain, and the next input begins another one.
struct Service<'a>(Option<&'a Inputs>);

impl Drop for Service<'_> {
    fn drop(&mut self) {
        let left = self.0.map(|inputs| std::mem::take(&mut *inputs.lock()));
        drop(left);
    }
}

/// An input that was decided, but is not on disk yet.
struct Decided {
    caller: Box<dyn Caller>,
    result: Result<Reply, Failed>,
    updates: Vec<UpdateNews>,
}

/// What inputs decided one after the other come to.
struct Combined {
    transition: Option<Box<Transition>>,
    decided: Vec<Decided>,
}

impl Shell {
    /// Gives an input to a run, together with whatever else waits for it. Nobody who goes away cuts that short. `None` if
    /// `is_wanted` says so under the run's lock: then nothing happens. `then` makes the answer, still under the lock; the
    /// state it sees may be that after later inputs.
    pub(crate) async fn combine<T, W, F>(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        input: Input,
        is_wanted: W,
        then: F,
    ) -> Result<Option<T>, Failed>
    where
        T: Send + 'static,
        W: Fn(&Shell, &Arc<Slot>) -> bool + Send + 'static,
        F: FnOnce(&Loaded, Reply) -> T + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let caller = Box::new(Call {
            is_wanted,
            make: Some(then),
            made: None,
            answer,
        });
        if let Some(first) = slot.inputs.push(Waiting { input, caller }) {
            self.background.spawn(serve(self.clone(), slot.clone(), first));
        }
        match answered.await {
            Ok(result) => result,
            Err(_) => Err(Fault::Bug("a decision was cut short".to_owned()).into()),
        }
    }

    /// Decides an input and what waits behind it, as far as there is room; commits, publishes, answers.
    async fn decide_waiting(self: &Arc<Self>, slot: &Arc<Slot>, first: Waiting) {
        let mut guard = match self.lock(slot).await {
            Ok(guard) => guard,
            Err(_) if !first.caller.is_wanted(self, slot) => return first.caller.answer(),
            Err(failed) => return first.caller.fail(failed),
        };
        let Combined { transition, decided } = self.decide_all(slot, &mut guard, first);
        let committed = match transition {
            Some(transition) => self.carry_out(slot, &mut guard, transition).await,
            None => Ok(Effects::default()),
        };
        let (effects, decided) = match (committed, guard.loaded()) {
            (Ok(effects), Some(loaded)) => (effects, make_answers(slot, loaded, decided)),
            (Ok(_), None) => return fail_all(decided, &Fault::Conflict.into()),
            (Err(failed), _) => return fail_all(decided, &failed),
        };
        drop(guard);
        self.publish(effects);
        for (caller, failed) in decided {
            match failed {
                None => caller.answer(),
                Some(failed) => caller.fail(failed),
            }
        }
    }

    fn decide_all(self: &Arc<Self>, slot: &Arc<Slot>, cell: &mut Cell, first: Waiting) -> Combined {
        let mut decided = Vec::new();
        let mut transition = None;
        let mut room = Room::new(cell);
        let mut next = Some(first);
        while let Some(Waiting { input, mut caller }) = next {
            if !caller.is_wanted(self, slot) {
                caller.answer();
                next = slot.inputs.pop();
                continue;
            }
            room.take(&input);
            let result = self.decide_onto(&mut transition, slot, cell, input);
            let updates = transition.as_mut().map(|all| std::mem::take(&mut all.updates));
            if transition.as_ref().is_none_or(|transition| transition.is_noop()) {
                // What it was decided on is on disk already: there is nothing to wait for.
                match (result, cell.loaded()) {
                    (Ok(reply), Some(loaded)) => {
                        caller.make(loaded, reply);
                        caller.answer();
                    }
                    (Ok(_), None) => caller.fail(Fault::Conflict.into()),
                    (Err(failed), _) => caller.fail(failed),
                }
            } else {
                decided.push(Decided {
                    caller,
                    result,
                    updates: updates.unwrap_or_default(),
                });
            }
            next = if room.is_left(transition.as_deref()) {
                slot.inputs.pop()
            } else {
                None
            };
        }
        Combined { transition, decided }
    }

    /// Decides an input on what was decided before. If it is refused, that stays as it is.
    fn decide_onto(
        &self,
        before: &mut Option<Box<Transition>>,
        slot: &Slot,
        cell: &mut Cell,
        input: Input,
    ) -> Result<Reply, Failed> {
        match before {
            Some(before) => self.with_env(&slot.namespace, |env| Ok(before.extend(input, env)?)),
            None => {
                let transition = before.insert(Box::new(self.decide(slot, cell, input)?));
                Ok(std::mem::replace(&mut transition.reply, Reply::Done))
            }
        }
    }
}

async fn serve(shell: Arc<Shell>, slot: Arc<Slot>, first: Waiting) {
    let mut service = Service(Some(&slot.inputs));
    let mut next = Some(first);
    while let Some(first) = next {
        shell.decide_waiting(&slot, first).await;
        next = slot.inputs.pop_or_retire();
    }
    // Others may serve by now.
    service.0 = None;
}

/// Makes the answers in the order of the decisions. News of updates go between them: who waits for an update from one
/// decision on must hear what a later one made of it.
fn make_answers(slot: &Slot, loaded: &Loaded, decided: Vec<Decided>) -> Vec<(Box<dyn Caller>, Option<Failed>)> {
    let make = |Decided {
                    mut caller,
                    result,
                    updates,
                }| {
        slot.updates.tell(updates);
        match result {
            Ok(reply) => {
                caller.make(loaded, reply);
                (caller, None)
            }
            Err(failed) => (caller, Some(failed)),
        }
    };
    decided.into_iter().map(make).collect()
}

/// Nothing that was decided is true, refusals included.
fn fail_all(decided: Vec<Decided>, failed: &Failed) {
    for Decided { caller, .. } in decided {
        caller.fail(failed.clone());
    }
}

/// How much more may share a commit.
struct Room {
    inputs: usize,
    bytes: u64,
    was_running: bool,
    history_size: u64,
}

impl Room {
    fn new(cell: &mut Cell) -> Self {
        let state = cell.loaded().map(|loaded| &loaded.state);
        Room {
            inputs: MAX_INPUTS,
            bytes: MAX_BYTES,
            was_running: state.is_some_and(|state| state.is_running()),
            history_size: state.map_or(0, |state| state.history_size()),
        }
    }

    fn take(&mut self, input: &Input) {
        self.inputs = self.inputs.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(input.payload_size() as u64);
    }

    /// The end of a run, or of its part in a chain, is the last thing in a commit.
    fn is_left(&self, transition: Option<&Transition>) -> bool {
        let goes_on = transition.is_none_or(|transition| {
            let grown = transition.next.history_size().saturating_sub(self.history_size);
            let ends = transition.successor.is_some() || (self.was_running && !transition.next.is_running());
            !ends && grown < MAX_BYTES
        });
        goes_on && self.inputs > 0 && self.bytes > 0
    }
}
