//! What a test CA forgets, so that its memory grows by what clients may still ask for alone: orders that ended a while ago,
//! with their authorizations, and of certificates how they came about. A store on disk never forgets by number.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use rusqlite::{Connection, params};

use super::{Store, apply::Effects, code::Fault, orders, writer::Writer};
use crate::{
    id::{AuthorizationId, OrderId},
    store::StoreError,
};

/// So many new orders are worth a look.
const NEWS: i64 = 512;

/// An order is remembered for so long after it was first seen ended, however many are newer: its client may wait for as long
/// as it is told to.
const GRACE: Duration = Duration::from_secs(15);

/// Authorizations of which it is still told what each attempt saw.
const TRACED: i64 = 500;

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

const TRACES: &str =
    "UPDATE authorizations SET trace = NULL WHERE row > ?1 AND row <= ?2 AND status > 0";

const AUDIT: &str = "DELETE FROM audit WHERE row <= (SELECT max(row) FROM audit) - ?1";

const SHORTEN: &str = "UPDATE certificate_bodies SET lint = '', evidence = '{}', request = x'' \
     WHERE certificate > ?1 AND certificate <= ?2";

impl Store {
    /// Keeps the newest `kept` orders with their authorizations and audit rows, open ones and those that just ended of any
    /// age, and of older certificates what is delivered. `now` is monotonic.
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

fn forget(
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
    let certificates = (newest(conn, "certificates")? - kept).max(so_far.certificates);
    conn.prepare_cached(SHORTEN)?
        .execute(params![so_far.certificates, certificates])?;
    let traced = (newest(conn, "authorizations")? - TRACED).max(so_far.traced);
    conn.prepare_cached(TRACES)?
        .execute(params![so_far.traced, traced])?;
    so_far.certificates = certificates;
    so_far.traced = traced;
    so_far.orders = newest_order;
    Ok((so_far, effects))
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
