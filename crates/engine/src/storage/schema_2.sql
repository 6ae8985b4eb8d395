-- What a run executes: 0 a workflow, 1 a standalone activity. Each kind has ids of its own: the column `workflow_id` holds
-- the id of whatever the run executes.
ALTER TABLE runs ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;
DROP INDEX runs_by_workflow_id;
CREATE INDEX runs_by_id ON runs (namespace, kind, workflow_id);
DROP INDEX runs_by_start_time;
CREATE INDEX runs_by_start_time ON runs (namespace, kind, start_time);
