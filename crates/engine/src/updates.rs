//! Updates: who waits for one, and how its outcome gets to them.
//!
//! The waiting is in memory only. What was accepted is in the run's history, and so is its outcome: it is read from there
//! when somebody asks later. What was not accepted is lost with the process; its caller asks again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use helve_history::{EventId, Input, Rejection, Reply, Timestamp, Update, UpdateAnswer, UpdateNews, UpdateStage};
use temporalio_protos::temporal::api::{history::v1::history_event::Attributes, update::v1::Outcome};
use tokio::sync::watch;

use crate::{
    error::{Failed, Fault},
    find::Target,
    namespaces::Namespace,
    run::{Loaded, Slot},
    shell::Shell,
};

/// How far an update is, for whoever waits for it.
#[derive(Debug, Clone)]
enum Progress {
    Admitted,
    Accepted,
    Completed(Arc<Outcome>),
    Refused(Rejection),
    /// The run closed before it saw it.
    Closed,
    /// Its run does not know it any more, but another run may, or the same one if it is asked again.
    Gone,
}

impl From<UpdateAnswer> for Progress {
    fn from(answer: UpdateAnswer) -> Self {
        match answer {
            UpdateAnswer::Accepted => Progress::Accepted,
            UpdateAnswer::Completed(outcome) => Progress::Completed(Arc::new(*outcome)),
            UpdateAnswer::Refused(rejection) => Progress::Refused(rejection),
            UpdateAnswer::Closed => Progress::Closed,
            UpdateAnswer::Moved => Progress::Gone,
        }
    }
}

/// Who waits for the updates of one run.
#[derive(Default)]
pub(crate) struct UpdateWaiters {
    open: Mutex<BTreeMap<String, watch::Sender<Progress>>>,
}

impl UpdateWaiters {
    fn subscribe(&self, id: &str, progress: Progress) -> watch::Receiver<Progress> {
        let mut open = self.lock();
        open.retain(|_, sender| !sender.is_closed());
        let sender = open
            .entry(id.to_owned())
            .or_insert_with(|| watch::Sender::new(progress));
        sender.subscribe()
    }

    /// Passes on what a transition, which is committed now, brought.
    pub(crate) fn tell(&self, news: Vec<UpdateNews>) {
        if news.is_empty() {
            return;
        }
        let mut open = self.lock();
        for UpdateNews { update_id, answer } in news {
            if matches!(answer, UpdateAnswer::Accepted) {
                if let Some(sender) = open.get(&update_id) {
                    sender.send_replace(Progress::Accepted);
                }
            } else if let Some(sender) = open.remove(&update_id) {
                sender.send_replace(answer.into());
            }
        }
    }

    /// What only memory knew of the run is lost.
    pub(crate) fn lose(&self) {
        for (_, sender) in std::mem::take(&mut *self.lock()) {
            sender.send_replace(Progress::Gone);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, watch::Sender<Progress>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who wait for an update.
pub(crate) struct Ticket {
    slot: Arc<Slot>,
    progress: TicketProgress,
}

enum TicketProgress {
    Open(watch::Receiver<Progress>),
    Known(Arc<Outcome>),
    /// This event holds the outcome.
    Stored(EventId),
}

impl Ticket {
    /// To be called under the run's lock, so that nothing is missed.
    pub(crate) fn new(slot: &Arc<Slot>, id: &str, stage: UpdateStage) -> Self {
        let progress = match stage {
            UpdateStage::Admitted => TicketProgress::Open(slot.updates.subscribe(id, Progress::Admitted)),
            UpdateStage::Accepted => TicketProgress::Open(slot.updates.subscribe(id, Progress::Accepted)),
            UpdateStage::Completed(event_id) => TicketProgress::Stored(event_id),
            UpdateStage::Outlived(outcome) => TicketProgress::Known(Arc::new(*outcome)),
        };
        Ticket {
            slot: slot.clone(),
            progress,
        }
    }
}

/// The least that a caller wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitFor {
    /// How things are now.
    Nothing,
    Acceptance,
    Outcome,
}

/// How long a caller waits, and for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) wait_for: WaitFor,
    /// From here on it is told how far things are.
    pub(crate) until: Timestamp,
    /// From here on the caller does not listen any more.
    pub(crate) deadline: Option<Timestamp>,
}

/// How far an update got while its caller waited.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reached {
    Admitted,
    Accepted,
    Completed(Arc<Outcome>),
}

/// What a caller is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Updated {
    pub(crate) run_id: String,
    pub(crate) reached: Reached,
}

/// What waiting led to.
pub(crate) enum Waited {
    Told(Updated),
    /// The run closed before it saw the update.
    Closed,
    /// The run, or another one, is to be asked again.
    AskAgain,
    /// The caller's deadline is over.
    TooLate,
}

impl Shell {
    /// Updates the run that a request names, and waits as the caller wants; `None` if its deadline is over.
    pub(crate) async fn update(
        self: &Arc<Self>,
        namespace: &Namespace,
        target: &Target,
        update: Update,
        patience: Patience,
    ) -> Result<Option<Updated>, Failed> {
        loop {
            let ticket = self.send_update(namespace, target, &update).await?;
            match self.wait_for_update(ticket, patience).await? {
                Waited::Told(updated) => return Ok(Some(updated)),
                Waited::Closed => return Err(Rejection::update_aborted().into()),
                Waited::AskAgain => {}
                Waited::TooLate => return Ok(None),
            }
        }
    }

    /// Waits for an update that was sent before.
    pub(crate) async fn poll_update(
        self: &Arc<Self>,
        namespace: &Namespace,
        target: &Target,
        update_id: &str,
        patience: Patience,
    ) -> Result<Option<Updated>, Failed> {
        loop {
            let slot = self.find(namespace, target).await?;
            let ticket = self.known_update(&slot, update_id).await?;
            let ticket = ticket.ok_or_else(|| Failed::not_found(format!("update {update_id:?} not found")))?;
            match self.wait_for_update(ticket, patience).await? {
                Waited::Told(updated) => return Ok(Some(updated)),
                Waited::Closed => return Err(Rejection::update_aborted().into()),
                Waited::AskAgain => {}
                Waited::TooLate => return Ok(None),
            }
        }
    }

    /// A place among those who wait for an update, if the run knows it.
    pub(crate) async fn known_update(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        update_id: &str,
    ) -> Result<Option<Ticket>, Failed> {
        let mut guard = self.lock(slot).await?;
        let state = &guard.loaded().ok_or(Fault::Conflict)?.state;
        let stage = state.update_stage(update_id);
        Ok(stage.map(|stage| Ticket::new(slot, update_id, stage)))
    }

    async fn send_update(
        self: &Arc<Self>,
        namespace: &Namespace,
        target: &Target,
        update: &Update,
    ) -> Result<Ticket, Failed> {
        loop {
            let slot = self.find(namespace, target).await?;
            let (place, id) = (slot.clone(), update.id().to_owned());
            let then = move |_: &Loaded, reply| ticket_of(&place, &id, reply);
            let input = Input::Update(Box::new(update.clone()));
            if !target.run_id.is_empty() {
                return self.apply(&slot, input, then).await?;
            }
            if let Some(ticket) = self.apply_if_current(&slot, input, then).await? {
                return ticket;
            }
        }
    }

    pub(crate) async fn wait_for_update(&self, ticket: Ticket, patience: Patience) -> Result<Waited, Failed> {
        let Ticket { slot, progress } = ticket;
        let told = |reached| {
            Ok(Waited::Told(Updated {
                run_id: slot.key.run_id.clone(),
                reached,
            }))
        };
        let mut open = match progress {
            TicketProgress::Open(open) => open,
            TicketProgress::Known(outcome) => return told(Reached::Completed(outcome)),
            TicketProgress::Stored(event_id) => {
                return told(Reached::Completed(Arc::new(
                    self.stored_outcome(&slot, event_id).await?,
                )));
            }
        };
        let enough = |progress: &Progress| match progress {
            Progress::Admitted => patience.wait_for == WaitFor::Nothing,
            Progress::Accepted => patience.wait_for != WaitFor::Outcome,
            _ => true,
        };
        let until = patience
            .deadline
            .map_or(patience.until, |deadline| deadline.min(patience.until));
        tokio::select! {
            biased;
            // Whoever leaves without a word lost its memory, which is what `Gone` says, too.
            _ = open.wait_for(enough) => {}
            () = self.clock().sleep_until(until) => {}
            () = self.stopping.cancelled() => return Err(Fault::ShuttingDown.into()),
        }
        let progress = open.borrow().clone();
        match progress {
            _ if !enough(&progress) && patience.deadline.is_some_and(|deadline| deadline <= until) => {
                Ok(Waited::TooLate)
            }
            Progress::Admitted => told(Reached::Admitted),
            Progress::Accepted => told(Reached::Accepted),
            Progress::Completed(outcome) => told(Reached::Completed(outcome)),
            Progress::Refused(rejection) => Err(rejection.into()),
            Progress::Closed => Ok(Waited::Closed),
            Progress::Gone => Ok(Waited::AskAgain),
        }
    }

    /// Reads the outcome of a completed update from its event.
    async fn stored_outcome(&self, slot: &Slot, event_id: EventId) -> Result<Outcome, Failed> {
        let (events, _) = self.stored_page(slot, event_id, event_id, 1).await?;
        let events = events.decode().unwrap_or_default();
        match events.into_iter().next().and_then(|event| event.attributes) {
            Some(Attributes::WorkflowExecutionUpdateCompletedEventAttributes(a)) => Ok(a.outcome.unwrap_or_default()),
            _ => Err(Fault::Corrupt(format!("event {event_id} of run {} holds no outcome", slot.key)).into()),
        }
    }
}

/// The place that an update's reply gives. Under the run's lock.
pub(crate) fn ticket_of(slot: &Arc<Slot>, id: &str, reply: Reply) -> Result<Ticket, Failed> {
    match reply {
        Reply::Update(stage) => Ok(Ticket::new(slot, id, stage)),
        other => Err(Fault::Bug(format!("an update was answered by {other:?}")).into()),
    }
}
