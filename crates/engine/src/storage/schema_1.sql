CREATE TABLE namespaces (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    uuid TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- One row per run. Rows of one workflow id are numbered in the order in which its runs were started: the highest is the
-- current one.
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    namespace INTEGER NOT NULL,
    workflow_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    -- Raised by every transition; the precondition of the next one.
    version INTEGER NOT NULL,
    -- Closed and owing nothing to anybody: need not be looked at after a restart.
    settled INTEGER NOT NULL,
    -- Facts that the history does not contain, encoded by crate history.
    facts BLOB NOT NULL,
    -- For lists.
    status INTEGER NOT NULL,
    type TEXT NOT NULL,
    task_queue TEXT NOT NULL,
    start_time INTEGER NOT NULL,
    execution_time INTEGER NOT NULL,
    close_time INTEGER,
    history_length INTEGER NOT NULL,
    history_size INTEGER NOT NULL,
    -- Encoded WorkflowExecutionInfo with what never changes (parent, root, first run) and what rarely does (memo,
    -- search attributes).
    info BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX runs_by_run_id ON runs (run_id);
CREATE INDEX runs_by_workflow_id ON runs (namespace, workflow_id);
CREATE INDEX runs_by_start_time ON runs (namespace, start_time);
CREATE INDEX runs_unsettled ON runs (id) WHERE settled = 0;

-- `at` is the run's row << 20 | the first event's id; `events` an encoded temporal.api.history.v1.History.
CREATE TABLE history (
    at INTEGER PRIMARY KEY,
    last_event_id INTEGER NOT NULL,
    events BLOB NOT NULL
) STRICT;

-- `at` is the run's row << 20 | the id of the Scheduled event.
CREATE TABLE activities (
    at INTEGER PRIMARY KEY,
    facts BLOB NOT NULL
) STRICT;

-- `at` is the run's row << 20 | the place in the buffer.
CREATE TABLE buffered (
    at INTEGER PRIMARY KEY,
    event BLOB NOT NULL
) STRICT;
