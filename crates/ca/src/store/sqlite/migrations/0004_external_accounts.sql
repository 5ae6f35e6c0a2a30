-- Schema 4: external accounts (RFC 8555 §7.3.4). A server of schema 3 would not know to which names an account is limited: it
-- may not run on this one.

-- Keys that the operator gave to somebody, with which accounts are opened. None is ever deleted: a kid has one meaning.
CREATE TABLE external_keys (
    row             INTEGER PRIMARY KEY,
    id              BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),     -- the kid
    directory_id    INTEGER NOT NULL,
    owner           TEXT,
    allowed         TEXT    NOT NULL,                                    -- JSON array of what its accounts may order; empty: any
    many            INTEGER NOT NULL CHECK (many IN (0, 1)),             -- opens any number of accounts, or one
    expires         INTEGER,
    sealed          BLOB    NOT NULL,                                    -- the secret, under the key ring
    created_at      INTEGER NOT NULL,
    revoked_at      INTEGER,
    uses            INTEGER NOT NULL CHECK (uses >= 0),                  -- accounts that it opened
    last_account_id BLOB    CHECK (length(last_account_id) = 16),        -- the newest of them
    last_use        INTEGER,
    CHECK (many = 1 OR uses <= 1),
    CHECK ((uses = 0) = (last_account_id IS NULL) AND (uses = 0) = (last_use IS NULL))
) STRICT;

-- What the account keeps of the key that opened it: JSON of key, owner, allowed, binding.
ALTER TABLE accounts ADD COLUMN external TEXT;
