//! Backup while the server serves, in the writer's own steps; restore under a new epoch, so that serials, CRL numbers and
//! nonces of the time that was lost cannot come again (T-CA-122).

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use aws_lc_rs::rand;
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
    id::IssuerId,
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
        if to.symlink_metadata().is_ok() {
            return Err(BackupError::Exists(to.to_owned()));
        }
        let part = Part::beside(to)?;
        // Of the whole, only the copying is the writer's; the disk's own time is nobody's who waits for a commit.
        let part = self
            .at_writer(move |writer| Ok(copy(writer, &part.0).map(|()| part)))
            .await??;
        let to = to.to_owned();
        tokio::task::spawn_blocking(move || finish(&part, &to))
            .await
            .unwrap_or(Err(BackupError::Store(StoreError::Closed)))
    }
}

/// A file under a name of its own until the copy is whole; gone with this value.
struct Part(PathBuf);

impl Part {
    fn beside(to: &Path) -> Result<Self, BackupError> {
        let mut drawn = [0; 8];
        rand::fill(&mut drawn)
            .map_err(|_| BackupError::Copy("the random source failed".to_owned()))?;
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{:016x}.part", u64::from_be_bytes(drawn)));
        let path = to.with_file_name(name);
        let made = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        match made {
            Ok(_) => Ok(Self(path)),
            Err(source) => Err(BackupError::Io { path, source }),
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes the copy durable and gives it its name.
fn finish(part: &Part, to: &Path) -> Result<BackupReport, BackupError> {
    let io = |source: std::io::Error| match source.kind() {
        ErrorKind::AlreadyExists => BackupError::Exists(to.to_owned()),
        _ => BackupError::Io {
            path: to.to_owned(),
            source,
        },
    };
    let bytes = fs::File::open(&part.0)
        .and_then(|f| {
            f.sync_all()?;
            Ok(f.metadata()?.len())
        })
        .map_err(io)?;
    // Fails rather than overwrites what came there meanwhile.
    fs::hard_link(&part.0, to).map_err(io)?;
    let dir = to
        .parent()
        .filter(|d| !d.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::File::open(dir).and_then(|d| d.sync_all()).map_err(io)?;
    Ok(BackupReport {
        path: to.to_owned(),
        bytes,
    })
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
    /// Accounts and authorizations that had ended since the backup, and account keys that were changed; without a readable
    /// state that was replaced, all authorizations that were valid.
    pub ended: usize,
    /// External account keys that were taken back: nobody knows which were used or revoked in the lost time.
    pub external_keys: usize,
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
    /// Nobody knows which epochs are spent.
    #[error(
        "the store that is to be replaced cannot be read ({0}), so nobody knows its epoch: name a new one that is above all that this CA ever had (the first octet of its newest serials)"
    )]
    Unreadable(String),
    /// The named epoch is spent.
    #[error("epoch {asked} is spent; {least} is the first that is not")]
    SpentEpoch {
        /// What was named.
        asked: u8,
        /// The least that can be.
        least: u8,
    },
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
/// under another name, and its epoch and CRL numbers count. An `epoch` may be named, and must be if that state cannot be
/// read. What is revoked there or on one of the `published` lists stays revoked.
///
/// # Errors
/// Leaves what was there.
pub fn restore(
    backup: &Path,
    published: &[PublishedList],
    dir: &Path,
    now: Timestamp,
    replace: bool,
    epoch: Option<u8>,
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
    for stale in [""].iter().chain(&LOGS).map(|log| suffixed(&part, log)) {
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
    let existing = match there.then(|| spent(&path)) {
        None => None,
        Some(Ok(spent)) => Some(spent),
        // The operator knows better.
        Some(Err(_)) if epoch.is_some() => None,
        Some(Err(reason)) => {
            let _ = fs::remove_file(&part);
            return Err(RestoreError::Unreadable(reason));
        }
    };
    let since = Since {
        replaced: there.then_some(path.as_path()),
        published,
    };
    let renewed = renew(&part, &since, existing.as_ref(), epoch, now);
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
    let replaced = set_aside(&path, now)?;
    sync_directory(dir)?;
    fs::rename(&part, &path).map_err(io(&path))?;
    sync_directory(dir)?;
    // What the server will read, not what was written.
    match spent(&path) {
        Ok(found) if found.epoch == epoch => {}
        Ok(found) => {
            return Err(RestoreError::Database(format!(
                "its epoch reads {} instead of {epoch}",
                found.epoch
            )));
        }
        Err(reason) => return Err(RestoreError::Database(reason)),
    }
    Ok(RestoreReport {
        epoch,
        until,
        replaced,
        revocations: reconciled.revocations,
        ended: reconciled.ended,
        external_keys: reconciled.external_keys,
        unread: reconciled.unread,
    })
}

/// What a state may have given out, and its successor must not give out again.
struct Spent {
    epoch: u8,
    crl_numbers: Vec<(IssuerId, u32, u64)>,
}

/// Reads it, with what the log holds.
fn spent(path: &Path) -> Result<Spent, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let conn = connect::file(path, false).map_err(|e| text(&e))?;
    let spent = Spent {
        epoch: meta::read(&conn).map_err(|e| text(&e))?.epoch,
        crl_numbers: crls::numbers(&conn).map_err(|e| text(&e))?,
    };
    conn.close().map_err(|(_, e)| text(&e))?;
    Ok(spent)
}

/// Where the time that the backup does not know is told of.
struct Since<'a> {
    replaced: Option<&'a Path>,
    published: &'a [PublishedList],
}

/// Checks the copy and raises its epoch.
fn renew(
    part: &Path,
    since: &Since<'_>,
    existing: Option<&Spent>,
    asked: Option<u8>,
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
    let before = existing.map_or(0, |e| e.epoch).max(facts.epoch);
    if before >= EPOCH_MAX {
        return Err(RestoreError::NoEpoch);
    }
    let least = before + 1;
    let epoch = match asked {
        Some(asked) if asked < least => return Err(RestoreError::SpentEpoch { asked, least }),
        Some(asked) if asked > EPOCH_MAX => return Err(RestoreError::NoEpoch),
        asked => asked.unwrap_or(least),
    };
    let write = || -> Result<Reconciled, super::code::Fault> {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        meta::set_epoch(&conn, epoch)?;
        meta::take_window(&conn)?;
        crls::raise_numbers(&conn, now)?;
        for (issuer, shard, number) in existing.iter().flat_map(|e| &e.crl_numbers) {
            crls::raise_number(&conn, *issuer, *shard, *number)?;
        }
        // A clock that ran ahead gave numbers above today's seconds.
        for list in since.published {
            crls::raise_number(&conn, list.issuer, list.shard, list.number)?;
        }
        let keys = Keys::load(&conn)?;
        let (backup, replaced, published) = (facts.latest_time, since.replaced, since.published);
        let reconciled = reconcile::reconcile(&conn, &keys, backup, replaced, published, now)?;
        let event = AuditEvent {
            at: now,
            event: "restored",
            account: None,
            order: None,
            serial: None,
            detail: format!(
                "{{\"epoch\":{epoch},\"until\":\"{}\",\"revocations\":{},\"ended\":{},\"external_keys\":{}}}",
                facts.latest_time,
                reconciled.revocations,
                reconciled.ended,
                reconciled.external_keys
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

/// What SQLite replays if it lies beside a database, whoever's it was.
const LOGS: [&str; 3] = ["-wal", "-shm", "-journal"];

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Keeps a database under another name and takes every log away, whether or not its database is still there: the new
/// one must not stand beside it. The old one stays in its place too until the new one takes it: a kill between leaves
/// its epoch to be read again.
fn set_aside(path: &Path, now: Timestamp) -> Result<Option<PathBuf>, RestoreError> {
    let io = |path: &Path, source| RestoreError::Io {
        path: path.to_owned(),
        source,
    };
    let aside = suffixed(path, &format!(".replaced-{}", now.as_millis()));
    let replaced = match fs::hard_link(path, &aside) {
        Ok(()) => Some(aside.clone()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(source) => return Err(io(&aside, source)),
    };
    for log in LOGS {
        let from = suffixed(path, log);
        match fs::rename(&from, suffixed(&aside, log)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(&from, error)),
            _ => {}
        }
    }
    Ok(replaced)
}
