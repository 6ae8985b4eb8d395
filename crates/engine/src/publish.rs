//! Publishing: what a run owes the rest of the engine, compared with what it was told, after every commit.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use helve_history::{Message, ReadyKind, ReadyTask, RunState, Timestamp};

use crate::{
    ahead::Ahead,
    matching::{Kind, QueueId, Rank, Reserved},
    outbox,
    run::{Loaded, Slot},
    shell::Shell,
    tasks::{Offer, Work},
};

/// What remains to be done after a commit, with the lock released.
#[derive(Default)]
pub(crate) struct Effects {
    runs: Vec<RunEffects>,
}

pub(crate) struct RunEffects {
    slot: Arc<Slot>,
    started: Vec<(Reserved<Offer>, Offer)>,
    offers: Vec<(QueueId, Offer)>,
    messages: Vec<Message>,
    arm: Option<Timestamp>,
    newly_settled: bool,
    /// The queries that wait for a workflow task are to be asked directly.
    frees_queries: bool,
}

impl Effects {
    pub(crate) fn of(effects: RunEffects) -> Self {
        Effects { runs: vec![effects] }
    }

    pub(crate) fn push(&mut self, effects: RunEffects) {
        self.runs.push(effects);
    }
}

impl RunEffects {
    /// Adds the tasks that the transition started itself. Called under the run's lock.
    pub(crate) fn hand_out(mut self, ahead: Vec<Ahead>, loaded: &Loaded) -> Self {
        let offers = ahead.into_iter().map(|started| started.into_offer(&self.slot, loaded));
        self.started = offers.collect();
        self
    }
}

/// Compares what the run owes with what was published, and takes note of it as published. Called under the run's lock.
pub(crate) fn obligations(slot: &Arc<Slot>, loaded: &mut Loaded, shell: &Shell, newly_settled: bool) -> RunEffects {
    slot.show_progress(&loaded.state);
    shell.registry.weigh(slot, loaded.state.is_running());
    let offers = new_offers(slot, loaded, shell);
    let messages = new_messages(loaded);
    let due = loaded.state.next_deadline();
    // A later entry is made when this one fires.
    let arm = due.filter(|due| slot.armed().is_none_or(|armed| *due < armed));
    if arm.is_some() {
        slot.set_armed(arm);
    }
    RunEffects {
        slot: slot.clone(),
        started: Vec::new(),
        offers,
        messages,
        arm,
        newly_settled,
        frees_queries: frees_queries(slot, &loaded.state),
    }
}

/// Whether no workflow task will carry the run's waiting queries to a worker.
fn frees_queries(slot: &Slot, state: &RunState) -> bool {
    let before_first_task = state.is_running() && !state.has_completed_workflow_task();
    !slot.queries.is_empty() && !state.has_workflow_task() && !before_first_task
}

fn new_offers(slot: &Arc<Slot>, loaded: &mut Loaded, shell: &Shell) -> Vec<(QueueId, Offer)> {
    // Matching has them at a place that is not theirs any more: they are offered once more.
    if loaded.published.priority_changes != loaded.state.priority_changes() {
        loaded.published.withdraw_tasks();
        loaded.published.priority_changes = loaded.state.priority_changes();
    }
    let mut before = std::mem::take(&mut loaded.published.tasks);
    let mut offers = Vec::new();
    let mut now = BTreeMap::new();
    for task in loaded.state.ready_tasks() {
        let live = match before.remove(&task) {
            Some(live) => live,
            None => {
                let live = Arc::new(AtomicBool::new(true));
                offers.push(offer(slot, loaded, &task, live.clone(), shell));
                live
            }
        };
        now.insert(task, live);
    }
    for live in before.into_values() {
        live.store(false, Ordering::Relaxed);
    }
    loaded.published.tasks = now;
    offers
}

fn offer(
    slot: &Arc<Slot>,
    loaded: &Loaded,
    task: &ReadyTask,
    live: Arc<AtomicBool>,
    shell: &Shell,
) -> (QueueId, Offer) {
    let (queue, work) = route(slot, &loaded.state, task, shell);
    let rank = Rank::of(&loaded.state.task_priority(task));
    let since = loaded.state.waits_since(task).unwrap_or_else(|| shell.now());
    (queue, Offer::new(slot.clone(), work, live, rank, since))
}

/// The queue that a task goes to.
pub(crate) fn route(slot: &Slot, state: &RunState, task: &ReadyTask, shell: &Shell) -> (QueueId, Work) {
    let (scheduled_event_id, attempt, stamp) = (task.scheduled_event_id, task.attempt, task.stamp);
    let queue = |name: &str, kind| QueueId {
        namespace: slot.namespace.name.clone(),
        name: name.into(),
        kind,
    };
    match task.kind {
        ReadyKind::Activity => (
            queue(&task.task_queue, Kind::Activity),
            Work::Activity {
                scheduled_event_id,
                stamp,
            },
        ),
        ReadyKind::Workflow => (
            queue(&task.task_queue, Kind::Workflow),
            Work::WorkflowTask {
                scheduled_event_id,
                attempt,
                sticky: false,
            },
        ),
        ReadyKind::StickyWorkflow => {
            let sticky = QueueId::sticky(slot.namespace.name.clone(), &task.task_queue, state.task_queue());
            // A worker that is gone will not come back for it: any worker may have the task at once. [trap 7]
            if shell
                .matching
                .has_poller(&sticky, shell.options.sticky_worker_gone_after)
            {
                (
                    sticky,
                    Work::WorkflowTask {
                        scheduled_event_id,
                        attempt,
                        sticky: true,
                    },
                )
            } else {
                (
                    queue(state.task_queue(), Kind::Workflow),
                    Work::WorkflowTask {
                        scheduled_event_id,
                        attempt,
                        sticky: false,
                    },
                )
            }
        }
    }
}

fn new_messages(loaded: &mut Loaded) -> Vec<Message> {
    let owed = loaded.state.outbox_ids();
    if owed.is_empty() && loaded.published.messages.is_empty() {
        return Vec::new();
    }
    let new = owed.iter().filter(|id| !loaded.published.messages.contains(id));
    let messages = new.filter_map(|id| loaded.state.message(*id)).collect();
    loaded.published.messages = owed.into_iter().collect();
    messages
}

impl Shell {
    /// Does what remains to be done after a commit. No run's lock may be held.
    pub(crate) fn publish(self: &Arc<Self>, effects: Effects) {
        for run in effects.runs {
            for (poller, offer) in run.started {
                poller.hand(offer);
            }
            for (queue, offer) in run.offers {
                self.matching.offer(queue, offer);
            }
            for message in run.messages {
                self.background
                    .spawn(outbox::deliver(self.clone(), run.slot.clone(), message));
            }
            if let Some(at) = run.arm {
                self.timers.arm(at, Arc::downgrade(&run.slot));
            }
            if run.frees_queries {
                run.slot.queries.free_all();
            }
            if run.newly_settled {
                self.registry.settle(&run.slot);
                if run.slot.doomed.load(Ordering::Relaxed) {
                    self.deletions.notify_one();
                }
            }
        }
        self.registry.make_room();
    }
}
