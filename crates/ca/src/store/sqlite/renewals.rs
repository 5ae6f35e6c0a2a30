//! What RFC 9773 needs to be known of certificates: which are set aside, which order replaces which, and the few columns
//! that a renewal window is made from.

use cairn_acme::{renewal::CertId, time::Timestamp};
use cairn_x509::certificate::Serial;
use rusqlite::{Connection, OptionalExtension, params};

use super::code::{Code, Fault, serial_bytes, time, time_opt};
use crate::{
    id::{IssuerId, OrderId},
    model::{CertificateKey, CertificateState, RenewalFacts, SetAside},
    store::Claim,
};

// The newest certificate of the serial, as `certificates::BY_SERIAL`.
const FACTS: &str = "SELECT c.issuer_id, c.not_before, c.not_after, o.state, s.at, s.explanation, v.revoked_at FROM certificates c \
                     LEFT JOIN revocations v ON v.serial = c.serial AND v.issuer_id = c.issuer_id \
                     LEFT JOIN certificate_outcomes o ON o.certificate = c.row \
                     LEFT JOIN certificates_set_aside s ON s.serial = c.serial AND s.issuer_id = c.issuer_id \
                     WHERE c.serial = ?1 ORDER BY c.row DESC LIMIT 1";
const SET_ASIDE: &str =
    "SELECT at, explanation FROM certificates_set_aside WHERE serial = ?1 AND issuer_id = ?2";
// The moment stays the first one: a window that lies in the past does not move again.
const PUT_ASIDE: &str = "INSERT INTO certificates_set_aside (serial, issuer_id, at, explanation) VALUES (?1, ?2, ?3, ?4) \
     ON CONFLICT (serial, issuer_id) DO UPDATE SET explanation = excluded.explanation";
const CLAIMANT: &str = "SELECT order_id FROM replacements WHERE certificate = ?1";
const CLAIM: &str = "INSERT INTO replacements (certificate, order_id) VALUES (?1, ?2) \
                     ON CONFLICT (certificate) DO UPDATE SET order_id = excluded.order_id WHERE order_id = ?3";
const RELEASE: &str = "DELETE FROM replacements WHERE certificate = ?1 AND order_id = ?2";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[FACTS, SET_ASIDE, PUT_ASIDE, CLAIMANT, CLAIM, RELEASE];

/// What a renewal window is made from; `None` for a serial that no certificate has whose signature is stored.
pub(super) fn facts(conn: &Connection, serial: &Serial) -> Result<Option<RenewalFacts>, Fault> {
    let mut statement = conn.prepare_cached(FACTS)?;
    let mut rows = statement.query(params![serial_bytes(serial)])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let state = match row.get::<_, Option<i64>>(3)? {
        None => CertificateState::Permitted,
        Some(code) => CertificateState::from_code("certificate_outcomes", code)?,
    };
    if state != CertificateState::Issued {
        return Ok(None);
    }
    // A revoked certificate is to be replaced as one that was set aside is, from the earlier of both moments on.
    let (moved, revoked) = (time_opt(row.get(4)?), time_opt(row.get(6)?));
    let moved = moved.into_iter().chain(revoked).min();
    let explanation = row.get(5)?;
    Ok(Some(RenewalFacts {
        key: CertificateKey {
            issuer: IssuerId(row.get(0)?),
            serial: *serial,
        },
        not_before: time(row.get(1)?),
        not_after: time(row.get(2)?),
        set_aside: moved.map(|at| SetAside { at, explanation }),
    }))
}

/// Whether and since when the certificate is set aside.
pub(super) fn set_aside(
    conn: &Connection,
    key: &CertificateKey,
) -> Result<Option<SetAside>, Fault> {
    let mut statement = conn.prepare_cached(SET_ASIDE)?;
    let mut rows = statement.query(params![serial_bytes(&key.serial), key.issuer.0])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some(SetAside {
        at: time(row.get(0)?),
        explanation: row.get(1)?,
    }))
}

/// Sets it aside.
pub(super) fn put_aside(
    conn: &Connection,
    key: &CertificateKey,
    aside: &SetAside,
) -> Result<(), Fault> {
    conn.prepare_cached(PUT_ASIDE)?.execute(params![
        serial_bytes(&key.serial),
        key.issuer.0,
        Timestamp::as_millis(aside.at),
        aside.explanation,
    ])?;
    Ok(())
}

/// The order that replaces the certificate.
pub(super) fn claimant(conn: &Connection, certificate: &CertId) -> Result<Option<OrderId>, Fault> {
    let found: Option<[u8; 16]> = conn
        .prepare_cached(CLAIMANT)?
        .query_row(params![certificate.to_string()], |row| row.get(0))
        .optional()?;
    Ok(found.map(OrderId::from_bytes))
}

/// Writes who replaces it, in place of the order whose claim was found void. Any other claim is a collision.
pub(super) fn claim(conn: &Connection, claim: &Claim) -> Result<(), Fault> {
    let changed = conn.prepare_cached(CLAIM)?.execute(params![
        claim.certificate.to_string(),
        claim.order.as_bytes(),
        claim.instead_of.as_ref().map(OrderId::as_bytes),
    ])?;
    if changed != 1 {
        return Err(Fault::Collision("replacements"));
    }
    Ok(())
}

/// Takes the order's claim away, if it is still its own.
pub(super) fn release(
    conn: &Connection,
    certificate: &CertId,
    order: OrderId,
) -> Result<(), Fault> {
    conn.prepare_cached(RELEASE)?
        .execute(params![certificate.to_string(), order.as_bytes()])?;
    Ok(())
}
