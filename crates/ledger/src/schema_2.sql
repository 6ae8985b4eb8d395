-- The index of findings over all runs.

-- Names that many rows share: namespaces, and within one its targets, rules, modules, workflows and owners.
CREATE TABLE names (
    no          INTEGER PRIMARY KEY,
    -- 0 for namespaces themselves.
    namespace   INTEGER NOT NULL,
    kind        INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    -- How many findings have it, fixed ones included.
    findings    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX names_by_name ON names (namespace, kind, name);

-- What the last run that told of a rule says of it: JSON of `Rule`.
CREATE TABLE rules (
    no          INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    body        TEXT    NOT NULL
) STRICT;

CREATE TABLE runs (
    no          INTEGER PRIMARY KEY,
    namespace   INTEGER NOT NULL,
    target      INTEGER NOT NULL,
    workflow    INTEGER NOT NULL,
    run_id      TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    -- JSON: what was looked at.
    looks       TEXT    NOT NULL,
    -- What was seen, packed: numbers of findings with module, severity and suppression.
    seen        BLOB    NOT NULL,
    -- Findings of each severity, most severe first, as JSON.
    counts      TEXT    NOT NULL,
    not_looked  INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX runs_by_id ON runs (namespace, run_id);
CREATE INDEX runs_by_target ON runs (target, at, run_id);
CREATE INDEX runs_by_time ON runs (namespace, at, run_id);

CREATE TABLE findings (
    no          INTEGER PRIMARY KEY,
    id          BLOB    NOT NULL,
    fingerprint TEXT    NOT NULL,
    namespace   INTEGER NOT NULL,
    target      INTEGER NOT NULL,
    rule        INTEGER NOT NULL,
    module      INTEGER NOT NULL,
    workflow    INTEGER NOT NULL,
    owner       INTEGER,
    -- Severity, suppression, triage and status in one number, so that every index can be walked in the order of severity with
    -- any choice of the others.
    bucket      INTEGER NOT NULL,
    confidence  INTEGER NOT NULL,
    path        TEXT    NOT NULL,
    line        INTEGER,
    message     TEXT    NOT NULL,
    is_crash    INTEGER NOT NULL,
    -- Of an accepted risk.
    until       INTEGER,
    -- JSON: with which workflow and module it was seen.
    lanes       TEXT    NOT NULL,
    first_run   INTEGER NOT NULL,
    first_at    INTEGER NOT NULL,
    last_run    INTEGER NOT NULL,
    last_at     INTEGER NOT NULL,
    -- When something last happened to it, and when somebody last decided.
    moved_at    INTEGER NOT NULL,
    decided_at  INTEGER NOT NULL,
    detail_hash INTEGER NOT NULL,
    -- Counts what happened to it; `rev` counts every write.
    version     INTEGER NOT NULL,
    rev         INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX findings_by_id ON findings (id);
CREATE INDEX findings_by_namespace ON findings (namespace, bucket);
CREATE INDEX findings_by_target ON findings (target, bucket);
CREATE INDEX findings_by_rule ON findings (rule, bucket);
CREATE INDEX findings_by_module ON findings (module, bucket);
CREATE INDEX findings_by_workflow ON findings (workflow, bucket);
CREATE INDEX findings_by_owner ON findings (owner, bucket) WHERE owner IS NOT NULL;
CREATE INDEX findings_by_path ON findings (namespace, path);
CREATE INDEX findings_by_first_seen ON findings (namespace, first_at);
CREATE INDEX findings_by_last_seen ON findings (namespace, last_at);
CREATE INDEX findings_by_until ON findings (until) WHERE until IS NOT NULL;

-- What pages of one finding show and lists do not: JSON.
CREATE TABLE details (
    no          INTEGER PRIMARY KEY,
    body        TEXT    NOT NULL
) STRICT;

-- Words of findings. `keys` holds tokens made here (namespace, severity, target, rule), so that one question to this index
-- gives the findings of a namespace in the order of a list.
CREATE VIRTUAL TABLE words USING fts5(
    keys, body, content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 2"
);

-- What happened to findings: derived from the runs, but for what people did.
CREATE TABLE finding_events (
    finding     INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    kind        INTEGER NOT NULL,
    run         INTEGER,
    -- JSON, what the kind does not say.
    body        TEXT,
    PRIMARY KEY (finding, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX finding_events_by_run ON finding_events (run, kind) WHERE run IS NOT NULL;

-- How many findings there are in each bucket: of a target, and (target 0) of its namespace.
CREATE TABLE bucket_counts (
    namespace   INTEGER NOT NULL,
    target      INTEGER NOT NULL,
    bucket      INTEGER NOT NULL,
    findings    INTEGER NOT NULL,
    PRIMARY KEY (namespace, target, bucket)
) STRICT, WITHOUT ROWID;

-- How many findings became something to do, and how many were done, on each day: of a target, and (target 0) of its namespace.
CREATE TABLE day_counts (
    namespace   INTEGER NOT NULL,
    target      INTEGER NOT NULL,
    day         INTEGER NOT NULL,
    severity    INTEGER NOT NULL,
    opened      INTEGER NOT NULL,
    closed      INTEGER NOT NULL,
    PRIMARY KEY (namespace, target, day, severity)
) STRICT, WITHOUT ROWID;
