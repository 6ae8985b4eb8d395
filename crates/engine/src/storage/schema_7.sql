-- Batch operations: one request that concerns many executions, worked off in the background.
CREATE TABLE batches (
    namespace INTEGER NOT NULL,
    job_id TEXT NOT NULL,
    -- Encoded StartBatchOperationRequest.
    request BLOB NOT NULL,
    -- A temporal.api.enums.v1.BatchOperationState; 1 is "running".
    state INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    close_time INTEGER,
    -- Executions the operation concerns, as they were counted at its start; those done with, and those of them that failed.
    total INTEGER NOT NULL,
    done INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    -- Where to go on: opaque, empty at the beginning.
    place BLOB NOT NULL,
    PRIMARY KEY (namespace, job_id)
) STRICT;
CREATE INDEX batches_by_start_time ON batches (namespace, start_time);
CREATE INDEX batches_running ON batches (namespace) WHERE state = 1;
