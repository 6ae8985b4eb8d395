-- Who may come in, and who changed what.

CREATE TABLE tokens (
    id          TEXT PRIMARY KEY,
    -- Of the secret part; the secret itself is nowhere.
    hash        BLOB    NOT NULL,
    name        TEXT    NOT NULL,
    role        TEXT    NOT NULL,
    -- JSON of `Scope`.
    scope       TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    created_by  TEXT    NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER,
    revoked_by  TEXT,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

-- For one login each. A code that was used is gone.
CREATE TABLE login_codes (
    id          TEXT PRIMARY KEY,
    hash        BLOB    NOT NULL,
    name        TEXT    NOT NULL,
    role        TEXT    NOT NULL,
    scope       TEXT    NOT NULL,
    session_ms  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Of browsers. A session that was ended is gone.
CREATE TABLE sessions (
    id          TEXT PRIMARY KEY,
    hash        BLOB    NOT NULL,
    name        TEXT    NOT NULL,
    role        TEXT    NOT NULL,
    scope       TEXT    NOT NULL,
    -- The token it was opened with: it ends with that.
    token       TEXT,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    no          INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    -- Name, way and address of `Actor`.
    actor       TEXT    NOT NULL,
    via         TEXT    NOT NULL,
    address     TEXT,
    action      TEXT    NOT NULL,
    -- None: it is about all of them.
    namespace   TEXT,
    subject     TEXT    NOT NULL,
    -- JSON, small, never with a secret.
    detail      TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_actor ON audit (actor, at);
CREATE INDEX audit_action ON audit (action, at);
CREATE INDEX audit_namespace ON audit (namespace, at);
CREATE INDEX audit_subject ON audit (subject, at);
CREATE INDEX audit_at ON audit (at);
