//! What a guest can call: the WIT interface `durable`, on the run's ledger.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use serde_json::Value;
use wasmtime::component::Resource;
use wasmtime::{Error, ResourceLimiter, Result};

use crate::bindings::{durable, types as wit};
use crate::fault::Fault;
use crate::ledger::{End, Handle, Ledger};
use crate::types::{Failure, FailureKind, Finding, LogLevel, ModuleCall, Options, Progress, Retry, Severity, TaskId};

/// The store's data: all that the host knows of a guest.
#[derive(Clone)]
pub(crate) struct Guest {
    ledger: Arc<Mutex<Ledger>>,
    /// Names the run in the worker's log.
    name: String,
    memory: usize,
}

impl Guest {
    pub(crate) fn new(ledger: Arc<Mutex<Ledger>>, name: String) -> Self {
        let memory = lock(&ledger).limits.memory;
        Self { ledger, name, memory }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// The guest sleeps here, and nowhere else.
    pub(crate) async fn until<T>(&self, ready: impl Fn(&Ledger) -> Option<T>) -> T {
        poll_fn(|_| {
            let mut ledger = self.ledger();
            let ready = ready(&ledger);
            ledger.asleep = ready.is_none();
            ready.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    async fn end_of(&self, task: TaskId) -> End {
        self.until(|ledger| ledger.ended(task).cloned()).await
    }

    /// For what the guest holds no resource of: it is forgotten as soon as it has ended.
    pub(crate) async fn end_of_own(&self, task: TaskId) -> End {
        let end = self.end_of(task).await;
        self.ledger().release(task);
        end
    }

    /// Writes to the worker's log.
    pub(crate) fn write_log(&self, level: LogLevel, text: &str) {
        log(&self.name, level, text);
    }

    fn text(&self, what: &str, text: &str) -> Result<()> {
        let limit = self.ledger().limits.text;
        if text.len() > limit {
            let (length, limit) = (text.len() >> 10, limit >> 10);
            return Err(misuse(format!("{what} is {length} KiB long, and may be {limit}")));
        }
        Ok(())
    }

    pub(crate) fn json(&self, what: &str, text: &str) -> Result<Value> {
        self.text(what, text)?;
        serde_json::from_str(text).map_err(|error| misuse(format!("{what} is not JSON: {error}")))
    }

    fn call(&self, step: String, module: String, config: String, options: wit::ModuleOptions) -> Result<TaskId> {
        let config = self.json(&format!("the configuration of the step `{step}`"), &config)?;
        let call = ModuleCall {
            step,
            module,
            config,
            options: options.into(),
        };
        Ok(self.ledger().call(call)?)
    }
}

pub(crate) fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

fn misuse(message: String) -> Error {
    Fault::Misuse(message).into()
}

fn handle(task: TaskId) -> Resource<Handle> {
    Resource::new_own(task.0)
}

fn task(handle: &Resource<Handle>) -> TaskId {
    TaskId(handle.rep())
}

fn answer(end: End) -> Result<String, wit::Failure> {
    end.map(|value| value.to_string()).map_err(wit::Failure::from)
}

impl wit::Host for Guest {}

impl durable::Host for Guest {
    async fn start_module(
        &mut self,
        step: String,
        module: String,
        config: String,
        options: wit::ModuleOptions,
    ) -> Result<Resource<Handle>> {
        Ok(handle(self.call(step, module, config, options)?))
    }

    async fn call_module(
        &mut self,
        step: String,
        module: String,
        config: String,
        options: wit::ModuleOptions,
    ) -> Result<Result<String, wit::Failure>> {
        let task = self.call(step, module, config, options)?;
        Ok(answer(self.end_of_own(task).await))
    }

    async fn start_timer(&mut self, ms: u64) -> Result<Resource<Handle>> {
        Ok(handle(self.ledger().timer(Duration::from_millis(ms))?))
    }

    async fn sleep(&mut self, ms: u64) -> Result<Result<(), wit::Failure>> {
        let task = self.ledger().timer(Duration::from_millis(ms))?;
        Ok(self.end_of_own(task).await.map(drop).map_err(wit::Failure::from))
    }

    async fn start_child(
        &mut self,
        workflow: String,
        id: Option<String>,
        parameters: String,
    ) -> Result<Resource<Handle>> {
        let parameters = self.json(&format!("the parameters of the child `{workflow}`"), &parameters)?;
        Ok(handle(self.ledger().child(workflow, id, parameters)?))
    }

    async fn next_signal(&mut self, name: String) -> Result<Resource<Handle>> {
        Ok(handle(self.ledger().signal(name)?))
    }

    async fn wait_signal(&mut self, name: String) -> Result<Result<String, wit::Failure>> {
        let task = self.ledger().signal(name)?;
        Ok(answer(self.end_of_own(task).await))
    }

    async fn wait_any(&mut self, tasks: Vec<Resource<Handle>>) -> Result<u32> {
        if tasks.is_empty() {
            return Err(misuse(
                "it waits for any of no tasks, which would take for ever".to_owned(),
            ));
        }
        let first = |ledger: &Ledger| tasks.iter().position(|handle| ledger.ended(task(handle)).is_some());
        Ok(self.until(first).await as u32)
    }

    async fn wait_all(&mut self, tasks: Vec<Resource<Handle>>) -> Result<()> {
        let all = |ledger: &Ledger| tasks.iter().all(|handle| ledger.ended(task(handle)).is_some());
        self.until(|ledger| all(ledger).then_some(())).await;
        Ok(())
    }

    async fn is_cancelled(&mut self) -> Result<bool> {
        Ok(self.ledger().cancelled)
    }

    async fn now(&mut self) -> Result<u64> {
        Ok(self.ledger().moment.now)
    }

    async fn random(&mut self) -> Result<u64> {
        Ok(self.ledger().random())
    }

    async fn set_status(&mut self, text: String) -> Result<()> {
        self.text("the status", &text)?;
        self.ledger().progress.status = text;
        Ok(())
    }

    async fn set_progress(&mut self, done: u64, total: u64) -> Result<()> {
        let mut ledger = self.ledger();
        let status = std::mem::take(&mut ledger.progress.status);
        ledger.progress = Progress { status, done, total };
        Ok(())
    }

    async fn emit(&mut self, finding: wit::Finding) -> Result<()> {
        Ok(self.ledger().emit(finding.into())?)
    }

    async fn log(&mut self, level: wit::Level, text: String) -> Result<()> {
        self.text("a line of the log", &text)?;
        if !self.ledger().moment.replaying {
            self.write_log(level.into(), &text);
        }
        Ok(())
    }
}

impl durable::HostTask for Guest {
    async fn wait(&mut self, handle: Resource<Handle>) -> Result<Result<String, wit::Failure>> {
        Ok(answer(self.end_of(task(&handle)).await))
    }

    async fn is_done(&mut self, handle: Resource<Handle>) -> Result<bool> {
        Ok(self.ledger().ended(task(&handle)).is_some())
    }

    async fn cancel(&mut self, handle: Resource<Handle>) -> Result<()> {
        self.ledger().cancel(task(&handle));
        Ok(())
    }

    async fn drop(&mut self, handle: Resource<Handle>) -> Result<()> {
        self.ledger().release(task(&handle));
        Ok(())
    }
}

fn log(run: &str, level: LogLevel, text: &str) {
    match level {
        LogLevel::Debug => tracing::debug!(run, "{text}"),
        LogLevel::Info => tracing::info!(run, "{text}"),
        LogLevel::Warn => tracing::warn!(run, "{text}"),
        LogLevel::Error => tracing::error!(run, "{text}"),
    }
}

impl ResourceLimiter for Guest {
    fn memory_growing(&mut self, _current: usize, wanted: usize, _maximum: Option<usize>) -> Result<bool> {
        if wanted > self.memory {
            let limit = self.memory;
            return Err(Fault::OutOfMemory { wanted, limit }.into());
        }
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, wanted: usize, maximum: Option<usize>) -> Result<bool> {
        Ok(maximum.is_none_or(|maximum| wanted <= maximum))
    }
}

impl From<Failure> for wit::Failure {
    fn from(failure: Failure) -> Self {
        let kind = match failure.kind {
            FailureKind::Failed => wit::FailureKind::Failed,
            FailureKind::TimedOut => wit::FailureKind::TimedOut,
            FailureKind::Cancelled => wit::FailureKind::Cancelled,
        };
        Self {
            kind,
            message: failure.message,
        }
    }
}

impl From<wit::Failure> for Failure {
    fn from(failure: wit::Failure) -> Self {
        let kind = match failure.kind {
            wit::FailureKind::Failed => FailureKind::Failed,
            wit::FailureKind::TimedOut => FailureKind::TimedOut,
            wit::FailureKind::Cancelled => FailureKind::Cancelled,
        };
        Self::new(kind, failure.message)
    }
}

impl From<wit::ModuleOptions> for Options {
    fn from(options: wit::ModuleOptions) -> Self {
        Self {
            vertical: options.vertical,
            timeout: options.timeout_ms.map(Duration::from_millis),
            retry: options.retry.map(|retry| Retry {
                max_attempts: retry.max_attempts,
                initial_interval: Duration::from_millis(retry.initial_interval_ms),
                backoff: retry.backoff,
                max_interval: Duration::from_millis(retry.max_interval_ms),
            }),
        }
    }
}

impl From<wit::Finding> for Finding {
    fn from(finding: wit::Finding) -> Self {
        let severity = match finding.severity {
            wit::Severity::Note => Severity::Note,
            wit::Severity::Low => Severity::Low,
            wit::Severity::Medium => Severity::Medium,
            wit::Severity::High => Severity::High,
            wit::Severity::Critical => Severity::Critical,
        };
        Self {
            rule: finding.rule,
            severity,
            message: finding.message,
            path: finding.path,
            line: finding.line,
        }
    }
}

impl From<wit::Level> for LogLevel {
    fn from(level: wit::Level) -> Self {
        match level {
            wit::Level::Debug => Self::Debug,
            wit::Level::Info => Self::Info,
            wit::Level::Warn => Self::Warn,
            wit::Level::Error => Self::Error,
        }
    }
}
