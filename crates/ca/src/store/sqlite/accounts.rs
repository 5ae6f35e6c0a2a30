//! Accounts.

use cairn_acme::{
    key::{PublicKey, Thumbprint},
    status::AccountStatus,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::{
    code::{Code, Fault, from_json, time, to_json},
    external,
};
use crate::{
    id::{AccountId, DirectoryId, ExternalKeyId},
    model::{Account, ExternalAccount},
    store::Filter,
};

const TABLE: &str = "accounts";

macro_rules! columns {
    () => {
        "row, id, directory_id, thumbprint, spki_sha256, jwk, status, contacts, terms_agreed, url, created_at, external"
    };
}

const BY_ID: &str = concat!("SELECT ", columns!(), " FROM accounts WHERE id = ?1");
const BY_KEY: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM accounts WHERE thumbprint = ?1 AND directory_id = ?2"
);
const SPKI_EXISTS: &str = "SELECT 1 FROM accounts WHERE spki_sha256 = ?1";
const INSERT: &str = concat!(
    "INSERT INTO accounts (",
    columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
);
const UPDATE: &str = "UPDATE accounts SET thumbprint = ?2, spki_sha256 = ?3, jwk = ?4, status = ?5, contacts = ?6, \
                      terms_agreed = ?7 WHERE id = ?1";
const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM accounts WHERE row < ?1 AND (?2 IS NULL OR id = ?2) AND (?3 IS NULL OR status = ?3) ORDER BY row DESC LIMIT ?4"
);

const OPENED_WITH: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM accounts WHERE external ->> 'key' = ?1 ORDER BY row DESC LIMIT ?2"
);

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    BY_ID,
    BY_KEY,
    SPKI_EXISTS,
    INSERT,
    UPDATE,
    LIST,
    OPENED_WITH,
];

fn read(row: &Row<'_>) -> Result<Account, Fault> {
    let jwk: String = row.get(5)?;
    let contacts: String = row.get(7)?;
    let external: Option<String> = row.get(11)?;
    Ok(Account {
        id: AccountId::from_bytes(row.get(1)?),
        directory: DirectoryId(row.get(2)?),
        thumbprint: Thumbprint::from_bytes(row.get(3)?),
        spki_sha256: row.get(4)?,
        key: PublicKey::from_jwk(jwk.as_bytes()).map_err(|e| Fault::row(TABLE, e.to_string()))?,
        status: AccountStatus::from_code(TABLE, row.get(6)?)?,
        contacts: from_json(TABLE, &contacts)?,
        terms_agreed: row.get(8)?,
        url: row.get(9)?,
        created_at: time(row.get(10)?),
        external: external.map(|text| external_account(&text)).transpose()?,
    })
}

/// As the column `external` holds it.
#[derive(Serialize, Deserialize)]
struct External {
    key: String,
    owner: Option<String>,
    allowed: Vec<String>,
    binding: String,
}

fn external_column(external: &ExternalAccount) -> Result<String, Fault> {
    let column = External {
        key: external.key.to_string(),
        owner: external.owner.clone(),
        allowed: external.allowed.iter().map(ToString::to_string).collect(),
        binding: external.binding.clone(),
    };
    to_json(TABLE, &column)
}

/// What is not understood is a fault: an account that was limited must not go free (T-CA-123).
fn external_account(text: &str) -> Result<ExternalAccount, Fault> {
    let column: External = from_json(TABLE, text)?;
    let key = column.key.parse();
    Ok(ExternalAccount {
        key: key.map_err(|_| Fault::row(TABLE, "no id of an external key"))?,
        owner: column.owner,
        allowed: external::allowed(TABLE, &column.allowed)?,
        binding: column.binding,
    })
}

/// The account with this id.
pub(super) fn by_id(conn: &Connection, id: AccountId) -> Result<Option<Account>, Fault> {
    let mut statement = conn.prepare_cached(BY_ID)?;
    let mut rows = statement.query(params![id.as_bytes()])?;
    rows.next()?.map(read).transpose()
}

/// The account that the key opened in the directory.
pub(super) fn by_key(
    conn: &Connection,
    directory: DirectoryId,
    key: &Thumbprint,
) -> Result<Option<Account>, Fault> {
    let mut statement = conn.prepare_cached(BY_KEY)?;
    let mut rows = statement.query(params![key.as_bytes(), directory.0])?;
    rows.next()?.map(read).transpose()
}

/// Whether any account has the key.
pub(super) fn has_spki(conn: &Connection, spki_sha256: &[u8; 32]) -> Result<bool, Fault> {
    Ok(conn
        .prepare_cached(SPKI_EXISTS)?
        .query_row(params![spki_sha256], |_| Ok(()))
        .optional()?
        .is_some())
}

/// Adds it.
pub(super) fn insert(conn: &Connection, row: i64, account: &Account) -> Result<(), Fault> {
    conn.prepare_cached(INSERT)?
        .execute(params![
            row,
            account.id.as_bytes(),
            account.directory.0,
            account.thumbprint.as_bytes(),
            account.spki_sha256,
            account.key.to_jwk(),
            account.status.code(),
            to_json(TABLE, &account.contacts)?,
            account.terms_agreed,
            account.url,
            account.created_at.as_millis(),
            account.external.as_ref().map(external_column).transpose()?,
        ])
        .map_err(Fault::of_insert(TABLE))?;
    Ok(())
}

/// Replaces what may change.
pub(super) fn update(conn: &Connection, account: &Account) -> Result<(), Fault> {
    let changed = conn.prepare_cached(UPDATE)?.execute(params![
        account.id.as_bytes(),
        account.thumbprint.as_bytes(),
        account.spki_sha256,
        account.key.to_jwk(),
        account.status.code(),
        to_json(TABLE, &account.contacts)?,
        account.terms_agreed,
    ])?;
    if changed != 1 {
        return Err(Fault::row(
            TABLE,
            format!("account {} is not there", account.id),
        ));
    }
    Ok(())
}

/// Newest first, from before the row `after`.
pub(super) fn list(conn: &Connection, filter: &Filter) -> Result<Vec<(i64, Account)>, Fault> {
    let status = match filter.state.as_deref() {
        None => None,
        Some(word) => Some(
            AccountStatus::ALL
                .iter()
                .find(|s| s.as_str() == word)
                .ok_or_else(|| Fault::row(TABLE, format!("no account has the state {word:?}")))?
                .code(),
        ),
    };
    let mut statement = conn.prepare_cached(LIST)?;
    let id = filter.account.as_ref().map(|a| *a.as_bytes());
    let mut rows = statement.query(params![filter.before(), id, status, filter.page()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get(0)?, read(row)?));
    }
    Ok(found)
}

/// Those that the external account key opened, newest first.
pub(super) fn opened_with(
    conn: &Connection,
    key: ExternalKeyId,
    limit: usize,
) -> Result<Vec<Account>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = conn.prepare_cached(OPENED_WITH)?;
    let mut rows = statement.query(params![key.to_string(), limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}
