-- With what unknown endpoints of the mesh join. The secret of a ticket is stored hashed.
CREATE TABLE mesh_tickets (
    id              TEXT PRIMARY KEY,
    hash            BLOB    NOT NULL,
    name            TEXT    NOT NULL,
    role            TEXT    NOT NULL,
    scope           TEXT    NOT NULL,
    -- None: any number.
    uses_left       INTEGER,
    needs_approval  INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    created_by      TEXT    NOT NULL,
    expires_at      INTEGER NOT NULL,
    revoked_at      INTEGER
) STRICT, WITHOUT ROWID;

-- Endpoints of the mesh: each is a key.
CREATE TABLE mesh_peers (
    id              TEXT PRIMARY KEY,
    -- What it calls itself.
    name            TEXT    NOT NULL,
    role            TEXT    NOT NULL,
    scope           TEXT    NOT NULL,
    ticket          TEXT    NOT NULL,
    -- pending, approved, revoked
    state           TEXT    NOT NULL,
    joined_at       INTEGER NOT NULL,
    -- Who approved of it or took that back, and when.
    decided_at      INTEGER NOT NULL,
    decided_by      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
