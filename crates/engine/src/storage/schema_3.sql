-- Limits and weights that were set for a task queue, an encoded temporal.api.taskqueue.v1.TaskQueueConfig.
CREATE TABLE task_queue_configs (
    namespace INTEGER NOT NULL,
    name TEXT NOT NULL,
    -- 0 for workflow tasks, 1 for activity tasks.
    kind INTEGER NOT NULL,
    config BLOB NOT NULL,
    PRIMARY KEY (namespace, name, kind)
) STRICT, WITHOUT ROWID;
