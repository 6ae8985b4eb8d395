//! Seeing to what a schedule owes: starts, ends, and watching what it started.

use std::{sync::Arc, time::Duration};

use helve_history::{CancelRequest, Input as RunInput, Rejection, RunKind, StartRun, Termination, Timestamp};
use helve_schedule::{Closed, Duty, Execution, Input, StartOrder};
use prost::Message;
use temporalio_protos::temporal::api::{
    common::v1::SearchAttributes,
    enums::v1::{NamespaceState, WorkflowExecutionStatus, WorkflowIdConflictPolicy},
    history::v1::{HistoryEvent, history_event::Attributes},
    workflowservice::v1::StartWorkflowExecutionRequest,
};

use super::{Attachments, ScheduleSlot};
use crate::{
    error::{Failed, Fault},
    find::Target,
    run::Slot,
    search_attributes::attribute,
    shell::Shell,
    start::Policies,
    storage::read_close_event,
};

/// The first pause after something that the engine could not do (a full disk, say); doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Results and failures larger than this are not handed on to the next run.
const MAX_HANDED_ON: usize = 1 << 20;

/// A start that was looked for or made.
struct Begun {
    run_id: String,
    at: Timestamp,
}

impl Shell {
    /// Sees to a duty and tells the schedule. Gives up when the engine stops (the next start begins again), or when the
    /// schedule is no more.
    pub(super) async fn see_to(self: Arc<Self>, slot: Arc<ScheduleSlot>, duty: Duty) {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.attempt(&slot, &duty).await {
                Ok(None) => return,
                Ok(Some(news)) => match self.apply_to_schedule(&slot, news, Attachments::default()).await {
                    Ok(()) | Err(Failed::Rejected(Rejection::NotFound(_))) => return,
                    Err(error) => error,
                },
                Err(error) => error,
            };
            match error {
                Failed::Fault(Fault::ShuttingDown) => return,
                // A store that cannot write says so itself, once and not for every schedule.
                Failed::Fault(Fault::Unavailable(_)) => {}
                error => tracing::debug!(schedule = slot.id, ?duty, %error, "a schedule's duty is tried again"),
            }
            if !self.sleep(pause).await {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// What to tell the schedule; `None` if it does not care any more. An error means: try again.
    async fn attempt(self: &Arc<Self>, slot: &Arc<ScheduleSlot>, duty: &Duty) -> Result<Option<Input>, Failed> {
        match duty {
            Duty::Start { request_id } => self.start_scheduled(slot, request_id).await,
            Duty::Cancel(execution) => {
                let request = CancelRequest {
                    reason: "cancelled by schedule overlap policy".to_owned(),
                    identity: identity(slot),
                    request_id: format!("{}-{}", slot.row, execution.run_id),
                    first_execution_run_id: execution.run_id.clone(),
                    ..CancelRequest::default()
                };
                self.tell_workflow(slot, execution, RunInput::RequestCancel(request))
                    .await
            }
            Duty::Terminate(execution) => {
                let order = Termination {
                    reason: "terminated by schedule overlap policy".to_owned(),
                    identity: identity(slot),
                    first_execution_run_id: execution.run_id.clone(),
                    ..Termination::default()
                };
                self.tell_workflow(slot, execution, RunInput::Terminate(order)).await
            }
            Duty::Watch(execution) => Ok(self
                .watch(slot, execution)
                .await?
                .map(|closed| Input::Closed(Box::new(closed)))),
        }
    }

    async fn start_scheduled(
        self: &Arc<Self>,
        slot: &Arc<ScheduleSlot>,
        request_id: &str,
    ) -> Result<Option<Input>, Failed> {
        let Some(order) = slot.look(|kept| kept.state.start_order(request_id)).await.flatten() else {
            return Ok(None);
        };
        let StartOrder {
            request,
            nominal,
            manual,
        } = order;
        let workflow_id = request.workflow_id.clone();
        let not_started = Input::NotStarted {
            request_id: request_id.to_owned(),
        };
        // It may have happened before the engine stopped, and be over by now. Where an id may be used once only, that
        // shows by itself.
        if manual && let Some(begun) = self.begun_by(slot, &workflow_id, request_id).await? {
            return Ok(Some(begun.news(request_id)));
        }
        if slot.namespace.settings().state != NamespaceState::Registered {
            let namespace = &slot.namespace.name;
            tracing::debug!(schedule = slot.id, %namespace, "a deprecated namespace takes no new executions");
            return Ok(Some(not_started));
        }
        let policies = Policies {
            reuse: request.workflow_id_reuse_policy(),
            conflict: WorkflowIdConflictPolicy::Fail,
        };
        let request = complete(request, slot, nominal);
        let started = self
            .start(&slot.namespace, policies, |run_id, env| {
                StartRun::from_request(request, run_id, env)
            })
            .await;
        match started {
            Ok(started) => {
                let begun = Begun {
                    run_id: started.first_run_id,
                    at: self.now(),
                };
                Ok(Some(begun.news(request_id)))
            }
            Err(Failed::Rejected(Rejection::AlreadyStarted { message, .. })) => {
                match self.begun_by(slot, &workflow_id, request_id).await? {
                    Some(begun) => Ok(Some(begun.news(request_id))),
                    None => {
                        tracing::warn!(schedule = slot.id, message, "a scheduled workflow was not started");
                        Ok(Some(not_started))
                    }
                }
            }
            Err(busy @ Failed::Rejected(Rejection::Busy { .. })) => Err(busy),
            Err(Failed::Rejected(rejection)) => {
                tracing::warn!(schedule = slot.id, %rejection, "a scheduled workflow was not started");
                Ok(Some(not_started))
            }
            Err(fault) => Err(fault),
        }
    }

    /// Was the workflow id's current chain of runs begun by this very start?
    async fn begun_by(
        self: &Arc<Self>,
        slot: &ScheduleSlot,
        workflow_id: &str,
        request_id: &str,
    ) -> Result<Option<Begun>, Failed> {
        let Some(current) = self
            .find_current(&slot.namespace, RunKind::Workflow, workflow_id)
            .await?
        else {
            return Ok(None);
        };
        let first_run_id = self.first_run_id(&current).await?;
        let first = if first_run_id == current.key.run_id {
            current
        } else {
            let target = Target::workflow(workflow_id.to_owned(), first_run_id);
            match self.find(&slot.namespace, &target).await {
                Ok(first) => first,
                Err(Failed::Rejected(Rejection::NotFound(_))) => return Ok(None),
                Err(error) => return Err(error),
            }
        };
        let mut guard = self.lock(&first).await?;
        let state = &guard.loaded().ok_or(Fault::Conflict)?.state;
        Ok((state.start_request_id() == request_id).then(|| Begun {
            run_id: state.key().run_id.clone(),
            at: state.start_time(),
        }))
    }

    async fn first_run_id(self: &Arc<Self>, run: &Arc<Slot>) -> Result<String, Failed> {
        let mut guard = self.lock(run).await?;
        Ok(guard.loaded().ok_or(Fault::Conflict)?.state.first_run_id().to_owned())
    }

    /// Gives an input to a workflow. That it is refused for good is as good.
    async fn tell_workflow(
        self: &Arc<Self>,
        slot: &ScheduleSlot,
        execution: &Execution,
        input: RunInput,
    ) -> Result<Option<Input>, Failed> {
        let target = Target::workflow(execution.workflow_id.clone(), String::new());
        match self.apply_to(&slot.namespace, &target, input, |_, _| ()).await {
            Ok(()) => {}
            Err(Failed::Rejected(rejection)) if !matches!(rejection, Rejection::Busy { .. }) => {
                tracing::debug!(schedule = slot.id, ?execution, %rejection, "a workflow could not be ended");
            }
            Err(error) => return Err(error),
        }
        Ok(Some(Input::Told(execution.clone())))
    }

    /// Waits for the end of a workflow's chain of runs; `None` if the engine stops first.
    async fn watch(self: &Arc<Self>, slot: &ScheduleSlot, execution: &Execution) -> Result<Option<Closed>, Failed> {
        let mut run_id = self.latest_of(slot, execution).await?;
        loop {
            let target = Target::workflow(execution.workflow_id.clone(), run_id.clone());
            let run = match self.find(&slot.namespace, &target).await {
                Ok(run) => run,
                Err(Failed::Rejected(Rejection::NotFound(_))) => return Ok(Some(unknown(execution))),
                Err(error) => return Err(error),
            };
            let mut progress = run.progress.subscribe();
            let status = tokio::select! {
                biased;
                closed = progress.wait_for(|progress| !progress.is_running()) => match closed {
                    Ok(closed) => closed.status,
                    // The run was deleted.
                    Err(_) => return Ok(Some(unknown(execution))),
                },
                () = self.stopping.cancelled() => return Ok(None),
            };
            let row = run.row;
            let event = self
                .store
                .read(move |db| read_close_event(db, row))
                .await
                .map_err(Fault::from)?;
            let Some(event) = event else {
                return Ok(Some(unknown(execution)));
            };
            let (next, closed) = end_of(event, execution, status);
            // A reset lets the chain go on in a run that the close event does not name.
            let next = match next.is_empty() {
                true => self.latest_of(slot, execution).await?,
                false => next,
            };
            if next == run_id || next == execution.run_id {
                return Ok(Some(closed));
            }
            run_id = next;
        }
    }

    /// The current run, if it is of the chain; else the first run.
    async fn latest_of(self: &Arc<Self>, slot: &ScheduleSlot, execution: &Execution) -> Result<String, Failed> {
        let current = self
            .find_current(&slot.namespace, RunKind::Workflow, &execution.workflow_id)
            .await?;
        if let Some(current) = current
            && self.first_run_id(&current).await? == execution.run_id
        {
            return Ok(current.key.run_id.clone());
        }
        Ok(execution.run_id.clone())
    }
}

impl Begun {
    fn news(self, request_id: &str) -> Input {
        Input::Started {
            request_id: request_id.to_owned(),
            run_id: self.run_id,
            at: self.at.into(),
        }
    }
}

fn identity(slot: &ScheduleSlot) -> String {
    format!("temporal-scheduler-{}-{}", slot.namespace.name, slot.id)
}

/// Adds what only the engine knows.
pub(crate) fn complete(
    request: StartWorkflowExecutionRequest,
    slot: &ScheduleSlot,
    nominal: helve_schedule::Timestamp,
) -> StartWorkflowExecutionRequest {
    let mut fields = request.search_attributes.unwrap_or_default().indexed_fields;
    fields.insert(
        "TemporalScheduledStartTime".to_owned(),
        attribute(&nominal.to_string(), "Datetime"),
    );
    fields.insert("TemporalScheduledById".to_owned(), attribute(&slot.id, "Keyword"));
    StartWorkflowExecutionRequest {
        namespace: slot.namespace.name.to_string(),
        identity: identity(slot),
        search_attributes: Some(SearchAttributes { indexed_fields: fields }),
        ..request
    }
}

/// The end of a workflow of which nothing is known any more.
fn unknown(execution: &Execution) -> Closed {
    Closed {
        execution: execution.clone(),
        status: WorkflowExecutionStatus::Unspecified,
        result: None,
        failure: None,
    }
}

/// The run that follows, if any, and how the workflow ended if none does.
fn end_of(event: HistoryEvent, execution: &Execution, status: WorkflowExecutionStatus) -> (String, Closed) {
    let (next, result, failure) = match event.attributes {
        Some(Attributes::WorkflowExecutionCompletedEventAttributes(a)) => (a.new_execution_run_id, a.result, None),
        Some(Attributes::WorkflowExecutionFailedEventAttributes(a)) => (a.new_execution_run_id, None, a.failure),
        Some(Attributes::WorkflowExecutionTimedOutEventAttributes(a)) => (a.new_execution_run_id, None, None),
        Some(Attributes::WorkflowExecutionContinuedAsNewEventAttributes(a)) => (a.new_execution_run_id, None, None),
        _ => (String::new(), None, None),
    };
    let closed = Closed {
        execution: execution.clone(),
        status,
        result: result.filter(|result| result.encoded_len() <= MAX_HANDED_ON),
        failure: failure.filter(|failure| failure.encoded_len() <= MAX_HANDED_ON),
    };
    (next, closed)
}
