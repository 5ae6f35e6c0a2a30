//! Issuers, CRL numbers, CRLs, profile texts: what issuance publishes and is bound to.

use cairn_acme::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::code::{Fault, count, time};
use crate::{
    id::IssuerId,
    model::{IssuerRecord, StoredCrl},
};

const ISSUER: &str =
    "SELECT id, certificate_der, crl_shards, created_at FROM issuers WHERE id = ?1";
const ISSUERS: &str =
    "SELECT id, certificate_der, crl_shards, created_at FROM issuers ORDER BY row";
const INSERT_ISSUER: &str =
    "INSERT INTO issuers (id, certificate_der, crl_shards, created_at) VALUES (?1, ?2, ?3, ?4)";
const NUMBER: &str = "SELECT number FROM crl_numbers WHERE issuer_id = ?1 AND shard = ?2";
const RESERVE: &str = "INSERT INTO crl_numbers (issuer_id, shard, number) VALUES (?1, ?2, ?3) \
                       ON CONFLICT (issuer_id, shard) DO UPDATE SET number = excluded.number \
                       WHERE excluded.number > number";
const PUT_CRL: &str = "INSERT INTO crls (issuer_id, shard, number, this_update, next_update, der) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (issuer_id, shard) DO UPDATE SET \
                       number = excluded.number, this_update = excluded.this_update, next_update = excluded.next_update, \
                       der = excluded.der WHERE excluded.number >= number";
const CRLS: &str = "SELECT issuer_id, shard, number, this_update, next_update, der FROM crls ORDER BY issuer_id, shard";
const RAISE_NUMBERS: &str = "UPDATE crl_numbers SET number = max(number, ?1)";
const RAISE_NUMBER: &str = "INSERT INTO crl_numbers (issuer_id, shard, number) VALUES (?1, ?2, ?3) \
                            ON CONFLICT (issuer_id, shard) DO UPDATE SET number = max(number, excluded.number)";
const NUMBERS: &str = "SELECT issuer_id, shard, number FROM crl_numbers";
const DROP_CRLS: &str = "DELETE FROM crls";
const PUT_PROFILE: &str = "INSERT OR IGNORE INTO profile_versions (hash, text) VALUES (?1, ?2)";
const PROFILE: &str = "SELECT text FROM profile_versions WHERE hash = ?1";
// A row that names a method stops whatever else it names: this version has one method.
const STOP: &str = "SELECT reason FROM issuance_stops WHERE (issuer_id IS NULL OR issuer_id = ?1) \
                    AND (profile_hash IS NULL OR profile_hash = ?2) ORDER BY row LIMIT 1";
const ADD_STOP: &str = "INSERT INTO issuance_stops (issuer_id, profile_hash, method, reason, since) VALUES (?1, ?2, NULL, ?3, ?4)";
const LIFT_STOPS: &str = "DELETE FROM issuance_stops";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    ISSUER,
    ISSUERS,
    INSERT_ISSUER,
    NUMBER,
    RESERVE,
    PUT_CRL,
    CRLS,
    RAISE_NUMBERS,
    RAISE_NUMBER,
    NUMBERS,
    DROP_CRLS,
    PUT_PROFILE,
    PROFILE,
    STOP,
    ADD_STOP,
    LIFT_STOPS,
];

fn read_issuer(row: &Row<'_>) -> Result<IssuerRecord, Fault> {
    Ok(IssuerRecord {
        id: IssuerId(row.get(0)?),
        certificate_der: row.get(1)?,
        crl_shards: count("issuers", row.get(2)?)?,
        created_at: time(row.get(3)?),
    })
}

/// The issuer with this id.
pub(super) fn issuer(conn: &Connection, id: IssuerId) -> Result<Option<IssuerRecord>, Fault> {
    let mut statement = conn.prepare_cached(ISSUER)?;
    let mut rows = statement.query(params![id.0])?;
    rows.next()?.map(read_issuer).transpose()
}

/// All issuers, oldest first.
pub(super) fn issuers(conn: &Connection) -> Result<Vec<IssuerRecord>, Fault> {
    let mut statement = conn.prepare_cached(ISSUERS)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read_issuer(row)?);
    }
    Ok(found)
}

/// Adds an issuer; its number of shards is fixed from here on.
pub(super) fn insert_issuer(conn: &Connection, issuer: &IssuerRecord) -> Result<(), Fault> {
    conn.prepare_cached(INSERT_ISSUER)?
        .execute(params![
            issuer.id.0,
            issuer.certificate_der,
            issuer.crl_shards,
            issuer.created_at.as_millis()
        ])
        .map_err(Fault::of_insert("issuers"))?;
    Ok(())
}

/// The highest number ever reserved for the shard; 0 if none was.
pub(super) fn number(conn: &Connection, issuer: IssuerId, shard: u32) -> Result<u64, Fault> {
    let number: Option<i64> = conn
        .prepare_cached(NUMBER)?
        .query_row(params![issuer.0, shard], |row| row.get(0))
        .optional()?;
    number.map_or(Ok(0), |n| count("crl_numbers", n))
}

/// Spends the number. One that is not above all before it is a collision: somebody else spent it.
pub(super) fn reserve(
    conn: &Connection,
    issuer: IssuerId,
    shard: u32,
    number: u64,
) -> Result<(), Fault> {
    let number = i64::try_from(number)
        .map_err(|_| Fault::row("crl_numbers", "the number is out of range"))?;
    let changed = conn
        .prepare_cached(RESERVE)?
        .execute(params![issuer.0, shard, number])?;
    if changed != 1 {
        return Err(Fault::Collision("crl_numbers"));
    }
    Ok(())
}

/// After a restore: numbers go on above any that a lost, newer state can have spent. They follow the seconds of the
/// epoch (`ReserveCrlNumber`), so the seconds of the restore are above all of them, also of an earlier restore of the same
/// backup.
pub(super) fn raise_numbers(conn: &Connection, now: Timestamp) -> Result<(), Fault> {
    conn.prepare_cached(RAISE_NUMBERS)?
        .execute(params![now.as_seconds()])?;
    // The backup's own lists may be older than what was published since: the start signs new ones.
    conn.prepare_cached(DROP_CRLS)?.execute([])?;
    Ok(())
}

/// Every shard's highest number that was ever reserved.
pub(super) fn numbers(conn: &Connection) -> Result<Vec<(IssuerId, u32, u64)>, Fault> {
    let mut statement = conn.prepare(NUMBERS)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((
            IssuerId(row.get(0)?),
            count("crl_numbers", row.get(1)?)?,
            count("crl_numbers", row.get(2)?)?,
        ));
    }
    Ok(found)
}

/// After a restore over a state that knows a number: goes on above it.
pub(super) fn raise_number(
    conn: &Connection,
    issuer: IssuerId,
    shard: u32,
    number: u64,
) -> Result<(), Fault> {
    let number = i64::try_from(number)
        .map_err(|_| Fault::row("crl_numbers", "the number is out of range"))?;
    conn.execute(RAISE_NUMBER, params![issuer.0, shard, number])?;
    Ok(())
}

/// Makes the CRL the one in force, unless a newer one is.
pub(super) fn put(conn: &Connection, crl: &StoredCrl) -> Result<(), Fault> {
    let number =
        i64::try_from(crl.number).map_err(|_| Fault::row("crls", "the number is out of range"))?;
    let changed = conn.prepare_cached(PUT_CRL)?.execute(params![
        crl.issuer.0,
        crl.shard,
        number,
        crl.this_update.as_millis(),
        crl.next_update.as_millis(),
        crl.der,
    ])?;
    if changed != 1 {
        return Err(Fault::row("crls", "a CRL with a higher number is in force"));
    }
    Ok(())
}

/// The CRL in force of each shard.
pub(super) fn all(conn: &Connection) -> Result<Vec<StoredCrl>, Fault> {
    let mut statement = conn.prepare_cached(CRLS)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(StoredCrl {
            issuer: IssuerId(row.get(0)?),
            shard: count("crls", row.get(1)?)?,
            number: count("crls", row.get(2)?)?,
            this_update: time(row.get(3)?),
            next_update: time(row.get(4)?),
            der: row.get(5)?,
        });
    }
    Ok(found)
}

/// Keeps a profile's text under its hash.
pub(super) fn put_profile(conn: &Connection, hash: &[u8; 32], text: &str) -> Result<(), Fault> {
    conn.prepare_cached(PUT_PROFILE)?
        .execute(params![hash, text])?;
    Ok(())
}

/// The text of a profile version.
pub(super) fn profile(conn: &Connection, hash: &[u8; 32]) -> Result<Option<String>, Fault> {
    Ok(conn
        .prepare_cached(PROFILE)?
        .query_row(params![hash], |row| row.get(0))
        .optional()?)
}

/// Why issuance is stopped for this issuer and profile, if it is.
pub(super) fn stop(
    conn: &Connection,
    issuer: IssuerId,
    profile_hash: &[u8; 32],
) -> Result<Option<String>, Fault> {
    Ok(conn
        .prepare_cached(STOP)?
        .query_row(params![issuer.0, profile_hash], |row| row.get(0))
        .optional()?)
}

/// Stops issuance for all, or for the issuer or profile named.
pub(super) fn add_stop(
    conn: &Connection,
    issuer: Option<IssuerId>,
    profile_hash: Option<[u8; 32]>,
    reason: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    conn.prepare_cached(ADD_STOP)?.execute(params![
        issuer.map(|i| i.0),
        profile_hash,
        reason,
        now.as_millis()
    ])?;
    Ok(())
}

/// Lets issuance go on.
pub(super) fn lift_stops(conn: &Connection) -> Result<usize, Fault> {
    Ok(conn.prepare_cached(LIFT_STOPS)?.execute([])?)
}
