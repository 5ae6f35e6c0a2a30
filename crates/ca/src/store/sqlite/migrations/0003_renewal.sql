-- Schema 3: renewal information and replacements (RFC 9773).

-- Certificates that their operator wants replaced soon: their renewal window lies in the past from then on.
CREATE TABLE certificates_set_aside (
    serial         BLOB    NOT NULL CHECK (length(serial) = 19),
    issuer_id      BLOB    NOT NULL CHECK (length(issuer_id) = 16),
    at             INTEGER NOT NULL,
    explanation    TEXT,                                                 -- URL of a page that says why
    PRIMARY KEY (serial, issuer_id)
) STRICT, WITHOUT ROWID;

-- Which order replaces a certificate, by the name that the order claimed: one at most. An order that becomes invalid
-- gives its claim up; a valid one keeps it, also when the order itself was swept.
CREATE TABLE replacements (
    certificate    TEXT    NOT NULL PRIMARY KEY,                         -- RFC 9773 §4.1, canonical
    order_id       BLOB    NOT NULL CHECK (length(order_id) = 16)
) STRICT, WITHOUT ROWID;
