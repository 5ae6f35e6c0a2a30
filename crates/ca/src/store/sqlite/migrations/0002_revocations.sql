-- Schema 2: revocation. A server of schema 1 would sign CRLs without entries: it may not run on this one.

-- What was revoked, for ever. The certificate itself may be unknown here: a restore takes over what was revoked since its
-- backup. `row` rises with every revocation and with every change of one, so that a CRL that lists all rows up to one of
-- them is known by that number.
CREATE TABLE revocations (
    row            INTEGER PRIMARY KEY,
    issuer_id      BLOB    NOT NULL CHECK (length(issuer_id) = 16),
    serial         BLOB    NOT NULL CHECK (length(serial) = 19),
    crl_shard      INTEGER NOT NULL CHECK (crl_shard >= 0),              -- as the certificate names it
    not_after      INTEGER NOT NULL,                                     -- of the certificate
    reason         INTEGER NOT NULL CHECK (reason >= 0),                 -- CRLReason; 0 is left out of CRLs
    revoked_at     INTEGER NOT NULL,
    revoker        INTEGER NOT NULL CHECK (revoker >= 0),                -- subscriber, name holder, key holder, operator, restore
    account_id     BLOB    CHECK (length(account_id) = 16),              -- of the first two
    listed         INTEGER NOT NULL CHECK (listed IN (0, 1)),            -- whether CRLs carry it
    CHECK (revoker > 1 OR account_id IS NOT NULL)
) STRICT;
-- Read with the certificate; one entry for each.
CREATE UNIQUE INDEX revocations_by_serial ON revocations (serial, issuer_id);
-- Read by whoever makes a CRL, page by page.
CREATE INDEX revocations_listed ON revocations (issuer_id, crl_shard) WHERE listed = 1;
-- Read by the sweep: what a regular CRL has listed after the certificate's end leaves the lists.
CREATE INDEX revocations_ending ON revocations (not_after) WHERE listed = 1;

-- Which CRL was the first to list all of its shard's revocations up to that row.
CREATE TABLE crl_reaches (
    issuer_id      BLOB    NOT NULL CHECK (length(issuer_id) = 16),
    shard          INTEGER NOT NULL CHECK (shard >= 0),
    reach          INTEGER NOT NULL,                                     -- revocations.row
    number         INTEGER NOT NULL,
    PRIMARY KEY (issuer_id, shard, reach)
) STRICT, WITHOUT ROWID;

-- The CRL in force lists everything up to here; and the same of the last one that came by schedule, with its thisUpdate.
ALTER TABLE crls ADD COLUMN reach INTEGER NOT NULL DEFAULT 0;
ALTER TABLE crls ADD COLUMN regular_reach INTEGER NOT NULL DEFAULT 0;
ALTER TABLE crls ADD COLUMN regular_at INTEGER NOT NULL DEFAULT 0;

-- Keys that were shown to be in others' hands: none of them opens an account or goes into a certificate again.
CREATE TABLE blocked_keys (
    spki_sha256    BLOB    PRIMARY KEY CHECK (length(spki_sha256) = 32),
    issuer_id      BLOB    NOT NULL CHECK (length(issuer_id) = 16),      -- of the certificate that showed it
    serial         BLOB    NOT NULL CHECK (length(serial) = 19),
    since          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
