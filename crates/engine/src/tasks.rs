//! Tasks on their way from a run to a worker.
//!
//! A task taken from matching is started by a job that nobody can cancel. If the poll is gone by then, the task goes back
//! to its queue; if it was started already, it goes back together with the request id of that start, and the next poller
//! gets the answer that the first one did not live to see.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use helve_history::{
    ActivityPoll, ActivityStarted, Input, PolledQueue, Reply, Timestamp, WorkflowTaskPoll, WorkflowTaskStarted,
};
use temporalio_protos::temporal::api::query::v1::WorkflowQuery;
use tokio::sync::oneshot;

use crate::{
    encoded::EncodedEvents,
    error::{Failed, Fault},
    history_pages::{FirstPage, Part},
    matching::{Poller, QueueId, Rank, Task},
    queries::PendingQuery,
    run::{Loaded, Slot},
    shell::Shell,
};

/// A task as matching has it.
pub(crate) struct Offer {
    slot: Arc<Slot>,
    work: Work,
    live: Arc<AtomicBool>,
    rank: Rank,
    since: Timestamp,
    /// Set if the task is started already: for this poll, or for one that was gone before it got the answer.
    started_by: Option<String>,
    /// What the poll gets, if the task was started for this one.
    ready: Option<Ready>,
}

/// Where a task waits, for those who count.
#[derive(Clone, Copy)]
enum Waits {
    OnSticky,
    Here,
    Query,
}

/// A task that is started, as its run has it.
pub(crate) enum Ready {
    WorkflowTask(Box<StartedWithTail>),
    Activity(Box<ActivityStarted>),
}

#[derive(Clone)]
pub(crate) enum Work {
    WorkflowTask {
        scheduled_event_id: i64,
        attempt: u32,
        sticky: bool,
    },
    Activity {
        scheduled_event_id: i64,
        stamp: u32,
    },
    Query {
        query: Arc<PendingQuery>,
        sticky: bool,
    },
}

impl Work {
    /// The input by which the task is started for a poll; `None` for a query, which changes nothing.
    pub(crate) fn start(&self, poller: &Poller, request_id: &str) -> Option<Input> {
        let (identity, request_id) = (poller.identity.clone(), request_id.to_owned());
        match self {
            Work::WorkflowTask {
                scheduled_event_id,
                attempt,
                sticky,
            } => Some(Input::StartWorkflowTask(WorkflowTaskPoll {
                scheduled_event_id: *scheduled_event_id,
                attempt: *attempt,
                queue: if *sticky {
                    PolledQueue::Sticky
                } else {
                    PolledQueue::Normal
                },
                identity,
                request_id,
            })),
            Work::Activity {
                scheduled_event_id,
                stamp,
            } => Some(Input::StartActivity(ActivityPoll {
                scheduled_event_id: *scheduled_event_id,
                stamp: *stamp,
                identity,
                sdk: poller.sdk.clone(),
                request_id,
            })),
            Work::Query { .. } => None,
        }
    }
}

impl Ready {
    /// What the start of a task was answered, with what is at hand under the run's lock.
    pub(crate) fn new(slot: &Slot, loaded: &Loaded, reply: Reply) -> Option<Self> {
        match reply {
            Reply::WorkflowTaskStarted(started) => {
                let task = StartedWithTail::new(slot, loaded, *started);
                Some(Ready::WorkflowTask(Box::new(task)))
            }
            Reply::ActivityStarted(started) => Some(Ready::Activity(started)),
            _ => None,
        }
    }
}

impl Offer {
    pub(crate) fn new(slot: Arc<Slot>, work: Work, live: Arc<AtomicBool>, rank: Rank, since: Timestamp) -> Self {
        Offer {
            slot,
            work,
            live,
            rank,
            since,
            started_by: None,
            ready: None,
        }
    }

    /// The task, started for the poll that gets it.
    pub(crate) fn ready(self, request_id: String, ready: Option<Ready>) -> Self {
        Offer {
            ready,
            ..self.started(request_id)
        }
    }

    /// The same task for the next poller, after it was, or may have been, started. Only the core can tell whether it is
    /// still wanted: the run does not count it as waiting any more.
    fn started(self, request_id: String) -> Self {
        let live = match self.work {
            Work::Query { .. } => self.live.clone(),
            Work::WorkflowTask { .. } | Work::Activity { .. } => Arc::new(AtomicBool::new(true)),
        };
        Offer {
            live,
            started_by: Some(request_id),
            ..self
        }
    }

    /// The same task for the workflow's own queue, after it waited on a sticky one.
    pub(crate) fn without_sticky(mut self) -> Self {
        match &mut self.work {
            Work::WorkflowTask { sticky, .. } | Work::Query { sticky, .. } => *sticky = false,
            Work::Activity { .. } => {}
        }
        self
    }

    fn waits(&self) -> Waits {
        match self.work {
            Work::WorkflowTask { sticky: true, .. } => Waits::OnSticky,
            Work::WorkflowTask { .. } | Work::Activity { .. } => Waits::Here,
            Work::Query { .. } => Waits::Query,
        }
    }

    pub(crate) fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }
}

impl Task for Offer {
    fn is_live(&self) -> bool {
        // A task that was started for a poll which left is not known to its run any more, but ends with it.
        let outlives_run = matches!(self.work, Work::Query { .. });
        !self.slot.namespace.is_deleted()
            && self.live.load(Ordering::Relaxed)
            && (outlives_run || self.slot.progress.borrow().is_running())
    }

    fn rank(&self) -> &Rank {
        &self.rank
    }

    fn waits_since(&self) -> Timestamp {
        self.since
    }

    /// Whatever happened to it meanwhile: the core is asked when the next poller comes.
    fn came_back(self) -> Self {
        Offer { ready: None, ..self }
    }
}

/// What a poller gets.
pub(crate) enum Handout {
    WorkflowTask(Box<WorkflowTaskHandout>),
    Activity(Box<ActivityStarted>),
    Query(Box<QueryHandout>),
}

/// A started workflow task with its history and the queries that wait for it.
pub(crate) struct WorkflowTaskHandout {
    pub(crate) started: WorkflowTaskStarted,
    pub(crate) page: FirstPage,
    pub(crate) queries: HashMap<String, WorkflowQuery>,
}

/// A query as a task of its own.
pub(crate) struct QueryHandout {
    pub(crate) slot: Arc<Slot>,
    pub(crate) query: Arc<PendingQuery>,
    pub(crate) workflow_type: String,
    pub(crate) task_queue: String,
    pub(crate) previous_started_event_id: i64,
    pub(crate) page: FirstPage,
}

/// A started workflow task, with as much of its history as was at hand under the run's lock.
pub(crate) struct StartedWithTail {
    pub(crate) started: WorkflowTaskStarted,
    events: Option<EncodedEvents>,
    pub(crate) queries: HashMap<String, WorkflowQuery>,
}

impl StartedWithTail {
    pub(crate) fn new(slot: &Slot, loaded: &Loaded, started: WorkflowTaskStarted) -> Self {
        let events = loaded.tail.slice(started.history_from, started.history_to);
        StartedWithTail {
            events,
            queries: slot.queries.to_carry(),
            started,
        }
    }
}

/// How long a poll may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until there is a task.
    pub(crate) wait: Duration,
    /// Until the task is handed over as well, which takes a commit.
    pub(crate) whole: Duration,
}

type HandedOut = Result<Option<Handout>, Failed>;
type Answer = oneshot::Sender<Result<Option<Delivered>, Failed>>;

/// A started task on its way to its poll. If the poll ends before it takes the task, the next poller gets it at once.
struct Delivered {
    handout: Option<Handout>,
    on_loss: Option<(Arc<Shell>, QueueId, Offer)>,
}

impl Delivered {
    fn take(mut self) -> Option<Handout> {
        self.on_loss = None;
        self.handout.take()
    }
}

impl Drop for Delivered {
    fn drop(&mut self) {
        if let Some((shell, queue, offer)) = self.on_loss.take() {
            shell.matching.give_back(queue, offer);
        }
    }
}

impl Shell {
    /// Waits at a queue; `None` when nothing came in time, or the worker or the engine shuts down.
    pub(crate) async fn poll(self: &Arc<Self>, queue: QueueId, poller: Poller, patience: Patience) -> HandedOut {
        let now = self.now();
        let timer = self.clock().sleep_until(now + patience.wait);
        tokio::pin!(timer);
        loop {
            let poll = self.matching.poll(queue.clone(), poller.clone());
            // When the engine stops, matching ends it; but not before a commit that starts a task for it is over.
            let handed = tokio::select! {
                biased;
                handed = poll.task() => handed,
                () = &mut timer => None,
            };
            let Some(handed) = handed else { return Ok(None) };
            let mut offer = handed.accept();
            let (waits, since) = (offer.waits(), offer.since);
            if let Some(ready) = offer.ready.take() {
                self.note(&queue, waits, since);
                let slot = offer.slot.clone();
                let mut delivered = Delivered {
                    handout: None,
                    on_loss: Some((self.clone(), queue, offer)),
                };
                delivered.handout = Some(self.complete(&slot, ready).await?);
                return Ok(delivered.take());
            }
            let (answer, answered) = oneshot::channel();
            let job = hand_over(self.clone(), queue.clone(), offer, poller.clone(), answer);
            self.background.spawn(job);
            let answered = tokio::select! {
                biased;
                answered = answered => answered,
                // Its client gives up: the next poller gets the task as soon as it is there.
                () = self.clock().sleep_until(now + patience.whole) => return Ok(None),
            };
            match answered {
                Ok(Ok(Some(delivered))) => {
                    self.note(&queue, waits, since);
                    return Ok(delivered.take());
                }
                // The task was stale; the next one may not be.
                Ok(Ok(None)) => {}
                Ok(Err(failed)) => return Err(failed),
                Err(_) => return Err(Fault::Bug("handing out a task was cut short".to_owned()).into()),
            }
        }
    }

    /// Counts a task that a worker has now.
    fn note(&self, queue: &QueueId, waits: Waits, since: Timestamp) {
        match waits {
            Waits::OnSticky => self.figures.handed_out(queue, true, self.now().since(since)),
            Waits::Here => self.figures.handed_out(queue, false, self.now().since(since)),
            // Its caller waits, but no run does.
            Waits::Query => {}
        }
    }

    /// Completes what a workflow task needs of its history.
    pub(crate) async fn with_history(&self, slot: &Slot, task: StartedWithTail) -> Result<WorkflowTaskHandout, Failed> {
        let StartedWithTail {
            started,
            events,
            queries,
        } = task;
        let part = Part {
            from: started.history_from,
            to: started.history_to,
            suffix: EncodedEvents::encode(&started.suffix).into_bytes(),
        };
        let page = self.first_page(slot, part, events).await?;
        Ok(WorkflowTaskHandout { started, page, queries })
    }

    async fn start_task(self: &Arc<Self>, offer: &Offer, start: &Start, answer: &Arc<Answer>) -> HandedOut {
        let slot = &offer.slot;
        if let Work::Query { query, sticky } = &offer.work {
            return self.hand_out_query(slot, query, *sticky).await;
        }
        let Some(input) = offer.work.start(&start.poller, &start.request_id) else {
            return Ok(None);
        };
        // Nothing is started for a poller that is gone.
        let poll = Arc::downgrade(answer);
        let is_there = move |_: &Shell, _: &Arc<Slot>| poll.upgrade().is_some_and(|answer| !answer.is_closed());
        let run = slot.clone();
        let make = move |loaded: &Loaded, reply| Ready::new(&run, loaded, reply);
        match self.combine(slot, input, is_there, make).await?.flatten() {
            Some(ready) => Ok(Some(self.complete(slot, ready).await?)),
            None => Ok(None),
        }
    }

    async fn complete(&self, slot: &Slot, ready: Ready) -> Result<Handout, Failed> {
        Ok(match ready {
            Ready::WorkflowTask(task) => Handout::WorkflowTask(Box::new(self.with_history(slot, *task).await?)),
            Ready::Activity(started) => Handout::Activity(started),
        })
    }

    async fn hand_out_query(self: &Arc<Self>, slot: &Arc<Slot>, query: &Arc<PendingQuery>, sticky: bool) -> HandedOut {
        if !query.is_open() {
            return Ok(None);
        }
        let mut guard = self.lock(slot).await?;
        let loaded = guard.loaded().ok_or(Fault::Conflict)?;
        let state = &loaded.state;
        let (workflow_type, task_queue) = (state.workflow_type().to_owned(), state.task_queue().to_owned());
        let previous_started_event_id = state.previous_started_event_id();
        let last = state.history_length();
        let events = loaded.tail.slice(1, last);
        drop(guard);
        // The worker with the run in its cache answers from there.
        let page = if sticky {
            FirstPage::default()
        } else {
            self.first_page(
                slot,
                Part {
                    from: 1,
                    to: last,
                    suffix: Bytes::new(),
                },
                events,
            )
            .await?
        };
        Ok(Some(Handout::Query(Box::new(QueryHandout {
            slot: slot.clone(),
            query: query.clone(),
            workflow_type,
            task_queue,
            previous_started_event_id,
            page,
        }))))
    }
}

struct Start {
    poller: Poller,
    request_id: String,
}

/// Starts a task and answers its poll. Owns the task until one of them is done.
async fn hand_over(shell: Arc<Shell>, queue: QueueId, offer: Offer, poller: Poller, answer: Answer) {
    let request_id = offer.started_by.clone().unwrap_or_else(|| shell.fresh_id());
    let start = Start { poller, request_id };
    let answer = Arc::new(answer);
    let result = shell.start_task(&offer, &start, &answer).await;
    // The run looked at it under its lock, and does not any more.
    let Some(answer) = Arc::into_inner(answer) else {
        return shell.matching.give_back(queue, offer.started(start.request_id));
    };
    match result {
        Ok(Some(handout)) => {
            // Not taken, it gives the task back, wherever it is dropped.
            let delivered = Delivered {
                handout: Some(handout),
                on_loss: Some((shell, queue, offer.started(start.request_id))),
            };
            let _ = answer.send(Ok(Some(delivered)));
        }
        Ok(None) if answer.is_closed() => shell.matching.give_back(queue, offer),
        Ok(None) | Err(Failed::Rejected(_)) => {
            let _ = answer.send(Ok(None));
        }
        Err(fault @ Failed::Fault(_)) => {
            // Whether the task was started or not: the next poller repeats the start with the same request id.
            shell.matching.give_back(queue, offer.started(start.request_id));
            let _ = answer.send(Err(fault));
        }
    }
}
