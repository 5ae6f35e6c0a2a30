//! Opening connections: file modes and pragmas.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::OpenError;

/// How long a lock of another process (an operator's sqlite3) is waited for.
pub(super) const BUSY: Duration = Duration::from_secs(2);

/// Room for every statement of the store.
const STATEMENTS: usize = 128;

/// Bytes of log that stay on disk for reuse after a checkpoint.
const LOG_KEPT: i64 = 64 << 20;

fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE
}

fn fault(error: rusqlite::Error) -> OpenError {
    OpenError::Database(error.to_string())
}

/// The writer's connection to a file that is there, or that `create` lets be made; only its owner may read it.
pub(super) fn file(path: &Path, create: bool) -> Result<Connection, OpenError> {
    let io = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => return Err(OpenError::Foreign(path.to_owned())),
        Ok(found) => {
            if found.permissions().mode() & 0o077 != 0 {
                fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(io)?;
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && create => {
            fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .map_err(io)?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(OpenError::Missing(path.to_owned()));
        }
        Err(error) => return Err(io(error)),
    }
    Connection::open_with_flags(path, flags()).map_err(fault)
}

/// Makes it the durable writer's.
pub(super) fn durable(conn: &Connection) -> Result<(), OpenError> {
    let mode: String = conn
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(fault)?;
    if mode != "wal" {
        return Err(OpenError::Database(format!(
            "the file system allows no write-ahead log (journal mode {mode})"
        )));
    }
    common(conn)?;
    // FULL: every COMMIT is on the disk before anybody hears of it.
    conn.pragma_update(None, "synchronous", "FULL")
        .map_err(fault)?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)
        .map_err(fault)?;
    conn.pragma_update(None, "journal_size_limit", LOG_KEPT)
        .map_err(fault)?;
    conn.pragma_update(None, "cache_size", -10_240)
        .map_err(fault)
}

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> Result<Connection, OpenError> {
    let conn = checkpointer(path)?;
    conn.pragma_update(None, "query_only", true)
        .map_err(fault)?;
    conn.pragma_update(None, "cache_size", -1024)
        .map_err(fault)?;
    Ok(conn)
}

/// A connection that checkpoints.
pub(super) fn checkpointer(path: &Path) -> Result<Connection, OpenError> {
    let conn = Connection::open_with_flags(path, flags()).map_err(fault)?;
    common(&conn)?;
    conn.pragma_update(None, "synchronous", "FULL")
        .map_err(fault)?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)
        .map_err(fault)?;
    Ok(conn)
}

/// A store in memory: one connection, nothing durable.
pub(super) fn memory() -> Result<Connection, OpenError> {
    let conn = Connection::open_in_memory().map_err(fault)?;
    common(&conn)?;
    Ok(conn)
}

fn common(conn: &Connection) -> Result<(), OpenError> {
    conn.busy_timeout(BUSY).map_err(fault)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.pragma_update(None, "temp_store", "MEMORY")
        .map_err(fault)?;
    // Else a statement over a partial index is parsed and planned anew whenever its values change: each time.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(fault)?;
    // A row that another program damaged is a fault, not a crash.
    conn.pragma_update(None, "trusted_schema", false)
        .map_err(fault)
}
