-- Namespaces that clients make and change. `state` is a temporal.api.enums.v1.NamespaceState; `retention` is how long a
-- closed run is kept, in seconds, 0 for ever; `data` is a JSON object of strings.
ALTER TABLE namespaces ADD COLUMN state INTEGER NOT NULL DEFAULT 1;
ALTER TABLE namespaces ADD COLUMN retention INTEGER NOT NULL DEFAULT 0;
ALTER TABLE namespaces ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE namespaces ADD COLUMN owner_email TEXT NOT NULL DEFAULT '';
ALTER TABLE namespaces ADD COLUMN data TEXT NOT NULL DEFAULT '{}';
CREATE UNIQUE INDEX namespaces_by_uuid ON namespaces (uuid);

-- Custom search attributes. Numbers are never used again: values of an attribute that was removed are not found under
-- another. `type` is a temporal.api.enums.v1.IndexedValueType; `removed` ones wait for their values to be deleted.
CREATE TABLE search_attributes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace INTEGER NOT NULL,
    name TEXT NOT NULL,
    type INTEGER NOT NULL,
    removed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX search_attributes_by_name ON search_attributes (namespace, name) WHERE removed = 0;

-- What executions are found by. `owner` is the row of a run (or whatever else draws its number from the same sequence),
-- `attribute` the number of a custom search attribute, or below 0 one that every namespace has. Text has a row a word,
-- KeywordList a row an element; times are nanoseconds since 1970.
CREATE TABLE search_attribute_values (
    owner INTEGER NOT NULL,
    attribute INTEGER NOT NULL,
    value ANY NOT NULL,
    PRIMARY KEY (owner, attribute, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX search_attribute_values_by_value ON search_attribute_values (attribute, value, owner);

-- More columns that lists filter by; those that never change are null for runs of before.
ALTER TABLE runs ADD COLUMN transitions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN parent_workflow_id TEXT;
ALTER TABLE runs ADD COLUMN parent_run_id TEXT;
ALTER TABLE runs ADD COLUMN root_workflow_id TEXT;
ALTER TABLE runs ADD COLUMN root_run_id TEXT;
-- Lists show open runs first, then those that closed last. Retention looks for runs by it, too.
ALTER TABLE runs ADD COLUMN list_order INTEGER GENERATED ALWAYS AS (coalesce(close_time, 9223372036854775807)) VIRTUAL;
CREATE INDEX runs_by_order ON runs (namespace, kind, list_order, start_time, id);
CREATE INDEX runs_by_status ON runs (namespace, kind, status, list_order, start_time, id);
CREATE INDEX runs_by_type ON runs (namespace, kind, type, list_order, start_time, id);
CREATE INDEX runs_by_parent ON runs (namespace, parent_workflow_id) WHERE parent_workflow_id IS NOT NULL;
