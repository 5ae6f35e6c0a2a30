-- Schema 5: several directories, and what accounts agreed to. A server of before would take accounts of every directory
-- as its one's.

-- The directories by name; the first is the one that `ca init` makes. A name keeps its id when it leaves the configuration
-- and comes back.
CREATE TABLE directories (
    id             INTEGER PRIMARY KEY CHECK (id > 0),
    name           TEXT    NOT NULL UNIQUE,
    since          INTEGER NOT NULL
) STRICT;
INSERT INTO directories (id, name, since) VALUES (1, 'default', 0);

-- The URL of the terms that the account agreed to last, and when; none where it did before this was kept.
ALTER TABLE accounts ADD COLUMN terms_url TEXT;
ALTER TABLE accounts ADD COLUMN terms_at  INTEGER;
