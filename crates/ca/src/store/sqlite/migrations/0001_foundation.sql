-- Cairn's store, schema 1. Append-only: once released, this file never changes.
--
-- Every table has an integer row key from a counter beside the public id, so that inserts are appends and secondary
-- indexes are small. Times are milliseconds since the epoch, UTC. Enumerations are small integers; a value that this
-- version does not know is refused when it is read. CHECKs of enumerations hold only their lower end, so that a new value
-- needs no table rebuilt.

CREATE TABLE meta (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    store_id       BLOB    NOT NULL CHECK (length(store_id) = 16),       -- this store, through backups and restores
    epoch          INTEGER NOT NULL CHECK (epoch BETWEEN 1 AND 127),     -- raised by each restore; first octet of serials
    latest_time    INTEGER NOT NULL,                                     -- the newest time that was ever told to the store
    created_at     INTEGER NOT NULL
) STRICT;

CREATE TABLE schema_migrations (
    number         INTEGER PRIMARY KEY,
    name           TEXT    NOT NULL,
    oldest_server  INTEGER NOT NULL,                                     -- the oldest schema whose code may still run on it
    applied_at     INTEGER NOT NULL
) STRICT;

-- The nonce window of a clean stop; deleted durably before the first request of the next start.
CREATE TABLE nonce_window (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    bytes          BLOB    NOT NULL
) STRICT;

-- Every base URL that URLs were ever made from; the newest is in force, the others stay valid in kid.
CREATE TABLE base_urls (
    row            INTEGER PRIMARY KEY,
    directory_id   INTEGER NOT NULL,
    url            TEXT    NOT NULL,
    since          INTEGER NOT NULL,
    UNIQUE (directory_id, url)
) STRICT;

-- Every base URL that certificates were ever made to name CRLs and issuers under; the newest is in force.
CREATE TABLE publication_urls (
    row            INTEGER PRIMARY KEY,
    url            TEXT    NOT NULL UNIQUE,
    since          INTEGER NOT NULL
) STRICT;

-- Bytes written to find out whether the disk takes writes again.
CREATE TABLE probe (
    one            INTEGER PRIMARY KEY CHECK (one = 1),
    bytes          BLOB    NOT NULL
) STRICT;

CREATE TABLE accounts (
    row            INTEGER PRIMARY KEY,
    id             BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    directory_id   INTEGER NOT NULL,
    thumbprint     BLOB    NOT NULL CHECK (length(thumbprint) = 32),     -- RFC 7638, SHA-256
    spki_sha256    BLOB    NOT NULL CHECK (length(spki_sha256) = 32),    -- compared with certificates' keys
    jwk            TEXT    NOT NULL,                                     -- the public key, canonical
    status         INTEGER NOT NULL CHECK (status >= 0),                 -- valid, deactivated, revoked
    contacts       TEXT    NOT NULL,                                     -- JSON array of URLs
    terms_agreed   INTEGER NOT NULL CHECK (terms_agreed IN (0, 1)),
    url            TEXT    NOT NULL,                                     -- as given out, for ever
    created_at     INTEGER NOT NULL
) STRICT;
-- Read by newAccount: one account for each key and directory.
CREATE UNIQUE INDEX accounts_by_key ON accounts (thumbprint, directory_id);
-- Read by begin_issuance: no certificate for an account's key.
CREATE INDEX accounts_by_spki ON accounts (spki_sha256);

CREATE TABLE orders (
    row            INTEGER PRIMARY KEY,
    id             BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    account_id     BLOB    NOT NULL CHECK (length(account_id) = 16),
    directory_id   INTEGER NOT NULL,
    state          INTEGER NOT NULL CHECK (state >= 0),                  -- open, processing, valid, invalid
    attempts       INTEGER NOT NULL CHECK (attempts BETWEEN 0 AND 255),  -- serials given to it
    fingerprint    INTEGER NOT NULL,                                     -- equal for equal requests
    expires        INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    identifiers    TEXT    NOT NULL,                                     -- JSON, sorted
    authorizations BLOB    NOT NULL CHECK (length(authorizations) % 16 = 0), -- ids, one for each identifier
    profile        TEXT,                                                 -- as asked for
    profile_hash   BLOB    NOT NULL CHECK (length(profile_hash) = 32),
    replaces       TEXT,                                                 -- RFC 9773
    not_before     INTEGER,
    not_after      INTEGER,
    issuer_id      BLOB    CHECK (length(issuer_id) = 16),               -- of the certificate, with serial
    serial         BLOB    CHECK (length(serial) = 19),
    error          TEXT,                                                 -- problem document
    CHECK ((issuer_id IS NULL) = (serial IS NULL))
) STRICT;
-- Read by create_order (reuse), deactivations and the sweep. Partial: finished orders cost nothing here.
CREATE INDEX orders_unfinished ON orders (account_id, fingerprint) WHERE state <= 1;

CREATE TABLE authorizations (
    row             INTEGER PRIMARY KEY,
    id              BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    account_id      BLOB    NOT NULL CHECK (length(account_id) = 16),
    order_id        BLOB    CHECK (length(order_id) = 16),               -- the order that it was made for, if for one
    directory_id    INTEGER NOT NULL,
    status          INTEGER NOT NULL CHECK (status >= 0),                -- pending, valid, invalid, deactivated, expired, revoked
    identifier_type INTEGER NOT NULL CHECK (identifier_type >= 0),       -- dns, ip
    identifier      TEXT    NOT NULL,                                    -- without *.
    wildcard        INTEGER NOT NULL CHECK (wildcard IN (0, 1)),
    expires         INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    token           TEXT    NOT NULL,                                    -- one for all its challenges
    challenges      TEXT    NOT NULL,                                    -- JSON array
    evidence        TEXT,                                                -- JSON; present if it was ever valid
    trace           TEXT                                                 -- JSON; what each attempt did and saw
) STRICT;
-- Read by create_order: reuse of valid authorizations.
CREATE INDEX authorizations_valid ON authorizations (account_id, identifier) WHERE status = 1;

-- What is searched for. Never updated: how the signing ended is in certificate_outcomes.
CREATE TABLE certificates (
    row            INTEGER PRIMARY KEY,
    issuer_id      BLOB    NOT NULL CHECK (length(issuer_id) = 16),
    serial         BLOB    NOT NULL CHECK (length(serial) = 19),
    spki_sha256    BLOB    NOT NULL CHECK (length(spki_sha256) = 32),
    account_id     BLOB    NOT NULL CHECK (length(account_id) = 16),
    order_id       BLOB    NOT NULL CHECK (length(order_id) = 16),
    directory_id   INTEGER NOT NULL,
    not_before     INTEGER NOT NULL,
    not_after      INTEGER NOT NULL,
    crl_shard      INTEGER NOT NULL CHECK (crl_shard >= 0),
    profile_hash   BLOB    NOT NULL CHECK (length(profile_hash) = 32),
    names          TEXT    NOT NULL,                                     -- JSON
    created_at     INTEGER NOT NULL
) STRICT;
-- Read by whoever asks for a certificate; keeps any serial from being given twice.
CREATE UNIQUE INDEX certificates_by_serial ON certificates (serial, issuer_id);
-- Read by newAccount: no account for a live certificate's key. Eight octets find it; the whole hash, which would make
-- this the largest of the indexes whose pages are touched at random, is compared in the row.
CREATE INDEX certificates_by_spki ON certificates (substr(spki_sha256, 1, 8));

-- What was permitted to be signed, and why; stored before the signature can exist.
CREATE TABLE certificate_bodies (
    certificate    INTEGER PRIMARY KEY,                                  -- certificates.row
    tbs            BLOB    NOT NULL,                                     -- the DER's first part, stored once
    lint           TEXT    NOT NULL,
    evidence       TEXT    NOT NULL,                                     -- JSON; outlives the authorizations
    request        BLOB    NOT NULL                                      -- the signed finalize
) STRICT;

-- How the signing ended; no row means that the permission was given and nothing is known yet.
CREATE TABLE certificate_outcomes (
    certificate    INTEGER PRIMARY KEY,                                  -- certificates.row
    state          INTEGER NOT NULL CHECK (state >= 1),                  -- issued, unconfirmed
    signature      BLOB,
    issued_at      INTEGER,
    CHECK (state <> 1 OR (signature IS NOT NULL AND issued_at IS NOT NULL))
) STRICT;
-- Read by `ca list --unconfirmed` and `ca status`.
CREATE INDEX certificates_unconfirmed ON certificate_outcomes (certificate) WHERE state = 2;

-- Read by `ca list NAME`.
CREATE TABLE certificate_names (
    name           TEXT    NOT NULL,
    certificate    INTEGER NOT NULL,                                     -- certificates.row
    PRIMARY KEY (name, certificate)
) STRICT, WITHOUT ROWID;

-- Follow-up work as data: at most one row for a subject, gone when it is done.
CREATE TABLE work (
    kind           INTEGER NOT NULL CHECK (kind >= 0),                   -- validate, issue
    subject        BLOB    NOT NULL CHECK (length(subject) = 16),        -- authorization or order
    challenge      INTEGER NOT NULL CHECK (challenge >= -1),             -- -1 none, http-01, dns-01, tls-alpn-01
    version        INTEGER NOT NULL CHECK (version >= 1),                -- of this row's meaning
    account_id     BLOB    NOT NULL CHECK (length(account_id) = 16),
    boot           BLOB    NOT NULL CHECK (length(boot) = 16),           -- the process incarnation that owns it
    generation     INTEGER NOT NULL CHECK (generation >= 0),             -- every conclusion is conditional on it
    attempts       INTEGER NOT NULL CHECK (attempts >= 0),
    until          INTEGER NOT NULL,                                     -- end of the lease
    PRIMARY KEY (subject, kind, challenge)
) STRICT, WITHOUT ROWID;

CREATE TABLE issuers (
    row             INTEGER PRIMARY KEY,
    id              BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),     -- of subject and SubjectPublicKeyInfo
    certificate_der BLOB    NOT NULL,
    crl_shards      INTEGER NOT NULL CHECK (crl_shards >= 1),            -- fixed: certificates name their shard
    created_at      INTEGER NOT NULL
) STRICT;

-- The highest CRL number ever reserved; it only rises.
CREATE TABLE crl_numbers (
    issuer_id      BLOB    NOT NULL CHECK (length(issuer_id) = 16),
    shard          INTEGER NOT NULL CHECK (shard >= 0),
    number         INTEGER NOT NULL CHECK (number >= 0),
    PRIMARY KEY (issuer_id, shard)
) STRICT, WITHOUT ROWID;

-- The CRL in force for each shard.
CREATE TABLE crls (
    row            INTEGER PRIMARY KEY,
    issuer_id      BLOB    NOT NULL CHECK (length(issuer_id) = 16),
    shard          INTEGER NOT NULL CHECK (shard >= 0),
    number         INTEGER NOT NULL CHECK (number >= 0),
    this_update    INTEGER NOT NULL,
    next_update    INTEGER NOT NULL,
    der            BLOB    NOT NULL,
    UNIQUE (issuer_id, shard)
) STRICT;

-- Immutable texts of profiles; orders and certificates name the hash.
CREATE TABLE profile_versions (
    hash           BLOB    PRIMARY KEY CHECK (length(hash) = 32),
    text           TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- A row here stops issuance within seconds; a NULL column means any.
CREATE TABLE issuance_stops (
    row            INTEGER PRIMARY KEY,
    issuer_id      BLOB    CHECK (length(issuer_id) = 16),
    profile_hash   BLOB    CHECK (length(profile_hash) = 32),
    method         TEXT,
    reason         TEXT    NOT NULL,
    since          INTEGER NOT NULL
) STRICT;

-- Written in the transaction that each row describes.
CREATE TABLE audit (
    row            INTEGER PRIMARY KEY,
    at             INTEGER NOT NULL,
    event          TEXT    NOT NULL,
    account_id     BLOB    CHECK (length(account_id) = 16),
    order_id       BLOB    CHECK (length(order_id) = 16),
    serial         BLOB    CHECK (length(serial) = 19),
    detail         TEXT    NOT NULL                                      -- JSON object
) STRICT;
-- Read by `ca show ORDER`; a serial's events are its order's.
CREATE INDEX audit_by_order ON audit (order_id) WHERE order_id IS NOT NULL;
-- Read by `ca show ACCOUNT`: what befell the account itself. Each event is in one of the two indexes.
CREATE INDEX audit_by_account ON audit (account_id) WHERE order_id IS NULL AND account_id IS NOT NULL;
