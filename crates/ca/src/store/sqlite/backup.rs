//! Backup while the server serves, in the writer's own steps; restore under a new epoch, so that serials, CRL numbers and
//! nonces of the time that was lost cannot come again (T-CA-122).

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use cairn_acme::time::Timestamp;
use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use super::{
    OpenError, Store,
    apply::{Keys, write_audit},
    connect, crls, lock, meta, migrate,
    reconcile::{self, Reconciled},
    sync_directory,
    writer::Writer,
};
use crate::{
    model::{AuditEvent, PublishedList},
    store::StoreError,
};

/// Pages copied between two looks at the queue: a megabyte.
const STEP_PAGES: i32 = 256;

/// The last epoch: it is a serial's first octet, which must keep the serial positive.
const EPOCH_MAX: u8 = 0x7f;

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// Where.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It overwrites nothing.
    #[error("{} exists; a backup goes to a new file", .0.display())]
    Exists(PathBuf),
    /// The file.
    #[error("{}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The copy.
    #[error("the copy failed: {0}")]
    Copy(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Copies the store to a new file, which only its owner may read. Transactions go on meanwhile and are in the copy.
    ///
    /// # Errors
    /// Leaves no file behind.
    pub async fn backup(&self, to: &Path) -> Result<BackupReport, BackupError> {
        let to = to.to_owned();
        self.at_writer(move |writer| Ok(back_up(writer, &to)))
            .await?
    }
}

fn back_up(writer: &Writer, to: &Path) -> Result<BackupReport, BackupError> {
    let io = |source| BackupError::Io {
        path: to.to_owned(),
        source,
    };
    let part = part_of(to);
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let copied = (|| {
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part)
            .map_err(io)?;
        copy(writer, &part)?;
        fs::File::open(&part)
            .and_then(|f| f.sync_all())
            .map_err(io)?;
        // Fails rather than overwrites what came there meanwhile.
        fs::hard_link(&part, to).map_err(io)?;
        let dir = to
            .parent()
            .filter(|d| !d.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        fs::File::open(dir).and_then(|d| d.sync_all()).map_err(io)?;
        Ok(BackupReport {
            path: to.to_owned(),
            bytes: fs::metadata(to).map_err(io)?.len(),
        })
    })();
    let _ = fs::remove_file(&part);
    copied
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    path.with_file_name(name)
}

fn copy(writer: &Writer, part: &Path) -> Result<(), BackupError> {
    let failed = |error: rusqlite::Error| BackupError::Copy(error.to_string());
    let mut target =
        Connection::open_with_flags(part, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    // A copy that a crash ends is thrown away whole: it needs no journal.
    target
        .pragma_update(None, "journal_mode", "OFF")
        .map_err(failed)?;
    target
        .pragma_update(None, "synchronous", "OFF")
        .map_err(failed)?;
    {
        let backup = Backup::new(writer.conn(), &mut target).map_err(failed)?;
        // What the writer commits between two steps goes into the copy too, because it is the same connection's.
        while backup.step(STEP_PAGES).map_err(failed)? != StepResult::Done {
            if !writer.serve_ready() {
                return Err(StoreError::Closed.into());
            }
        }
    }
    // One file, without a log beside it.
    let mode: String = target
        .query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))
        .map_err(failed)?;
    if mode != "delete" {
        return Err(BackupError::Copy(format!(
            "the copy stayed in journal mode {mode}"
        )));
    }
    Ok(())
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreReport {
    /// The new epoch.
    pub epoch: u8,
    /// The newest moment that the backup names: what came after it is lost.
    pub until: Timestamp,
    /// Where the state that was there before lies now.
    pub replaced: Option<PathBuf>,
    /// Revocations that the backup did not know, or not so.
    pub revocations: usize,
    /// Why revocations and blocked keys of the replaced state could not be taken over.
    pub unread: Option<String>,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is a state already.
    #[error("{} exists; restoring over it must be asked for, and keeps it beside", .0.display())]
    Exists(PathBuf),
    /// The backup is damaged.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// No epoch is left.
    #[error(
        "this CA was restored {EPOCH_MAX} times; its serials have no room for another epoch: make a new CA"
    )]
    NoEpoch,
    /// The directory or the backup.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file.
    #[error("{}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database.
    #[error("the restored store: {0}")]
    Database(String),
}

/// Restores a backup into a directory whose server does not run. With `replace`, a state that is there is kept beside
/// under another name, and its epoch counts. What is revoked there or on one of the `published` lists stays revoked.
///
/// # Errors
/// Leaves what was there.
pub fn restore(
    backup: &Path,
    published: &[PublishedList],
    dir: &Path,
    now: Timestamp,
    replace: bool,
) -> Result<RestoreReport, RestoreError> {
    let path = dir.join(super::FILE);
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| RestoreError::Io { path, source }
    };
    let _lock = lock::acquire(dir)?;
    let there = path.symlink_metadata().is_ok();
    if there && !replace {
        return Err(RestoreError::Exists(path));
    }
    let part = path.with_extension("db.restoring");
    for stale in [
        part.clone(),
        part.with_extension("restoring-wal"),
        part.with_extension("restoring-shm"),
    ] {
        match fs::remove_file(&stale) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(&stale)(error)),
            _ => {}
        }
    }
    let mut source = fs::File::open(backup).map_err(io(backup))?;
    let mut target = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)
        .map_err(io(&part))?;
    std::io::copy(&mut source, &mut target)
        .and_then(|_| target.sync_all())
        .map_err(io(&part))?;
    let renewed = renew(&part, published, there.then_some(path.as_path()), now);
    let (epoch, until, reconciled) = match renewed {
        Ok(renewed) => renewed,
        Err(error) => {
            let _ = fs::remove_file(&part);
            return Err(error);
        }
    };
    fs::File::open(&part)
        .and_then(|f| f.sync_all())
        .map_err(io(&part))?;
    let replaced = if there {
        Some(set_aside(&path, now)?)
    } else {
        None
    };
    fs::rename(&part, &path).map_err(io(&path))?;
    sync_directory(dir)?;
    Ok(RestoreReport {
        epoch,
        until,
        replaced,
        revocations: reconciled.revocations,
        unread: reconciled.unread,
    })
}

/// Checks the copy and raises its epoch.
fn renew(
    part: &Path,
    published: &[PublishedList],
    existing: Option<&Path>,
    now: Timestamp,
) -> Result<(u8, Timestamp, Reconciled), RestoreError> {
    let database = |error: &dyn std::fmt::Display| RestoreError::Database(error.to_string());
    let conn = connect::file(part, false)?;
    match migrate::inspect(&conn, part)? {
        migrate::Found::Schema(_) => {}
        migrate::Found::New => return Err(OpenError::Foreign(part.to_owned()).into()),
    }
    let verdict: String = conn
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|e| RestoreError::Damaged(e.to_string()))?;
    if verdict != "ok" {
        return Err(RestoreError::Damaged(verdict));
    }
    migrate::upgrade(&conn, None, migrate::MIGRATIONS, now)?;
    let facts = meta::read(&conn).map_err(|e| database(&e))?;
    // The state that is replaced may have been restored oftener than the backup knows.
    let before = match existing {
        Some(existing) => epoch_of(existing).unwrap_or(0).max(facts.epoch),
        None => facts.epoch,
    };
    if before >= EPOCH_MAX {
        return Err(RestoreError::NoEpoch);
    }
    let epoch = before + 1;
    let write = || -> Result<Reconciled, super::code::Fault> {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        meta::set_epoch(&conn, epoch)?;
        meta::take_window(&conn)?;
        crls::raise_numbers(&conn, now)?;
        let keys = Keys::load(&conn)?;
        let reconciled = reconcile::reconcile(&conn, &keys, existing, published, now)?;
        let event = AuditEvent {
            at: now,
            event: "restored",
            account: None,
            order: None,
            serial: None,
            detail: format!(
                "{{\"epoch\":{epoch},\"until\":\"{}\",\"revocations\":{}}}",
                facts.latest_time, reconciled.revocations
            ),
        };
        write_audit(&conn, &keys, &[event])?;
        conn.execute_batch("COMMIT")?;
        Ok(reconciled)
    };
    let reconciled = write().map_err(|e| database(&e))?;
    conn.close().map_err(|(_, e)| database(&e))?;
    Ok((epoch, facts.latest_time, reconciled))
}

fn epoch_of(path: &Path) -> Option<u8> {
    let conn = connect::file(path, false).ok()?;
    meta::read(&conn).ok().map(|m| m.epoch)
}

/// Moves a database with its log to another name.
fn set_aside(path: &Path, now: Timestamp) -> Result<PathBuf, RestoreError> {
    let suffixed = |path: &Path, suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = suffixed(path, &format!(".replaced-{}", now.as_seconds()));
    // The database first: a log without it is ignored, a database without its log has lost commits.
    for suffix in ["", "-wal", "-shm"] {
        let (from, to) = (suffixed(path, suffix), suffixed(&aside, suffix));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() == ErrorKind::NotFound && !suffix.is_empty() => {}
            Err(source) => return Err(RestoreError::Io { path: from, source }),
            Ok(()) => {}
        }
    }
    Ok(aside)
}
