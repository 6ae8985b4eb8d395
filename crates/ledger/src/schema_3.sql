-- Sets of findings with a name, to compare runs with.
CREATE TABLE baselines (
    namespace   INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    run         INTEGER NOT NULL,
    -- As in `runs`.
    target      INTEGER NOT NULL,
    seen        BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    created_by  TEXT    NOT NULL,
    PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;

-- Whom to tell what happens.
CREATE TABLE webhooks (
    id          TEXT PRIMARY KEY,
    namespace   TEXT    NOT NULL,
    url         TEXT    NOT NULL,
    -- What bodies are signed with. Both sides need it in the clear.
    secret      TEXT    NOT NULL,
    -- JSON: names of events.
    events      TEXT    NOT NULL,
    is_enabled  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    created_by  TEXT    NOT NULL,
    version     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is to be told: written with what it tells of, and gone some time after it was told.
CREATE TABLE deliveries (
    no          INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL,
    webhook     TEXT    NOT NULL,
    event       TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    -- pending, delivered, dead
    state       TEXT    NOT NULL,
    attempts    INTEGER NOT NULL,
    -- When it may be claimed: it is due, or whoever claimed it has said nothing for too long.
    next_at     INTEGER,
    -- Counts claims: an answer to an earlier one changes nothing.
    claim       INTEGER NOT NULL,
    -- What the last attempt came to.
    answer      TEXT,
    done_at     INTEGER
) STRICT;
CREATE UNIQUE INDEX deliveries_by_id ON deliveries (id);
CREATE INDEX deliveries_due ON deliveries (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_by_webhook ON deliveries (webhook);
CREATE INDEX deliveries_done ON deliveries (done_at) WHERE done_at IS NOT NULL;

-- Quotas and other choices of a namespace: JSON.
CREATE TABLE settings (
    namespace   TEXT PRIMARY KEY,
    body        TEXT    NOT NULL,
    version     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What was answered to requests with an idempotency key.
CREATE TABLE answers (
    principal   TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    -- Of the request: a key is good for one.
    request     BLOB    NOT NULL,
    -- None: it is being done.
    status      INTEGER,
    headers     TEXT,
    body        BLOB,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (principal, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_by_expiry ON answers (expires_at);
CREATE INDEX answers_unanswered ON answers (principal) WHERE status IS NULL;
