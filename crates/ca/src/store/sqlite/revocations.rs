//! Revocations, how far CRLs list them, and keys that are blocked because of them.

use cairn_acme::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    Store,
    code::{Fault, count, serial, serial_bytes, time},
};
use crate::{
    id::{AccountId, IssuerId},
    model::{
        Certificate, CertificateKey, ListedEntry, Revocation, RevocationReason, RevokedBy,
        ShardState, StoredCrl,
    },
    store::StoreError,
};

const TABLE: &str = "revocations";

/// How many entries one page of a CRL has.
pub const ENTRIES_PAGE: usize = 2048;

// A change of a revocation takes a new row: CRLs that list rows up to the old one do not show it. What no CRL carries any
// more stays so.
const PUT: &str = "INSERT INTO revocations (row, issuer_id, serial, crl_shard, not_after, reason, revoked_at, revoker, \
                   account_id, listed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1) \
                   ON CONFLICT (serial, issuer_id) DO UPDATE SET row = excluded.row, reason = excluded.reason, \
                   revoked_at = excluded.revoked_at, revoker = excluded.revoker, account_id = excluded.account_id";
const ENTRIES: &str = "SELECT row, serial, revoked_at, reason FROM revocations INDEXED BY revocations_listed \
                       WHERE issuer_id = ?1 AND crl_shard = ?2 AND listed = 1 AND row > ?3 ORDER BY row LIMIT ?4";
const NEWEST: &str = "SELECT max(row) FROM revocations INDEXED BY revocations_listed \
                      WHERE issuer_id = ?1 AND crl_shard = ?2 AND listed = 1";
const SHARD: &str =
    "SELECT this_update, regular_at, reach FROM crls WHERE issuer_id = ?1 AND shard = ?2";
const PUT_REACH: &str =
    "INSERT OR IGNORE INTO crl_reaches (issuer_id, shard, reach, number) VALUES (?1, ?2, ?3, ?4)";
const FIRST_CRL: &str = "SELECT n.number FROM revocations v JOIN crl_reaches n ON n.issuer_id = v.issuer_id \
                         AND n.shard = v.crl_shard AND n.reach >= v.row WHERE v.serial = ?1 AND v.issuer_id = ?2 \
                         ORDER BY n.reach LIMIT 1";
// RFC 5280 §3.3: an entry leaves only after it was on one regular CRL that was made after the certificate's end.
const DELIST: &str = "UPDATE revocations SET listed = 0 WHERE row IN (SELECT v.row FROM revocations v \
                      INDEXED BY revocations_ending JOIN crls c ON c.issuer_id = v.issuer_id AND c.shard = v.crl_shard \
                      WHERE v.listed = 1 AND v.not_after < (SELECT max(regular_at) FROM crls) \
                      AND v.not_after < c.regular_at AND v.row <= c.regular_reach ORDER BY v.not_after LIMIT ?1)";
const BLOCK: &str = "INSERT OR IGNORE INTO blocked_keys (spki_sha256, issuer_id, serial, since) VALUES (?1, ?2, ?3, ?4)";
const IS_BLOCKED: &str = "SELECT 1 FROM blocked_keys WHERE spki_sha256 = ?1";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    PUT, ENTRIES, NEWEST, SHARD, PUT_REACH, FIRST_CRL, DELIST, BLOCK, IS_BLOCKED,
];

fn reason(code: i64) -> Result<RevocationReason, Fault> {
    RevocationReason::from_code(code)
        .ok_or_else(|| Fault::row(TABLE, format!("reason {code} is not known to this version")))
}

fn revoker_columns(by: RevokedBy) -> (i64, Option<[u8; 16]>) {
    let code = match by {
        RevokedBy::Subscriber(_) => 0,
        RevokedBy::NameHolder(_) => 1,
        RevokedBy::KeyHolder => 2,
        RevokedBy::Operator => 3,
        RevokedBy::Restore => 4,
    };
    (code, by.account().map(|account| *account.as_bytes()))
}

fn revoker(code: i64, account: Option<[u8; 16]>) -> Result<RevokedBy, Fault> {
    match (code, account.map(AccountId::from_bytes)) {
        (0, Some(account)) => Ok(RevokedBy::Subscriber(account)),
        (1, Some(account)) => Ok(RevokedBy::NameHolder(account)),
        (2, None) => Ok(RevokedBy::KeyHolder),
        (3, None) => Ok(RevokedBy::Operator),
        (4, None) => Ok(RevokedBy::Restore),
        (code, _) => Err(Fault::row(
            TABLE,
            format!("revoker {code} is not known to this version"),
        )),
    }
}

/// The revocation in a certificate's joined row: reason, moment, revoker and account from that column on.
pub(super) fn joined(row: &Row<'_>, first: usize) -> Result<Option<Revocation>, Fault> {
    let Some(code) = row.get::<_, Option<i64>>(first)? else {
        return Ok(None);
    };
    Ok(Some(Revocation {
        reason: self::reason(code)?,
        at: time(row.get(first + 1)?),
        by: revoker(row.get(first + 2)?, row.get(first + 3)?)?,
    }))
}

/// A revocation with what stands in its certificate, which itself may be lost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Revoked {
    pub(super) key: CertificateKey,
    pub(super) crl_shard: u32,
    pub(super) not_after: Timestamp,
    pub(super) revocation: Revocation,
}

impl Revoked {
    /// A certificate's; none if it is not revoked.
    pub(super) fn of(certificate: &Certificate) -> Option<Self> {
        Some(Self {
            key: certificate.key,
            crl_shard: certificate.crl_shard,
            not_after: certificate.not_after,
            revocation: certificate.revocation?,
        })
    }
}

/// Writes a revocation, or what became of it.
pub(super) fn put(conn: &Connection, row: i64, revoked: &Revoked) -> Result<(), Fault> {
    let (revoker, account) = revoker_columns(revoked.revocation.by);
    conn.prepare_cached(PUT)?.execute(params![
        row,
        revoked.key.issuer.0,
        serial_bytes(&revoked.key.serial),
        revoked.crl_shard,
        revoked.not_after.as_millis(),
        revoked.revocation.reason.code(),
        revoked.revocation.at.as_millis(),
        revoker,
        account,
    ])?;
    Ok(())
}

/// One page of a shard's list, from behind the place.
fn entries(
    conn: &Connection,
    issuer: IssuerId,
    shard: u32,
    after: i64,
) -> Result<Vec<ListedEntry>, Fault> {
    let limit = i64::try_from(ENTRIES_PAGE).unwrap_or(i64::MAX);
    let mut statement = conn.prepare_cached(ENTRIES)?;
    let mut rows = statement.query(params![issuer.0, shard, after, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(ListedEntry {
            place: row.get(0)?,
            serial: serial(TABLE, row.get(1)?)?,
            at: time(row.get(2)?),
            reason: reason(row.get(3)?)?,
        });
    }
    Ok(found)
}

fn shard_state(conn: &Connection, issuer: IssuerId, shard: u32) -> Result<ShardState, Fault> {
    let crl: Option<(i64, i64, i64)> = conn
        .prepare_cached(SHARD)?
        .query_row(params![issuer.0, shard], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let newest: Option<i64> = conn
        .prepare_cached(NEWEST)?
        .query_row(params![issuer.0, shard], |row| row.get(0))?;
    Ok(ShardState {
        shard,
        signed_at: crl.map(|(this, regular, _)| (time(this), time(regular))),
        behind: newest.unwrap_or(0) > crl.map_or(0, |(_, _, reach)| reach),
    })
}

/// Notes how far a CRL reaches, if none before it reached that far.
pub(super) fn put_reach(conn: &Connection, crl: &StoredCrl, number: i64) -> Result<(), Fault> {
    if crl.reach > 0 {
        conn.prepare_cached(PUT_REACH)?.execute(params![
            crl.issuer.0,
            crl.shard,
            crl.reach,
            number
        ])?;
    }
    Ok(())
}

/// Takes off the lists what may leave them, at most `limit`.
pub(super) fn delist(conn: &Connection, limit: i64) -> Result<usize, Fault> {
    Ok(conn.prepare_cached(DELIST)?.execute(params![limit])?)
}

/// Blocks the key of a certificate.
pub(super) fn block(
    conn: &Connection,
    spki_sha256: &[u8; 32],
    shown_by: &CertificateKey,
    now: Timestamp,
) -> Result<(), Fault> {
    conn.prepare_cached(BLOCK)?.execute(params![
        spki_sha256,
        shown_by.issuer.0,
        serial_bytes(&shown_by.serial),
        now.as_millis()
    ])?;
    Ok(())
}

/// Whether the key is blocked.
pub(super) fn is_blocked(conn: &Connection, spki_sha256: &[u8; 32]) -> Result<bool, Fault> {
    Ok(conn
        .prepare_cached(IS_BLOCKED)?
        .query_row(params![spki_sha256], |_| Ok(()))
        .optional()?
        .is_some())
}

impl Store {
    /// One page of what a shard's CRL shall list, in the order of revocations from behind that place; an empty one is the
    /// end. A revocation that changes meanwhile comes again, as it then is.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn crl_entries(
        &self,
        issuer: IssuerId,
        shard: u32,
        after: i64,
    ) -> Result<Vec<ListedEntry>, StoreError> {
        self.read_long(move |conn| entries(conn, issuer, shard, after))
            .await
    }

    /// How the issuer's shards stand.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn crl_shards(
        &self,
        issuer: IssuerId,
        shards: u32,
    ) -> Result<Vec<ShardState>, StoreError> {
        self.read_long(move |conn| {
            (0..shards)
                .map(|shard| shard_state(conn, issuer, shard))
                .collect()
        })
        .await
    }

    /// The number of the first CRL that listed the certificate as it is revoked now; none if it is on none yet.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn first_crl(&self, key: CertificateKey) -> Result<Option<u64>, StoreError> {
        self.read(move |conn| {
            let number: Option<i64> = conn
                .prepare_cached(FIRST_CRL)?
                .query_row(params![serial_bytes(&key.serial), key.issuer.0], |row| {
                    row.get(0)
                })
                .optional()?;
            number.map(|n| count("crl_reaches", n)).transpose()
        })
        .await
    }
}
