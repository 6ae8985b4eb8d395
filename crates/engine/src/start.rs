//! Starting runs: the workflow id's current run decides with the policies whether a new one is made.

use std::sync::Arc;

use helve_history::{
    Attachment, ChildStart, CurrentRun, Env, Input, ParentRef, PolledQueue, Rejection, Reply, RunKind, RunState,
    StartResolution, StartRun, Termination, Transition, Update, UpdateStage, WorkflowTaskPoll, WorkflowTaskStarted,
    resolve_start,
};
use temporalio_protos::temporal::api::enums::v1::{
    WorkflowExecutionStatus, WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
};

use crate::{
    error::{Failed, Fault},
    namespaces::Namespace,
    publish::Effects,
    run::{Cell, RunGuard, Slot},
    shell::{Shell, StartFailed},
    updates::{Ticket, ticket_of},
};

/// The Scheduled event of the first workflow task of a run without a start delay.
const FIRST_TASK: i64 = 2;

/// What may happen to the workflow id's current run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policies {
    pub(crate) reuse: WorkflowIdReusePolicy,
    pub(crate) conflict: WorkflowIdConflictPolicy,
}

impl Policies {
    /// Policies that go together.
    pub(crate) fn new(reuse: WorkflowIdReusePolicy, conflict: WorkflowIdConflictPolicy) -> Result<Self, Failed> {
        #[expect(deprecated, reason = "clients still send it")]
        let terminates = reuse == WorkflowIdReusePolicy::TerminateIfRunning;
        if terminates && conflict != WorkflowIdConflictPolicy::Unspecified {
            return Err(Failed::invalid(
                "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING cannot be used together with \
                 a WorkflowIDConflictPolicy",
            ));
        }
        if reuse == WorkflowIdReusePolicy::RejectDuplicate && conflict == WorkflowIdConflictPolicy::TerminateExisting {
            return Err(Failed::invalid(
                "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE cannot be used together with \
                 WorkflowIdConflictPolicy WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING",
            ));
        }
        Ok(Policies { reuse, conflict })
    }
}

/// What a start led to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Started {
    pub(crate) run_id: String,
    pub(crate) first_run_id: String,
    pub(crate) status: WorkflowExecutionStatus,
    /// By this request, now or when it was sent before.
    pub(crate) by_this_request: bool,
    /// The first workflow task, if the starter wants it at once and can have it.
    pub(crate) first_task: Option<Box<WorkflowTaskStarted>>,
    /// Now.
    pub(crate) is_new: bool,
    /// The run that was there remembers the request by its id.
    pub(crate) is_attached: bool,
}

/// A place among those who wait for an update that came with a start; nothing if there was no run for it.
pub(crate) type StartTicket = Option<Result<Ticket, Failed>>;

/// One start under way.
struct Starting {
    shell: Arc<Shell>,
    namespace: Arc<Namespace>,
    kind: RunKind,
    workflow_id: String,
    request_id: String,
    policies: Policies,
    signal: Option<helve_history::Signal>,
    update: Option<Update>,
    on_conflict: Option<Attachment>,
    parent: Option<ParentRef>,
    eager: bool,
}

/// What one look at the current run led to.
enum Outcome {
    Done(Started, Effects),
    /// The run that is there took the update, or refused it.
    Updated(Started, Effects, Result<Ticket, Failed>),
    /// The run was not the current one after all.
    Again(Box<Transition>),
}

impl Shell {
    /// Starts a run, or signals the one that is there. `make` validates the request.
    pub(crate) async fn start(
        self: &Arc<Self>,
        namespace: &Arc<Namespace>,
        policies: Policies,
        make: impl FnOnce(&str, &Env<'_>) -> Result<StartRun, Rejection>,
    ) -> Result<Started, Failed> {
        Ok(self.start_as(namespace, policies, None, make).await?.0)
    }

    /// Starts a run with an update, or updates the one that is there.
    pub(crate) async fn start_updated(
        self: &Arc<Self>,
        namespace: &Arc<Namespace>,
        policies: Policies,
        make: impl FnOnce(&str, &Env<'_>) -> Result<StartRun, Rejection>,
    ) -> Result<(Started, StartTicket), Failed> {
        self.start_as(namespace, policies, None, make).await
    }

    /// Starts the child that a run asks for; answers the child's first run.
    pub(crate) async fn start_child(self: &Arc<Self>, sender: &Slot, child: &ChildStart) -> Result<String, Failed> {
        let policies = Policies {
            reuse: child.attributes.workflow_id_reuse_policy(),
            conflict: WorkflowIdConflictPolicy::Fail,
        };
        let parent = Some(child.parent.clone());
        let (started, _) = self
            .start_as(&sender.namespace, policies, parent, |run_id, env| {
                StartRun::child(child, run_id, env)
            })
            .await?;
        Ok(started.first_run_id)
    }

    async fn start_as(
        self: &Arc<Self>,
        namespace: &Arc<Namespace>,
        policies: Policies,
        parent: Option<ParentRef>,
        make: impl FnOnce(&str, &Env<'_>) -> Result<StartRun, Rejection>,
    ) -> Result<(Started, StartTicket), Failed> {
        if self.stopping.is_cancelled() {
            return Err(Fault::ShuttingDown.into());
        }
        let run = self.with_env(namespace, |env| make(env.fresh_run_id, env))?;
        let starting = Starting {
            shell: self.clone(),
            namespace: namespace.clone(),
            kind: run.key.kind,
            workflow_id: run.key.workflow_id.clone(),
            request_id: run.request_id.clone(),
            policies,
            signal: run.signal.clone(),
            update: run.update.clone(),
            on_conflict: run.on_conflict.clone(),
            parent,
            eager: run.eager,
        };
        // Decided once, whatever the current run is: only whether it is committed depends on that.
        let transition = self.with_env(namespace, |env| helve_history::start(run, env))?;
        self.detached(starting.run(Box::new(transition))).await
    }
}

impl Starting {
    async fn run(self, mut transition: Box<Transition>) -> Result<(Started, StartTicket), Failed> {
        // Most ids are new: that is tried first, and the database says if it is not so.
        let mut look_on_disk = false;
        loop {
            let current = if look_on_disk {
                self.shell
                    .find_current(&self.namespace, self.kind, &self.workflow_id)
                    .await?
            } else {
                self.shell
                    .registry
                    .current(self.namespace.id, self.kind, &self.workflow_id)
            };
            let outcome = match &current {
                None => self.commit(transition, 0).await?,
                Some(slot) => self.meet(slot, transition).await?,
            };
            match outcome {
                Outcome::Done(started, effects) => {
                    // Before any worker can answer the update.
                    let ticket = self.attach(&started).await;
                    self.shell.publish(effects);
                    return Ok((started, ticket));
                }
                Outcome::Updated(started, effects, ticket) => {
                    self.shell.publish(effects);
                    return Ok((started, Some(ticket)));
                }
                Outcome::Again(back) => transition = back,
            }
            look_on_disk = true;
        }
    }

    /// Makes the run after the one with the given row.
    async fn commit(&self, transition: Box<Transition>, previous: i64) -> Result<Outcome, Failed> {
        let started = new_run(&transition);
        match self.shell.commit_start(&self.namespace, transition, previous).await {
            Ok(effects) => Ok(Outcome::Done(started, effects)),
            Err(StartFailed::NotFirst(Some(back)) | StartFailed::NotNewest(Some(back))) => Ok(Outcome::Again(back)),
            Err(StartFailed::NotFirst(None) | StartFailed::NotNewest(None)) => {
                Err(Fault::Bug("a start was lost".to_owned()).into())
            }
            Err(StartFailed::Failed(failed)) => Err(failed),
        }
    }

    /// Asks the current run, under its lock.
    async fn meet(&self, slot: &Arc<Slot>, transition: Box<Transition>) -> Result<Outcome, Failed> {
        let mut guard = match self.shell.lock(slot).await {
            Ok(guard) => guard,
            // It was never committed, or was deleted.
            Err(Failed::Fault(Fault::Conflict) | Failed::Rejected(Rejection::NotFound(_)))
                if !self.shell.registry.is_current(slot) =>
            {
                return Ok(Outcome::Again(transition));
            }
            Err(failed) => return Err(failed),
        };
        if !self.shell.registry.is_current(slot) {
            return Ok(Outcome::Again(transition));
        }
        let state = &guard.loaded().ok_or(Fault::Conflict)?.state;
        if let Some(update) = self.update.as_ref().filter(|update| self.is_for(update, state)) {
            let started = existing(state, state.key().run_id.clone());
            let input = Input::Update(Box::new(update.clone()));
            return Ok(match self.shell.step(slot, &mut guard, input).await {
                Ok(step) => Outcome::Updated(started, step.effects, ticket_of(slot, update.id(), step.reply)),
                Err(failed) => Outcome::Updated(started, Effects::default(), Err(failed)),
            });
        }
        match self.resolve(state) {
            StartResolution::Start => {
                let outcome = self.commit(transition, slot.row).await?;
                if matches!(outcome, Outcome::Again(_)) {
                    self.shell.registry.forget_current(slot);
                }
                Ok(outcome)
            }
            StartResolution::Deduplicated { run_id } => {
                let started = Started {
                    by_this_request: true,
                    ..existing(state, run_id)
                };
                let first_task = self.first_task_again(slot, &mut guard);
                Ok(Outcome::Done(Started { first_task, ..started }, Effects::default()))
            }
            StartResolution::Attached { run_id } => {
                let started = Started {
                    is_attached: true,
                    ..existing(state, run_id)
                };
                Ok(Outcome::Done(started, Effects::default()))
            }
            StartResolution::UseExisting { run_id } => {
                let started = Started {
                    is_attached: self
                        .on_conflict
                        .as_ref()
                        .is_some_and(|left| !left.request_id.is_empty()),
                    ..existing(state, run_id)
                };
                let input = match (self.signal.clone(), self.on_conflict.clone()) {
                    (Some(signal), _) => Some(Input::Signal(signal)),
                    (None, left) => left.map(Input::Attach),
                };
                let effects = match input {
                    Some(input) => self.shell.step(slot, &mut guard, input).await?.effects,
                    None => Effects::default(),
                };
                Ok(Outcome::Done(started, effects))
            }
            StartResolution::TerminateThenStart { .. } => self.replace(slot, &mut guard, transition).await,
            StartResolution::Reject(rejection) => Err(rejection.into()),
        }
    }

    /// The first workflow task as this request got it before, if it is still under way.
    fn first_task_again(&self, slot: &Slot, cell: &mut Cell) -> Option<Box<WorkflowTaskStarted>> {
        let poll = WorkflowTaskPoll {
            scheduled_event_id: FIRST_TASK,
            attempt: 1,
            queue: PolledQueue::Normal,
            identity: String::new(),
            request_id: self.request_id.clone(),
        };
        if !self.eager {
            return None;
        }
        // Only a task that this request has is answered without a change; a task that waits is left to pollers.
        match self.shell.decide(slot, cell, Input::StartWorkflowTask(poll)) {
            Ok(transition) if transition.is_noop() => match transition.reply {
                Reply::WorkflowTaskStarted(task) => Some(task),
                _ => None,
            },
            _ => None,
        }
    }

    /// A place among those who wait for the update with which a run was just made.
    async fn attach(&self, started: &Started) -> StartTicket {
        let update = self.update.as_ref()?;
        let slot = self.shell.registry.by_run_id(&started.run_id)?;
        match self.shell.known_update(&slot, update.id()).await {
            Ok(Some(ticket)) => Some(Ok(ticket)),
            Ok(None) if slot.progress.borrow().is_running() => None,
            // It closed this very moment.
            Ok(None) => Some(Err(Rejection::update_aborted().into())),
            Err(failed) => Some(Err(failed)),
        }
    }

    /// Whether the update is for the run that is there, whatever would become of a start.
    fn is_for(&self, update: &Update, state: &RunState) -> bool {
        match state.update_stage(update.id()) {
            Some(UpdateStage::Completed(_)) => true,
            _ if !state.is_running() => false,
            Some(_) => true,
            None => {
                state.start_request_id() == self.request_id
                    || self.policies.conflict == WorkflowIdConflictPolicy::UseExisting
            }
        }
    }

    fn resolve(&self, state: &RunState) -> StartResolution {
        // The child may have been continued as new before its parent was told of its start.
        if self.parent.is_some() && state.parent() == self.parent {
            return StartResolution::Deduplicated {
                run_id: state.first_run_id().to_owned(),
            };
        }
        let current = CurrentRun {
            kind: state.key().kind,
            workflow_id: state.key().workflow_id.clone(),
            run_id: state.key().run_id.clone(),
            first_run_id: state.first_run_id().to_owned(),
            status: state.status(),
            start_request_id: state.start_request_id().to_owned(),
            knows_request: state.knows_request(&self.request_id),
        };
        resolve_start(
            Some(&current),
            self.policies.reuse,
            self.policies.conflict,
            &self.request_id,
        )
    }

    /// Terminates the current run and makes the new one, in one batch.
    async fn replace(
        &self,
        slot: &Arc<Slot>,
        guard: &mut RunGuard,
        transition: Box<Transition>,
    ) -> Result<Outcome, Failed> {
        let started = new_run(&transition);
        let order = Termination::replaced_by(&started.run_id);
        let end = Box::new(self.shell.decide(slot, guard, Input::Terminate(order))?);
        let effects = self.shell.commit(slot, guard, end, Some(transition.into())).await?;
        Ok(Outcome::Done(started, effects))
    }
}

fn new_run(transition: &Transition) -> Started {
    let run_id = transition.key().run_id.clone();
    Started {
        first_run_id: run_id.clone(),
        run_id,
        status: WorkflowExecutionStatus::Running,
        by_this_request: true,
        first_task: match &transition.reply {
            Reply::WorkflowTaskStarted(task) => Some(task.clone()),
            _ => None,
        },
        is_new: true,
        is_attached: false,
    }
}

fn existing(state: &RunState, run_id: String) -> Started {
    Started {
        run_id,
        first_run_id: state.first_run_id().to_owned(),
        status: state.status(),
        by_this_request: false,
        first_task: None,
        is_new: false,
        is_attached: false,
    }
}
