//! Limits of a run as a whole, enforced on every transition. [traps 2 and 16]

use prost::Message;

use crate::{draft::Draft, proto::WorkflowTaskFailedCause, workflow_task::TaskFailure};

impl Draft<'_> {
    pub(crate) fn enforce_limits(&mut self) {
        if !self.state().is_running() {
            return;
        }
        if self.buffer_is_full() {
            // The worker is too slow for what happens: its task fails, and the next one sees all of it. [trap 2]
            self.end_task_as_failed(TaskFailure::new(WorkflowTaskFailedCause::ForceCloseCommand));
            self.schedule_workflow_task(self.now);
        }
        let (recorded, limits) = (&self.state().recorded, self.env.limits);
        if recorded.size > limits.history_size_max {
            self.terminate_by_engine("Workflow history size exceeds limit.");
        } else if recorded.length > limits.history_count_max {
            self.terminate_by_engine("Workflow history count exceeds limit.");
        }
    }

    fn buffer_is_full(&self) -> bool {
        let (buffered, limits) = (self.state().buffered_events(), self.env.limits);
        buffered.len() > limits.buffered_events_max
            || buffered.iter().map(Message::encoded_len).sum::<usize>() > limits.buffered_size_max
    }
}
