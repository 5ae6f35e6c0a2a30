//! What a restore takes over from the time that its backup does not know: revocations and blocked keys of the store that it
//! replaces, and revocations on published lists (T-CA-122). A certificate that was revoked stays revoked, also if the
//! backup has never heard of it. Of external account keys nobody knows which were used or taken back in that time: none that
//! could still open an account outlives the restore.

use std::path::Path;

use cairn_acme::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    apply::Keys,
    certificates,
    code::{Fault, certificate_key, count, serial_bytes, time},
    connect,
    revocations::{self, Revoked},
};
use crate::model::{CertificateKey, PublishedList, Revocation, RevocationReason, RevokedBy};

const KNOWN: &str = "SELECT reason FROM revocations WHERE serial = ?1 AND issuer_id = ?2";
const REVOKED: &str = "SELECT issuer_id, serial, crl_shard, not_after, reason, revoked_at, revoker, account_id \
                       FROM revocations ORDER BY row";
const WITHDRAW: &str =
    "UPDATE external_keys SET revoked_at = ?1 WHERE revoked_at IS NULL AND (many = 1 OR uses = 0)";
const BLOCKED: &str = "SELECT spki_sha256, issuer_id, serial, since FROM blocked_keys";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[KNOWN, WITHDRAW];

/// What was taken over.
#[derive(Debug, Default)]
pub(super) struct Reconciled {
    /// Revocations that the backup did not know, or not so.
    pub(super) revocations: usize,
    /// External account keys that were taken back.
    pub(super) external_keys: usize,
    /// Why the replaced store told nothing.
    pub(super) unread: Option<String>,
}

/// Takes over, inside the caller's transaction.
pub(super) fn reconcile(
    conn: &Connection,
    keys: &Keys,
    replaced: Option<&Path>,
    published: &[PublishedList],
    now: Timestamp,
) -> Result<Reconciled, Fault> {
    let mut done = Reconciled {
        external_keys: conn.execute(WITHDRAW, params![now.as_millis()])?,
        ..Reconciled::default()
    };
    if let Some(replaced) = replaced {
        match read(replaced) {
            Ok((revoked, blocked)) => {
                for revoked in &revoked {
                    done.revocations += take(conn, keys, revoked)?;
                }
                for (spki_sha256, shown_by, since) in &blocked {
                    revocations::block(conn, spki_sha256, shown_by, *since)?;
                }
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

type Blocked = ([u8; 32], CertificateKey, Timestamp);

fn read(path: &Path) -> Result<(Vec<Revoked>, Vec<Blocked>), Fault> {
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
    Ok((revoked, blocked))
}
