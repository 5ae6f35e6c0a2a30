//! What a store's file says of itself, read without a change to it.

use std::{fs, path::Path};

use rusqlite::{Connection, OpenFlags};

use super::{OpenError, crls, migrate};
use crate::model::IssuerRecord;

/// The issuers that a backup knows.
///
/// # Errors
/// When the file cannot be read, or is no store of cairn.
pub fn issuers_of(path: &Path) -> Result<Vec<IssuerRecord>, OpenError> {
    let database = |error: &dyn std::fmt::Display| OpenError::Database(error.to_string());
    // SQLite would not say why.
    fs::File::open(path).map_err(|source| OpenError::Io {
        path: path.to_owned(),
        source,
    })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(|e| database(&e))?;
    match migrate::inspect(&conn, path)? {
        migrate::Found::Schema(_) => crls::issuers(&conn).map_err(|e| database(&e)),
        migrate::Found::New => Err(OpenError::Foreign(path.to_owned())),
    }
}
