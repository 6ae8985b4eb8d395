//! What a run knows: what it started, what has ended, what it was sent. The guest's imports write it on one side, events
//! on the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::Value;

use crate::fault::Fault;
use crate::http::HttpCall;
use crate::limits::Limits;
use crate::types::{Command, Event, Failure, FailureKind, Finding, ModuleCall, Moment, Progress, TaskId};

/// Longest end of the standard error that is kept.
const MAX_SAID: usize = 2_000;
/// Longest id of a step or name of a signal, in characters.
const MAX_NAME: usize = 200;

/// The guest's hold on something that it started.
#[derive(Debug)]
#[allow(unreachable_pub, reason = "the bindings re-export it")]
pub struct Handle;

/// How something ended.
pub(crate) type End = Result<Value, Failure>;

#[derive(Debug)]
struct Task {
    kind: Kind,
    end: Option<End>,
    /// Whether the guest can still ask for it.
    held: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// A module or a child: it answers a cancellation itself.
    Work,
    Timer,
    /// The next signal of that name.
    Signal(String),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) limits: Limits,
    pub(crate) moment: Moment,
    pub(crate) progress: Progress,
    pub(crate) findings: Vec<Finding>,
    pub(crate) cancelled: bool,
    /// Set while the guest waits, so that its driver can tell waiting from computing.
    pub(crate) asleep: bool,
    findings_bytes: usize,
    seed: u64,
    drawn: u64,
    tasks: BTreeMap<TaskId, Task>,
    next: u32,
    steps: BTreeSet<String>,
    /// Signals that nobody asked for yet.
    signals: BTreeMap<String, VecDeque<(u64, Value)>>,
    /// Signals that came so far.
    signalled: u64,
    commands: Vec<Command>,
    said: String,
}

impl Ledger {
    pub(crate) fn new(limits: Limits, moment: Moment, seed: u64) -> Self {
        Self {
            limits,
            moment,
            progress: Progress::default(),
            findings: Vec::new(),
            cancelled: false,
            asleep: false,
            findings_bytes: 0,
            seed,
            drawn: 0,
            tasks: BTreeMap::new(),
            next: 0,
            steps: BTreeSet::new(),
            signals: BTreeMap::new(),
            signalled: 0,
            commands: Vec::new(),
            said: String::new(),
        }
    }

    // ---- what happened

    pub(crate) fn apply(&mut self, event: Event) {
        match event {
            Event::Ended { task, result } => self.end(task, result),
            Event::Signal { name, argument } => {
                let waiting = self.tasks.iter().find_map(|(id, task)| {
                    (task.end.is_none() && task.kind == Kind::Signal(name.clone())).then_some(*id)
                });
                match waiting {
                    Some(task) => self.end(task, Ok(argument)),
                    None => {
                        self.signalled += 1;
                        let place = (self.signalled, argument);
                        self.signals.entry(name).or_default().push_back(place);
                    }
                }
            }
            Event::Cancel => {
                self.cancelled = true;
                let open = self.tasks.iter().filter(|(_, task)| task.end.is_none());
                let open: Vec<TaskId> = open.map(|(id, _)| *id).collect();
                open.into_iter().for_each(|task| self.cancel(task));
            }
            Event::Seed(seed) => {
                self.seed = seed;
                self.drawn = 0;
            }
        }
    }

    fn end(&mut self, id: TaskId, end: End) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.end.get_or_insert(end);
            if !task.held {
                self.tasks.remove(&id);
            }
        }
    }

    // ---- what the guest does

    pub(crate) fn call(&mut self, call: ModuleCall) -> Result<TaskId, Fault> {
        name("the id of a step", &call.step)?;
        if !self.steps.insert(call.step.clone()) {
            return Err(Fault::Misuse(format!(
                "there was a step `{}` before; every step of a run needs an id of its own",
                call.step
            )));
        }
        let task = self.open(Kind::Work)?;
        self.commands.push(Command::Module { task, call });
        Ok(task)
    }

    pub(crate) fn timer(&mut self, duration: Duration) -> Result<TaskId, Fault> {
        let task = self.open(Kind::Timer)?;
        self.commands.push(Command::Timer { task, duration });
        Ok(task)
    }

    pub(crate) fn child(&mut self, workflow: String, id: Option<String>, parameters: Value) -> Result<TaskId, Fault> {
        let task = self.open(Kind::Work)?;
        self.commands.push(Command::Child {
            task,
            workflow,
            id,
            parameters,
        });
        Ok(task)
    }

    pub(crate) fn signal(&mut self, signal: String) -> Result<TaskId, Fault> {
        name("the name of a signal", &signal)?;
        let task = self.open(Kind::Signal(signal.clone()))?;
        if let Some((_, argument)) = self.signals.get_mut(&signal).and_then(VecDeque::pop_front) {
            self.end(task, Ok(argument));
        }
        Ok(task)
    }

    /// Asks for the next signal of each of those names, with at most one answer at once: the signal that came first.
    pub(crate) fn signals(&mut self, names: &[String]) -> Result<Vec<TaskId>, Fault> {
        let came = |name: &String| self.signals.get(name)?.front().map(|(place, _)| *place);
        let first = names
            .iter()
            .filter(|name| came(name).is_some())
            .min_by_key(|name| came(name));
        let first = first.cloned();
        let mut tasks = Vec::new();
        for signal in names {
            tasks.push(if first.as_ref() == Some(signal) {
                self.signal(signal.clone())?
            } else {
                name("the name of a signal", signal)?;
                self.open(Kind::Signal(signal.clone()))?
            });
        }
        Ok(tasks)
    }

    pub(crate) fn launch(&mut self, workflow: String, parameters: Value, same_code: bool) -> Result<TaskId, Fault> {
        let task = self.open(Kind::Work)?;
        self.commands.push(Command::Launch {
            task,
            workflow,
            parameters,
            same_code,
        });
        Ok(task)
    }

    pub(crate) fn http(&mut self, call: HttpCall) -> Result<TaskId, Fault> {
        let task = self.open(Kind::Work)?;
        self.commands.push(Command::Http { task, call });
        Ok(task)
    }

    pub(crate) fn secret(&mut self, secret: String) -> Result<TaskId, Fault> {
        name("the name of a secret", &secret)?;
        let task = self.open(Kind::Work)?;
        self.commands.push(Command::Secret { task, name: secret });
        Ok(task)
    }

    fn open(&mut self, kind: Kind) -> Result<TaskId, Fault> {
        if self.tasks.len() >= self.limits.open_tasks {
            return Err(Fault::Misuse(format!(
                "it has started {} things and not looked at their ends",
                self.tasks.len()
            )));
        }
        let id = TaskId(self.next);
        self.next += 1;
        let task = Task {
            kind,
            end: None,
            held: true,
        };
        self.tasks.insert(id, task);
        Ok(id)
    }

    pub(crate) fn cancel(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(&id).filter(|task| task.end.is_none()) else {
            return;
        };
        let over = match task.kind {
            Kind::Work => None,
            Kind::Timer => Some("the timer was cancelled"),
            Kind::Signal(_) => Some("waiting for the signal was cancelled"),
        };
        if !matches!(task.kind, Kind::Signal(_)) {
            self.commands.push(Command::Cancel { task: id });
        }
        if let Some(message) = over {
            self.end(id, Err(Failure::new(FailureKind::Cancelled, message)));
        }
    }

    /// The guest will not ask for it any more. A signal that nobody waits for any more is for the next to ask.
    pub(crate) fn release(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.held = false;
        if task.end.is_some() || matches!(task.kind, Kind::Signal(_)) {
            self.tasks.remove(&id);
        }
    }

    pub(crate) fn ended(&self, id: TaskId) -> Option<&End> {
        self.tasks.get(&id)?.end.as_ref()
    }

    pub(crate) fn emit(&mut self, finding: Finding) -> Result<(), Fault> {
        let length = serde_json::to_string(&finding).map_or(0, |text| text.len());
        self.findings_bytes += length;
        if self.findings_bytes > self.limits.findings {
            return Err(Fault::Misuse(format!(
                "it emits more than {} KiB of findings itself; a module can report as many as it likes",
                self.limits.findings >> 10
            )));
        }
        self.findings.push(finding);
        Ok(())
    }

    /// The next random number: the n-th eight bytes of the seed's stream.
    pub(crate) fn random(&mut self) -> u64 {
        let mut bytes = [0; 8];
        let mut stream = blake3::Hasher::new_derive_key("helve workflow random numbers")
            .update(&self.seed.to_le_bytes())
            .finalize_xof();
        stream.set_position(self.drawn * 8);
        stream.fill(&mut bytes);
        self.drawn += 1;
        u64::from_le_bytes(bytes)
    }

    /// Keeps the end of what the guest writes to its standard error.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.said.push_str(&String::from_utf8_lossy(bytes));
        let surplus = self.said.len().saturating_sub(MAX_SAID);
        let cut = (surplus..=self.said.len()).find(|at| self.said.is_char_boundary(*at));
        self.said.drain(..cut.unwrap_or_default());
    }

    pub(crate) fn said(&self) -> &str {
        &self.said
    }

    pub(crate) fn take_said(&mut self) -> String {
        std::mem::take(&mut self.said)
    }

    pub(crate) fn take_commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.commands)
    }
}

fn name(what: &str, name: &str) -> Result<(), Fault> {
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(Fault::Misuse(format!(
            "{what} is {name:?}, and has to be a line of 1 to {MAX_NAME} characters"
        )));
    }
    Ok(())
}
