//! What opening a store takes, and why it is refused.

use std::{fmt, path::PathBuf, sync::Arc};

use cairn_acme::time::Timestamp;

use super::{BatchBounds, FILE, FaultHook};
use crate::{
    clock::{Clock, SystemClock},
    id::BootId,
    store::Observer,
};

/// Where the store is.
#[derive(Debug, Clone)]
pub enum Location {
    /// `cairn.db` in this directory.
    File(PathBuf),
    /// In memory, for the test CA and tests: gone when it is closed.
    Memory,
}

impl Location {
    /// The database's file.
    #[must_use]
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::File(dir) => Some(dir.join(FILE)),
            Self::Memory => None,
        }
    }
}

/// How to open it.
#[derive(Clone)]
pub struct OpenOptions {
    /// This incarnation of the process.
    pub boot: BootId,
    /// Hears of every commit.
    pub observer: Arc<dyn Observer>,
    /// Civil time of the opening.
    pub now: Timestamp,
    /// Whether a missing database is made (`ca init`) or refused (`ca serve`): an empty one in the place of a lost one
    /// would forget everything that was issued. One in memory is always made.
    pub create: bool,
    /// How many connections read for requests.
    pub read_connections: usize,
    /// Bounds of batches and queue.
    pub batch: BatchBounds,
    /// Measures queue age and the time between probes of a full disk.
    pub clock: Arc<dyn Clock>,
    /// Strikes of tests.
    pub faults: Option<FaultHook>,
}

impl OpenOptions {
    /// The usual ones.
    #[must_use]
    pub fn new(boot: BootId, observer: Arc<dyn Observer>, now: Timestamp) -> Self {
        Self {
            boot,
            observer,
            now,
            create: false,
            read_connections: 4,
            batch: BatchBounds::default(),
            clock: Arc::new(SystemClock::default()),
            faults: None,
        }
    }

    /// Makes the database if it is missing.
    #[must_use]
    pub fn create(mut self) -> Self {
        self.create = true;
        self
    }
}

impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions")
            .field("boot", &self.boot)
            .field("now", &self.now)
            .field("create", &self.create)
            .field("read_connections", &self.read_connections)
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server has it.
    #[error(
        "{} is in use by another cairn{}; stop that one first, or ask it (`cairn ca status`)",
        dir.display(),
        pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
    )]
    InUse {
        /// The CA's directory.
        dir: PathBuf,
        /// Of which process, as far as it told.
        pid: Option<u32>,
    },
    /// There is none.
    #[error("{} is missing; `cairn ca init` makes a CA, `cairn ca restore` brings one back from a backup", .0.display())]
    Missing(PathBuf),
    /// Not ours.
    #[error("{} is not a store of cairn; it was not touched", .0.display())]
    Foreign(PathBuf),
    /// Of a later version that does not let this one run.
    #[error(
        "the store has schema {found}, and this cairn knows schemas up to {newest}: use the newer cairn that upgraded it, or restore the copy that it made before"
    )]
    TooNew {
        /// The store's.
        found: i32,
        /// The newest that this version knows.
        newest: i32,
    },
    /// Of a version from which no step leads here.
    #[error(
        "the store has schema {found}, and this cairn upgrades from {oldest} on: upgrade with a cairn in between first"
    )]
    TooOld {
        /// The store's.
        found: i32,
        /// The oldest that can be upgraded.
        oldest: i32,
    },
    /// A file.
    #[error("{}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite.
    #[error("the store cannot be opened: {0}")]
    Database(String),
}
