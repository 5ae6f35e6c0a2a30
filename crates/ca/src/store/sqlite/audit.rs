//! Audit rows: each is written in the transaction that it describes.

use cairn_acme::time::Timestamp;
use cairn_x509::certificate::Serial;
use rusqlite::{Connection, Row, params};

use super::code::{Fault, serial, serial_bytes, time};
use crate::{
    id::{AccountId, OrderId},
    model::AuditEvent,
};

const TABLE: &str = "audit";

/// How many events one question answers at most.
const EVENTS_MAX: i64 = 1000;

const INSERT: &str = "INSERT INTO audit (row, at, event, account_id, order_id, serial, detail) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const OF_ORDER: &str = "SELECT at, event, account_id, order_id, serial, detail FROM audit WHERE order_id = ?1 \
                        ORDER BY row DESC LIMIT ?2";
const OF_ACCOUNT: &str = "SELECT at, event, account_id, order_id, serial, detail FROM audit \
                          WHERE account_id = ?1 AND order_id IS NULL ORDER BY row DESC LIMIT ?2";
const LATEST: &str =
    "SELECT at, event, account_id, order_id, serial, detail FROM audit ORDER BY row DESC LIMIT ?1";
const OLDEST: &str = "SELECT row, at FROM audit ORDER BY row LIMIT ?1";
const DELETE: &str = "DELETE FROM audit WHERE row <= ?1";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, OF_ORDER, OF_ACCOUNT, LATEST, OLDEST, DELETE];

/// An audit row as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// When.
    pub at: Timestamp,
    /// What; see [`AuditEvent::event`].
    pub event: String,
    /// Whose.
    pub account: Option<AccountId>,
    /// About which order.
    pub order: Option<OrderId>,
    /// About which certificate.
    pub serial: Option<Serial>,
    /// A JSON object.
    pub detail: String,
}

/// Whose events.
#[derive(Debug, Clone, Copy)]
pub enum AuditSubject {
    /// What befell the account itself; its orders have their own.
    Account(AccountId),
    /// The order's, its certificates' among them.
    Order(OrderId),
    /// The newest of all.
    Latest,
}

fn read(row: &Row<'_>) -> Result<AuditRecord, Fault> {
    let octets: Option<[u8; 19]> = row.get(4)?;
    Ok(AuditRecord {
        at: time(row.get(0)?),
        event: row.get(1)?,
        account: row
            .get::<_, Option<[u8; 16]>>(2)?
            .map(AccountId::from_bytes),
        order: row.get::<_, Option<[u8; 16]>>(3)?.map(OrderId::from_bytes),
        serial: octets.map(|o| serial(TABLE, o)).transpose()?,
        detail: row.get(5)?,
    })
}

/// Adds an event.
pub(super) fn insert(conn: &Connection, row: i64, event: &AuditEvent) -> Result<(), Fault> {
    conn.prepare_cached(INSERT)?.execute(params![
        row,
        event.at.as_millis(),
        event.event,
        event.account.as_ref().map(AccountId::as_bytes),
        event.order.as_ref().map(OrderId::as_bytes),
        event.serial.as_ref().map(serial_bytes),
        event.detail,
    ])?;
    Ok(())
}

/// The newest of the subject's events, oldest first; of `Latest` newest first.
pub(super) fn of(
    conn: &Connection,
    subject: AuditSubject,
    limit: usize,
) -> Result<Vec<AuditRecord>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(EVENTS_MAX).min(EVENTS_MAX);
    let mut found = Vec::new();
    let mut statement = match subject {
        AuditSubject::Account(_) => conn.prepare_cached(OF_ACCOUNT)?,
        AuditSubject::Order(_) => conn.prepare_cached(OF_ORDER)?,
        AuditSubject::Latest => conn.prepare_cached(LATEST)?,
    };
    let mut rows = match subject {
        AuditSubject::Account(id) => statement.query(params![id.as_bytes(), limit])?,
        AuditSubject::Order(id) => statement.query(params![id.as_bytes(), limit])?,
        AuditSubject::Latest => statement.query(params![limit])?,
    };
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    if !matches!(subject, AuditSubject::Latest) {
        found.reverse();
    }
    Ok(found)
}

/// Deletes events of before that moment, at most `limit`, oldest first.
pub(super) fn sweep(conn: &Connection, before: Timestamp, limit: i64) -> Result<usize, Fault> {
    let mut last = None;
    {
        let mut statement = conn.prepare_cached(OLDEST)?;
        let mut rows = statement.query(params![limit])?;
        while let Some(row) = rows.next()? {
            if row.get::<_, i64>(1)? >= before.as_millis() {
                break;
            }
            last = Some(row.get::<_, i64>(0)?);
        }
    }
    match last {
        Some(row) => Ok(conn.prepare_cached(DELETE)?.execute(params![row])?),
        None => Ok(0),
    }
}
