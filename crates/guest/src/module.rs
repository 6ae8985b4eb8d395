//! Calls of modules.

use std::time::Duration;

use serde::Serialize;

use crate::bindings::helve::workflow::durable;
use crate::bindings::helve::workflow::types::{ModuleOptions, Retry};
use crate::{Result, StepOutput, Task, json, milliseconds};

/// A call of a module on the run's target: one step of the run.
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is started"]
pub struct Module {
    module: String,
    step: Option<String>,
    config: String,
    options: ModuleOptions,
}

impl Module {
    /// A call of the module of that name. The step has the same name until [`Module::step`] gives it another.
    pub fn new(module: impl Into<String>) -> Self {
        Self {
            module: module.into(),
            step: None,
            config: "{}".to_owned(),
            options: ModuleOptions {
                vertical: None,
                timeout_ms: None,
                retry: None,
            },
        }
    }

    /// The id of the step, for people and reports. Every step of a run needs one of its own.
    pub fn step(mut self, id: impl Into<String>) -> Self {
        self.step = Some(id.into());
        self
    }

    /// The module's configuration.
    pub fn config(mut self, config: impl Serialize) -> Self {
        self.config = json(&config);
        self
    }

    /// Whose workers run it. Without it, those of the workflow's own vertical.
    pub fn vertical(mut self, vertical: impl Into<String>) -> Self {
        self.options.vertical = Some(vertical.into());
        self
    }

    /// The longest time of one attempt.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout_ms = Some(milliseconds(timeout));
        self
    }

    /// How often it is tried. Pauses begin with a second and double, up to a minute.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.options.retry = Some(Retry {
            max_attempts: attempts,
            initial_interval_ms: 1_000,
            backoff: 2.0,
            max_interval_ms: 60_000,
        });
        self
    }

    /// Starts it.
    pub fn start(self) -> Task<StepOutput> {
        let step = self.step.as_ref().unwrap_or(&self.module);
        Task::new(durable::start_module(step, &self.module, &self.config, &self.options))
    }

    /// Starts it and waits for it.
    pub fn run(self) -> Result<StepOutput> {
        self.start().wait()
    }
}
