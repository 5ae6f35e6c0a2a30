//! The schema: numbered, append-only SQL, applied at start after a backup; and the gate, which is a range: a server runs
//! on a newer schema if that schema says so, and refuses any other with words.

use std::{
    fs,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use cairn_acme::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{OpenError, meta};

/// Marks the file as ours: "Cair".
pub(super) const APPLICATION_ID: i32 = 0x4361_6972;

/// A step of the schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct Migration {
    pub(super) number: i32,
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
    /// The oldest schema whose code still runs on this one: an expanding step keeps it, a contracting one raises it.
    pub(super) oldest_server: i32,
}

/// All steps, in order.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
        number: 1,
        name: "foundation",
        sql: include_str!("migrations/0001_foundation.sql"),
        oldest_server: 1,
    },
    Migration {
        number: 2,
        name: "revocations",
        sql: include_str!("migrations/0002_revocations.sql"),
        oldest_server: 2,
    },
    Migration {
        number: 3,
        name: "renewal",
        sql: include_str!("migrations/0003_renewal.sql"),
        oldest_server: 2,
    },
    Migration {
        number: 4,
        name: "external_accounts",
        sql: include_str!("migrations/0004_external_accounts.sql"),
        oldest_server: 4,
    },
];

/// The oldest schema from which this version can upgrade.
const OLDEST: i32 = 1;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// An empty file.
    New,
    /// Ours, of this schema.
    Schema(i32),
}

/// Whose database it is, and of which schema.
pub(super) fn inspect(conn: &Connection, path: &Path) -> Result<Found, OpenError> {
    let damaged = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => OpenError::Foreign(path.to_owned()),
        _ => OpenError::Database(error.to_string()),
    };
    let number = |sql| {
        conn.query_row(sql, [], |row| row.get::<_, i32>(0))
            .map_err(damaged)
    };
    let application = number("PRAGMA application_id")?;
    let schema = number("PRAGMA user_version")?;
    if application == APPLICATION_ID {
        return Ok(Found::Schema(schema));
    }
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    if application == 0 && schema == 0 && tables == 0 {
        Ok(Found::New)
    } else {
        Err(OpenError::Foreign(path.to_owned()))
    }
}

/// Brings the database to the newest schema of `migrations`, or refuses.
pub(super) fn upgrade(
    conn: &Connection,
    path: Option<&Path>,
    migrations: &[Migration],
    now: Timestamp,
) -> Result<(), OpenError> {
    let database = |error: rusqlite::Error| OpenError::Database(error.to_string());
    let newest = migrations.last().map_or(0, |m| m.number);
    let from = match inspect(conn, path.unwrap_or(Path::new(":memory:")))? {
        Found::New => 0,
        Found::Schema(schema) if schema > newest => return runs_on(conn, schema, newest),
        Found::Schema(schema) if schema < OLDEST => {
            return Err(OpenError::TooOld {
                found: schema,
                oldest: OLDEST,
            });
        }
        Found::Schema(schema) => schema,
    };
    if from == newest {
        return Ok(());
    }
    if let Some(path) = path.filter(|_| from > 0) {
        back_up(conn, path, from, now)?;
    }
    for migration in migrations.iter().filter(|m| m.number > from) {
        // One transaction each: a kill midway leaves the schema before, and the next start goes on from there.
        let run = || -> Result<(), rusqlite::Error> {
            conn.execute_batch("BEGIN EXCLUSIVE")?;
            conn.execute_batch(migration.sql)?;
            conn.execute(
                "INSERT INTO schema_migrations (number, name, oldest_server, applied_at) VALUES (?1, ?2, ?3, ?4)",
                params![migration.number, migration.name, migration.oldest_server, now.as_millis()],
            )?;
            conn.pragma_update(None, "user_version", migration.number)?;
            conn.pragma_update(None, "application_id", APPLICATION_ID)
        };
        run().map_err(database)?;
        if migration.number == 1 {
            meta::create(conn, now).map_err(|e| OpenError::Database(e.to_string()))?;
        }
        conn.execute_batch("COMMIT").map_err(database)?;
        tracing::info!(target: "cairn", schema = migration.number, name = migration.name, "the store's schema was upgraded");
    }
    Ok(())
}

/// Whether code of schema `newest` runs on that newer one.
fn runs_on(conn: &Connection, schema: i32, newest: i32) -> Result<(), OpenError> {
    let oldest: Option<i32> = conn
        .query_row(
            "SELECT max(oldest_server) FROM schema_migrations",
            [],
            |row| row.get(0),
        )
        .optional()
        .map_err(|e| OpenError::Database(e.to_string()))?
        .flatten();
    match oldest {
        Some(oldest) if newest >= oldest => Ok(()),
        _ => Err(OpenError::TooNew {
            found: schema,
            newest,
        }),
    }
}

/// Where the copy from before an upgrade lies. With its moment: a copy of an earlier upgrade, after which an older state
/// was restored, is no copy of this one.
pub(super) fn backup_path(path: &Path, schema: i32, now: Timestamp) -> PathBuf {
    path.with_extension(format!("db.schema-{schema}-{}", now.as_millis()))
}

fn back_up(conn: &Connection, path: &Path, schema: i32, now: Timestamp) -> Result<(), OpenError> {
    let done = backup_path(path, schema, now);
    let part = path.with_extension("db.part");
    let io = |source| OpenError::Io {
        path: part.clone(),
        source,
    };
    match fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    // VACUUM INTO takes an empty file, which keeps the mode that it is made with.
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .map_err(io)?;
    let name = part
        .to_str()
        .ok_or_else(|| OpenError::Database("the directory's name is not UTF-8".to_owned()))?;
    conn.execute("VACUUM INTO ?1", params![name])
        .map_err(|e| OpenError::Database(e.to_string()))?;
    fs::File::open(&part)
        .and_then(|f| f.sync_all())
        .map_err(io)?;
    fs::rename(&part, &done).map_err(io)?;
    tracing::info!(target: "cairn", copy = %done.display(), "the store was copied before its upgrade");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    /// The first schema alone: what follows is each test's own.
    fn first() -> &'static [Migration] {
        MIGRATIONS.get(..1).unwrap()
    }

    fn migrations(second: Migration) -> Vec<Migration> {
        let mut all = first().to_vec();
        all.push(Migration {
            number: 2,
            ..second
        });
        all
    }

    const SECOND: Migration = Migration {
        number: 0,
        name: "second",
        sql: "CREATE TABLE second (x INTEGER) STRICT;",
        oldest_server: 1,
    };

    #[test]
    fn migrations_are_numbered_without_gaps_and_named_after_their_files() {
        for (n, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.number, n as i32 + 1);
            assert!(migration.oldest_server <= migration.number);
        }
    }

    #[test]
    fn an_upgrade_copies_the_store_first_and_a_killed_one_goes_on() {
        // T-CA-123
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cairn.db");
        let conn = Connection::open(&path).unwrap();
        upgrade(&conn, Some(&path), first(), NOW).unwrap();
        assert!(
            !backup_path(&path, 1, NOW).exists(),
            "a new store needs no copy"
        );

        // The second step dies midway: its SQL fails after its first statement.
        let broken = migrations(Migration {
            sql: "CREATE TABLE second (x INTEGER) STRICT; CREATE BROKEN;",
            ..SECOND
        });
        assert!(upgrade(&conn, Some(&path), &broken, NOW).is_err());
        drop(conn);
        let conn = Connection::open(&path).unwrap();
        assert_eq!(inspect(&conn, &path).unwrap(), Found::Schema(1));

        upgrade(&conn, Some(&path), &migrations(SECOND), NOW).unwrap();
        assert_eq!(inspect(&conn, &path).unwrap(), Found::Schema(2));
        let copy = Connection::open(backup_path(&path, 1, NOW)).unwrap();
        assert_eq!(inspect(&copy, &path).unwrap(), Found::Schema(1));

        // An older state came back meanwhile: its upgrade copies it too.
        drop((conn, copy));
        std::fs::remove_file(&path).unwrap();
        let conn = Connection::open(&path).unwrap();
        upgrade(&conn, Some(&path), first(), NOW).unwrap();
        let later = NOW.plus(std::time::Duration::from_secs(1));
        upgrade(&conn, Some(&path), &migrations(SECOND), later).unwrap();
        assert!(backup_path(&path, 1, later).exists());
    }

    #[test]
    fn an_old_server_runs_on_a_newer_schema_only_if_that_says_so() {
        // T-CA-123
        let conn = Connection::open_in_memory().unwrap();
        upgrade(&conn, None, &migrations(SECOND), NOW).unwrap();
        upgrade(&conn, None, first(), NOW).unwrap();
        conn.execute(
            "UPDATE schema_migrations SET oldest_server = 2 WHERE number = 2",
            [],
        )
        .unwrap();
        let refused = upgrade(&conn, None, first(), NOW).unwrap_err();
        assert!(
            matches!(
                refused,
                OpenError::TooNew {
                    found: 2,
                    newest: 1
                }
            ),
            "{refused}"
        );
    }

    #[test]
    fn another_programs_database_is_refused() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE theirs (x INTEGER)")
            .unwrap();
        assert!(matches!(
            upgrade(&conn, None, first(), NOW),
            Err(OpenError::Foreign(_))
        ));
        let conn = Connection::open_in_memory().unwrap();
        conn.pragma_update(None, "application_id", 7).unwrap();
        assert!(matches!(
            upgrade(&conn, None, first(), NOW),
            Err(OpenError::Foreign(_))
        ));
    }
}
