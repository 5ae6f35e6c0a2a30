//! The store's own facts: identity, epoch, newest time, base URLs, the nonce window.

use cairn_acme::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::code::{Fault, count, time};
use crate::id::DirectoryId;

const CREATE: &str = "INSERT INTO meta (one, store_id, epoch, latest_time, created_at) VALUES (1, randomblob(16), 1, ?1, ?1)";
const READ: &str = "SELECT store_id, epoch, latest_time, created_at FROM meta WHERE one = 1";
const REMEMBER: &str = "UPDATE meta SET latest_time = ?1 WHERE latest_time < ?1";
const SET_EPOCH: &str = "UPDATE meta SET epoch = ?1";
const SAVE_WINDOW: &str = "INSERT OR REPLACE INTO nonce_window (one, bytes) VALUES (1, ?1)";
const WINDOW: &str = "SELECT bytes FROM nonce_window WHERE one = 1";
const DROP_WINDOW: &str = "DELETE FROM nonce_window";
const ADD_DIRECTORY: &str = "INSERT OR IGNORE INTO directories (name, since) VALUES (?1, ?2)";
const DIRECTORY: &str = "SELECT id FROM directories WHERE name = ?1";
const BASE_URLS: &str = "SELECT url FROM base_urls WHERE directory_id = ?1 ORDER BY row DESC";
const ADD_BASE_URL: &str =
    "INSERT OR REPLACE INTO base_urls (directory_id, url, since) VALUES (?1, ?2, ?3)";
const PUBLICATION_URL: &str = "SELECT url FROM publication_urls ORDER BY row DESC LIMIT 1";
const ADD_PUBLICATION_URL: &str =
    "INSERT OR REPLACE INTO publication_urls (url, since) VALUES (?1, ?2)";
const PROBE: &str = "INSERT OR REPLACE INTO probe (one, bytes) VALUES (1, zeroblob(65536))";
const DROP_PROBE: &str = "DELETE FROM probe";
const LAST_AUDIT: &str = "SELECT at FROM audit ORDER BY row DESC LIMIT 1";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    CREATE,
    READ,
    REMEMBER,
    SET_EPOCH,
    SAVE_WINDOW,
    WINDOW,
    DROP_WINDOW,
    ADD_DIRECTORY,
    DIRECTORY,
    BASE_URLS,
    ADD_BASE_URL,
    PUBLICATION_URL,
    ADD_PUBLICATION_URL,
    PROBE,
    DROP_PROBE,
    LAST_AUDIT,
];

/// The store's one row about itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meta {
    pub(super) store_id: [u8; 16],
    pub(super) epoch: u8,
    pub(super) latest_time: Timestamp,
    pub(super) created_at: Timestamp,
}

/// Writes the row of a new store.
pub(super) fn create(conn: &Connection, now: Timestamp) -> Result<(), Fault> {
    conn.execute(CREATE, params![now.as_millis()])?;
    Ok(())
}

/// The row; its newest time is at least that of the last audit row.
pub(super) fn read(conn: &Connection) -> Result<Meta, Fault> {
    let (store_id, epoch, latest, created): ([u8; 16], i64, i64, i64) =
        conn.query_row(READ, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
    let audited: Option<i64> = conn
        .query_row(LAST_AUDIT, [], |row| row.get(0))
        .optional()?;
    Ok(Meta {
        store_id,
        epoch: count("meta", epoch)?,
        latest_time: time(latest.max(audited.unwrap_or(latest))),
        created_at: time(created),
    })
}

/// Remembers that it has been that late.
pub(super) fn remember(conn: &Connection, now: Timestamp) -> Result<(), Fault> {
    conn.prepare_cached(REMEMBER)?
        .execute(params![now.as_millis()])?;
    Ok(())
}

/// Sets the epoch of a restored store.
pub(super) fn set_epoch(conn: &Connection, epoch: u8) -> Result<(), Fault> {
    conn.execute(SET_EPOCH, params![epoch])?;
    Ok(())
}

/// Keeps the nonce window of a clean stop.
pub(super) fn save_window(conn: &Connection, bytes: &[u8]) -> Result<(), Fault> {
    conn.execute(SAVE_WINDOW, params![bytes])?;
    Ok(())
}

/// The nonce window, deleted in the same transaction.
pub(super) fn take_window(conn: &Connection) -> Result<Option<Vec<u8>>, Fault> {
    let bytes = conn.query_row(WINDOW, [], |row| row.get(0)).optional()?;
    if bytes.is_some() {
        conn.execute(DROP_WINDOW, [])?;
    }
    Ok(bytes)
}

/// The ids of directories with these names, made where they are not there.
pub(super) fn directory_ids(
    conn: &Connection,
    names: &[String],
    now: Timestamp,
) -> Result<Vec<DirectoryId>, Fault> {
    let mut ids = Vec::with_capacity(names.len());
    for name in names {
        conn.prepare_cached(ADD_DIRECTORY)?
            .execute(params![name, now.as_millis()])?;
        let id = conn
            .prepare_cached(DIRECTORY)?
            .query_row(params![name], |row| row.get(0))?;
        ids.push(DirectoryId(id));
    }
    Ok(ids)
}

/// The directory's base URLs, the one in force first.
pub(super) fn base_urls(conn: &Connection, directory: DirectoryId) -> Result<Vec<String>, Fault> {
    let mut statement = conn.prepare_cached(BASE_URLS)?;
    let urls = statement.query_map(params![directory.0], |row| row.get(0))?;
    Ok(urls.collect::<Result<_, _>>()?)
}

/// Puts a base URL in force; the others stay valid.
pub(super) fn set_base_url(
    conn: &Connection,
    directory: DirectoryId,
    url: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    conn.prepare_cached(ADD_BASE_URL)?
        .execute(params![directory.0, url, now.as_millis()])?;
    Ok(())
}

/// The URL in force under which certificates name CRLs and issuers.
pub(super) fn publication_url(conn: &Connection) -> Result<Option<String>, Fault> {
    Ok(conn
        .query_row(PUBLICATION_URL, [], |row| row.get(0))
        .optional()?)
}

/// Puts one in force.
pub(super) fn set_publication_url(
    conn: &Connection,
    url: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    conn.execute(ADD_PUBLICATION_URL, params![url, now.as_millis()])?;
    Ok(())
}

/// Writes enough to find out whether the disk has room again.
pub(super) fn probe(conn: &Connection) -> Result<(), Fault> {
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let written = conn
        .execute(PROBE, [])
        .and_then(|_| conn.execute_batch("COMMIT"));
    if let Err(error) = written {
        // The transaction may have ended itself with the error.
        let _ = conn.execute_batch("ROLLBACK");
        return Err(error.into());
    }
    conn.execute(DROP_PROBE, [])?;
    Ok(())
}
