//! Systems that have no sandbox: no tool is run there, and the compiler knows.

use std::convert::Infallible;
use std::marker::PhantomData;

use crate::{Error, Level, Options, Outcome, Output, Spec, Support};

/// Runs tools; on this system there is none.
#[derive(Debug, Clone)]
pub struct Sandbox(Infallible);

impl Sandbox {
    /// Fails: this system has no sandbox.
    pub async fn open(_: Options) -> Result<Self, Error> {
        Err(Error::Unsupported)
    }

    /// What this machine can do.
    pub fn support(&self) -> &Support {
        match self.0 {}
    }

    /// The level of every tool run by this sandbox.
    pub fn level(&self) -> Level {
        match self.0 {}
    }

    /// Whether a supervisor waits for the next tool.
    pub fn is_ready(&self) -> bool {
        match self.0 {}
    }

    /// Starts a tool.
    pub async fn spawn(&self, _: &Spec) -> Result<Running, Error> {
        match self.0 {}
    }

    /// Runs a tool to its end.
    pub async fn run(&self, _: &Spec) -> Result<Output, Error> {
        match self.0 {}
    }
}

/// A tool that runs; on this system there is none.
#[derive(Debug)]
pub struct Running(Infallible);

impl Running {
    /// A handle that kills the tool.
    pub fn canceller(&self) -> Canceller {
        match self.0 {}
    }

    /// Waits until the tool and everything it started are gone.
    pub async fn wait(&mut self) -> Result<Outcome, Error> {
        match self.0 {}
    }

    /// Waits, collecting what the tool writes.
    pub async fn output(self) -> Result<Output, Error> {
        match self.0 {}
    }
}

/// Kills a tool.
#[derive(Debug, Clone)]
pub struct Canceller(Infallible);

impl Canceller {
    /// Kills the tool and everything it started.
    pub fn cancel(&self) {
        match self.0 {}
    }
}

/// One output of a tool.
#[derive(Debug)]
pub struct ToolStream<S>(Infallible, PhantomData<S>);
