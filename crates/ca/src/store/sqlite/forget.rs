//! What a test CA forgets, so that its memory grows by what clients may still ask for alone: of orders that ended long ago
//! nothing, of their certificates all but how they came about. A store on disk never forgets by number.

use rusqlite::{Connection, params};

use super::{Store, apply::Effects, authorizations, code::Fault, orders, writer::Writer};
use crate::{
    id::{AuthorizationId, OrderId},
    store::StoreError,
};

/// Rows of one kind that one transaction takes out.
const CHUNK: i64 = 1024;

/// How far it has come.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forgotten {
    /// The newest order's row when it was done last.
    orders: i64,
    /// The newest certificate that was cut short.
    certificates: i64,
}

const ENDED: &str =
    "SELECT row, id FROM orders WHERE row <= ?1 AND state >= 2 ORDER BY row LIMIT ?2";

/// Those that no order names any more by which they were made. One that another order took over is younger than that.
const UNOWNED: &str = "SELECT a.row, a.id FROM authorizations a WHERE a.row <= ?1 \
     AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.id = a.order_id) ORDER BY a.row LIMIT ?2";

const AUDIT: &str = "DELETE FROM audit WHERE row <= (SELECT max(row) FROM audit) - ?1";

const SHORTEN: &str = "UPDATE certificate_bodies SET lint = '', evidence = '{}', request = x'' \
     WHERE certificate > ?1 AND certificate <= ?2";

impl Store {
    /// Keeps the newest `kept` orders, authorizations and audit rows, with open orders of any age, and of older certificates
    /// what is delivered. Does nothing until as many orders as a chunk has rows have come.
    ///
    /// # Errors
    /// When nothing was written.
    pub async fn forget(&self, kept: u32, before: Forgotten) -> Result<Forgotten, StoreError> {
        let kept = i64::from(kept);
        self.at_writer(move |w| {
            let newest = newest(w.conn(), "orders")?;
            if newest - before.orders < CHUNK {
                return Ok(before);
            }
            w.transaction("forget", |w| forget(w, kept, newest, before))
        })
        .await
    }
}

fn forget(
    writer: &Writer,
    kept: i64,
    newest_order: i64,
    before: Forgotten,
) -> Result<(Forgotten, Effects), Fault> {
    let conn = writer.conn();
    let mut effects = Effects::default();
    for (row, id) in rows(conn, ENDED, newest_order - kept)? {
        orders::delete(conn, row)?;
        effects.deleted_orders.push(OrderId::from_bytes(id));
    }
    for (row, id) in rows(conn, UNOWNED, newest(conn, "authorizations")? - kept)? {
        authorizations::delete(conn, row)?;
        effects
            .deleted_authorizations
            .push(AuthorizationId::from_bytes(id));
    }
    conn.prepare_cached(AUDIT)?.execute(params![kept])?;
    let certificates = (newest(conn, "certificates")? - kept).max(before.certificates);
    conn.prepare_cached(SHORTEN)?
        .execute(params![before.certificates, certificates])?;
    let done = Forgotten {
        // A full chunk leaves some for the next time.
        orders: match i64::try_from(effects.deleted_orders.len()) {
            Ok(CHUNK) => before.orders + CHUNK,
            _ => newest_order,
        },
        certificates,
    };
    Ok((done, effects))
}

fn newest(conn: &Connection, table: &str) -> Result<i64, Fault> {
    let sql = format!("SELECT coalesce(max(row), 0) FROM {table}");
    Ok(conn.prepare_cached(&sql)?.query_row([], |row| row.get(0))?)
}

fn rows(conn: &Connection, sql: &str, until: i64) -> Result<Vec<(i64, [u8; 16])>, Fault> {
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_map(params![until, CHUNK], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}
