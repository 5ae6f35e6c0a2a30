//! External account keys.

use cairn_acme::time::Timestamp;
use rusqlite::{Connection, Row, params};

use super::{
    Page, Store, accounts,
    code::{Fault, count, from_json, millis_opt, time, time_opt, to_json},
    lists,
};
use crate::{
    authority::external::Allowed,
    id::{AccountId, DirectoryId, ExternalKeyId},
    model::{Account, ExternalKey},
    store::{Filter, StoreError},
};

const TABLE: &str = "external_keys";

macro_rules! columns {
    () => {
        "row, id, directory_id, owner, allowed, many, expires, sealed, created_at, revoked_at, uses, last_account_id, last_use"
    };
}

const BY_ID: &str = concat!("SELECT ", columns!(), " FROM external_keys WHERE id = ?1");
const INSERT: &str = concat!(
    "INSERT INTO external_keys (",
    columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
);
const UPDATE: &str = "UPDATE external_keys SET revoked_at = ?2, uses = ?3, last_account_id = ?4, last_use = ?5 WHERE id = ?1";
// States as `ExternalKey::state` finds them. The account names its key, so that every account of a key finds it.
const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM external_keys WHERE row < ?1 AND (?2 IS NULL OR ?2 = CASE WHEN revoked_at IS NOT NULL THEN 'revoked' \
     WHEN many = 0 AND uses > 0 THEN 'used' WHEN expires <= ?4 THEN 'expired' ELSE 'open' END) \
     AND (?3 IS NULL OR id = ?3) ORDER BY row DESC LIMIT ?5"
);

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[BY_ID, INSERT, UPDATE, LIST];

fn read(row: &Row<'_>) -> Result<ExternalKey, Fault> {
    let texts: String = row.get(4)?;
    let texts: Vec<String> = from_json(TABLE, &texts)?;
    let account: Option<[u8; 16]> = row.get(11)?;
    let last_use = account
        .map(AccountId::from_bytes)
        .zip(time_opt(row.get(12)?));
    Ok(ExternalKey {
        id: ExternalKeyId::from_bytes(row.get(1)?),
        directory: DirectoryId(row.get(2)?),
        owner: row.get(3)?,
        allowed: allowed(TABLE, &texts)?,
        many: row.get(5)?,
        expires: time_opt(row.get(6)?),
        sealed: row.get(7)?,
        created_at: time(row.get(8)?),
        revoked_at: time_opt(row.get(9)?),
        uses: count(TABLE, row.get(10)?)?,
        last_use,
    })
}

/// What the texts allow. None of them is ever left out: an empty list allows everything.
pub(super) fn allowed(table: &'static str, texts: &[String]) -> Result<Vec<Allowed>, Fault> {
    texts
        .iter()
        .map(|text| text.parse().map_err(|e| Fault::row(table, format!("{e}"))))
        .collect()
}

/// The key with this id.
pub(super) fn by_id(conn: &Connection, id: ExternalKeyId) -> Result<Option<ExternalKey>, Fault> {
    let mut statement = conn.prepare_cached(BY_ID)?;
    let mut rows = statement.query(params![id.as_bytes()])?;
    rows.next()?.map(read).transpose()
}

/// Adds it.
pub(super) fn insert(conn: &Connection, row: i64, key: &ExternalKey) -> Result<(), Fault> {
    let allowed: Vec<String> = key.allowed.iter().map(ToString::to_string).collect();
    conn.prepare_cached(INSERT)?
        .execute(params![
            row,
            key.id.as_bytes(),
            key.directory.0,
            key.owner,
            to_json(TABLE, &allowed)?,
            key.many,
            millis_opt(key.expires),
            key.sealed,
            key.created_at.as_millis(),
            millis_opt(key.revoked_at),
            key.uses,
            key.last_use.as_ref().map(|(account, _)| account.as_bytes()),
            key.last_use.map(|(_, at)| at.as_millis()),
        ])
        .map_err(Fault::of_insert(TABLE))?;
    Ok(())
}

/// Replaces what may change.
pub(super) fn update(conn: &Connection, key: &ExternalKey) -> Result<(), Fault> {
    let changed = conn.prepare_cached(UPDATE)?.execute(params![
        key.id.as_bytes(),
        millis_opt(key.revoked_at),
        key.uses,
        key.last_use.as_ref().map(|(account, _)| account.as_bytes()),
        key.last_use.map(|(_, at)| at.as_millis()),
    ])?;
    match changed {
        1 => Ok(()),
        _ => Err(Fault::row(TABLE, format!("key {} is not there", key.id))),
    }
}

/// Newest first, from before the row `after`.
fn list(
    conn: &Connection,
    filter: &Filter,
    now: Timestamp,
) -> Result<Vec<(i64, ExternalKey)>, Fault> {
    let key = match filter.account {
        None => None,
        Some(account) => {
            let opened_with = accounts::by_id(conn, account)?.and_then(|a| a.external);
            let Some(external) = opened_with else {
                return Ok(Vec::new());
            };
            Some(external.key)
        }
    };
    let mut statement = conn.prepare_cached(LIST)?;
    let mut rows = statement.query(params![
        filter.before(),
        filter.state,
        key.as_ref().map(ExternalKeyId::as_bytes),
        now.as_millis(),
        filter.page(),
    ])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get(0)?, read(row)?));
    }
    Ok(found)
}

impl Store {
    /// The external account key with this id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn external_key(&self, id: ExternalKeyId) -> Result<Option<ExternalKey>, StoreError> {
        self.read(move |conn| by_id(conn, id)).await
    }

    /// Accounts that the key opened, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn accounts_opened_with(
        &self,
        id: ExternalKeyId,
        limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        self.read_long(move |conn| accounts::opened_with(conn, id, limit))
            .await
    }

    /// External account keys by `state`, and by the `account` that one opened; newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list_external_keys(
        &self,
        filter: Filter,
        now: Timestamp,
    ) -> Result<Page<ExternalKey>, StoreError> {
        self.read_long(move |conn| Ok(lists::page(list(conn, &filter, now)?, &filter)))
            .await
    }
}
