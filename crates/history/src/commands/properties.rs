//! Commands that only say something about the run: markers, search attributes, memo.

use std::{collections::HashMap, sync::Arc};

use prost::Message;

use super::{CommandFailure, CommandResult, Commands, size};
use crate::{
    fold::is_deletion,
    proto::{
        Attributes, Command, MarkerRecordedEventAttributes, ModifyWorkflowPropertiesCommandAttributes, Payload,
        RecordMarkerCommandAttributes, SearchAttributes, UpsertWorkflowSearchAttributesCommandAttributes,
        UpsertWorkflowSearchAttributesEventAttributes, WorkflowPropertiesModifiedEventAttributes,
        WorkflowTaskFailedCause as Cause,
    },
};

impl Commands<'_, '_, '_> {
    pub(super) fn record_marker(&mut self, a: &RecordMarkerCommandAttributes, command: &Command) -> CommandResult {
        const CAUSE: Cause = Cause::BadRecordMarkerAttributes;
        self.check_id(CAUSE, "MarkerName", &a.marker_name)?;
        let details = a.details.values().map(Message::encoded_len).sum::<usize>();
        self.check_size(
            details + size(a.failure.as_ref()),
            CAUSE,
            "RecordMarkerCommandAttributes.Details",
        )?;
        self.record(
            Attributes::MarkerRecordedEventAttributes(MarkerRecordedEventAttributes {
                marker_name: a.marker_name.clone(),
                details: a.details.clone(),
                workflow_task_completed_event_id: self.completed_id,
                header: a.header.clone(),
                failure: a.failure.clone(),
            }),
            command,
        );
        Ok(())
    }

    pub(super) fn upsert_search_attributes(
        &mut self,
        a: &UpsertWorkflowSearchAttributesCommandAttributes,
        command: &Command,
    ) -> CommandResult {
        const CAUSE: Cause = Cause::BadSearchAttributes;
        let fields = a
            .search_attributes
            .as_ref()
            .map(|s| &s.indexed_fields)
            .filter(|fields| !fields.is_empty());
        let Some(fields) = fields else {
            return Err(CommandFailure::new(CAUSE, "IndexedFields is not set on command."));
        };
        self.check_search_attributes(a.search_attributes.as_ref())?;
        let max = self.draft.env.limits.search_attributes_size_max;
        if merged_size(&self.draft.state().recorded.search_attributes, fields) > max {
            return Err(CommandFailure::terminating(
                CAUSE,
                "the search attributes of the run exceed size limit.",
            ));
        }
        self.record(
            Attributes::UpsertWorkflowSearchAttributesEventAttributes(UpsertWorkflowSearchAttributesEventAttributes {
                workflow_task_completed_event_id: self.completed_id,
                search_attributes: a.search_attributes.clone(),
            }),
            command,
        );
        Ok(())
    }

    /// The namespace must have what a command sets.
    pub(super) fn check_search_attributes(&self, attributes: Option<&SearchAttributes>) -> CommandResult {
        let env = &self.draft.env;
        env.search_attributes
            .check(attributes.map(|attributes| &attributes.indexed_fields))
            .map_err(|message| CommandFailure::new(Cause::BadSearchAttributes, message))
    }

    pub(super) fn modify_properties(
        &mut self,
        a: &ModifyWorkflowPropertiesCommandAttributes,
        command: &Command,
    ) -> CommandResult {
        const CAUSE: Cause = Cause::BadModifyWorkflowPropertiesAttributes;
        let fields = a
            .upserted_memo
            .as_ref()
            .map(|memo| &memo.fields)
            .filter(|fields| !fields.is_empty());
        let Some(fields) = fields else {
            return Err(CommandFailure::new(CAUSE, "UpsertedMemo is not set on command."));
        };
        if merged_size(&self.draft.state().recorded.memo, fields) > self.draft.env.limits.memo_size_max {
            return Err(CommandFailure::terminating(
                CAUSE,
                "the memo of the run exceeds size limit.",
            ));
        }
        self.record(
            Attributes::WorkflowPropertiesModifiedEventAttributes(WorkflowPropertiesModifiedEventAttributes {
                workflow_task_completed_event_id: self.completed_id,
                upserted_memo: a.upserted_memo.clone(),
            }),
            command,
        );
        Ok(())
    }
}

/// The size of `old` after upserting `new`.
fn merged_size(old: &Arc<HashMap<String, Payload>>, new: &HashMap<String, Payload>) -> usize {
    let kept = old.iter().filter(|(key, _)| !new.contains_key(*key));
    let added = new.iter().filter(|(_, value)| !is_deletion(value));
    kept.chain(added)
        .map(|(key, value)| key.len() + value.encoded_len())
        .sum()
}
