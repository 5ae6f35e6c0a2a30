//! What the writer's thread, the readers and the handles share.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use cairn_acme::time::Timestamp;
use rusqlite::ffi;

use super::{cache::Cache, checkpoint::Checkpoints, code::Fault, queue::Queue};
use crate::{clock::Clock, store::Observer};

/// Where a test may strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultPoint {
    /// Before the transaction loads anything.
    BeforeRun,
    /// Everything is written, nothing is committed.
    BeforeCommit,
    /// Committed, and nobody knows yet.
    AfterCommit,
}

/// What a test's strike does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedFault {
    /// SQLITE_FULL.
    DiskFull,
    /// SQLITE_IOERR.
    DiskFailure,
    /// SQLITE_BUSY: another process holds the lock for too long.
    Busy,
    /// The writer ends as if the process had been killed: nobody is answered.
    Kill,
}

/// Asked at every [`FaultPoint`] with the transaction's name; for tests.
pub type FaultHook = Arc<dyn Fn(FaultPoint, &'static str) -> Option<InjectedFault> + Send + Sync>;

impl From<InjectedFault> for Fault {
    fn from(fault: InjectedFault) -> Self {
        let code = match fault {
            InjectedFault::DiskFull => ffi::SQLITE_FULL,
            InjectedFault::DiskFailure | InjectedFault::Kill => ffi::SQLITE_IOERR,
            InjectedFault::Busy => ffi::SQLITE_BUSY,
        };
        Self::Sql(rusqlite::Error::SqliteFailure(
            ffi::Error::new(code),
            Some("injected".to_owned()),
        ))
    }
}

/// Counters since start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// COMMITs that wrote something.
    pub commits: u64,
    /// Transactions that shared them.
    pub transactions: u64,
    /// Rows written.
    pub rows: u64,
    /// Look-ups and lists that memory did not answer.
    pub reads: u64,
}

/// The shared part of a store.
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) cache: Arc<Cache>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) faults: Option<FaultHook>,
    pub(super) checkpoints: Checkpoints,
    pub(super) epoch: u8,
    read_only: Mutex<Option<String>>,
    latest: AtomicI64,
    commits: AtomicU64,
    transactions: AtomicU64,
    rows: AtomicU64,
    reads: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        queue: Queue,
        cache: Cache,
        observer: Arc<dyn Observer>,
        clock: Arc<dyn Clock>,
        faults: Option<FaultHook>,
        (epoch, latest): (u8, Timestamp),
    ) -> Self {
        Self {
            queue,
            cache: Arc::new(cache),
            observer,
            clock,
            faults,
            checkpoints: Checkpoints::default(),
            epoch,
            read_only: Mutex::default(),
            latest: AtomicI64::new(latest.as_millis()),
            commits: AtomicU64::default(),
            transactions: AtomicU64::default(),
            rows: AtomicU64::default(),
            reads: AtomicU64::default(),
        }
    }

    /// Why the disk takes no writes, if it does not.
    pub(super) fn read_only(&self) -> Option<String> {
        self.read_only
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn set_read_only(&self, reason: Option<String>) {
        *self
            .read_only
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// Remembers the newest moment that anything stored names.
    pub(super) fn saw(&self, moment: Option<Timestamp>) {
        if let Some(moment) = moment {
            self.latest.fetch_max(moment.as_millis(), Ordering::Relaxed);
        }
    }

    pub(super) fn latest(&self) -> Timestamp {
        Timestamp::from_millis(self.latest.load(Ordering::Relaxed))
    }

    pub(super) fn count(&self, transactions: usize, rows: u64) {
        if rows > 0 {
            self.commits.fetch_add(1, Ordering::Relaxed);
        }
        self.transactions
            .fetch_add(u64::try_from(transactions).unwrap_or(0), Ordering::Relaxed);
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn count_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self) -> StoreStats {
        StoreStats {
            commits: self.commits.load(Ordering::Relaxed),
            transactions: self.transactions.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
        }
    }
}
