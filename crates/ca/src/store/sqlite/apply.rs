//! Writing a decision's changes, and what they leave to tell.

use std::{cell::Cell, sync::Arc};

use cairn_acme::time::Timestamp;
use cairn_x509::certificate::Serial;
use rusqlite::Connection;

use super::{
    accounts, audit, authorizations,
    cache::Cache,
    certificates,
    code::Fault,
    crls, external, orders, renewals,
    revocations::{self, Revoked},
    work,
};
use crate::{
    id::{AuthorizationId, OrderId},
    model::{
        Account, AuditEvent, Authorization, Certificate, CertificateKey, Order, OrderState, Work,
    },
    store::{Changes, Observer},
};

/// The next row keys: counters, because time-based keys collide under load (speed.md).
#[derive(Debug)]
pub(super) struct Keys {
    accounts: Cell<i64>,
    orders: Cell<i64>,
    authorizations: Cell<i64>,
    certificates: Cell<i64>,
    revocations: Cell<i64>,
    external: Cell<i64>,
    audit: Cell<i64>,
}

impl Keys {
    /// Goes on after the highest key of each table.
    pub(super) fn load(conn: &Connection) -> Result<Self, Fault> {
        let last = |sql| -> Result<Cell<i64>, Fault> {
            Ok(Cell::new(
                conn.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))?
                    .unwrap_or(0),
            ))
        };
        Ok(Self {
            accounts: last("SELECT max(row) FROM accounts")?,
            orders: last("SELECT max(row) FROM orders")?,
            authorizations: last("SELECT max(row) FROM authorizations")?,
            certificates: last("SELECT max(row) FROM certificates")?,
            revocations: last("SELECT max(row) FROM revocations")?,
            external: last("SELECT max(row) FROM external_keys")?,
            audit: last("SELECT max(row) FROM audit")?,
        })
    }

    /// A key above that of every revocation.
    pub(super) fn revocation(&self) -> i64 {
        next(&self.revocations)
    }

    /// A key that no audit row has had.
    pub(super) fn audit(&self) -> i64 {
        next(&self.audit)
    }
}

/// A rolled-back transaction leaves a gap; gaps mean nothing.
fn next(counter: &Cell<i64>) -> i64 {
    counter.set(counter.get() + 1);
    counter.get()
}

/// What a transaction changed, as it now is.
#[derive(Debug, Default)]
pub(super) struct Effects {
    pub(super) accounts: Vec<Arc<Account>>,
    pub(super) orders: Vec<Arc<Order>>,
    pub(super) authorizations: Vec<Arc<Authorization>>,
    pub(super) certificates: Vec<Arc<Certificate>>,
    pub(super) set_aside: Vec<CertificateKey>,
    pub(super) work: Vec<Work>,
    pub(super) deleted_orders: Vec<OrderId>,
    pub(super) deleted_authorizations: Vec<AuthorizationId>,
    /// The newest moment that was written.
    pub(super) latest: Option<Timestamp>,
}

impl Effects {
    /// Puts what came later behind.
    pub(super) fn merge(&mut self, later: Self) {
        self.accounts.extend(later.accounts);
        self.orders.extend(later.orders);
        self.authorizations.extend(later.authorizations);
        self.certificates.extend(later.certificates);
        self.set_aside.extend(later.set_aside);
        self.work.extend(later.work);
        self.deleted_orders.extend(later.deleted_orders);
        self.deleted_authorizations
            .extend(later.deleted_authorizations);
        self.latest = self.latest.max(later.latest);
    }

    /// Puts the committed state into the cache: first what others name, so that whoever finds an order valid finds its certificate.
    pub(super) fn refresh(&self, cache: &Cache) {
        for certificate in &self.certificates {
            let serial: Serial = certificate.key.serial;
            cache
                .certificates
                .committed(serial, Arc::clone(certificate));
            cache.renewal_changed(&certificate.key);
        }
        for key in &self.set_aside {
            cache.renewal_changed(key);
        }
        for authorization in &self.authorizations {
            cache
                .authorizations
                .committed(authorization.id, Arc::clone(authorization));
        }
        for order in &self.orders {
            cache.orders.committed(order.id, Arc::clone(order));
        }
        for account in &self.accounts {
            cache.accounts.committed(account.id, Arc::clone(account));
        }
        for id in &self.deleted_orders {
            cache.orders.deleted(id);
        }
        for id in &self.deleted_authorizations {
            cache.authorizations.deleted(id);
        }
    }

    /// Tells of every aggregate touched.
    pub(super) fn tell(&self, observer: &dyn Observer) {
        self.accounts.iter().for_each(|a| observer.account(a));
        self.authorizations
            .iter()
            .for_each(|a| observer.authorization(a));
        self.orders.iter().for_each(|o| observer.order(o));
        self.work.iter().for_each(|w| observer.work(w));
    }
}

/// Writes all of it, inside the caller's transaction.
pub(super) fn apply(conn: &Connection, keys: &Keys, changes: Changes) -> Result<Effects, Fault> {
    for account in &changes.insert_accounts {
        accounts::insert(conn, next(&keys.accounts), account)?;
    }
    for account in &changes.update_accounts {
        accounts::update(conn, account)?;
    }
    for authorization in &changes.insert_authorizations {
        authorizations::insert(conn, next(&keys.authorizations), authorization)?;
    }
    for authorization in &changes.update_authorizations {
        authorizations::update(conn, authorization)?;
    }
    for order in &changes.insert_orders {
        orders::insert(conn, next(&keys.orders), order)?;
    }
    for order in &changes.update_orders {
        orders::update(conn, order)?;
        // Here for all the rules that end an order: an invalid one replaces nothing (9773-5-2).
        if let (OrderState::Invalid, Some(certificate)) = (order.state, &order.replaces) {
            renewals::release(conn, certificate, order.id)?;
        }
    }
    for claim in &changes.claim_replacements {
        renewals::claim(conn, claim)?;
    }
    for certificate in &changes.insert_certificates {
        certificates::insert(conn, next(&keys.certificates), certificate)?;
    }
    for certificate in &changes.update_certificates {
        certificates::update(conn, certificate)?;
    }
    for certificate in &changes.revoke_certificates {
        let revoked = Revoked::of(certificate)
            .ok_or_else(|| Fault::row("revocations", "a revocation cannot be taken back"))?;
        revocations::put(conn, keys.revocation(), &revoked)?;
    }
    for (spki_sha256, shown_by, at) in &changes.block_keys {
        revocations::block(conn, spki_sha256, shown_by, *at)?;
    }
    for (key, aside) in &changes.set_aside {
        renewals::put_aside(conn, key, aside)?;
    }
    for subject in &changes.delete_work {
        work::delete(conn, subject)?;
    }
    for row in &changes.put_work {
        work::put(conn, row)?;
    }
    for issuer in &changes.insert_issuers {
        crls::insert_issuer(conn, issuer)?;
    }
    for (hash, text) in &changes.put_profiles {
        crls::put_profile(conn, hash, text)?;
    }
    for (issuer, shard, number) in &changes.reserve_crl_numbers {
        crls::reserve(conn, *issuer, *shard, *number)?;
    }
    for crl in &changes.put_crls {
        crls::put(conn, crl)?;
    }
    for key in &changes.insert_external_keys {
        external::insert(conn, next(&keys.external), key)?;
    }
    for key in &changes.update_external_keys {
        external::update(conn, key)?;
    }
    let latest = write_audit(conn, keys, &changes.audit)?;
    Ok(Effects {
        accounts: shared_all(changes.insert_accounts, changes.update_accounts),
        orders: shared_all(changes.insert_orders, changes.update_orders),
        authorizations: shared_all(changes.insert_authorizations, changes.update_authorizations),
        certificates: shared_all(
            [changes.insert_certificates, changes.update_certificates].concat(),
            changes.revoke_certificates,
        ),
        set_aside: changes.set_aside.into_iter().map(|(key, _)| key).collect(),
        work: changes.put_work,
        latest,
        ..Effects::default()
    })
}

fn shared_all<T>(inserted: Vec<T>, updated: Vec<T>) -> Vec<Arc<T>> {
    inserted.into_iter().chain(updated).map(Arc::new).collect()
}

/// Writes audit rows; the newest of their moments.
pub(super) fn write_audit(
    conn: &Connection,
    keys: &Keys,
    events: &[AuditEvent],
) -> Result<Option<Timestamp>, Fault> {
    for event in events {
        audit::insert(conn, keys.audit(), event)?;
    }
    Ok(events.iter().map(|e| e.at).max())
}
