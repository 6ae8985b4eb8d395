//! One run of a guest.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use serde_json::Value;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap, UpdateDeadline, WasmBacktrace};

use crate::bindings::types as wit;
use crate::engine::{Code, Program};
use crate::fault::Fault;
use crate::flawless;
use crate::imports::{Guest, lock};
use crate::ledger::Ledger;
use crate::types::{Command, Event, Failure, Finding, Moment, Outcome, Progress, Target};

/// A guest that computes gives way this often before its fuel is used up.
const SLICES: u64 = 64;
/// Functions that a trap's message names.
const MAX_FRAMES: usize = 4;

/// What a run is started with.
#[derive(Debug, Clone)]
pub struct Start {
    /// Names the run in the worker's log.
    pub name: String,
    /// Name of the workflow.
    pub workflow: String,
    /// Its parameters.
    pub parameters: Value,
    /// What is analysed.
    pub target: Option<Target>,
    /// Seed of its random numbers.
    pub seed: u64,
    /// When it started.
    pub moment: Moment,
}

/// What a guest is called with.
struct Input {
    workflow: String,
    parameters: Value,
    target: Option<Target>,
}

type Returned = wasmtime::Result<Result<String, wit::Failure>>;

/// One run of a guest: asleep, or over.
pub struct Run {
    ledger: Arc<Mutex<Ledger>>,
    /// None once it has returned or faulted.
    fiber: Option<Pin<Box<dyn Future<Output = Returned> + Send>>>,
    deadline: Arc<Mutex<Option<Instant>>>,
}

impl Run {
    /// A run that has not begun. [`Run::begin`] is next.
    pub fn new(code: &Code, start: Start) -> Self {
        let limits = code.engine.limits().clone();
        let ledger = Arc::new(Mutex::new(Ledger::new(limits, start.moment, start.seed)));
        let deadline = Arc::new(Mutex::new(None));
        let fiber = Box::pin(live(
            code.clone(),
            Guest::new(Arc::clone(&ledger), start.name),
            Arc::clone(&deadline),
            Input {
                workflow: start.workflow,
                parameters: start.parameters,
                target: start.target,
            },
        ));
        Self {
            ledger,
            fiber: Some(fiber),
            deadline,
        }
    }

    /// Lets it compute until it waits for the first time.
    pub fn begin(&mut self) -> Result<Outcome, Fault> {
        self.resume()
    }

    /// Tells it what happened, and lets it compute until it waits again. Blocking for as long as the guest computes.
    /// A run that is over takes note of nothing.
    pub fn apply(&mut self, moment: Moment, event: Event) -> Result<Outcome, Fault> {
        {
            let mut ledger = lock(&self.ledger);
            ledger.moment = moment;
            ledger.apply(event);
        }
        self.resume()
    }

    /// What it wants done since it was asked last, in the order in which it said so.
    pub fn take_commands(&mut self) -> Vec<Command> {
        lock(&self.ledger).take_commands()
    }

    /// What it says about itself.
    pub fn progress(&self) -> Progress {
        lock(&self.ledger).progress.clone()
    }

    /// What it found itself.
    pub fn findings(&self) -> Vec<Finding> {
        lock(&self.ledger).findings.clone()
    }

    /// Whether somebody asked to cancel it.
    pub fn is_cancelled(&self) -> bool {
        lock(&self.ledger).cancelled
    }

    fn resume(&mut self) -> Result<Outcome, Fault> {
        let Some(fiber) = &mut self.fiber else {
            return Ok(Outcome::Waiting);
        };
        let limits = lock(&self.ledger).limits.clone();
        lock_deadline(&self.deadline).replace(Instant::now() + limits.compute);
        // Nobody wakes a guest but its next event.
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..SLICES {
            match fiber.as_mut().poll(&mut context) {
                Poll::Pending if lock(&self.ledger).asleep => return Ok(Outcome::Waiting),
                // It used up a slice of its fuel.
                Poll::Pending => {}
                Poll::Ready(returned) => {
                    self.fiber = None;
                    return self.returned(returned);
                }
            }
        }
        self.fiber = None;
        Err(Fault::Endless { fuel: limits.fuel })
    }

    fn returned(&self, returned: Returned) -> Result<Outcome, Fault> {
        let ledger = lock(&self.ledger);
        match returned {
            Ok(Ok(text)) => match serde_json::from_str(&text) {
                Ok(value) => Ok(Outcome::Returned(Ok(value))),
                Err(error) => Err(Fault::Misuse(format!("it returned what is not JSON: {error}"))),
            },
            Ok(Err(failure)) => Ok(Outcome::Returned(Err(Failure::from(failure)))),
            Err(error) => Err(fault(&error, ledger.said())),
        }
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run")
            .field("over", &self.fiber.is_none())
            .finish_non_exhaustive()
    }
}

/// The whole life of a guest. Whoever polls it must not poll it from within a guest.
async fn live(code: Code, guest: Guest, deadline: Arc<Mutex<Option<Instant>>>, input: Input) -> Returned {
    match &code.program {
        Program::Component(component) => {
            let mut store = store(&code, guest, |guest| guest, &deadline)?;
            let workflow = component.instantiate_async(&mut store).await?;
            let input = wit::Input {
                workflow: input.workflow,
                parameters: input.parameters.to_string(),
                target: input.target.map(|target| wit::Target {
                    id: target.id,
                    name: target.name,
                }),
            };
            workflow.call_run(&mut store, &input).await
        }
        Program::Flawless(module) => {
            let store = |state| store(&code, state, flawless::State::base_mut, &deadline);
            flawless::live(module, guest, store, &input.workflow, &input.parameters).await
        }
    }
}

/// A store with the bounds of a guest, whose memory `limiter` watches over.
fn store<T: Send + 'static>(
    code: &Code,
    data: T,
    limiter: fn(&mut T) -> &mut Guest,
    deadline: &Arc<Mutex<Option<Instant>>>,
) -> wasmtime::Result<Store<T>> {
    let limits = code.engine.limits();
    let mut store = Store::new(code.engine.wasmtime(), data);
    store.limiter(move |data| limiter(data));
    store.set_fuel(u64::MAX)?;
    store.fuel_async_yield_interval(Some((limits.fuel / SLICES).max(1)))?;
    store.set_epoch_deadline(1);
    let (deadline, compute) = (Arc::clone(deadline), limits.compute);
    store.epoch_deadline_callback(move |_| match *lock_deadline(&deadline) {
        Some(deadline) if Instant::now() > deadline => Err(Fault::TooSlow(compute).into()),
        _ => Ok(UpdateDeadline::Continue(1)),
    });
    Ok(store)
}

fn lock_deadline(deadline: &Mutex<Option<Instant>>) -> std::sync::MutexGuard<'_, Option<Instant>> {
    deadline.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn fault(error: &wasmtime::Error, said: &str) -> Fault {
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.clone();
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return Fault::NoRoom("too many runs are under way on this worker".to_owned());
    }
    Fault::Trapped {
        reason: describe(error),
        said: said.to_owned(),
    }
}

/// Why code trapped, and where.
pub(crate) fn describe(error: &wasmtime::Error) -> String {
    let mut reason = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    let names: Vec<&str> = error
        .downcast_ref::<WasmBacktrace>()
        .map(|trace| {
            trace
                .frames()
                .iter()
                .filter_map(|frame| frame.func_name())
                .take(MAX_FRAMES)
        })
        .into_iter()
        .flatten()
        .collect();
    if !names.is_empty() {
        reason.push_str(&format!(", in {}", names.join(" < ")));
    }
    reason
}
