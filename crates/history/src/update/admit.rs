//! Taking an update in.

use super::{Update, UpdateAnswer, UpdateNews, outlived};
use crate::{
    Rejection, Reply, check_links,
    draft::Draft,
    proto::{ResourceExhaustedCause, UpdateRequest},
    validate,
};

/// A workflow task that fails this often will not answer updates either. [trap 17]
const FAILING_ATTEMPTS: u32 = 3;

impl Draft<'_> {
    /// Admits an update, unless it is known already: its id makes it the same one, whoever sends it.
    pub(crate) fn update(&mut self, update: Update) -> Result<Reply, Rejection> {
        let first = &update.first_execution_run_id;
        if !first.is_empty() && first != self.state().first_run_id() {
            return Err(Rejection::NotFound("workflow execution not found".to_owned()));
        }
        let known = self.state().update_stage(update.id());
        if !self.state().is_running() {
            return known.map(Reply::Update).ok_or_else(Rejection::closed);
        }
        if self.state().facts.workflow_task.attempt() >= FAILING_ATTEMPTS {
            return Err(Rejection::NotReady(
                "Unable to perform workflow execution update due to Workflow Task in failed state.".to_owned(),
            ));
        }
        self.check_not_closing()?;
        if let Some(stage) = known {
            return Ok(Reply::Update(stage));
        }
        update.validate(self.env.limits)?;
        self.check_room_for_update(&update.request)?;
        let id = update.id().to_owned();
        // No more than that: when the decision is done, whatever waits is given a workflow task.
        self.edit_in_memory().waiting.push(&id, update.request);
        Ok(Reply::Update(super::UpdateStage::Admitted))
    }

    fn check_room_for_update(&self, request: &UpdateRequest) -> Result<(), Rejection> {
        let (in_flight, limits) = (self.updates_in_flight(), self.env.limits);
        let full = |message: String| Rejection::Busy {
            cause: ResourceExhaustedCause::ConcurrentLimit,
            message,
        };
        if in_flight >= limits.updates_in_flight_max {
            return Err(full(format!(
                "limit on number of concurrent in-flight updates has been reached ({})",
                limits.updates_in_flight_max
            )));
        }
        self.check_total_of_updates()?;
        let bytes = self.state().waiting.bytes() + prost::Message::encoded_len(request);
        if bytes > limits.updates_in_flight_size_max {
            return Err(full(format!(
                "limit on total payload size of in-flight updates has been reached ({} bytes)",
                limits.updates_in_flight_size_max
            )));
        }
        Ok(())
    }

    pub(super) fn check_total_of_updates(&self) -> Result<(), Rejection> {
        let max = self.env.limits.updates_max;
        if self.updates_total() >= max {
            return Err(Rejection::FailedPrecondition(format!(
                "The limit on the total number of distinct updates in this workflow has been reached ({max}). Make sure \
                 any duplicate updates share an Update ID so the server can deduplicate them, and consider rejecting \
                 updates that you aren't going to process. You can also Continue-as-New to avoid this; we recommend you \
                 check Continue-as-New Suggested in your Workflow."
            )));
        }
        Ok(())
    }

    fn updates_in_flight(&self) -> usize {
        let recorded = &self.state().recorded.updates;
        self.state().waiting.len() + recorded.admitted.len() + recorded.accepted.len()
    }

    /// All that count towards the run's limit: rejected ones do not.
    pub(crate) fn updates_total(&self) -> usize {
        self.updates_in_flight() + self.state().recorded.updates.completed.len()
    }

    /// The run closed: whoever still waits for an update of it is told.
    pub(crate) fn end_updates(&mut self) {
        let state = self.state();
        if !state.has_unanswered_updates() && state.recorded.updates.accepted.len() == 0 {
            return;
        }
        let unseen = || {
            if self.has_successor() {
                UpdateAnswer::Moved
            } else {
                UpdateAnswer::Closed
            }
        };
        let waiting = state.waiting.iter().map(|waiting| (&waiting.id, unseen()));
        let admitted = state.recorded.updates.admitted.keys().map(|id| (id, unseen()));
        let accepted = state.recorded.updates.accepted.keys();
        let accepted = accepted.map(|id| (id, UpdateAnswer::Completed(Box::new(outlived()))));
        let news: Vec<_> = waiting
            .chain(admitted)
            .chain(accepted)
            .map(|(id, answer)| (id.to_string(), answer))
            .collect();
        for (update_id, answer) in news {
            self.tell(UpdateNews { update_id, answer });
        }
        if !self.state().waiting.is_empty() {
            self.edit_in_memory().waiting.clear();
        }
    }
}

impl Update {
    /// Checks what needs no run.
    pub fn validate(&self, limits: &crate::Limits) -> Result<(), Rejection> {
        let Some(input) = &self.request.input else {
            return Err(Rejection::invalid("Update input is not set on request."));
        };
        if input.name.is_empty() {
            return Err(Rejection::invalid("Update name is not set on request."));
        }
        validate::required_id("UpdateId", self.id(), limits)?;
        check_links(&self.request.links, limits)?;
        validate::payloads(input.args.as_ref(), limits)
    }
}
