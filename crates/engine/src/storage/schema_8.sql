-- Schedules: one row each, numbered in the sequence of `runs`, so that both may own values of search attributes.
CREATE TABLE schedules (
    id INTEGER PRIMARY KEY,
    namespace INTEGER NOT NULL,
    schedule_id TEXT NOT NULL,
    -- Raised by every change; the precondition of the next one.
    version INTEGER NOT NULL,
    -- The request that made it: sent again, it is answered the same.
    request_id TEXT NOT NULL,
    start_time INTEGER NOT NULL,
    paused INTEGER NOT NULL,
    -- What its owner said, and how far it got: encoded by crate schedule.
    definition BLOB NOT NULL,
    progress BLOB NOT NULL,
    -- Encoded temporal.api.common.v1.Memo and SearchAttributes.
    memo BLOB NOT NULL,
    search_attributes BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX schedules_by_id ON schedules (namespace, schedule_id);
CREATE INDEX schedules_by_start_time ON schedules (namespace, start_time, id);
