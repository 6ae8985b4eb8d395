//! Options of a workflow that can be changed while it runs: its priority is the only one.

use std::sync::Arc;

use crate::{
    OptionsChange, PriorityField, Rejection, Reply, RunState,
    draft::Draft,
    priority::check_priority,
    proto::{Attributes, Priority, WorkflowExecutionOptionsUpdatedEventAttributes},
    recorded::{ChangedOptions, Recorded},
};

impl Draft<'_> {
    /// Changes options; answers what they are now. Without a difference, nothing happened.
    pub(crate) fn change_options(&mut self, change: &OptionsChange) -> Result<Reply, Rejection> {
        self.check_running()?;
        check_priority(change.priority.as_ref()).map_err(Rejection::invalid)?;
        let before = self.state().run_priority().cloned();
        let after = merge(before.clone(), change);
        // To unset a priority is to have the usual one: an event without any would leave it as it is.
        let explicit = after.clone().unwrap_or_default();
        if before.unwrap_or_default() != explicit {
            self.record(Attributes::WorkflowExecutionOptionsUpdatedEventAttributes(
                WorkflowExecutionOptionsUpdatedEventAttributes {
                    priority: Some(explicit),
                    identity: change.identity.clone(),
                    ..WorkflowExecutionOptionsUpdatedEventAttributes::default()
                },
            ));
        }
        Ok(Reply::Priority(after.map(Box::new)))
    }
}

fn merge(mut priority: Option<Priority>, change: &OptionsChange) -> Option<Priority> {
    let from = change.priority.clone().unwrap_or_default();
    for field in &change.fields {
        match field {
            PriorityField::All => priority.clone_from(&change.priority),
            PriorityField::Key => priority.get_or_insert_default().priority_key = from.priority_key,
            PriorityField::FairnessKey => {
                priority
                    .get_or_insert_default()
                    .fairness_key
                    .clone_from(&from.fairness_key);
            }
            PriorityField::FairnessWeight => priority.get_or_insert_default().fairness_weight = from.fairness_weight,
        }
    }
    priority
}

impl Recorded {
    pub(crate) fn absorb_options(&mut self, updated: &WorkflowExecutionOptionsUpdatedEventAttributes) {
        if let Some(priority) = &updated.priority {
            let changes = self.changed_options.as_ref().map_or(0, |changed| changed.changes);
            self.changed_options = Some(Arc::new(ChangedOptions {
                priority: priority.clone(),
                changes: changes + 1,
            }));
        }
    }
}

impl RunState {
    /// The priority that the run was started with, or was given later.
    pub(crate) fn run_priority(&self) -> Option<&Priority> {
        match &self.recorded.changed_options {
            Some(changed) => Some(&changed.priority),
            None => self.started_attributes().priority.as_ref(),
        }
    }

    /// How often the priority was changed. Tasks that were offered with an older one are to be offered anew.
    pub fn priority_changes(&self) -> u32 {
        self.recorded
            .changed_options
            .as_ref()
            .map_or(0, |changed| changed.changes)
    }
}
