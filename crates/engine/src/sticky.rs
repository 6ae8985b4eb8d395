//! Workers that say goodbye: their polls end, and what waited for them goes to any worker.

use std::sync::Arc;

use crate::{
    error::{Failed, Fault},
    matching::{QueueId, instance_of},
    namespaces::Namespace,
    shell::Shell,
    tasks::Offer,
};

impl Shell {
    /// Completes the polls of a worker that shuts down and gives up its sticky queue.
    pub(crate) fn shut_down_worker(self: &Arc<Self>, namespace: &Namespace, instance: &str, sticky_queue: &str) {
        self.matching.dismiss_worker(&instance_of(&namespace.name, instance));
        if sticky_queue.is_empty() {
            return;
        }
        for queue in self.matching.sticky_queues(&namespace.name, sticky_queue) {
            // From here on tasks for that queue go to the normal one, as nobody polls it; then those that are there move.
            self.matching.abandon(&queue);
            for offer in self.matching.drain(&queue) {
                self.background.spawn(self.clone().move_to_normal(offer));
            }
        }
    }

    async fn move_to_normal(self: Arc<Self>, offer: Offer) {
        match self.normal_queue(&offer).await {
            Ok(queue) => self.matching.offer(queue, offer.without_sticky()),
            // The sticky queue's timeout will move it.
            Err(error) => tracing::warn!(run = %offer.slot().key, %error, "a task stays on a queue without worker"),
        }
    }

    async fn normal_queue(self: &Arc<Self>, offer: &Offer) -> Result<QueueId, Failed> {
        let mut guard = self.lock(offer.slot()).await?;
        let loaded = guard.loaded().ok_or(Fault::Conflict)?;
        Ok(self.workflow_queue(offer.slot(), loaded.state.task_queue()))
    }
}
