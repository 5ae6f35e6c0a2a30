//! Authorizations, their challenges inline.

use cairn_acme::{identifier::Identifier, status::AuthorizationStatus};
use rusqlite::{Connection, Row, params};

use super::code::{
    Code, Fault, from_json, from_json_opt, identifier, identifier_columns, time, to_json,
};
use crate::{
    id::{AccountId, AuthorizationId, DirectoryId, OrderId},
    model::Authorization,
};

const TABLE: &str = "authorizations";

macro_rules! columns {
    () => {
        "row, id, account_id, order_id, directory_id, status, identifier_type, identifier, wildcard, expires, \
         created_at, token, challenges, evidence, trace"
    };
}

const BY_ID: &str = concat!("SELECT ", columns!(), " FROM authorizations WHERE id = ?1");
const VALID: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM authorizations INDEXED BY authorizations_valid WHERE account_id = ?1 AND identifier = ?2 AND status = 1 \
     AND identifier_type = ?3 AND wildcard = ?4 AND directory_id = ?5 ORDER BY row DESC LIMIT 1"
);
const INSERT: &str = concat!(
    "INSERT INTO authorizations (",
    columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
);
const UPDATE: &str = "UPDATE authorizations SET status = ?2, expires = ?3, challenges = ?4, evidence = ?5, trace = ?6 \
                      WHERE id = ?1";
const OLD: &str =
    "SELECT row, id, expires, created_at FROM authorizations WHERE row > ?1 ORDER BY row LIMIT ?2";
const DELETE: &str = "DELETE FROM authorizations WHERE row = ?1";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[BY_ID, VALID, INSERT, UPDATE, OLD, DELETE];

fn read(row: &Row<'_>) -> Result<Authorization, Fault> {
    let name: String = row.get(7)?;
    let token: String = row.get(11)?;
    let challenges: String = row.get(12)?;
    let evidence: Option<String> = row.get(13)?;
    Ok(Authorization {
        id: AuthorizationId::from_bytes(row.get(1)?),
        account: AccountId::from_bytes(row.get(2)?),
        order: row.get::<_, Option<_>>(3)?.map(OrderId::from_bytes),
        directory: DirectoryId(row.get(4)?),
        status: AuthorizationStatus::from_code(TABLE, row.get(5)?)?,
        identifier: identifier(TABLE, row.get(6)?, &name)?,
        wildcard: row.get(8)?,
        expires: time(row.get(9)?),
        created_at: time(row.get(10)?),
        token: token
            .parse()
            .map_err(|_| Fault::row(TABLE, "the token is none"))?,
        challenges: from_json(TABLE, &challenges)?,
        evidence: from_json_opt(TABLE, evidence.as_deref())?,
        trace: row.get(14)?,
    })
}

/// The authorization with this id, whoever's it is.
pub(super) fn by_id(
    conn: &Connection,
    id: AuthorizationId,
) -> Result<Option<Authorization>, Fault> {
    let mut statement = conn.prepare_cached(BY_ID)?;
    let mut rows = statement.query(params![id.as_bytes()])?;
    rows.next()?.map(read).transpose()
}

/// The newest valid one for the identifier; its expiry is the caller's to judge.
pub(super) fn valid(
    conn: &Connection,
    account: AccountId,
    directory: DirectoryId,
    of: &Identifier,
    wildcard: bool,
) -> Result<Option<Authorization>, Fault> {
    let (kind, name) = identifier_columns(of);
    let mut statement = conn.prepare_cached(VALID)?;
    let mut rows = statement.query(params![
        account.as_bytes(),
        name,
        kind,
        wildcard,
        directory.0
    ])?;
    rows.next()?.map(read).transpose()
}

/// Adds it.
pub(super) fn insert(
    conn: &Connection,
    row: i64,
    authorization: &Authorization,
) -> Result<(), Fault> {
    let (kind, name) = identifier_columns(&authorization.identifier);
    let evidence = authorization
        .evidence
        .as_ref()
        .map(|e| to_json(TABLE, e))
        .transpose()?;
    conn.prepare_cached(INSERT)?
        .execute(params![
            row,
            authorization.id.as_bytes(),
            authorization.account.as_bytes(),
            authorization.order.as_ref().map(OrderId::as_bytes),
            authorization.directory.0,
            authorization.status.code(),
            kind,
            name,
            authorization.wildcard,
            authorization.expires.as_millis(),
            authorization.created_at.as_millis(),
            authorization.token.as_str(),
            to_json(TABLE, &authorization.challenges)?,
            evidence,
            authorization.trace,
        ])
        .map_err(Fault::of_insert(TABLE))?;
    Ok(())
}

/// Replaces what may change.
pub(super) fn update(conn: &Connection, authorization: &Authorization) -> Result<(), Fault> {
    let evidence = authorization
        .evidence
        .as_ref()
        .map(|e| to_json(TABLE, e))
        .transpose()?;
    let changed = conn.prepare_cached(UPDATE)?.execute(params![
        authorization.id.as_bytes(),
        authorization.status.code(),
        authorization.expires.as_millis(),
        to_json(TABLE, &authorization.challenges)?,
        evidence,
        authorization.trace,
    ])?;
    if changed != 1 {
        return Err(Fault::row(
            TABLE,
            format!("authorization {} is not there", authorization.id),
        ));
    }
    Ok(())
}

/// What the sweep looks at: rows in the order of their making.
pub(super) struct Aging {
    pub(super) row: i64,
    pub(super) id: AuthorizationId,
    pub(super) expires: i64,
    pub(super) created_at: i64,
}

/// The next rows after that one.
pub(super) fn aging(conn: &Connection, after: i64, limit: i64) -> Result<Vec<Aging>, Fault> {
    let mut statement = conn.prepare_cached(OLD)?;
    let mut rows = statement.query(params![after, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Aging {
            row: row.get(0)?,
            id: AuthorizationId::from_bytes(row.get(1)?),
            expires: row.get(2)?,
            created_at: row.get(3)?,
        });
    }
    Ok(found)
}

/// Deletes one by its row key.
pub(super) fn delete(conn: &Connection, row: i64) -> Result<(), Fault> {
    conn.prepare_cached(DELETE)?.execute(params![row])?;
    Ok(())
}
