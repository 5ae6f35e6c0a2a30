//! Orders.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::code::{
    Code, Fault, certificate_key, count, from_json, from_json_opt, millis_opt, serial_bytes, time,
    time_opt, to_json,
};
use crate::{
    id::{AccountId, AuthorizationId, DirectoryId, OrderId},
    model::{Order, OrderState},
    store::Filter,
};

const TABLE: &str = "orders";

/// How many open orders of one fingerprint are worth a look for reuse.
const CANDIDATES: i64 = 8;

macro_rules! columns {
    () => {
        "row, id, account_id, directory_id, state, attempts, fingerprint, expires, created_at, identifiers, \
         authorizations, profile, profile_hash, replaces, not_before, not_after, issuer_id, serial, error"
    };
}

const BY_ID: &str = concat!("SELECT ", columns!(), " FROM orders WHERE id = ?1");
// `state <= 1` lets the planner use the partial index.
const OPEN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM orders INDEXED BY orders_unfinished WHERE account_id = ?1 AND fingerprint = ?2 AND state <= 1 AND state = 0 \
     ORDER BY row DESC LIMIT ?3"
);
const UNFINISHED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM orders INDEXED BY orders_unfinished WHERE account_id = ?1 AND state <= 1 ORDER BY row"
);
// The ids lie side by side in one value; a hit across two of them is sorted out after reading.
const OPEN_ON: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM orders INDEXED BY orders_unfinished WHERE account_id = ?1 AND state <= 1 AND state = 0 \
     AND instr(authorizations, ?2) > 0 ORDER BY row"
);
const ROW_OF: &str = "SELECT row FROM orders WHERE id = ?1 AND account_id = ?2";
// Two indexes hold what a client may want to see of its orders; each has at most a page of them to give.
const OF_ACCOUNT: &str = "SELECT row, id FROM (SELECT row, id FROM orders INDEXED BY orders_valid \
     WHERE account_id = ?1 AND state = 2 AND row < ?2 ORDER BY row DESC LIMIT ?4) \
     UNION ALL SELECT row, id FROM (SELECT row, id FROM orders INDEXED BY orders_unfinished \
     WHERE account_id = ?1 AND state <= 1 AND row < ?2 AND (state = 1 OR expires > ?3) ORDER BY row DESC LIMIT ?4) \
     ORDER BY row DESC LIMIT ?4";
const EXPIRED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM orders INDEXED BY orders_unfinished WHERE state <= 1 AND state = 0 AND expires <= ?1 LIMIT ?2"
);
const INSERT: &str = concat!(
    "INSERT INTO orders (",
    columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)"
);
const UPDATE: &str = "UPDATE orders SET state = ?2, attempts = ?3, expires = ?4, issuer_id = ?5, serial = ?6, error = ?7 \
                      WHERE id = ?1";
const OLD: &str =
    "SELECT row, id, state, expires, created_at FROM orders WHERE row > ?1 ORDER BY row LIMIT ?2";
const DELETE: &str = "DELETE FROM orders WHERE row = ?1";
const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM orders WHERE row < ?1 AND (?2 IS NULL OR account_id = ?2) AND (?3 IS NULL OR state = ?3) \
     AND (?4 IS NULL OR expires < ?4) AND (?5 IS NULL OR instr(identifiers, ?5) > 0) AND (?7 IS NULL OR expires >= ?7) \
     ORDER BY row DESC LIMIT ?6"
);

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    BY_ID, OPEN, UNFINISHED, OPEN_ON, ROW_OF, OF_ACCOUNT, EXPIRED, INSERT, UPDATE, OLD, DELETE,
    LIST,
];

fn read(row: &Row<'_>) -> Result<Order, Fault> {
    let identifiers: String = row.get(9)?;
    let error: Option<String> = row.get(18)?;
    let authorizations: Vec<u8> = row.get(10)?;
    let replaces: Option<String> = row.get(13)?;
    let (ids, rest) = authorizations.as_chunks::<16>();
    if !rest.is_empty() {
        return Err(Fault::row(TABLE, "the authorizations are no whole ids"));
    }
    Ok(Order {
        id: OrderId::from_bytes(row.get(1)?),
        account: AccountId::from_bytes(row.get(2)?),
        directory: DirectoryId(row.get(3)?),
        state: OrderState::from_code(TABLE, row.get(4)?)?,
        attempts: count(TABLE, row.get(5)?)?,
        fingerprint: row.get(6)?,
        expires: time(row.get(7)?),
        created_at: time(row.get(8)?),
        identifiers: from_json(TABLE, &identifiers)?,
        authorizations: ids
            .iter()
            .map(|id| AuthorizationId::from_bytes(*id))
            .collect(),
        profile: row.get(11)?,
        profile_hash: row.get(12)?,
        replaces: replaces
            .map(|text| text.parse())
            .transpose()
            .map_err(|_| Fault::row(TABLE, "what it replaces is no certificate's name"))?,
        not_before: time_opt(row.get(14)?),
        not_after: time_opt(row.get(15)?),
        certificate: certificate_key(TABLE, row.get(16)?, row.get(17)?)?,
        error: from_json_opt(TABLE, error.as_deref())?,
    })
}

fn read_all(mut rows: rusqlite::Rows<'_>) -> Result<Vec<Order>, Fault> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// The order with this id, whoever's it is.
pub(super) fn by_id(conn: &Connection, id: OrderId) -> Result<Option<Order>, Fault> {
    let mut statement = conn.prepare_cached(BY_ID)?;
    let mut rows = statement.query(params![id.as_bytes()])?;
    rows.next()?.map(read).transpose()
}

/// Open orders of the account with that fingerprint, newest first.
pub(super) fn open(
    conn: &Connection,
    account: AccountId,
    fingerprint: i64,
) -> Result<Vec<Order>, Fault> {
    let mut statement = conn.prepare_cached(OPEN)?;
    read_all(statement.query(params![account.as_bytes(), fingerprint, CANDIDATES])?)
}

/// All open and processing orders of the account.
pub(super) fn unfinished(conn: &Connection, account: AccountId) -> Result<Vec<Order>, Fault> {
    let mut statement = conn.prepare_cached(UNFINISHED)?;
    read_all(statement.query(params![account.as_bytes()])?)
}

/// Open orders of the account that rest on the authorization.
pub(super) fn open_on(
    conn: &Connection,
    account: AccountId,
    authorization: AuthorizationId,
) -> Result<Vec<Order>, Fault> {
    let mut statement = conn.prepare_cached(OPEN_ON)?;
    let mut found =
        read_all(statement.query(params![account.as_bytes(), authorization.as_bytes()])?)?;
    found.retain(|order| order.authorizations.contains(&authorization));
    Ok(found)
}

/// Valid and unfinished orders of the account, newest first, from before one of them. One that is not there any more
/// leaves nothing to go on from.
pub(super) fn of_account(
    conn: &Connection,
    account: AccountId,
    before: Option<OrderId>,
    now: i64,
    limit: usize,
) -> Result<Vec<OrderId>, Fault> {
    let row: Option<i64> = match before {
        None => Some(i64::MAX),
        Some(id) => conn
            .prepare_cached(ROW_OF)?
            .query_row(params![id.as_bytes(), account.as_bytes()], |row| row.get(0))
            .optional()?,
    };
    let Some(row) = row else {
        return Ok(Vec::new());
    };
    let mut statement = conn.prepare_cached(OF_ACCOUNT)?;
    let mut rows = statement.query(params![
        account.as_bytes(),
        row,
        now,
        i64::try_from(limit).unwrap_or(i64::MAX)
    ])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(OrderId::from_bytes(row.get(1)?));
    }
    Ok(found)
}

/// Open orders whose time is over.
pub(super) fn expired(conn: &Connection, now: i64, limit: i64) -> Result<Vec<Order>, Fault> {
    let mut statement = conn.prepare_cached(EXPIRED)?;
    let mut rows = statement.query(params![now, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        match read(row) {
            Ok(order) => found.push(order),
            // One row that this version does not understand must not keep the others for ever.
            Err(fault @ Fault::Row { .. }) => {
                tracing::warn!(%fault, "an expired order is left alone")
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(found)
}

/// Adds it.
pub(super) fn insert(conn: &Connection, row: i64, order: &Order) -> Result<(), Fault> {
    let authorizations: Vec<u8> = order
        .authorizations
        .iter()
        .flat_map(|id| *id.as_bytes())
        .collect();
    let error = order
        .error
        .as_ref()
        .map(|e| to_json(TABLE, e))
        .transpose()?;
    conn.prepare_cached(INSERT)?
        .execute(params![
            row,
            order.id.as_bytes(),
            order.account.as_bytes(),
            order.directory.0,
            order.state.code(),
            order.attempts,
            order.fingerprint,
            order.expires.as_millis(),
            order.created_at.as_millis(),
            to_json(TABLE, &order.identifiers)?,
            authorizations,
            order.profile,
            order.profile_hash,
            order.replaces.as_ref().map(ToString::to_string),
            millis_opt(order.not_before),
            millis_opt(order.not_after),
            order.certificate.as_ref().map(|c| c.issuer.0),
            order.certificate.as_ref().map(|c| serial_bytes(&c.serial)),
            error,
        ])
        .map_err(Fault::of_insert(TABLE))?;
    Ok(())
}

/// Replaces what may change.
pub(super) fn update(conn: &Connection, order: &Order) -> Result<(), Fault> {
    let error = order
        .error
        .as_ref()
        .map(|e| to_json(TABLE, e))
        .transpose()?;
    let changed = conn.prepare_cached(UPDATE)?.execute(params![
        order.id.as_bytes(),
        order.state.code(),
        order.attempts,
        order.expires.as_millis(),
        order.certificate.as_ref().map(|c| c.issuer.0),
        order.certificate.as_ref().map(|c| serial_bytes(&c.serial)),
        error,
    ])?;
    if changed != 1 {
        return Err(Fault::row(
            TABLE,
            format!("order {} is not there", order.id),
        ));
    }
    Ok(())
}

/// What the sweep looks at: rows in the order of their making.
pub(super) struct Aging {
    pub(super) row: i64,
    pub(super) id: OrderId,
    pub(super) is_final: bool,
    pub(super) expires: i64,
    pub(super) created_at: i64,
}

/// The next rows after that one.
pub(super) fn aging(conn: &Connection, after: i64, limit: i64) -> Result<Vec<Aging>, Fault> {
    let mut statement = conn.prepare_cached(OLD)?;
    let mut rows = statement.query(params![after, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let state: i64 = row.get(2)?;
        found.push(Aging {
            row: row.get(0)?,
            id: OrderId::from_bytes(row.get(1)?),
            // A state of a later version is not ours to delete.
            is_final: matches!(
                OrderState::from_code(TABLE, state),
                Ok(OrderState::Valid | OrderState::Invalid)
            ),
            expires: row.get(3)?,
            created_at: row.get(4)?,
        });
    }
    Ok(found)
}

/// Deletes one by its row key.
pub(super) fn delete(conn: &Connection, row: i64) -> Result<(), Fault> {
    conn.prepare_cached(DELETE)?.execute(params![row])?;
    Ok(())
}

fn state_of(word: &str) -> Result<OrderState, Fault> {
    Ok(match word {
        "open" | "pending" | "ready" => OrderState::Open,
        "processing" => OrderState::Processing,
        "valid" => OrderState::Valid,
        "invalid" => OrderState::Invalid,
        other => {
            return Err(Fault::row(
                TABLE,
                format!("no order has the state {other:?}"),
            ));
        }
    })
}

/// Newest first, from before the row `after`.
pub(super) fn list(conn: &Connection, filter: &Filter) -> Result<Vec<(i64, Order)>, Fault> {
    let state = filter
        .state
        .as_deref()
        .map(|word| state_of(word).map(Code::code))
        .transpose()?;
    // Quoted as in the JSON of the column, so that `a.test` does not find `aa.test`.
    let name = filter
        .name
        .as_ref()
        .map(|name| to_json(TABLE, name))
        .transpose()?;
    let account = filter.account.as_ref().map(|a| *a.as_bytes());
    let mut statement = conn.prepare_cached(LIST)?;
    let mut rows = statement.query(params![
        filter.before(),
        account,
        state,
        millis_opt(filter.expires_before),
        name,
        filter.page(),
        millis_opt(filter.expires_from)
    ])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get(0)?, read(row)?));
    }
    Ok(found)
}
