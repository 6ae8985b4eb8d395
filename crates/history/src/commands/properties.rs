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
    validate::check_search_attribute_sizes,
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
        let merged = merged_size(&self.draft.state().recorded.search_attributes, fields);
        self.check_sizes(fields, merged)?;
        self.check_search_attributes(a.search_attributes.as_ref())?;
        self.record(
            Attributes::UpsertWorkflowSearchAttributesEventAttributes(UpsertWorkflowSearchAttributesEventAttributes {
                workflow_task_completed_event_id: self.completed_id,
                search_attributes: a.search_attributes.clone(),
            }),
            command,
        );
        Ok(())
    }

    /// The namespace must have what a command sets for another run, and it must not be too much.
    pub(super) fn check_search_attributes(&self, attributes: Option<&SearchAttributes>) -> CommandResult {
        let fields = attributes.map(|attributes| &attributes.indexed_fields);
        if let Some(fields) = fields {
            self.check_sizes(fields, merged_size(&Arc::default(), fields))?;
        }
        let env = &self.draft.env;
        env.search_attributes
            .check(fields)
            .map_err(|message| CommandFailure::new(Cause::BadSearchAttributes, message))
    }

    /// Search attributes that are too large end the run, as any data that does. `total` are the bytes of all of them.
    fn check_sizes(&self, fields: &HashMap<String, Payload>, total: usize) -> CommandResult {
        check_search_attribute_sizes(fields, total, self.draft.env.limits)
            .map_err(|message| CommandFailure::terminating(Cause::BadSearchAttributes, message))
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
                "ModifyWorkflowPropertiesCommandAttributes. Memo exceeds size limit.",
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
