//! Polls one task queue for activities and runs them.

use std::sync::Arc;
use std::time::Duration;

use helve_toolbox::Shelf;
use helve_toolbox::run::{
    HTTP_ACTIVITY, INTERNAL_PREFIX, PLAN_ACTIVITY, REPORT_ACTIVITY, SECRET_ACTIVITY, StepInput, StepOutput,
};
use temporalio_protos::coresdk::activity_result::{
    ActivityExecutionResult, Cancellation, Failure, Success, activity_execution_result,
};
use temporalio_protos::coresdk::activity_task::{ActivityTask, Start, activity_task::Variant};
use temporalio_protos::coresdk::{ActivityHeartbeat, ActivityTaskCompletion};
use temporalio_protos::temporal::api::common::v1::Payload;
use temporalio_sdk_core::{PollError, Worker as CoreWorker};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tracing::Instrument;
use tracing::field::Empty;

use crate::events::{StepEvent, StepEventKind};
use crate::figures::WorkerFigures;
use crate::http::Http;
use crate::step::StepRunner;
use crate::work::{Control, Slots, Work};
use crate::{StepError, internal, payload, report};

/// Runs the activities of one task queue.
pub(crate) struct Activities {
    pub(crate) core: Arc<CoreWorker>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) slots: Arc<Slots>,
}

/// What the queues of one worker share.
pub(crate) struct Shared {
    pub(crate) shelf: Shelf,
    pub(crate) runner: StepRunner,
    pub(crate) events: Option<mpsc::Sender<StepEvent>>,
    pub(crate) http: Http,
    /// Room for internal activities that need memory.
    pub(crate) internal: Semaphore,
    pub(crate) work: Arc<Work>,
    pub(crate) figures: Arc<WorkerFigures>,
}

impl Activities {
    /// Polls until the worker shuts down and every attempt has ended.
    pub(crate) async fn serve(self: Arc<Self>) {
        let mut attempts = JoinSet::new();
        loop {
            let ActivityTask { task_token, variant } = match self.core.poll_activity_task().await {
                Ok(task) => task,
                Err(PollError::ShutDown) => break,
                Err(PollError::TonicError(status)) => {
                    // The core has retried for a minute already. The queue is dead for this process.
                    tracing::error!(code = ?status.code(), message = status.message(), "the engine cannot be polled for steps");
                    break;
                }
            };
            match variant {
                Some(Variant::Start(start)) => {
                    let control = self.shared.work.begin(task_token.clone());
                    let this = Arc::clone(&self);
                    let span = span(&start);
                    attempts.spawn(async move { this.attempt(&task_token, start, &control).await }.instrument(span));
                }
                Some(Variant::Cancel(cancel)) => self.shared.work.cancel(&task_token, &cancel),
                None => tracing::warn!("the engine sent an activity task without a variant"),
            }
            while attempts.try_join_next().is_some() {}
        }
        while attempts.join_next().await.is_some() {}
    }

    async fn attempt(&self, token: &[u8], start: Start, control: &Arc<Control>) {
        self.slots.begin();
        let is_step = !start.activity_type.starts_with(INTERNAL_PREFIX);
        let result = match start.activity_type.as_str() {
            PLAN_ACTIVITY | REPORT_ACTIVITY => self.internal(&start).await,
            HTTP_ACTIVITY | SECRET_ACTIVITY => {
                let result = self.web(token, &start, &control.watch.cancelled).await;
                result.map_err(|error| control.given_back(error))
            }
            module => self
                .shared
                .figures
                .step(module, self.step(token, &start, control))
                .await
                .and_then(|output| payload::encode(&output)),
        };
        let failed = result.is_err();
        let completion = ActivityTaskCompletion {
            task_token: token.to_vec(),
            result: Some(to_result(result)),
        };
        if let Err(error) = self.core.complete_activity_task(completion).await {
            tracing::error!(%error, activity = start.activity_type, "the result of an activity could not be reported");
        }
        self.slots.end(failed);
        self.shared.work.end(token, is_step);
    }

    async fn internal(&self, start: &Start) -> Result<Payload, StepError> {
        let _room = self.shared.internal.acquire().await;
        let (shared, activity, input) = (
            Arc::clone(&self.shared),
            start.activity_type.clone(),
            start.input.clone(),
        );
        let run = start.workflow_execution.clone().unwrap_or_default().workflow_id;
        let asked_at = start.scheduled_time.as_ref().map_or(i64::MAX, |time| time.seconds);
        let work = move || match activity.as_str() {
            PLAN_ACTIVITY => {
                // One toolbox for both: what is pinned is what is stored, whatever changes meanwhile.
                let (toolbox, blobs) = (shared.shelf.current(), &shared.runner.blobs);
                payload::encode(&internal::plan(&toolbox, blobs, &payload::decode(&activity, &input)?)?)
            }
            _ => {
                let masker = shared.runner.modules.masker()?;
                let place = report::Reporting {
                    blobs: &shared.runner.blobs,
                    masker: &masker,
                    unpack: &shared.runner.limits.unpack,
                    run_id: &run,
                    asked_at,
                };
                payload::encode(&report::report(&place, &payload::decode(&activity, &input)?)?)
            }
        };
        joined(&start.activity_type, tokio::task::spawn_blocking(work).await)
    }

    async fn step(&self, token: &[u8], start: &Start, control: &Arc<Control>) -> Result<StepOutput, StepError> {
        let mut input: StepInput = payload::decode(&start.activity_type, &start.input)?;
        if input.module != start.activity_type || input.module.starts_with(INTERNAL_PREFIX) {
            // The activity type is what was scheduled and what listings show; the input must not say otherwise.
            input.module.clone_from(&start.activity_type);
        }
        let run = start.workflow_execution.clone().unwrap_or_default().workflow_id;
        let observer = Observer {
            shared: &self.shared,
            run: &run,
            step: input.step.clone(),
            module: input.module.clone(),
            attempt: start.attempt,
        };
        observer.tell(StepEventKind::Started).await;
        let module = input.module.clone();
        let work = {
            let (shared, control, run, attempt) = (
                Arc::clone(&self.shared),
                Arc::clone(control),
                run.clone(),
                start.attempt,
            );
            let span = tracing::Span::current();
            tokio::task::spawn_blocking(move || {
                span.in_scope(|| shared.runner.run(&run, attempt, &input, &control.watch))
            })
        };
        let result = joined(&module, self.watch_over(token, work, control, &observer).await);
        let result = result.map_err(|error| control.given_back(error).or_no_room());
        observer.tell(ended(&result)).await;
        result
    }

    /// Heartbeats and passes progress on until the attempt has ended.
    async fn watch_over<T>(
        &self,
        token: &[u8],
        mut work: JoinHandle<T>,
        control: &Control,
        observer: &Observer<'_>,
    ) -> Result<T, tokio::task::JoinError> {
        let limits = &self.shared.runner.limits;
        let mut progress = ticks(limits.progress_interval);
        let mut heartbeat = ticks(limits.heartbeat_interval);
        loop {
            tokio::select! {
                result = &mut work => return result,
                _ = progress.tick() => {
                    if let Some(progress) = control.watch.progress.take_change() {
                        observer.offer(StepEventKind::Progress(progress));
                    }
                }
                // Beats without progress too: it says that the process lives, and brings cancellation back.
                _ = heartbeat.tick() => {
                    let details = control.watch.progress.get().and_then(|progress| payload::encode(&progress).ok());
                    self.core.record_activity_heartbeat(ActivityHeartbeat {
                        task_token: token.to_vec(),
                        details: details.into_iter().collect(),
                    });
                }
            }
        }
    }
}

/// What is said while an attempt goes on belongs to it. There whenever errors are logged.
fn span(start: &Start) -> tracing::Span {
    let run = start.workflow_execution.as_ref();
    let span = tracing::error_span!(
        "step",
        traced = Empty,
        run_id = run.map_or("", |run| run.workflow_id.as_str()),
        step = start.activity_id.as_str(),
        module = start.activity_type.as_str(),
        attempt = start.attempt,
    );
    if !span.is_disabled() {
        helve_trace::adopt(&span, context(start));
        helve_trace::rename(&span, || format!("step {}", start.activity_id));
    }
    span
}

/// The trace in which the run was started.
fn context(start: &Start) -> Option<helve_trace::Context> {
    let headers = start.header_fields.get(helve_trace::TEMPORAL_HEADER)?;
    let headers: serde_json::Value = serde_json::from_slice(&headers.data).ok()?;
    headers[helve_trace::HEADER].as_str()?.parse().ok()
}

/// Tells the observer about one attempt.
struct Observer<'a> {
    shared: &'a Shared,
    run: &'a str,
    step: String,
    module: String,
    attempt: u32,
}

impl Observer<'_> {
    fn event(&self, kind: StepEventKind) -> StepEvent {
        StepEvent {
            run: self.run.to_owned(),
            step: self.step.clone(),
            module: self.module.clone(),
            attempt: self.attempt,
            kind,
        }
    }

    /// Waits for room: starts and ends are never lost. An observer that is gone is not waited for.
    async fn tell(&self, kind: StepEventKind) {
        if let Some(events) = &self.shared.events {
            let _ = events.send(self.event(kind)).await;
        }
    }

    fn offer(&self, kind: StepEventKind) {
        if let Some(events) = &self.shared.events {
            let _ = events.try_send(self.event(kind));
        }
    }
}

fn ended(result: &Result<StepOutput, StepError>) -> StepEventKind {
    match result {
        Ok(output) => StepEventKind::Finished(Box::new(output.clone())),
        Err(error) if error.is_cancellation() || matches!(error, StepError::GivenBack) => StepEventKind::Stopped,
        Err(error) => StepEventKind::Failed {
            message: error.to_string(),
            retryable: error.is_retryable(),
        },
    }
}

fn to_result(result: Result<Payload, StepError>) -> ActivityExecutionResult {
    use activity_execution_result::Status;
    let status = match result {
        Ok(payload) => Status::Completed(Success { result: Some(payload) }),
        Err(error) if error.is_cancellation() => Status::Cancelled(Cancellation {
            failure: Some(error.to_failure()),
        }),
        Err(error) => Status::Failed(Failure {
            failure: Some(error.to_failure()),
            ..Default::default()
        }),
    };
    ActivityExecutionResult { status: Some(status) }
}

/// Panics outside of a module's own code are reported like those inside of it.
fn joined<T>(activity: &str, result: Result<Result<T, StepError>, tokio::task::JoinError>) -> Result<T, StepError> {
    result.unwrap_or_else(|error| {
        Err(StepError::Panicked {
            module: activity.to_owned(),
            message: error.to_string(),
        })
    })
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
