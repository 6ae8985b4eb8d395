//! Guests built from the examples of `helve-guest`, and a world that answers them.
#![allow(dead_code, reason = "every test file uses a part")]

pub(crate) mod guests;

use std::collections::VecDeque;
use std::sync::LazyLock;
use std::time::Duration;

use helve_wasm::{Code, Command, Engine, Event, Fault, Limits, Moment, Outcome, Run, Start, Target, TaskId};
use serde_json::{Value, json};

pub(crate) use guests::component;

/// Milliseconds since 1970 when runs start.
pub(crate) const NOON: u64 = 1_800_000_000_000;

pub(crate) fn engine(limits: Limits) -> Engine {
    Engine::new(limits, Some(&guests::folder().join("compiled"))).unwrap()
}

pub(crate) fn trials() -> Code {
    static CODE: LazyLock<Code> = LazyLock::new(|| engine(small()).load(&component("trials")).unwrap());
    CODE.clone()
}

/// Limits that a test reaches quickly.
pub(crate) fn small() -> Limits {
    Limits {
        max_runs: 40,
        memory: 16 << 20,
        fuel: 50_000_000,
        compute: Duration::from_secs(60),
        ..Limits::default()
    }
}

pub(crate) fn start(parameters: Value) -> Start {
    Start {
        name: "run".to_owned(),
        workflow: "trials".to_owned(),
        parameters,
        target: Some(Target {
            id: "0".repeat(64),
            name: "app".to_owned(),
        }),
        seed: 42,
        moment: Moment {
            now: NOON,
            replaying: false,
        },
    }
}

/// Something that happened, and when.
#[derive(Debug, Clone)]
pub(crate) struct Happening {
    pub(crate) now: u64,
    pub(crate) event: Event,
}

/// A run with everything that it was told and said.
pub(crate) struct Trial {
    pub(crate) run: Run,
    pub(crate) told: Vec<Happening>,
    pub(crate) commands: Vec<Command>,
    pub(crate) end: Option<Result<Outcome, Fault>>,
    pub(crate) now: u64,
}

impl Trial {
    pub(crate) fn of(parameters: Value) -> Self {
        Self::on(&trials(), parameters)
    }

    pub(crate) fn on(code: &Code, parameters: Value) -> Self {
        Self::begin(code, start(parameters))
    }

    pub(crate) fn begin(code: &Code, start: Start) -> Self {
        let mut trial = Self {
            run: Run::new(code, start),
            told: Vec::new(),
            commands: Vec::new(),
            end: None,
            now: NOON,
        };
        let outcome = trial.run.begin();
        trial.note(outcome);
        trial
    }

    /// The run as another process brings it back: all over, told the same again.
    pub(crate) fn replayed(parameters: Value, told: &[Happening]) -> Self {
        let mut trial = Self::of(parameters);
        for happening in told {
            trial.now = happening.now;
            trial.tell(happening.event.clone());
        }
        trial
    }

    pub(crate) fn tell(&mut self, event: Event) -> &mut Self {
        self.told.push(Happening {
            now: self.now,
            event: event.clone(),
        });
        let moment = Moment {
            now: self.now,
            replaying: false,
        };
        let outcome = self.run.apply(moment, event);
        self.note(outcome);
        self
    }

    pub(crate) fn ended(&mut self, task: u32, value: Value) -> &mut Self {
        self.now += 1_000;
        self.tell(Event::Ended {
            task: TaskId(task),
            result: Ok(value),
        })
    }

    pub(crate) fn signal(&mut self, name: &str, argument: Value) -> &mut Self {
        self.tell(Event::Signal {
            name: name.to_owned(),
            argument,
        })
    }

    fn note(&mut self, outcome: Result<Outcome, Fault>) {
        self.commands.extend(self.run.take_commands());
        if !matches!(outcome, Ok(Outcome::Waiting)) {
            assert!(self.end.is_none(), "a run ends once");
            self.end = Some(outcome);
        }
    }

    /// Answers everything that it starts, until it ends or waits for something else.
    pub(crate) fn serve(&mut self) -> &mut Self {
        let mut seen = 0;
        let mut open: VecDeque<Command> = VecDeque::new();
        loop {
            open.extend(self.commands[seen..].iter().cloned());
            seen = self.commands.len();
            let Some(command) = open.pop_front() else { return self };
            match command {
                Command::Module { task, .. } => self.ended(task.0, found(1)),
                Command::Timer { task, duration } => {
                    self.now += duration.as_millis() as u64;
                    self.ended(task.0, Value::Null)
                }
                Command::Child { task, parameters, .. } => self.ended(task.0, json!({"child of": parameters})),
                Command::Cancel { .. } => self,
                other => panic!("nobody answers {other:?} here"),
            };
        }
    }

    #[track_caller]
    pub(crate) fn returned(&self) -> &Value {
        match &self.end {
            Some(Ok(Outcome::Returned(Ok(value)))) => value,
            other => panic!("it did not return: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn fault(&self) -> &Fault {
        match &self.end {
            Some(Err(fault)) => fault,
            other => panic!("it did nothing wrong: {other:?}"),
        }
    }
}

/// A step's output.
pub(crate) fn found(findings: u64) -> Value {
    json!({"status": {"state": "completed"}, "findings": findings})
}
