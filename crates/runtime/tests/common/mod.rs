//! Plans for tests, and a hand that plays the engine.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeMap;
use std::sync::Arc;

use helve_runtime::plan::{Activity, Cause, Command, Job, Machine, Resolution, RunFailure};
use helve_toolbox::run::{PinnedPlan, PlanInput, RunInput, RunOutput, TargetRef};
use helve_toolbox::{Layer, Toolbox};
use serde_json::{Value, json};

const METADATA: &str = "\
name: flow
version: '7'
description: Flows.
parameters:
  type: object
  properties:
    names: {type: array, items: {type: string}, default: [a, b, c]}
    deep: {type: boolean, default: false}
    depth: {type: integer}
";

/// A toolbox with the workflow `flow` and the modules `m` and `n`, which take anything.
pub(crate) fn toolbox(workflow: &str) -> Arc<Toolbox> {
    let module = |name: &str| format!("name: {name}\nversion: '1'\ndescription: d\nkind: builtin\n");
    let files = [
        ("modules/m/module.yaml", module("m")),
        ("modules/n/module.yaml", module("n")),
        ("workflows/flow/metadata.yaml", METADATA.to_owned()),
        ("workflows/flow/workflow.yaml", workflow.to_owned()),
    ];
    let layer = Layer::memory("box", files.map(|(path, text)| (path.to_owned(), text)));
    let loaded = Toolbox::load(&[layer]);
    assert_eq!(loaded.problems, [], "{workflow}");
    Arc::new(loaded.toolbox)
}

/// The plan of a workflow's text.
pub(crate) fn pinned(workflow: &str) -> PinnedPlan {
    toolbox(workflow).workflow("flow").unwrap().pinned()
}

/// The input of a run with that plan, parameters resolved.
pub(crate) fn input(workflow: &str, parameters: Value) -> RunInput {
    let Value::Object(parameters) = parameters else {
        panic!("parameters are a mapping")
    };
    let planned = toolbox(workflow)
        .pin(&PlanInput {
            workflow: "flow".to_owned(),
            parameters,
        })
        .unwrap();
    RunInput {
        target: Some(TargetRef {
            id: "0".repeat(64),
            name: "app".to_owned(),
        }),
        parameters: planned.parameters,
        plan: Some(planned.plan),
    }
}

/// A run whose activities are resolved by hand, by id.
pub(crate) struct Run {
    pub(crate) machine: Machine,
    /// What runs, by id.
    pub(crate) running: BTreeMap<String, Activity>,
    /// Ids in the order in which they were scheduled.
    pub(crate) order: Vec<String>,
    /// Ids in the order in which they were asked to stop.
    pub(crate) stopped: Vec<String>,
    pub(crate) end: Option<Command>,
}

impl Run {
    pub(crate) fn of(workflow: &str, parameters: Value) -> Self {
        Self::start(Ok(input(workflow, parameters)))
    }

    pub(crate) fn start(input: Result<RunInput, String>) -> Self {
        let (machine, commands) = Machine::start("flow", input);
        let mut run = Self {
            machine,
            running: BTreeMap::new(),
            order: Vec::new(),
            stopped: Vec::new(),
            end: None,
        };
        run.note(commands);
        run
    }

    fn note(&mut self, commands: Vec<Command>) {
        for command in commands {
            assert!(self.end.is_none(), "nothing comes after the end");
            match command {
                Command::Schedule(activity) => {
                    self.order.push(activity.id.clone());
                    let before = self.running.insert(activity.id.clone(), activity);
                    assert!(before.is_none(), "an id names one activity at a time");
                }
                Command::CancelActivity { seq } => {
                    let (id, _) = self.running.iter().find(|(_, a)| a.seq == seq).expect("it runs");
                    self.stopped.push(id.clone());
                }
                end => self.end = Some(end),
            }
        }
    }

    pub(crate) fn job(&mut self, job: Job) -> &mut Self {
        let commands = self.machine.apply(job);
        self.note(commands);
        self
    }

    #[track_caller]
    pub(crate) fn resolve(&mut self, id: &str, resolution: Resolution) -> &mut Self {
        let activity = self
            .running
            .remove(id)
            .unwrap_or_else(|| panic!("`{id}` does not run: {:?}", self.ids()));
        self.job(Job::ActivityResolved {
            seq: activity.seq,
            resolution,
        })
    }

    /// The activity ends with that output.
    #[track_caller]
    pub(crate) fn done(&mut self, id: &str, output: Value) -> &mut Self {
        self.resolve(id, Resolution::Completed(output))
    }

    /// The activity ends well, with a report and some findings.
    #[track_caller]
    pub(crate) fn found(&mut self, id: &str, findings: u64) -> &mut Self {
        self.done(id, found(id, findings))
    }

    #[track_caller]
    pub(crate) fn fail(&mut self, id: &str, reason: &str) -> &mut Self {
        self.resolve(
            id,
            Resolution::Failed {
                reason: reason.to_owned(),
                cause: Cause::Error,
            },
        )
    }

    #[track_caller]
    pub(crate) fn merged(&mut self) -> &mut Self {
        self.done("helve.report", merged())
    }

    /// Ids of what runs.
    pub(crate) fn ids(&self) -> Vec<&str> {
        self.running.keys().map(String::as_str).collect()
    }

    pub(crate) fn config(&self, id: &str) -> &Value {
        &self.running[id].input["config"]
    }

    /// `id:state` of each step.
    pub(crate) fn states(&self) -> Vec<String> {
        self.machine
            .view()
            .steps
            .iter()
            .map(|s| format!("{}:{}", s.id, s.state))
            .collect()
    }

    #[track_caller]
    pub(crate) fn completed(&self) -> &RunOutput {
        match &self.end {
            Some(Command::Complete(output)) => output,
            other => panic!("the run did not complete: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn failed(&self) -> &RunFailure {
        match &self.end {
            Some(Command::Fail(failure)) => failure,
            other => panic!("the run did not fail: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn cancelled(&self) -> Option<&RunOutput> {
        match &self.end {
            Some(Command::Cancelled(output)) => output.as_deref(),
            other => panic!("the run was not cancelled: {other:?}"),
        }
    }
}

/// A step's output as a worker sends it.
pub(crate) fn found(id: &str, findings: u64) -> Value {
    json!({
        "status": {"state": "completed"},
        "findings": findings,
        "by_severity": {"high": findings},
        "summary": {"files": 10, "id": id},
        "report": {"id": "1".repeat(64), "size": 5, "media_type": "application/json"},
    })
}

/// The answer of `helve.report`.
pub(crate) fn merged() -> Value {
    let blob = json!({"id": "2".repeat(64), "size": 9, "media_type": "application/json"});
    json!({"report": blob, "sarif": blob, "total": 3, "by_severity": {"high": 3}})
}
