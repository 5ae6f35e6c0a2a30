//! What a restore takes over from the time that its backup does not know: revocations and blocked keys of the store that it
//! replaces, and revocations on published lists (T-CA-122). A certificate that was revoked stays revoked, also if the
//! backup has never heard of it. Accounts and authorizations that were deactivated stay so, and an account whose key was
//! changed has the new one, for the old may be in others' hands; where nobody knows, names have to be shown anew. Of external account keys nobody knows which were used or taken back in that time: none that
//! could still open an account outlives the restore.

use std::path::Path;

use cairn_acme::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    apply::Keys,
    certificates,
    code::{Fault, certificate_key, count, serial_bytes, time},
    connect, meta,
    revocations::{self, Revoked},
};
use crate::model::{CertificateKey, PublishedList, Revocation, RevocationReason, RevokedBy};

const KNOWN: &str = "SELECT reason FROM revocations WHERE serial = ?1 AND issuer_id = ?2";
const REVOKED: &str = "SELECT issuer_id, serial, crl_shard, not_after, reason, revoked_at, revoker, account_id \
                       FROM revocations ORDER BY row";
const WITHDRAW: &str =
    "UPDATE external_keys SET revoked_at = ?1 WHERE revoked_at IS NULL AND (many = 1 OR uses = 0)";
// An end is never taken back (RFC 8555 §7.3.6, §7.1.6), so whichever store has it is right.
const ENDED_ACCOUNTS: &str = "SELECT id, status FROM accounts WHERE status <> 0";
const END_ACCOUNT: &str = "UPDATE accounts SET status = ?2 WHERE id = ?1 AND status = 0";
const ENDED_AUTHORIZATIONS: &str =
    "SELECT id, status FROM authorizations WHERE status IN (2, 3, 5)";
const END_AUTHORIZATION: &str =
    "UPDATE authorizations SET status = ?2 WHERE id = ?1 AND status IN (0, 1)";
/// Where no store tells which were deactivated.
const REVOKE_VALID: &str = "UPDATE authorizations SET status = 5 WHERE status = 1";
const ACCOUNT_KEYS: &str = "SELECT id, thumbprint, spki_sha256, jwk FROM accounts";
const CHANGE_KEY: &str = "UPDATE accounts SET thumbprint = ?2, spki_sha256 = ?3, jwk = ?4 WHERE id = ?1 AND thumbprint <> ?2";
const BLOCKED: &str = "SELECT spki_sha256, issuer_id, serial, since FROM blocked_keys";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[
    KNOWN,
    WITHDRAW,
    END_ACCOUNT,
    END_AUTHORIZATION,
    CHANGE_KEY,
    REVOKE_VALID,
];

/// What was taken over.
#[derive(Debug, Default)]
pub(super) struct Reconciled {
    /// Revocations that the backup did not know, or not so.
    pub(super) revocations: usize,
    /// Accounts and authorizations that had ended, and account keys that were changed, since the backup; of an unknown time
    /// all valid authorizations.
    pub(super) ended: usize,
    /// External account keys that were taken back.
    pub(super) external_keys: usize,
    /// Why the replaced store told nothing.
    pub(super) unread: Option<String>,
}

/// Takes over into a backup of that moment, inside the caller's transaction.
pub(super) fn reconcile(
    conn: &Connection,
    keys: &Keys,
    backup: Timestamp,
    replaced: Option<&Path>,
    published: &[PublishedList],
    now: Timestamp,
) -> Result<Reconciled, Fault> {
    let mut done = Reconciled {
        external_keys: conn.execute(WITHDRAW, params![now.as_millis()])?,
        ..Reconciled::default()
    };
    let later = replaced.map(|replaced| read(replaced, backup));
    if !matches!(later, Some(Ok(_))) {
        done.ended = conn.execute(REVOKE_VALID, [])?;
    }
    if let Some(later) = later {
        match later {
            Ok(later) => {
                for revoked in &later.revoked {
                    done.revocations += take(conn, keys, revoked)?;
                }
                for (spki_sha256, shown_by, since) in &later.blocked {
                    revocations::block(conn, spki_sha256, shown_by, *since)?;
                }
                done.ended = take_ends(conn, &later)?;
            }
            // Broken, or the reason for which it is replaced.
            Err(fault) => done.unread = Some(fault.to_string()),
        }
    }
    for list in published {
        for (serial, at, reason) in &list.entries {
            let key = CertificateKey {
                issuer: list.issuer,
                serial: *serial,
            };
            let known = certificates::by_key(conn, &key)?;
            let not_after = known.map_or(list.until, |certificate| certificate.not_after);
            let revoked = Revoked {
                key,
                crl_shard: list.shard,
                not_after,
                revocation: Revocation {
                    reason: *reason,
                    at: (*at).min(now),
                    by: RevokedBy::Restore,
                },
            };
            done.revocations += take(conn, keys, &revoked)?;
        }
    }
    Ok(done)
}

/// Writes one that is not known, or known for a reason that is less than a compromised key: no other reason takes the
/// place of one, and what is read may be older than the backup.
fn take(conn: &Connection, keys: &Keys, revoked: &Revoked) -> Result<usize, Fault> {
    let known: Option<i64> = conn
        .prepare_cached(KNOWN)?
        .query_row(
            params![serial_bytes(&revoked.key.serial), revoked.key.issuer.0],
            |row| row.get(0),
        )
        .optional()?;
    let compromised = i64::from(RevocationReason::KeyCompromise.code());
    let graver = revoked.revocation.reason == RevocationReason::KeyCompromise;
    if known.is_some_and(|known| known == compromised || !graver) {
        return Ok(0);
    }
    revocations::put(conn, keys.revocation(), revoked)?;
    Ok(1)
}

/// Writes down what ended, and the newer of two keys.
fn take_ends(conn: &Connection, later: &Later) -> Result<usize, Fault> {
    let mut changed = 0;
    for (id, thumbprint, spki_sha256, jwk) in &later.account_keys {
        let key = params![id, thumbprint, spki_sha256, jwk];
        changed += conn.prepare_cached(CHANGE_KEY)?.execute(key)?;
    }
    for (statement, ends) in [
        (END_ACCOUNT, &later.accounts),
        (END_AUTHORIZATION, &later.authorizations),
    ] {
        for (id, status) in ends {
            changed += conn
                .prepare_cached(statement)?
                .execute(params![id, status])?;
        }
    }
    Ok(changed)
}

type Blocked = ([u8; 32], CertificateKey, Timestamp);
type Ended = ([u8; 16], i64);
type AccountKey = ([u8; 16], [u8; 32], [u8; 32], String);

/// What the replaced store tells.
struct Later {
    revoked: Vec<Revoked>,
    blocked: Vec<Blocked>,
    accounts: Vec<Ended>,
    authorizations: Vec<Ended>,
    /// None, if the backup is the newer of the two: which key is in force now is not seen in the keys.
    account_keys: Vec<AccountKey>,
}

fn read(path: &Path, backup: Timestamp) -> Result<Later, Fault> {
    const TABLE: &str = "revocations";
    let conn = connect::file(path, false)
        .map_err(|fault| Fault::row("the replaced store", fault.to_string()))?;
    let key = |issuer, serial| {
        certificate_key(TABLE, Some(issuer), Some(serial))?
            .ok_or_else(|| Fault::row(TABLE, "a key that is none"))
    };
    let mut revoked = Vec::new();
    let mut statement = conn.prepare(REVOKED)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let revocation = revocations::joined(row, 4)?
            .ok_or_else(|| Fault::row(TABLE, "a revocation without a reason"))?;
        revoked.push(Revoked {
            key: key(row.get(0)?, row.get(1)?)?,
            crl_shard: count(TABLE, row.get(2)?)?,
            not_after: time(row.get(3)?),
            revocation,
        });
    }
    let mut blocked = Vec::new();
    let mut statement = conn.prepare(BLOCKED)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        blocked.push((
            row.get(0)?,
            key(row.get(1)?, row.get(2)?)?,
            time(row.get(3)?),
        ));
    }
    let ended = |sql| -> Result<Vec<Ended>, Fault> {
        let mut statement = conn.prepare(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    let mut account_keys = Vec::new();
    if meta::read(&conn)?.latest_time >= backup {
        let mut statement = conn.prepare(ACCOUNT_KEYS)?;
        let rows = statement.query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        account_keys = rows.collect::<Result<_, _>>()?;
    }
    Ok(Later {
        revoked,
        blocked,
        accounts: ended(ENDED_ACCOUNTS)?,
        authorizations: ended(ENDED_AUTHORIZATIONS)?,
        account_keys,
    })
}
