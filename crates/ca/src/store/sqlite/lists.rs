//! What operators ask: lists by filter, an order with all that belongs to it, sizes.

use std::{fs, sync::Arc};

use cairn_acme::time::Timestamp;
use rusqlite::{Connection, params};

use super::{
    AuditRecord, AuditSubject, Store, accounts, audit, authorizations, certificates,
    code::{Fault, count},
    orders,
};
use crate::{
    id::{AuthorizationId, OrderId},
    model::{Account, Authorization, Certificate, Order},
    store::{Filter, StoreError},
};

/// How many rows one page holds at most.
pub const PAGE_MAX: usize = 1000;

const COUNTS: &str = "SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM orders), \
                      (SELECT count(*) FROM orders WHERE state <= 1), (SELECT count(*) FROM authorizations), \
                      (SELECT count(*) FROM certificates), \
                      (SELECT count(*) FROM certificate_outcomes o INDEXED BY certificates_unconfirmed \
                      JOIN certificates c ON c.row = o.certificate WHERE o.state = 2 AND c.not_after >= ?2 AND NOT EXISTS (SELECT 1 \
                      FROM revocations v WHERE v.serial = c.serial AND v.issuer_id = c.issuer_id)), \
                      (SELECT count(*) FROM work), (SELECT ifnull(max(row), 0) FROM audit), \
                      (SELECT ifnull(max(row), 0) FROM certificates) - ifnull((SELECT row FROM certificates \
                      WHERE created_at < ?1 ORDER BY row DESC LIMIT 1), 0), (SELECT count(*) FROM revocations)";

/// Every statement of this file.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[COUNTS];

/// One page of a list, newest first.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// [`Filter::after`] of the next page, if there may be one.
    pub next: Option<i64>,
}

/// An order with what belongs to it.
#[derive(Debug, Clone)]
pub struct OrderDetail {
    /// The order.
    pub order: Order,
    /// Its authorizations with their traces, in the order of its identifiers; swept ones are missing.
    pub authorizations: Vec<Authorization>,
    /// The certificate that it was given last.
    pub certificate: Option<Certificate>,
    /// Its audit rows, oldest first.
    pub audit: Vec<AuditRecord>,
}

/// What the store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Accounts.
    pub accounts: u64,
    /// Orders that were not swept yet.
    pub orders: u64,
    /// Of them open or processing.
    pub orders_unfinished: u64,
    /// Authorizations that were not swept yet.
    pub authorizations: u64,
    /// Certificates, also permitted and unconfirmed ones.
    pub certificates: u64,
    /// Of them unconfirmed, not revoked and not ended.
    pub unconfirmed: u64,
    /// Revoked certificates.
    pub revoked: u64,
    /// Work rows.
    pub work: u64,
    /// Audit rows ever written.
    pub audit_events: u64,
    /// Certificates of the last day.
    pub certificates_last_day: u64,
    /// Bytes of the database; 0 in memory.
    pub database_bytes: u64,
    /// Bytes of its write-ahead log.
    pub log_bytes: u64,
}

impl Filter {
    /// The row before which the page begins.
    pub(super) fn before(&self) -> i64 {
        self.after.unwrap_or(i64::MAX)
    }

    /// How many rows the page has.
    pub(super) fn page(&self) -> i64 {
        i64::try_from(self.limit.min(PAGE_MAX)).unwrap_or(0)
    }
}

pub(super) fn page<T>(rows: Vec<(i64, T)>, filter: &Filter) -> Page<T> {
    let full = !rows.is_empty() && i64::try_from(rows.len()).is_ok_and(|n| n >= filter.page());
    let next = rows.last().map(|(row, _)| *row).filter(|_| full);
    Page {
        items: rows.into_iter().map(|(_, item)| item).collect(),
        next,
    }
}

fn detail(conn: &Connection, id: OrderId) -> Result<Option<OrderDetail>, Fault> {
    let Some(order) = orders::by_id(conn, id)? else {
        return Ok(None);
    };
    let mut found = Vec::with_capacity(order.authorizations.len());
    for authorization in &order.authorizations {
        found.extend(authorizations::by_id(conn, *authorization)?);
    }
    let certificate = order
        .certificate
        .as_ref()
        .map(|key| certificates::by_key(conn, key))
        .transpose()?
        .flatten();
    let audit = audit::of(conn, AuditSubject::Order(id), usize::MAX)?;
    Ok(Some(OrderDetail {
        order,
        authorizations: found,
        certificate,
        audit,
    }))
}

fn sizes(conn: &Connection, now: Timestamp) -> Result<Sizes, Fault> {
    const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);
    let day_ago = now.minus(DAY).as_millis();
    let counts: [i64; 10] =
        conn.prepare_cached(COUNTS)?
            .query_row(params![day_ago, now.as_millis()], |row| {
                let mut counts = [0; 10];
                for (n, count) in counts.iter_mut().enumerate() {
                    *count = row.get(n)?;
                }
                Ok(counts)
            })?;
    let [
        accounts,
        orders,
        orders_unfinished,
        authorizations,
        certificates,
        unconfirmed,
        work,
        audit_events,
        day,
        revoked,
    ] = counts.map(|n| count::<u64>("counts", n));
    Ok(Sizes {
        accounts: accounts?,
        orders: orders?,
        orders_unfinished: orders_unfinished?,
        authorizations: authorizations?,
        certificates: certificates?,
        unconfirmed: unconfirmed?,
        revoked: revoked?,
        work: work?,
        audit_events: audit_events?,
        certificates_last_day: day?,
        ..Sizes::default()
    })
}

impl Store {
    /// Accounts by `account` and `state`, newest first.
    ///
    /// # Errors
    /// When the filter names no state of accounts, or the store cannot be read.
    pub async fn list_accounts(&self, filter: Filter) -> Result<Page<Account>, StoreError> {
        self.read_long(move |conn| Ok(page(accounts::list(conn, &filter)?, &filter)))
            .await
    }

    /// Orders by `name`, `account`, `state` and `expires_before`, newest first.
    ///
    /// # Errors
    /// When the filter names no state of orders, or the store cannot be read.
    pub async fn list_orders(&self, filter: Filter) -> Result<Page<Order>, StoreError> {
        self.read_long(move |conn| Ok(page(orders::list(conn, &filter)?, &filter)))
            .await
    }

    /// Certificates by all that the filter has, newest first.
    ///
    /// # Errors
    /// When the filter names no state of certificates, or the store cannot be read.
    pub async fn list_certificates(&self, filter: Filter) -> Result<Page<Certificate>, StoreError> {
        self.read_long(move |conn| Ok(page(certificates::list(conn, &filter)?, &filter)))
            .await
    }

    /// Certificates of which nobody knows whether their signature exists, newest first, one page of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn unconfirmed(&self) -> Result<Vec<Certificate>, StoreError> {
        let filter = Filter {
            unconfirmed: true,
            limit: PAGE_MAX,
            ..Filter::default()
        };
        Ok(self.list_certificates(filter).await?.items)
    }

    /// An order, whoever's it is, with its authorizations, certificate and audit rows.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn order_detail(&self, id: OrderId) -> Result<Option<OrderDetail>, StoreError> {
        self.read_long(move |conn| detail(conn, id)).await
    }

    /// An authorization, whoever's it is, with its trace.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn authorization_detail(
        &self,
        id: AuthorizationId,
    ) -> Result<Option<Authorization>, StoreError> {
        self.read_long(move |conn| authorizations::by_id(conn, id))
            .await
    }

    /// Audit rows of a subject.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn audit(
        &self,
        subject: AuditSubject,
        limit: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        self.read_long(move |conn| audit::of(conn, subject, limit))
            .await
    }

    /// What the store holds.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn sizes(&self, now: Timestamp) -> Result<Sizes, StoreError> {
        let path = self.inner.location.path().map(Arc::new);
        let mut counted = self.read_long(move |conn| sizes(conn, now)).await?;
        if let Some(path) = path {
            let bytes = |p: &std::path::Path| fs::metadata(p).map_or(0, |m| m.len());
            counted.database_bytes = bytes(&path);
            counted.log_bytes = bytes(&path.with_extension("db-wal"));
        }
        Ok(counted)
    }
}
