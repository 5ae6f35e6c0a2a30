//! Follow-up work as rows.

use cairn_acme::challenge::ChallengeType;
use rusqlite::{Connection, Row, params};

use super::code::{Code, Fault, count, time};
use crate::{
    id::{AccountId, AuthorizationId, BootId, OrderId},
    model::{Work, WorkSubject},
};

const TABLE: &str = "work";

/// What a work row means; raised when that changes.
const VERSION: i64 = 1;

macro_rules! columns {
    () => {
        "kind, subject, challenge, version, account_id, boot, generation, attempts, until"
    };
}

const BY_SUBJECT: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM work WHERE subject = ?1 AND kind = ?2 AND challenge = ?3"
);
const ABANDONED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM work WHERE boot <> ?1 OR until <= ?2 LIMIT ?3"
);
const PUT: &str = concat!(
    "INSERT INTO work (",
    columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (subject, kind, challenge) DO UPDATE SET \
     version = excluded.version, boot = excluded.boot, generation = excluded.generation, attempts = excluded.attempts, \
     until = excluded.until"
);
const DELETE: &str = "DELETE FROM work WHERE subject = ?1 AND kind = ?2 AND challenge = ?3";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[BY_SUBJECT, ABANDONED, PUT, DELETE];

fn read(row: &Row<'_>) -> Result<Work, Fault> {
    let version: i64 = row.get(3)?;
    if version != VERSION {
        return Err(Fault::row(
            TABLE,
            format!("format version {version} is not known to this version"),
        ));
    }
    let account = AccountId::from_bytes(row.get(4)?);
    let subject: [u8; 16] = row.get(1)?;
    let subject = match row.get::<_, i64>(0)? {
        0 => WorkSubject::Validate {
            account,
            authorization: AuthorizationId::from_bytes(subject),
            challenge: ChallengeType::from_code(TABLE, row.get(2)?)?,
        },
        1 => WorkSubject::Issue {
            account,
            order: OrderId::from_bytes(subject),
        },
        other => {
            return Err(Fault::row(
                TABLE,
                format!("kind {other} is not known to this version"),
            ));
        }
    };
    Ok(Work {
        subject,
        boot: BootId::from_bytes(row.get(5)?),
        generation: count(TABLE, row.get(6)?)?,
        attempts: count(TABLE, row.get(7)?)?,
        until: time(row.get(8)?),
    })
}

/// The row key's columns: subject, kind, challenge; and the account.
fn key(subject: &WorkSubject) -> (&[u8; 16], i64, i64, AccountId) {
    match subject {
        WorkSubject::Validate {
            account,
            authorization,
            challenge,
        } => (authorization.as_bytes(), 0, challenge.code(), *account),
        WorkSubject::Issue { account, order } => (order.as_bytes(), 1, -1, *account),
    }
}

/// The row about the subject.
pub(super) fn by_subject(conn: &Connection, subject: &WorkSubject) -> Result<Option<Work>, Fault> {
    let (id, kind, challenge, _) = key(subject);
    let mut statement = conn.prepare_cached(BY_SUBJECT)?;
    let mut rows = statement.query(params![id, kind, challenge])?;
    rows.next()?.map(read).transpose()
}

/// Rows of other boots, and rows whose lease ended.
pub(super) fn abandoned(
    conn: &Connection,
    boot: BootId,
    now: i64,
    limit: i64,
) -> Result<Vec<Work>, Fault> {
    let mut statement = conn.prepare_cached(ABANDONED)?;
    let mut rows = statement.query(params![boot.as_bytes(), now, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        match read(row) {
            Ok(work) => found.push(work),
            // A later version's row waits for that version; it must not keep the others waiting.
            Err(fault @ Fault::Row { .. }) => tracing::warn!(%fault, "a work row is left alone"),
            Err(fault) => return Err(fault),
        }
    }
    Ok(found)
}

/// Inserts or replaces the subject's row.
pub(super) fn put(conn: &Connection, work: &Work) -> Result<(), Fault> {
    let (id, kind, challenge, account) = key(&work.subject);
    conn.prepare_cached(PUT)?.execute(params![
        kind,
        id,
        challenge,
        VERSION,
        account.as_bytes(),
        work.boot.as_bytes(),
        work.generation,
        work.attempts,
        work.until.as_millis(),
    ])?;
    Ok(())
}

/// Deletes the subject's row, if it is there.
pub(super) fn delete(conn: &Connection, subject: &WorkSubject) -> Result<(), Fault> {
    let (id, kind, challenge, _) = key(subject);
    conn.prepare_cached(DELETE)?
        .execute(params![id, kind, challenge])?;
    Ok(())
}
