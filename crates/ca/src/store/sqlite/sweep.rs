//! Sweeping by age, in bounded chunks between batches: expired open orders become invalid, then orders, authorizations
//! and audit rows go when they are old enough. Certificates, their evidence and their revocations stay; expired ones leave
//! the CRLs once a regular one has shown them (RFC 5280 §3.3).

use std::{cell::Cell, time::Duration};

use cairn_acme::time::Timestamp;

use super::{
    Store,
    apply::{Effects, apply},
    audit, authorizations,
    code::Fault,
    meta, orders, revocations,
    writer::Writer,
};
use crate::{authority::orders::expire, store::StoreError};

/// How long rows are kept.
#[derive(Debug, Clone, Copy)]
pub struct SweepPolicy {
    /// Finished orders, and authorizations, after they expired.
    pub orders_after: Duration,
    /// Audit rows.
    pub audit_after: Duration,
}

/// What one chunk did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Orders that became invalid.
    pub expired: usize,
    /// Orders deleted.
    pub orders: usize,
    /// Authorizations deleted.
    pub authorizations: usize,
    /// Audit rows deleted.
    pub audit: usize,
    /// Revocations that left the lists.
    pub revocations: usize,
    /// Whether another chunk may find more.
    pub more: bool,
}

/// Where the next chunk of a round goes on. Rows lie in the order of their making, so a round ends at the first one that
/// is too young.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    orders: Cell<i64>,
    authorizations: Cell<i64>,
}

impl Store {
    /// Sweeps one chunk of at most `limit` rows of each kind.
    ///
    /// # Errors
    /// When nothing was written.
    pub async fn sweep(
        &self,
        now: Timestamp,
        policy: &SweepPolicy,
        limit: usize,
    ) -> Result<SweepReport, StoreError> {
        let policy = *policy;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX).max(1);
        self.at_writer(move |w| w.transaction("sweep", |w| sweep(w, now, policy, limit)))
            .await
    }
}

fn sweep(
    writer: &Writer,
    now: Timestamp,
    policy: SweepPolicy,
    limit: i64,
) -> Result<(SweepReport, Effects), Fault> {
    let mut effects = Effects::default();
    let mut report = SweepReport::default();
    let conn = writer.conn();
    meta::remember(conn, now)?;
    effects.latest = Some(now);

    for order in orders::expired(conn, now.as_millis(), limit)? {
        if let Some(changes) = expire(order, now) {
            report.expired += 1;
            effects.merge(apply(conn, writer.keys(), changes)?);
        }
    }

    let due = now.minus(policy.orders_after).as_millis();
    let cursor = writer.cursor();
    let mut looked = 0;
    let mut last = None;
    for old in orders::aging(conn, cursor.orders.get(), limit)? {
        if old.created_at >= due {
            break;
        }
        looked += 1;
        last = Some(old.row);
        if old.is_final && old.expires < due {
            orders::delete(conn, old.row)?;
            effects.deleted_orders.push(old.id);
        }
    }
    report.more |= advance(&cursor.orders, looked, limit, last);

    let (mut looked, mut last) = (0, None);
    for old in authorizations::aging(conn, cursor.authorizations.get(), limit)? {
        if old.created_at >= due {
            break;
        }
        looked += 1;
        last = Some(old.row);
        if old.expires < due {
            authorizations::delete(conn, old.row)?;
            effects.deleted_authorizations.push(old.id);
        }
    }
    report.more |= advance(&cursor.authorizations, looked, limit, last);

    report.orders = effects.deleted_orders.len();
    report.authorizations = effects.deleted_authorizations.len();
    report.audit = audit::sweep(conn, now.minus(policy.audit_after), limit)?;
    report.revocations = revocations::delist(conn, limit)?;
    let full = |n: usize| i64::try_from(n).is_ok_and(|n| n >= limit);
    report.more |= full(report.expired) || full(report.audit) || full(report.revocations);
    Ok((report, effects))
}

/// Moves the cursor behind a full chunk, or back to the start at the end of a round.
fn advance(cursor: &Cell<i64>, looked: i64, limit: i64, last: Option<i64>) -> bool {
    let more = looked >= limit;
    cursor.set(last.filter(|_| more).unwrap_or(0));
    more
}
