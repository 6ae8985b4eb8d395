//! Queries: in memory only, answered by a worker.
//!
//! A query sees all that happened before it. While the run has a workflow task, it waits and goes to the worker with that
//! task or the next one, whose events bring the worker up to date. Otherwise it goes to a worker as a task of its own:
//! first to the one that has the run in its cache, then to any.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use helve_history::{Input, Limits, Rejection, RunState, Timestamp};
use temporalio_protos::temporal::api::{
    common::v1::Payloads,
    enums::v1::{QueryRejectCondition, WorkflowExecutionStatus},
    failure::v1::Failure,
    query::v1::WorkflowQuery,
};
use tokio::sync::oneshot;

use crate::{
    error::{Failed, Fault},
    matching::{Kind, QueueId, Rank},
    run::{Loaded, Slot},
    shell::Shell,
    tasks::{Offer, Work},
};

/// A query for a queue that nobody polled recently is given up after this, unless a worker comes.
const NO_WORKER_GRACE: Duration = Duration::from_secs(1);
/// A query waits for the worker with the run in its cache this long, then any worker may answer it.
const STICKY_QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// How a query ended.
#[derive(Debug)]
pub(crate) enum QueryEnd {
    Answered(Option<Payloads>),
    Failed {
        message: String,
        failure: Option<Box<Failure>>,
    },
    /// No workflow task will carry it: ask directly.
    Free,
}

/// What a caller is told.
#[derive(Debug)]
pub(crate) enum Queried {
    Answered(Option<Payloads>),
    /// The caller does not want runs with this status to be queried.
    Rejected(WorkflowExecutionStatus),
}

/// Why a query was not answered.
#[derive(Debug)]
pub(crate) enum QueryRefused {
    Failed(Failed),
    NotReady(&'static str),
    QueryFailed {
        message: String,
        failure: Option<Box<Failure>>,
    },
    TimedOut,
    NoWorker,
    TooMany,
}

impl From<Failed> for QueryRefused {
    fn from(failed: Failed) -> Self {
        QueryRefused::Failed(failed)
    }
}

/// A query that waits for its answer.
#[derive(Debug)]
pub(crate) struct PendingQuery {
    pub(crate) id: String,
    pub(crate) query: WorkflowQuery,
    answer: Mutex<Option<oneshot::Sender<QueryEnd>>>,
}

impl PendingQuery {
    fn new(id: String, query: WorkflowQuery) -> (Arc<Self>, oneshot::Receiver<QueryEnd>) {
        let (answer, end) = oneshot::channel();
        let pending = PendingQuery {
            id,
            query,
            answer: Mutex::new(Some(answer)),
        };
        (Arc::new(pending), end)
    }

    fn lock(&self) -> MutexGuard<'_, Option<oneshot::Sender<QueryEnd>>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn finish(&self, end: QueryEnd) {
        if let Some(answer) = self.lock().take() {
            // An error means that the caller is gone.
            let _ = answer.send(end);
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.lock().as_ref().is_some_and(|answer| !answer.is_closed())
    }
}

/// Queries that wait for a workflow task of one run.
#[derive(Default)]
pub(crate) struct QueryBuffer {
    waiting: Mutex<Vec<Arc<PendingQuery>>>,
}

impl QueryBuffer {
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// `false` if too many wait already.
    fn push(&self, query: Arc<PendingQuery>, max: usize) -> bool {
        let mut waiting = self.lock();
        waiting.retain(|query| query.is_open());
        let fits = waiting.len() < max;
        if fits {
            waiting.push(query);
        }
        fits
    }

    /// What a workflow task carries. They stay here until they are answered: the task may fail.
    pub(crate) fn to_carry(&self) -> HashMap<String, WorkflowQuery> {
        let mut waiting = self.lock();
        waiting.retain(|query| query.is_open());
        waiting
            .iter()
            .map(|query| (query.id.clone(), query.query.clone()))
            .collect()
    }

    pub(crate) fn finish(&self, id: &str, end: QueryEnd) {
        let mut waiting = self.lock();
        if let Some(at) = waiting.iter().position(|query| query.id == id) {
            waiting.swap_remove(at).finish(end);
        }
    }

    /// No workflow task will carry them.
    pub(crate) fn free_all(&self) {
        for query in std::mem::take(&mut *self.lock()) {
            query.finish(QueryEnd::Free);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<PendingQuery>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queries that are with a worker as tasks of their own.
#[derive(Default)]
pub(crate) struct DirectQueries {
    open: Mutex<HashMap<String, Arc<PendingQuery>>>,
}

impl DirectQueries {
    /// Ends a query; `false` if nobody waits for it any more.
    pub(crate) fn finish(&self, id: &str, end: QueryEnd) -> bool {
        let query = self.lock().remove(id);
        let found = query.as_ref().is_some_and(|query| query.is_open());
        if let Some(query) = query {
            query.finish(end);
        }
        found
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<PendingQuery>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a direct query when its caller stops waiting, however that happens.
struct Asked<'a> {
    queries: &'a DirectQueries,
    id: String,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.queries.lock().remove(&self.id);
    }
}

/// How a query can reach a worker, as the run is now.
enum Way {
    Wait,
    Ask,
}

fn way(state: &RunState, deadline: Timestamp) -> Result<Way, QueryRefused> {
    if state.has_completed_workflow_task() {
        let wait = state.is_running() && state.has_workflow_task();
        Ok(if wait { Way::Wait } else { Way::Ask })
    } else if !state.is_running() {
        Err(QueryRefused::NotReady(
            "workflow closed before it completed a workflow task: it cannot be queried",
        ))
    } else if state.has_workflow_task() || state.execution_time() <= deadline {
        Ok(Way::Wait)
    } else {
        Err(QueryRefused::NotReady("Workflow task is not scheduled yet."))
    }
}

/// Only a query that comes while the workflow task fails is refused: one that waits already stays for the next attempt,
/// which may be the one that succeeds. [trap 17]
fn check_arrival(state: &RunState, limits: &Limits) -> Result<(), QueryRefused> {
    if state.refuses_queries(limits) {
        return Err(QueryRefused::NotReady(
            "Unable to query workflow due to Workflow Task in failed state.",
        ));
    }
    Ok(())
}

fn is_rejected(status: WorkflowExecutionStatus, condition: QueryRejectCondition) -> bool {
    use WorkflowExecutionStatus::{Completed, ContinuedAsNew, Running};
    match condition {
        QueryRejectCondition::Unspecified | QueryRejectCondition::None => false,
        QueryRejectCondition::NotOpen => status != Running,
        QueryRejectCondition::NotCompletedCleanly => !matches!(status, Running | Completed | ContinuedAsNew),
    }
}

impl Shell {
    /// Asks a worker about a run, until `deadline`.
    pub(crate) async fn query(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        query: WorkflowQuery,
        condition: QueryRejectCondition,
        deadline: Timestamp,
    ) -> Result<Queried, QueryRefused> {
        let mut arrives = true;
        loop {
            let mut guard = self.lock(slot).await?;
            let state = loaded_state(guard.loaded())?;
            if is_rejected(state.status(), condition) {
                return Ok(Queried::Rejected(state.status()));
            }
            let way = way(state, deadline)?;
            if std::mem::take(&mut arrives) {
                check_arrival(state, &self.options.limits)?;
            }
            match way {
                Way::Ask => {
                    drop(guard);
                    return self.ask(slot, query, deadline).await;
                }
                Way::Wait => {
                    let (pending, end) = PendingQuery::new(self.fresh_id(), query.clone());
                    // Under the run's lock: the workflow task it waits for cannot end unseen.
                    if !slot.queries.push(pending, self.options.max_buffered_queries) {
                        return Err(QueryRefused::TooMany);
                    }
                    drop(guard);
                    match self.wait(end, deadline).await? {
                        QueryEnd::Free => {}
                        end => return finished(end),
                    }
                }
            }
        }
    }

    /// Asks by a task of its own: the worker that has the run in its cache if there is one, then any.
    async fn ask(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        query: WorkflowQuery,
        deadline: Timestamp,
    ) -> Result<Queried, QueryRefused> {
        let (sticky, normal, rank) = {
            let mut guard = self.lock(slot).await?;
            let state = loaded_state(guard.loaded())?;
            let sticky = state.sticky_queue().filter(|_| state.is_running());
            let sticky = sticky.map(|name| QueueId::sticky(slot.namespace.name.clone(), name, state.task_queue()));
            let rank = Rank::of(&state.priority());
            (sticky, self.workflow_queue(slot, state.task_queue()), rank)
        };
        if let Some(sticky) = sticky
            && self.matching.has_poller(&sticky, self.options.sticky_worker_gone_after)
        {
            let until = deadline.min(self.now() + STICKY_QUERY_TIMEOUT);
            match self
                .ask_on(slot, sticky, (query.clone(), rank.clone()), true, until)
                .await
            {
                Err(QueryRefused::TimedOut) if until < deadline => {}
                result => return result,
            }
            match self.apply(slot, Input::ResetSticky, |_, _| ()).await {
                // A run that closed meanwhile has no sticky worker any more.
                Ok(()) | Err(Failed::Rejected(Rejection::NotFound(_))) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // Also when its caller has less patience than that: that nobody polls is what the caller is to be told.
        let grace = deadline.min(self.now() + NO_WORKER_GRACE);
        if !self.matching.has_poller(&normal, self.options.sticky_worker_gone_after) {
            match self
                .ask_on(slot, normal.clone(), (query.clone(), rank.clone()), false, grace)
                .await
            {
                Err(QueryRefused::TimedOut) => {}
                result => return result,
            }
            if !self.matching.has_poller(&normal, self.options.sticky_worker_gone_after) {
                return Err(QueryRefused::NoWorker);
            }
        }
        self.ask_on(slot, normal, (query, rank), false, deadline).await
    }

    async fn ask_on(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        queue: QueueId,
        (query, rank): (WorkflowQuery, Rank),
        sticky: bool,
        until: Timestamp,
    ) -> Result<Queried, QueryRefused> {
        let (pending, end) = PendingQuery::new(self.fresh_id(), query);
        self.direct_queries.lock().insert(pending.id.clone(), pending.clone());
        let _asked = Asked {
            queries: &self.direct_queries,
            id: pending.id.clone(),
        };
        let live = Arc::new(AtomicBool::new(true));
        self.matching.offer(
            queue,
            Offer::new(
                slot.clone(),
                Work::Query { query: pending, sticky },
                live.clone(),
                rank,
                self.now(),
            ),
        );
        let result = self.wait(end, until).await;
        live.store(false, Ordering::Relaxed);
        finished(result?)
    }

    async fn wait(&self, end: oneshot::Receiver<QueryEnd>, until: Timestamp) -> Result<QueryEnd, QueryRefused> {
        tokio::select! {
            biased;
            end = end => end.map_err(|_| QueryRefused::TimedOut),
            () = self.clock().sleep_until(until) => Err(QueryRefused::TimedOut),
            () = self.stopping.cancelled() => Err(QueryRefused::Failed(Fault::ShuttingDown.into())),
        }
    }

    pub(crate) fn workflow_queue(&self, slot: &Slot, name: &str) -> QueueId {
        QueueId {
            namespace: slot.namespace.name.clone(),
            name: name.into(),
            kind: Kind::Workflow,
        }
    }
}

fn loaded_state(loaded: Option<&mut Loaded>) -> Result<&RunState, QueryRefused> {
    loaded
        .map(|loaded| &loaded.state)
        .ok_or_else(|| QueryRefused::Failed(Fault::Conflict.into()))
}

fn finished(end: QueryEnd) -> Result<Queried, QueryRefused> {
    match end {
        QueryEnd::Answered(result) => Ok(Queried::Answered(result)),
        QueryEnd::Failed { message, failure } => Err(QueryRefused::QueryFailed { message, failure }),
        QueryEnd::Free => Err(QueryRefused::TimedOut),
    }
}
