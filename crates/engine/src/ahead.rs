//! Tasks that never wait: a poller waits for them already, so the transition that makes such a task ready starts it as
//! well. Both are committed together, and the poller gets the task from the commit.

use std::sync::{Arc, atomic::AtomicBool};

use helve_history::{Reply, Timestamp, Transition};

use crate::{
    matching::{Matching, Rank, Reserved},
    publish::route,
    run::{Loaded, Published, Slot},
    shell::Shell,
    tasks::{Offer, Ready, Work},
};

/// A task that the transition under way starts, and the poller that gets it.
pub(crate) struct Ahead {
    poller: Reserved<Offer>,
    work: Work,
    rank: Rank,
    since: Timestamp,
    request_id: String,
    reply: Reply,
}

impl Shell {
    /// Starts the tasks that a transition makes ready, as far as pollers wait for them. What is answered is to be handed
    /// out once the transition is committed; dropped, the pollers wait on.
    pub(crate) fn start_ahead(&self, slot: &Slot, published: &Published, transition: &mut Transition) -> Vec<Ahead> {
        let mut ahead = Vec::new();
        for task in transition.next.ready_tasks() {
            if published.tasks.contains_key(&task) {
                continue;
            }
            let (queue, work) = route(slot, &transition.next, &task, self);
            let Some(poller) = self.matching.reserve(&queue) else {
                continue;
            };
            let rank = Rank::of(&transition.next.task_priority(&task));
            let since = transition.next.waits_since(&task).unwrap_or_else(|| self.now());
            let request_id = self.fresh_id();
            let Some(input) = poller.poller().and_then(|poller| work.start(poller, &request_id)) else {
                continue;
            };
            // What is ready can be started. If not, the task is offered like any other.
            if let Ok(reply) = self.with_env(&slot.namespace, |env| transition.extend(input, env)) {
                ahead.push(Ahead {
                    poller,
                    work,
                    rank,
                    since,
                    request_id,
                    reply,
                });
            }
        }
        ahead
    }
}

impl Ahead {
    /// For when nobody knows whether the start was committed: the next poller asks the run, in the name of this one.
    pub(crate) fn ask_again(self, slot: &Arc<Slot>, matching: &Matching<Offer>) {
        let live = Arc::new(AtomicBool::new(true));
        let offer = Offer::new(slot.clone(), self.work, live, self.rank, self.since);
        let queue = self.poller.queue().clone();
        drop(self.poller);
        matching.give_back(queue, offer.ready(self.request_id, None));
    }

    /// The started task as its poller gets it. Called under the run's lock.
    pub(crate) fn into_offer(self, slot: &Arc<Slot>, loaded: &Loaded) -> (Reserved<Offer>, Offer) {
        let live = Arc::new(AtomicBool::new(true));
        let offer = Offer::new(slot.clone(), self.work, live, self.rank, self.since);
        let offer = offer.ready(self.request_id, Ready::new(slot, loaded, self.reply));
        (self.poller, offer)
    }
}
