//! Schedules as filters see them.

use std::borrow::Cow;

use crate::{Attribute, Kind, OrderBy, Relation, ValueType};

/// Schedules. `ScheduleId` and `TemporalScheduleId` both name the id.
pub static RELATION: Relation = Relation {
    table: "schedules",
    owner: "schedules.id",
    values: "search_attribute_values",
    attributes: ATTRIBUTES,
    order: ORDER,
};

const fn column(name: &'static str, value_type: ValueType, column: &'static str) -> Attribute {
    Attribute {
        name,
        kind: Kind::Value(value_type),
        column,
        groupable: false,
        absent: None,
    }
}

const ATTRIBUTES: &[Attribute] = &[
    column("ScheduleId", ValueType::Keyword, "schedules.schedule_id"),
    // The id of the workflow that stands for the schedule on Temporal.
    column(
        "WorkflowId",
        ValueType::Keyword,
        "('temporal-sys-scheduler:' || schedules.schedule_id)",
    ),
    column("TemporalSchedulePaused", ValueType::Bool, "schedules.paused"),
    column("StartTime", ValueType::Datetime, "schedules.start_time"),
];

/// The last made first.
const ORDER: &[OrderBy] = &[OrderBy {
    column: Cow::Borrowed("schedules.start_time"),
    descending: true,
    nullable: false,
}];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attributes, Query, Schema};

    #[test]
    fn schedules_are_found_by_id_and_pause() {
        let attributes = Attributes::default();
        let schema = Schema::new(&RELATION, &attributes);
        for query in [
            "TemporalSchedulePaused = true",
            "ScheduleId = 'a' OR TemporalScheduleId STARTS_WITH 'b'",
            "WorkflowId = 'temporal-sys-scheduler:a'",
            "StartTime > '2024-01-01T00:00:00Z'",
        ] {
            Query::compile(query, &schema).unwrap_or_else(|error| panic!("{query}: {error}"));
        }
        let query = Query::compile("TemporalSchedulePaused = true", &schema).unwrap();
        assert!(query.count(&[]).sql.contains("schedules.paused = ?1"));
    }
}
