//! What a test CA forgets, so that its memory grows by what clients may still ask for alone: orders that ended a while ago,
//! with their authorizations, and of certificates how they came about. A store on disk never forgets by number.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use rusqlite::{
    Connection, params, params_from_iter,
    types::{Value, ValueRef},
};

use super::{Store, apply::Effects, code::Fault, orders, writer::Writer};
use crate::{
    id::{AuthorizationId, OrderId},
    store::StoreError,
};

/// So many new orders are worth a look.
const NEWS: i64 = 512;

/// An order is remembered for so long after it was first seen ended, however many are newer: its client may wait for as long
/// as the CA of itself tells it to, which is 5 s at most.
pub(super) const GRACE: Duration = Duration::from_secs(6);

/// Of so many times fewer authorizations it is told what each attempt saw, and of certificates how they came about.
const TOLD: i64 = 4;

/// How far it has come.
#[derive(Debug, Clone, Default)]
pub struct Forgotten {
    /// The newest order's row at the last look.
    orders: i64,
    /// The newest certificate that was cut short.
    certificates: i64,
    /// The newest authorization that lost its trace.
    traced: i64,
    /// Orders that were seen ended, by row, and when first.
    ended: HashMap<i64, Duration>,
    /// Authorizations of orders that are gone, which an open order names too.
    shared: HashSet<[u8; 16]>,
}

const ENDED: &str =
    "SELECT row, id, authorizations FROM orders WHERE row <= ?1 AND state >= 2 ORDER BY row";

const OPEN: &str = "SELECT authorizations FROM orders WHERE state <= 1";

const AUTHORIZATION: &str = "DELETE FROM authorizations WHERE id = ?1";

const AUDIT: &str = "DELETE FROM audit WHERE row <= (SELECT max(row) FROM audit) - ?1";

/// What older rows of a table lose.
struct Cut {
    table: &'static str,
    /// Its integer key.
    key: &'static str,
    /// Which of the rows.
    only: &'static str,
    /// Columns, and what stays in them.
    columns: &'static [(&'static str, ValueRef<'static>)],
}

const AUTHORIZATIONS: Cut = Cut {
    table: "authorizations",
    key: "row",
    only: "status > 0",
    columns: &[("trace", ValueRef::Null)],
};

/// Of a certificate stays what is delivered.
const CERTIFICATES: Cut = Cut {
    table: "certificate_bodies",
    key: "certificate",
    // Not of those whose signature is awaited: if it fails, they are built anew from the request.
    only: "certificate IN (SELECT certificate FROM certificate_outcomes)",
    columns: &[
        ("lint", ValueRef::Text(b"")),
        ("evidence", ValueRef::Text(b"{}")),
        ("request", ValueRef::Blob(b"")),
    ],
};

impl Store {
    /// Keeps the newest `kept` orders with their authorizations and audit rows, open ones and those that just ended of any
    /// age. Of all certificates stays what is delivered; the rest of them, and of traces, goes sooner. `now` is the machine's
    /// time since the start: clients wait by that, however far a test moves the CA's clock.
    ///
    /// # Errors
    /// When nothing was written.
    pub async fn forget(
        &self,
        kept: u32,
        before: Forgotten,
        now: Duration,
    ) -> Result<Forgotten, StoreError> {
        let kept = i64::from(kept);
        self.at_writer(move |w| {
            let newest = newest(w.conn(), "orders")?;
            if newest - before.orders < NEWS {
                return Ok(before);
            }
            w.transaction("forget", |w| forget(w, (kept, newest, now), before))
        })
        .await
    }
}

pub(super) fn forget(
    writer: &Writer,
    (kept, newest_order, now): (i64, i64, Duration),
    mut so_far: Forgotten,
) -> Result<(Forgotten, Effects), Fault> {
    let conn = writer.conn();
    let mut effects = Effects::default();
    let mut gone = std::mem::take(&mut so_far.shared);
    for (row, id, authorizations) in ended(conn, newest_order - kept)? {
        let since = *so_far.ended.entry(row).or_insert(now);
        if now.saturating_sub(since) < GRACE {
            continue;
        }
        so_far.ended.remove(&row);
        orders::delete(conn, row)?;
        effects.deleted_orders.push(OrderId::from_bytes(id));
        gone.extend(ids(&authorizations));
    }
    if !gone.is_empty() {
        let open = open(conn)?;
        let mut delete = conn.prepare_cached(AUTHORIZATION)?;
        for id in gone {
            if open.contains(&id) {
                so_far.shared.insert(id);
                continue;
            }
            delete.execute(params![id])?;
            effects
                .deleted_authorizations
                .push(AuthorizationId::from_bytes(id));
        }
    }
    conn.prepare_cached(AUDIT)?.execute(params![kept])?;
    let certificates = (newest(conn, "certificates")? - kept / TOLD).max(so_far.certificates);
    CERTIFICATES.make(conn, so_far.certificates, certificates)?;
    let traced = (newest(conn, "authorizations")? - kept / TOLD).max(so_far.traced);
    AUTHORIZATIONS.make(conn, so_far.traced, traced)?;
    so_far.certificates = certificates;
    so_far.traced = traced;
    so_far.orders = newest_order;
    Ok((so_far, effects))
}

impl Cut {
    /// Cuts the rows behind `after` up to `until`. They are written anew: a row that shrinks where it is leaves its page as
    /// empty as it is then.
    fn make(&self, conn: &Connection, after: i64, until: i64) -> Result<(), Fault> {
        let Self {
            table, key, only, ..
        } = self;
        let these = format!("FROM {table} WHERE {key} > ?1 AND {key} <= ?2 AND {only}");
        let mut select = conn.prepare_cached(&format!("SELECT * {these}"))?;
        let stays: Vec<Option<ValueRef<'_>>> = select
            .column_names()
            .map(|name| self.columns.iter().find(|(column, _)| *column == name))
            .map(|cut| cut.map(|(_, stays)| *stays))
            .collect();
        let rows = select.query_map(params![after, until], |row| {
            let column = |(place, stays): (usize, &Option<ValueRef<'_>>)| {
                let value = stays.map_or_else(|| row.get_ref(place), Ok)?;
                Ok(Value::try_from(value)?)
            };
            stays.iter().enumerate().map(column).collect()
        })?;
        let rows = rows.collect::<Result<Vec<Vec<Value>>, _>>()?;
        conn.prepare_cached(&format!("DELETE {these}"))?
            .execute(params![after, until])?;
        let places = vec!["?"; stays.len()].join(", ");
        let mut insert = conn.prepare_cached(&format!("INSERT INTO {table} VALUES ({places})"))?;
        for row in rows {
            insert.execute(params_from_iter(row))?;
        }
        Ok(())
    }
}

/// Row, id and authorizations of an order.
type Ended = (i64, [u8; 16], Vec<u8>);

/// The orders that ended, up to that row.
fn ended(conn: &Connection, until: i64) -> Result<Vec<Ended>, Fault> {
    let mut statement = conn.prepare_cached(ENDED)?;
    let found = statement.query_map(params![until], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The authorizations that open orders name.
fn open(conn: &Connection) -> Result<HashSet<[u8; 16]>, Fault> {
    let mut statement = conn.prepare_cached(OPEN)?;
    let mut rows = statement.query([])?;
    let mut all = HashSet::new();
    while let Some(row) = rows.next()? {
        all.extend(ids(&row.get::<_, Vec<u8>>(0)?));
    }
    Ok(all)
}

fn ids(blob: &[u8]) -> impl Iterator<Item = [u8; 16]> {
    blob.as_chunks::<16>().0.iter().copied()
}

fn newest(conn: &Connection, table: &str) -> Result<i64, Fault> {
    let sql = format!("SELECT coalesce(max(row), 0) FROM {table}");
    Ok(conn.prepare_cached(&sql)?.query_row([], |row| row.get(0))?)
}
