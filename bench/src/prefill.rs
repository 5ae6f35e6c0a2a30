//! Fills a stopped CA's store with certificates: rows of real size, copied from ones that were really issued.
//!
//! Each copy is an order with its authorization, certificate, evidence and audit rows, with ids, serial, key hash and
//! name of its own, so that every index holds what it would. The copies are older than the originals, spread over days.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use aws_lc_rs::rand;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::prepare::ZONE;

/// Copies are made over so long a time before now; shorter than anything is kept.
const SPREAD_MS: i64 = 20 * 86_400_000;
/// Copies in one transaction.
const BATCH: usize = 20_000;
/// The tables of one certificate, and how their rows are found from its order (`?1`) and row (`?2`).
const TABLES: [(&str, &str); 7] = [
    ("orders", "id = ?1 AND ?2 = ?2"),
    ("authorizations", "order_id = ?1 AND ?2 = ?2"),
    ("certificates", "order_id = ?1 AND row = ?2"),
    ("certificate_bodies", "?1 = ?1 AND certificate = ?2"),
    ("certificate_outcomes", "?1 = ?1 AND certificate = ?2"),
    ("certificate_names", "?1 = ?1 AND certificate = ?2"),
    ("audit", "order_id = ?1 AND ?2 = ?2"),
];

/// A table's columns and the statement that inserts a row.
struct Table {
    name: &'static str,
    columns: Vec<String>,
    insert: String,
    /// The last row key; `None` where rows are keyed by their certificate.
    last: Option<i64>,
}

/// One certificate's rows, for each table.
struct Seed {
    name: String,
    created_at: i64,
    rows: Vec<Vec<Vec<Value>>>,
}

/// What is new in one copy.
struct Copy {
    order: Vec<u8>,
    authorization: Vec<u8>,
    serial: [u8; 16],
    /// Days since the epoch, of its making.
    day: u16,
    spki: [u8; 32],
    name: String,
    /// The copied certificate's row key.
    certificate: i64,
    /// Milliseconds by which the copy is older.
    older: i64,
}

/// Copies rows until there are so many certificates more.
pub(crate) fn fill(dir: &Path, count: usize) -> Result<()> {
    let mut store = Connection::open(dir.join("cairn.db"))?;
    // Nobody else has it open, and a store that is lost here is made anew. The server sets its own modes.
    store.query_row("PRAGMA journal_mode = MEMORY", [], |_| Ok(()))?;
    store.pragma_update(None, "synchronous", "OFF")?;
    store.pragma_update(None, "cache_size", -262_144)?;
    let mut tables = TABLES
        .map(|(name, _)| Table::of(&store, name))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let seeds = seeds(&store)?;
    ensure!(!seeds.is_empty(), "no certificate to copy");
    let mut numbers = (0..count).zip(seeds.iter().cycle()).peekable();
    while numbers.peek().is_some() {
        let batch = store.transaction()?;
        for (number, seed) in numbers.by_ref().take(BATCH) {
            let older = SPREAD_MS - (number as i64 * SPREAD_MS) / count as i64;
            insert(&batch, &mut tables, seed, number, older)?;
        }
        batch.commit()?;
    }
    store.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    store.execute_batch("PRAGMA optimize")?;
    Ok(())
}

impl Table {
    fn of(store: &Connection, name: &'static str) -> Result<Self> {
        let columns: Vec<String> = {
            let statement = store.prepare(&format!("SELECT * FROM {name}"))?;
            statement.column_names().map(str::to_owned).collect()
        };
        let places = vec!["?"; columns.len()].join(", ");
        let insert = format!(
            "INSERT INTO {name} ({}) VALUES ({places})",
            columns.join(", ")
        );
        let last = match columns.iter().any(|column| column == "row") {
            true => Some(store.query_row(
                &format!("SELECT ifnull(max(row), 0) FROM {name}"),
                [],
                |row| row.get(0),
            )?),
            false => None,
        };
        Ok(Self {
            name,
            columns,
            insert,
            last,
        })
    }
}

/// The certificates that this program's clients obtained.
fn seeds(store: &Connection) -> Result<Vec<Seed>> {
    let mut statement = store.prepare(
        "SELECT c.order_id, c.row, n.name, c.created_at FROM certificates c \
         JOIN certificate_names n ON n.certificate = c.row \
         JOIN certificate_outcomes o ON o.certificate = c.row AND o.state = 1 \
         WHERE n.name LIKE '%.' || ?1 ORDER BY c.row",
    )?;
    let found = statement.query_map([ZONE], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    let mut seeds = Vec::new();
    for one in found {
        let (order, certificate, name, created_at): (Vec<u8>, i64, String, i64) = one?;
        let rows = TABLES.iter().map(|(table, found_by)| {
            let mut statement =
                store.prepare_cached(&format!("SELECT * FROM {table} WHERE {found_by}"))?;
            let columns = statement.column_count();
            let rows = statement.query_map((&order, certificate), |row| {
                (0..columns)
                    .map(|column| row.get(column))
                    .collect::<rusqlite::Result<Vec<Value>>>()
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        });
        let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        seeds.push(Seed {
            name,
            created_at,
            rows,
        });
    }
    Ok(seeds)
}

fn insert(
    store: &Connection,
    tables: &mut [Table],
    seed: &Seed,
    number: usize,
    older: i64,
) -> Result<()> {
    let created_at = seed.created_at - older;
    let certificates = tables.iter().find(|table| table.name == "certificates");
    let copy = Copy {
        order: id(created_at)?,
        authorization: id(created_at)?,
        serial: random()?,
        day: u16::try_from((created_at / 86_400_000).rem_euclid(65_536))?,
        spki: random()?,
        name: format!("h{number}.{ZONE}"),
        certificate: certificates
            .and_then(|table| table.last)
            .context("certificates.row")?
            + 1,
        older,
    };
    for (table, rows) in tables.iter_mut().zip(&seed.rows) {
        for row in rows {
            let mut statement = store.prepare_cached(&table.insert)?;
            if let Some(last) = &mut table.last {
                *last += 1;
            }
            let values = table.columns.iter().zip(row);
            let values = values.map(|(column, value)| copied(table, column, value, seed, &copy));
            statement
                .execute(params_from_iter(values))
                .with_context(|| table.name)?;
        }
    }
    Ok(())
}

/// A column's value in the copy.
fn copied(table: &Table, column: &str, value: &Value, seed: &Seed, copy: &Copy) -> Value {
    match (column, value) {
        (_, Value::Null) => Value::Null,
        ("row", _) => table.last.map_or(Value::Null, Value::Integer),
        ("certificate", _) => Value::Integer(copy.certificate),
        ("id", _) if table.name == "authorizations" => Value::Blob(copy.authorization.clone()),
        ("authorizations", _) => Value::Blob(copy.authorization.clone()),
        ("id" | "order_id", _) => Value::Blob(copy.order.clone()),
        ("spki_sha256", _) => Value::Blob(copy.spki.to_vec()),
        ("serial", Value::Blob(serial)) => {
            // The epoch stays; the day is the copy's own, as issuance would have made it.
            let mut serial = serial.clone();
            if let Some(day) = serial.get_mut(1..3) {
                day.copy_from_slice(&copy.day.to_be_bytes());
            }
            if let Some(random) = serial.last_chunk_mut() {
                *random = copy.serial;
            }
            Value::Blob(serial)
        }
        (
            "created_at" | "issued_at" | "at" | "expires" | "not_before" | "not_after",
            Value::Integer(time),
        ) => Value::Integer(time - copy.older),
        (_, Value::Text(text)) => Value::Text(text.replace(&seed.name, &copy.name)),
        (_, value) => value.clone(),
    }
}

/// A public id: 48 bits of milliseconds, 80 random ones.
fn id(created_at: i64) -> Result<Vec<u8>> {
    let [_, _, time @ ..] = created_at.to_be_bytes();
    Ok([time.as_slice(), &random::<10>()?].concat())
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes)
        .ok()
        .context("the system's randomness")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str =
        include_str!("../../crates/ca/src/store/sqlite/migrations/0001_foundation.sql");

    /// One finished order, as the schema wants it.
    const ISSUED: &str = "
        INSERT INTO orders VALUES (5, X'000000000001AAAAAAAAAAAAAAAAAAAA', zeroblob(16), 1, 2, 1, 9, 3000000000, \
            2000000000, '[\"c1.bench.test\"]', zeroblob(16), NULL, zeroblob(32), NULL, NULL, NULL, zeroblob(16), \
            zeroblob(19), NULL);
        INSERT INTO authorizations VALUES (4, zeroblob(16), zeroblob(16), X'000000000001AAAAAAAAAAAAAAAAAAAA', 1, 1, \
            0, 'c1.bench.test', 0, 3000000000, 2000000000, 't', '[]', '{}', NULL);
        INSERT INTO certificates VALUES (7, zeroblob(16), zeroblob(19), zeroblob(32), zeroblob(16), \
            X'000000000001AAAAAAAAAAAAAAAAAAAA', 1, 2000000000, 9000000000, 0, zeroblob(32), '[\"c1.bench.test\"]', \
            2000000000);
        INSERT INTO certificate_bodies VALUES (7, zeroblob(700), '', '{}', zeroblob(900));
        INSERT INTO certificate_outcomes VALUES (7, 1, zeroblob(71), 2000000001);
        INSERT INTO certificate_names VALUES ('c1.bench.test', 7);
        INSERT INTO audit VALUES (3, 2000000000, 'order-created', zeroblob(16), \
            X'000000000001AAAAAAAAAAAAAAAAAAAA', NULL, '{\"names\":[\"c1.bench.test\"]}');
        INSERT INTO audit VALUES (9, 2000000001, 'issued', zeroblob(16), X'000000000001AAAAAAAAAAAAAAAAAAAA', \
            zeroblob(19), '{}');";

    #[test]
    fn every_row_of_a_certificate_is_copied_and_joined_to_its_copy() {
        let folder = tempfile::tempdir().unwrap();
        let store = Connection::open(folder.path().join("cairn.db")).unwrap();
        store.execute_batch(SCHEMA).unwrap();
        store.execute_batch(ISSUED).unwrap();
        drop(store);
        fill(folder.path(), 50).unwrap();
        let store = Connection::open(folder.path().join("cairn.db")).unwrap();
        let joined = "SELECT count(*) FROM certificates c JOIN orders o ON o.id = c.order_id AND o.serial = c.serial \
            JOIN authorizations a ON a.order_id = o.id AND a.id = o.authorizations \
            JOIN certificate_bodies b ON b.certificate = c.row JOIN certificate_outcomes t ON t.certificate = c.row \
            JOIN certificate_names n ON n.certificate = c.row AND n.name = a.identifier \
            JOIN audit e ON e.order_id = o.id AND e.serial = c.serial";
        let count = |sql: &str| {
            store
                .query_row(sql, [], |row| row.get::<_, i64>(0))
                .unwrap()
        };
        assert_eq!(count(joined), 51);
        assert_eq!(count("SELECT count(*) FROM audit"), 102);
        assert_eq!(
            count("SELECT count(DISTINCT spki_sha256) FROM certificates"),
            51
        );
    }
}
