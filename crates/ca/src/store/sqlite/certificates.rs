//! Certificates: rows to search, bodies to sign, outcomes of signing, names to find them by. A certificate's rows are
//! only ever added; the signature is a row of its own, so that concluding an issuance appends too.

use cairn_acme::{identifier::Identifier, time::Timestamp};
use cairn_x509::certificate::Serial;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    code::{
        Code, Fault, count, from_json, millis_opt, serial, serial_bytes, time, time_opt, to_json,
    },
    revocations,
};
use crate::{
    id::{AccountId, DirectoryId, IssuerId, OrderId},
    model::{Certificate, CertificateKey, CertificateState},
    store::Filter,
};

const TABLE: &str = "certificates";

macro_rules! select {
    ($rest:expr) => {
        concat!(
            "SELECT c.row, c.issuer_id, c.serial, c.spki_sha256, c.account_id, c.order_id, c.directory_id, c.not_before, \
             c.not_after, c.crl_shard, c.profile_hash, c.names, c.created_at, b.tbs, b.lint, b.evidence, b.request, \
             o.state, o.signature, o.issued_at, v.reason, v.revoked_at, v.revoker, v.account_id FROM ",
            $rest
        )
    };
}

macro_rules! joined {
    ($rest:expr) => {
        select!(concat!(
            "certificates c JOIN certificate_bodies b ON b.certificate = c.row \
             LEFT JOIN certificate_outcomes o ON o.certificate = c.row \
             LEFT JOIN revocations v ON v.serial = c.serial AND v.issuer_id = c.issuer_id ",
            $rest
        ))
    };
}

const BY_KEY: &str = joined!("WHERE c.serial = ?1 AND c.issuer_id = ?2");
const BY_SERIAL: &str = joined!("WHERE c.serial = ?1 ORDER BY c.row DESC LIMIT 1");
const ROW_OF: &str = "SELECT row FROM certificates WHERE serial = ?1 AND issuer_id = ?2";
const LIVE_SPKI: &str = "SELECT 1 FROM certificates WHERE substr(spki_sha256, 1, 8) = substr(?1, 1, 8) AND spki_sha256 = ?1 \
                         AND not_after >= ?2 LIMIT 1";
const INSERT: &str = "INSERT INTO certificates (row, issuer_id, serial, spki_sha256, account_id, order_id, directory_id, \
                      not_before, not_after, crl_shard, profile_hash, names, created_at) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
const INSERT_BODY: &str = "INSERT INTO certificate_bodies (certificate, tbs, lint, evidence, request) VALUES (?1, ?2, ?3, ?4, ?5)";
const INSERT_NAME: &str =
    "INSERT OR IGNORE INTO certificate_names (name, certificate) VALUES (?1, ?2)";
// An issued certificate stays issued; an unconfirmed one whose signature turns up becomes issued.
const PUT_OUTCOME: &str = "INSERT INTO certificate_outcomes (certificate, state, signature, issued_at) \
                           VALUES (?1, ?2, ?3, ?4) ON CONFLICT (certificate) DO UPDATE SET state = excluded.state, \
                           signature = excluded.signature, issued_at = excluded.issued_at WHERE state = 2";
const LIST: &str = joined!(
    "WHERE c.row < ?1 AND (?2 IS NULL OR c.account_id = ?2) AND (?3 IS NULL OR ifnull(o.state, 0) = ?3) \
     AND (?4 IS NULL OR c.not_after < ?4) AND (?5 IS NULL OR c.serial = ?5) AND (?7 IS NULL OR c.not_after >= ?7) \
     AND (?8 IS NULL OR (v.row IS NOT NULL) = ?8) ORDER BY c.row DESC LIMIT ?6"
);
const LIST_BY_NAME: &str = select!(
    "certificate_names n JOIN certificates c ON c.row = n.certificate \
     JOIN certificate_bodies b ON b.certificate = c.row LEFT JOIN certificate_outcomes o ON o.certificate = c.row \
     LEFT JOIN revocations v ON v.serial = c.serial AND v.issuer_id = c.issuer_id \
     WHERE n.name = ?9 AND (?8 IS NULL OR (v.row IS NOT NULL) = ?8) AND n.certificate < ?1 AND (?2 IS NULL OR c.account_id = ?2) \
     AND (?3 IS NULL OR ifnull(o.state, 0) = ?3) AND (?4 IS NULL OR c.not_after < ?4) AND (?5 IS NULL OR c.serial = ?5) \
     AND (?7 IS NULL OR c.not_after >= ?7) ORDER BY n.certificate DESC LIMIT ?6"
);
const UNCONFIRMED: &str = select!(
    "certificate_outcomes o INDEXED BY certificates_unconfirmed JOIN certificates c ON c.row = o.certificate \
     JOIN certificate_bodies b ON b.certificate = c.row \
     LEFT JOIN revocations v ON v.serial = c.serial AND v.issuer_id = c.issuer_id \
     WHERE o.state = 2 AND v.row IS NULL AND o.certificate < ?1 AND (?3 IS NULL OR c.not_after >= ?3) \
     ORDER BY o.certificate DESC LIMIT ?2"
);

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    BY_KEY,
    BY_SERIAL,
    ROW_OF,
    LIVE_SPKI,
    INSERT,
    INSERT_BODY,
    INSERT_NAME,
    PUT_OUTCOME,
    LIST,
    LIST_BY_NAME,
    UNCONFIRMED,
];

fn read(row: &Row<'_>) -> Result<Certificate, Fault> {
    let names: String = row.get(11)?;
    let state = match row.get::<_, Option<i64>>(17)? {
        None => CertificateState::Permitted,
        Some(code) => CertificateState::from_code("certificate_outcomes", code)?,
    };
    Ok(Certificate {
        key: CertificateKey {
            issuer: IssuerId(row.get(1)?),
            serial: serial(TABLE, row.get(2)?)?,
        },
        spki_sha256: row.get(3)?,
        account: AccountId::from_bytes(row.get(4)?),
        order: OrderId::from_bytes(row.get(5)?),
        directory: DirectoryId(row.get(6)?),
        not_before: time(row.get(7)?),
        not_after: time(row.get(8)?),
        crl_shard: count(TABLE, row.get(9)?)?,
        profile_hash: row.get(10)?,
        names: from_json::<Vec<Identifier>>(TABLE, &names)?,
        created_at: time(row.get(12)?),
        tbs: row.get(13)?,
        lint: row.get(14)?,
        evidence: row.get(15)?,
        request: row.get(16)?,
        state,
        signature: row.get(18)?,
        issued_at: time_opt(row.get(19)?),
        revocation: revocations::joined(row, 20)?,
    })
}

fn read_all(mut rows: rusqlite::Rows<'_>) -> Result<Vec<(i64, Certificate)>, Fault> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get(0)?, read(row)?));
    }
    Ok(found)
}

/// The certificate with this key.
pub(super) fn by_key(
    conn: &Connection,
    key: &CertificateKey,
) -> Result<Option<Certificate>, Fault> {
    let mut statement = conn.prepare_cached(BY_KEY)?;
    let mut rows = statement.query(params![serial_bytes(&key.serial), key.issuer.0])?;
    rows.next()?.map(read).transpose()
}

/// The newest certificate with this serial, of whichever of this store's issuers.
pub(super) fn by_serial(conn: &Connection, serial: &Serial) -> Result<Option<Certificate>, Fault> {
    let mut statement = conn.prepare_cached(BY_SERIAL)?;
    let mut rows = statement.query(params![serial_bytes(serial)])?;
    rows.next()?.map(read).transpose()
}

/// Whether a certificate that has not expired carries the key.
pub(super) fn has_live_spki(
    conn: &Connection,
    spki_sha256: &[u8; 32],
    now: Timestamp,
) -> Result<bool, Fault> {
    let mut statement = conn.prepare_cached(LIVE_SPKI)?;
    Ok(statement
        .query_row(params![spki_sha256, now.as_millis()], |_| Ok(()))
        .optional()?
        .is_some())
}

/// Adds it with its body and names.
pub(super) fn insert(conn: &Connection, row: i64, certificate: &Certificate) -> Result<(), Fault> {
    conn.prepare_cached(INSERT)?
        .execute(params![
            row,
            certificate.key.issuer.0,
            serial_bytes(&certificate.key.serial),
            certificate.spki_sha256,
            certificate.account.as_bytes(),
            certificate.order.as_bytes(),
            certificate.directory.0,
            certificate.not_before.as_millis(),
            certificate.not_after.as_millis(),
            certificate.crl_shard,
            certificate.profile_hash,
            to_json(TABLE, &certificate.names)?,
            certificate.created_at.as_millis(),
        ])
        .map_err(Fault::of_insert(TABLE))?;
    conn.prepare_cached(INSERT_BODY)?.execute(params![
        row,
        certificate.tbs,
        certificate.lint,
        certificate.evidence,
        certificate.request,
    ])?;
    for name in &certificate.names {
        conn.prepare_cached(INSERT_NAME)?
            .execute(params![name.to_string(), row])?;
    }
    if certificate.state != CertificateState::Permitted {
        put_outcome(conn, row, certificate)?;
    }
    Ok(())
}

/// Writes how the signing ended.
pub(super) fn update(conn: &Connection, certificate: &Certificate) -> Result<(), Fault> {
    let row: Option<i64> = conn
        .prepare_cached(ROW_OF)?
        .query_row(
            params![
                serial_bytes(&certificate.key.serial),
                certificate.key.issuer.0
            ],
            |row| row.get(0),
        )
        .optional()?;
    let row = row.ok_or_else(|| Fault::row(TABLE, "the certificate to conclude is not there"))?;
    put_outcome(conn, row, certificate)
}

fn put_outcome(conn: &Connection, row: i64, certificate: &Certificate) -> Result<(), Fault> {
    if certificate.state == CertificateState::Permitted {
        return Err(Fault::row(
            "certificate_outcomes",
            "a permission cannot be given back",
        ));
    }
    let changed = conn.prepare_cached(PUT_OUTCOME)?.execute(params![
        row,
        certificate.state.code(),
        certificate.signature,
        millis_opt(certificate.issued_at),
    ])?;
    if changed != 1 {
        return Err(Fault::row(
            "certificate_outcomes",
            "the certificate is issued already; its signature is for ever",
        ));
    }
    Ok(())
}

/// What a state's word asks for: how the signing ended, and whether the certificate is revoked. An operator's list shows
/// what is revoked as that and as nothing else.
fn state_of(word: &str) -> Result<(Option<i64>, Option<bool>), Fault> {
    Ok(match word {
        "permitted" => (Some(0), Some(false)),
        "issued" | "valid" => (Some(CertificateState::Issued.code()), Some(false)),
        "unconfirmed" => (Some(CertificateState::Unconfirmed.code()), Some(false)),
        "revoked" => (None, Some(true)),
        other => {
            return Err(Fault::row(
                TABLE,
                format!("no certificate has the state {other:?}"),
            ));
        }
    })
}

/// Newest first, from before the row `after`.
pub(super) fn list(conn: &Connection, filter: &Filter) -> Result<Vec<(i64, Certificate)>, Fault> {
    let (state, revoked) = match (&filter.state, filter.unconfirmed) {
        (_, true) => state_of("unconfirmed")?,
        (Some(word), false) => state_of(word)?,
        (None, false) => (None, None),
    };
    let account = filter.account.as_ref().map(|a| *a.as_bytes());
    let expires = millis_opt(filter.expires_before);
    let expires_from = millis_opt(filter.expires_from);
    let serial = filter.serial.as_ref().map(serial_bytes);
    if let Some(name) = &filter.name {
        let mut statement = conn.prepare_cached(LIST_BY_NAME)?;
        return read_all(statement.query(params![
            filter.before(),
            account,
            state,
            expires,
            serial,
            filter.page(),
            expires_from,
            revoked,
            name
        ])?);
    }
    let only_unconfirmed = state == Some(CertificateState::Unconfirmed.code())
        && account.is_none()
        && expires.is_none()
        && serial.is_none();
    if only_unconfirmed {
        return unconfirmed(conn, filter.before(), filter.page(), expires_from);
    }
    let mut statement = conn.prepare_cached(LIST)?;
    read_all(statement.query(params![
        filter.before(),
        account,
        state,
        expires,
        serial,
        filter.page(),
        expires_from,
        revoked,
    ])?)
}

/// Those of which nobody knows whether their signature exists, and that are not revoked, newest first; ended ones too, if
/// no moment is given that they live to.
pub(super) fn unconfirmed(
    conn: &Connection,
    before: i64,
    limit: i64,
    expires_from: Option<i64>,
) -> Result<Vec<(i64, Certificate)>, Fault> {
    let mut statement = conn.prepare_cached(UNCONFIRMED)?;
    read_all(statement.query(params![before, limit, expires_from])?)
}
